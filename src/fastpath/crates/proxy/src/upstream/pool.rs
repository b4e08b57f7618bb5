//! Connection pools: one a host a worker, no pipelining (`Http::Http1::ConnPoolImpl`).

use std::rc::Rc;
use std::sync::Arc;

use model::resources::cluster::{RoutingPriority, UpstreamHttp, UpstreamProtocol};
use proto::h1::Version;

use super::{State, Upstream};
use crate::cluster::breaker::Taken;
use crate::cluster::host::{Host, Pool, PoolKey};
use crate::cluster::{ClusterRuntime, Limit};
use crate::http::deadlines::after;
use crate::http::downstream::Downstream;
use crate::http::failure::Failure;
use crate::http::stream::{Stream, Upstreaming};
use crate::listener::UpstreamSource;
use crate::net::io::Io;
use crate::telemetry::stats::{ClusterCounter, ClusterGauge, ClusterHistogram};
use crate::worker::Worker;
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;

impl Worker {
    /// Finds a connection for a request: an idle one, or the queue and, if there is need, a new
    /// connection.
    pub fn acquire(&mut self, d: &mut Downstream, mut s: Box<Stream>, priority: RoutingPriority) {
        let (Some(cluster), Some(host)) = (s.cluster.clone(), s.host.clone()) else {
            return self.reply_failure(d, s, Failure::NoHealthyUpstream);
        };
        let Some(pool) = pool_for(&cluster, &host, d, &s) else {
            cluster.stats().inc(ClusterCounter::UpstreamCxPoolOverflow);
            return self.reply_failure(d, s, Failure::Overflow);
        };
        let http2 = self.http2_with_room(&pool);
        let must_wait = s.request.upgrade && http2.is_some_and(|key| self.is_ungreeted(key));
        if let Some(key) = http2
            && !must_wait
        {
            return self.attach_to_http2(d, s, key, priority);
        }
        loop {
            let Some(key) = pool.idle.borrow_mut().pop() else {
                break;
            };
            // Closed by the host, and we have not read that yet: skip it.
            if let Some(u) = self.upstreams.take(key) {
                if u.peer_closed {
                    self.close_upstream(u);
                    continue;
                }
                return self.attach(d, s, u, priority);
            }
        }

        let limit = cluster.limits(priority).max_pending_requests;
        let usage = cluster.shared.breakers.usage(priority);
        let stats = cluster.stats();
        if usage.pending_requests.take(limit) == Taken::Full {
            stats.inc(ClusterCounter::UpstreamRqPendingOverflow);
            cluster.breaker_open(priority, Limit::Pending, true);
            pool.shard.rq_error.inc();
            s.host = None;
            return self.reply_failure(d, s, Failure::Overflow);
        }
        stats.inc(ClusterCounter::UpstreamRqPendingTotal);
        stats.gauge_inc(ClusterGauge::UpstreamRqPendingActive);
        s.upstream = Upstreaming::Waiting;
        s.priority = priority;
        pool.pending.borrow_mut().push_back(d.key);
        pool.shard.rq_pending_active.inc();
        s.pool = Some(Rc::clone(&pool));
        d.stream = Some(s);
        if must_wait {
            return;
        }
        if let Err(failure) = self.connect_for_waiting(&cluster, &host, &pool, priority)
            && let Some(mut s) = d.stream.take()
        {
            self.leave_queue(d.key, &mut s);
            s.upstream = Upstreaming::None;
            pool.shard.rq_error.inc();
            self.fail_attempt(d, s, failure);
        }
    }

    /// Opens a connection if more requests wait than connections are being made. One that may
    /// turn out to carry many requests is enough for all of them.
    pub fn connect_for_waiting(
        &mut self,
        cluster: &Rc<ClusterRuntime>,
        host: &Rc<Host>,
        pool: &Rc<Pool>,
        priority: RoutingPriority,
    ) -> Result<(), Failure> {
        let enough = match pool.kind.protocol {
            UpstreamProtocol::Http1 => pool.pending.borrow().len(),
            UpstreamProtocol::Http2 | UpstreamProtocol::Alpn | UpstreamProtocol::Downstream => 1,
        };
        if pool.connecting.get() as usize >= enough {
            return Ok(());
        }
        let connections = &cluster.shared.breakers.usage(priority).connections;
        let mut unit = connections.take(cluster.limits(priority).max_connections);
        if unit == Taken::Full {
            cluster.stats().inc(ClusterCounter::UpstreamCxOverflow);
            cluster.breaker_open(priority, Limit::Connections, true);
            if pool.open.get() > 0 {
                // One of those will come free.
                return Ok(());
            }
            // As in Envoy a pool may always have one connection, else nothing would ever move.
            connections.take_anyway();
            unit = Taken::Counted;
        }
        match self.connect(cluster, host, pool, priority, unit) {
            Ok(()) => Ok(()),
            Err(e) => {
                if unit == Taken::Counted {
                    connections.give_back();
                }
                cluster.count_refused(e);
                Err(Failure::of_refusal(e))
            }
        }
    }

    /// Counts a request out of the queue.
    pub fn left_queue(&self, s: &Stream) {
        if let Some(pool) = &s.pool {
            pool.shard.rq_pending_active.dec();
        }
        if let Some(cluster) = &s.cluster {
            cluster
                .stats()
                .gauge_dec(ClusterGauge::UpstreamRqPendingActive);
            if cluster.limits(s.priority).max_pending_requests != u32::MAX {
                cluster
                    .shared
                    .breakers
                    .usage(s.priority)
                    .pending_requests
                    .give_back();
                cluster.breaker_open(s.priority, Limit::Pending, false);
            }
        }
    }

    /// A request gives up waiting.
    pub fn leave_queue(&self, downstream: Key, s: &mut Stream) {
        if let Some(pool) = &s.pool {
            pool.pending.borrow_mut().retain(|k| *k != downstream);
        }
        self.left_queue(s);
    }

    /// Gives a connection its request and sends what there is of it.
    fn attach(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        mut u: Box<Upstream>,
        priority: RoutingPriority,
    ) {
        let Some(unit) = self.take_request_unit(&u.cluster, &u.host, priority) else {
            u.pool.idle.borrow_mut().push(u.key);
            self.upstreams.put(u.key, u);
            return self.reply_failure(d, s, Failure::Overflow);
        };
        self.begin_exchange(d, &mut s, &mut u, unit, priority);
        if s.is_tcp {
            return self.open_tcp(d, s, u);
        }
        s.info.upstream_protocol = Some(proto::h1::Version::Http11);
        if s.is_ready_to_answer() || !s.retry.body.is_empty() {
            // Nothing will come to trigger an upload: send the head now.
            let taken = self.upload_to(d, &mut s, &mut u, b"");
            self.upstreams.put(u.key, u);
            debug_assert_eq!(taken.bytes, 0);
            // A head that could not be sent was answered.
            let _ = self.after_upload(d, s, taken);
        } else {
            self.upstreams.put(u.key, u);
            d.stream = Some(s);
        }
    }

    /// A unit of the limit of requests; `None`: there is none left, which was counted.
    pub fn take_request_unit(
        &self,
        cluster: &ClusterRuntime,
        host: &Host,
        priority: RoutingPriority,
    ) -> Option<Taken> {
        let limit = cluster.limits(priority).max_requests;
        let unit = cluster.shared.breakers.usage(priority).requests.take(limit);
        if unit != Taken::Full {
            return Some(unit);
        }
        let stats = cluster.stats();
        stats.inc(ClusterCounter::UpstreamRqPendingOverflow);
        stats.inc(ClusterCounter::UpstreamRqActiveOverflow);
        cluster.breaker_open(priority, Limit::Requests, true);
        host.pool.shard.rq_error.inc();
        None
    }

    /// A request has its connection: both know of each other now.
    pub fn begin_exchange(
        &mut self,
        d: &Downstream,
        s: &mut Stream,
        u: &mut Upstream,
        unit: Taken,
        priority: RoutingPriority,
    ) {
        u.request_unit = unit;
        u.priority = priority;
        u.state = State::Busy(d.key);
        u.requests = u.requests.saturating_add(1);
        if let Some(host) = &s.host {
            host.note_connected();
        }
        let stats = u.cluster.stats();
        stats.inc(ClusterCounter::UpstreamRqTotal);
        stats.gauge_inc(ClusterGauge::UpstreamRqActive);
        let pool = &u.pool;
        pool.active.set(pool.active.get().saturating_add(1));
        pool.shard.rq_total.inc();
        pool.shard.rq_active.inc();
        s.upstream = Upstreaming::On(u.key);
        s.upload_blocked = false;
        s.info.upstream_local = u.local.clone();
        s.info.upstream_remote = Some(u.host.address.clone());
        s.info.upstream_tls = u.carrier.io().and_then(Io::tls_info).cloned();
        s.info.upstream_pool_ready = self.clock.now_ns();
        if s.try_timeout_ms != NEVER && s.is_ready_to_answer() {
            s.try_deadline = self.clock.now_ms().saturating_add(s.try_timeout_ms);
            self.arm_downstream(d, s.try_deadline);
        }
        self.watch_attempt(d, s);
    }

    /// An idle connection takes the first request that waits, or goes to rest.
    pub fn offer(&mut self, mut u: Box<Upstream>) {
        if u.peer_closed {
            self.close_upstream(u);
            return;
        }
        let pool = Rc::clone(&u.pool);
        loop {
            let Some(key) = pool.pending.borrow_mut().pop_front() else {
                break;
            };
            let Some(mut d) = self.downstreams.take(key) else {
                continue;
            };
            let Some(s) = d.stream.take_if(|s| s.is_waiting()) else {
                self.downstreams.put(key, d);
                continue;
            };
            self.left_queue(&s);
            let priority = s.priority;
            let ukey = u.key;
            self.attach(&mut d, s, u, priority);
            // The rest of the request may lie in the buffer or the socket.
            let alive = self.drive(&mut d);
            self.settle(d, alive);
            // Refused by the request limit, the connection is idle still.
            match self.upstreams.get(ukey).map(|u| u.state) {
                Some(State::Idle) => {
                    pool.idle.borrow_mut().retain(|k| *k != ukey);
                    match self.upstreams.take(ukey) {
                        Some(back) => u = back,
                        None => return,
                    }
                }
                _ => return,
            }
        }
        // They need HTTP/2, and ALPN chose something else.
        self.fail_riders(&pool, Failure::UpstreamProtocol, Some("no HTTP/2"));
        let is_stale = u.opened_ns < pool.stale_before.get();
        if is_stale || pool.retired.get() || u.cluster.retired.get() {
            u.cluster
                .stats()
                .inc(ClusterCounter::UpstreamCxDestroyLocal);
            self.close_upstream(u);
            return;
        }
        u.idle_since_ms = self.clock.now_ms();
        let idle = u.cluster.config.borrow().http.idle_timeout;
        let deadline = after(u.idle_since_ms, idle);
        self.arm_upstream(&u, deadline);
        pool.idle.borrow_mut().push(u.key);
        self.upstreams.put(u.key, u);
    }

    /// A response is complete and its connection can go on: back to the pool.
    pub fn release(&mut self, mut u: Box<Upstream>) {
        if u.carrier.is_stream() {
            self.close_upstream(u);
            return;
        }
        self.release_request_unit(&u);
        u.state = State::Idle;
        u.request_unit = Taken::Unlimited;
        let most = u.cluster.config.borrow().http.max_requests_per_connection;
        if most.is_some_and(|most| u.requests >= most) {
            u.cluster.stats().inc(ClusterCounter::UpstreamCxMaxRequests);
            u.cluster
                .stats()
                .inc(ClusterCounter::UpstreamCxDestroyLocal);
            self.close_upstream(u);
            return;
        }
        if !u.pool.pending.borrow().is_empty() {
            // Its next request belongs to a connection that may be in the hands of our caller.
            self.ready_upstreams.push(u.key);
            self.upstreams.put(u.key, u);
            return;
        }
        self.offer(u);
    }

    /// Closes the connection that a given-up request was on.
    pub fn drop_upstream_of(&mut self, d: &Downstream, s: &Stream, key: Key) {
        if let Some(u) = self.upstreams.take(key) {
            if u.carrier.is_stream() {
                self.close_upstream(u);
                return;
            }
            let stats = u.cluster.stats();
            stats.inc(ClusterCounter::UpstreamCxDestroyLocal);
            stats.inc(ClusterCounter::UpstreamCxDestroyLocalWithActiveRq);
            stats.inc(ClusterCounter::UpstreamCxDestroyWithActiveRq);
            stats.record(ClusterHistogram::UpstreamRqPerCx, u64::from(u.requests));
            self.bound_given_up(d, s, &u);
            self.close_upstream(u);
        }
    }

    /// A connection is about to be closed with its request: if that is half there, and its client
    /// has given up too many, the host gets a reset.
    pub fn bound_given_up(&self, d: &Downstream, s: &Stream, u: &Upstream) {
        if s.request_complete || s.tunnel.is_open() || u.peer_closed {
            return;
        }
        if !d.client.given_up.may_close_in_order(self.clock.now_ms())
            && let Some(io) = u.carrier.io()
        {
            io.cut_on_close();
        }
    }
}

/// The pool that a request belongs in: the host's own, unless its cluster takes protocol or names
/// from the request.
fn pool_for(cluster: &ClusterRuntime, host: &Host, d: &Downstream, s: &Stream) -> Option<Rc<Pool>> {
    let config = cluster.config.borrow();
    let http = &config.http;
    let protocol = match http.protocol {
        UpstreamProtocol::Downstream if s.request.version == Version::Http2 => {
            UpstreamProtocol::Http2
        }
        UpstreamProtocol::Downstream => UpstreamProtocol::Http1,
        protocol => protocol,
    };
    let source = d.client.facts.as_ref().and_then(|f| f.upstream_source);
    if s.is_tcp {
        return host.pool_of(PoolKey {
            source,
            is_tcp: true,
            ..PoolKey::default()
        });
    }
    // Without TLS nothing is offered.
    let alpn = s.alpn.as_ref().filter(|_| cluster.has_tls(host));
    if is_plain(http, source) && protocol == host.pool.kind.protocol && alpn.is_none() {
        return Some(Rc::clone(&host.pool));
    }
    let of_header = http
        .auto_sni_header
        .as_ref()
        .and_then(|name| s.request.headers.get_name(name.as_bytes()))
        .filter(|value| !value.is_empty());
    let authority = of_header
        .or(s.asked.as_ref().map(|asked| &*asked.authority))
        .unwrap_or_else(|| s.request.authority());
    pool_of(http, host, protocol, source, alpn, authority)
}

/// Whether requests have no say in how their host is connected to.
fn is_plain(http: &UpstreamHttp, source: Option<UpstreamSource>) -> bool {
    !http.names_come_from_requests() && source.is_none()
}

/// The pool for a name that is asked for, if the cluster's names are those of requests.
pub fn pool_of_authority(
    http: &UpstreamHttp,
    host: &Host,
    protocol: UpstreamProtocol,
    source: Option<UpstreamSource>,
    authority: &[u8],
) -> Option<Rc<Pool>> {
    if is_plain(http, source) && protocol == host.pool.kind.protocol {
        return Some(Rc::clone(&host.pool));
    }
    pool_of(http, host, protocol, source, None, authority)
}

fn pool_of(
    http: &UpstreamHttp,
    host: &Host,
    protocol: UpstreamProtocol,
    source: Option<UpstreamSource>,
    alpn: Option<&Arc<Vec<Box<str>>>>,
    authority: &[u8],
) -> Option<Rc<Pool>> {
    let (name, _) = crate::http::authority::split_port(authority);
    let name = std::str::from_utf8(name).ok();
    let name = name.map(|n| n.trim_start_matches('[').trim_end_matches(']'));
    // An address is no SNI (RFC 6066 §3), but it can be verified.
    let is_address = name.is_some_and(|n| n.parse::<std::net::IpAddr>().is_ok());
    let wants_sni = http.auto_sni && !is_address;
    // Names have no case: those that differ in nothing else share connections.
    let name = name.map(|n| n.to_ascii_lowercase().into_boxed_str());
    let verify_san = name.as_ref().filter(|_| http.auto_san_validation).cloned();
    host.pool_of(PoolKey {
        is_tcp: false,
        source,
        protocol,
        alpn: alpn.cloned(),
        sni: name.filter(|_| wants_sni),
        verify_san,
    })
}
