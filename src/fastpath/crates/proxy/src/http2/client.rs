//! The host's side of HTTP/2: our requests go out, each as an `Upstream` of its own.

use std::rc::Rc;
use std::sync::atomic::Ordering;

use model::resources::address::Address;
use model::resources::cluster::RoutingPriority;
use proto::h2::{Connection, ErrorCode, Options, StreamFault, StreamId};

use super::carrier::{Carrier, StreamCarrier};
use super::{End, Http2, Role};
use crate::cluster::breaker::Taken;
use crate::cluster::host::{Host, Pool};
use crate::cluster::{ClusterRuntime, Limit};
use crate::http::deadlines::after;
use crate::http::downstream::{Alive, Downstream};
use crate::http::failure::Failure;
use crate::http::stream::Stream;
use crate::telemetry::stats::{ClusterCounter, ClusterGauge, ClusterHistogram, Http2Counter};
use crate::upstream::queued::Rider;
use crate::upstream::{State, Step, Upstream};
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;
use crate::worker::{Kind, Worker};

#[derive(Debug)]
pub struct Client {
    pub host: Rc<Host>,
    pub cluster: Rc<ClusterRuntime>,
    pub pool: Rc<Pool>,
    priority: RoutingPriority,
    connection_unit: Taken,
    local: Option<Address>,
    requests: u32,
    opened_ns: u64,
    /// The host has said GOAWAY; one that drains says it twice.
    told_to_go: bool,
    /// When the next PING is due, and when its answer is.
    ping_at: u64,
    pong_by: u64,
}

impl Client {
    pub fn buffer_limit(&self) -> usize {
        self.cluster
            .config
            .borrow()
            .per_connection_buffer_limit_bytes
    }

    pub fn deadline(&self, c: &Http2) -> u64 {
        let config = self.cluster.config.borrow();
        let idle = if c.streams.is_empty() {
            after(c.idle_since_ms, config.http.idle_timeout)
        } else {
            NEVER
        };
        let lifetime = if c.codec.is_closing() {
            NEVER
        } else {
            after(c.opened_ms, config.http.max_connection_duration)
        };
        idle.min(lifetime)
            .min(self.ping_at)
            .min(self.pong_by)
            .min(c.close_deadline)
    }
}

impl Worker {
    /// A connection to a host is there and speaks HTTP/2: it leaves its `Upstream` behind and
    /// takes as many requests as the host lets it.
    pub fn become_http2_client(&mut self, u: Box<Upstream>) {
        let Upstream {
            key: old,
            carrier,
            host,
            cluster,
            pool,
            priority,
            connection_unit,
            opened_ns,
            local,
            inbuf,
            readable,
            peer_closed,
            ..
        } = *u;
        self.upstreams.free(old);
        let Carrier::Socket(io) = carrier else { return };
        let key = self.http2.reserve();
        let now = self.clock.now_ms();
        let codec = Connection::client(options(&cluster));
        let failed = self.register_again(Kind::Http2, key, &io).is_err();
        let ping_at = next_ping(&cluster, now, &mut self.rng);
        let role = Role::Client(Client {
            host,
            cluster,
            pool: Rc::clone(&pool),
            priority,
            connection_unit,
            local,
            requests: 0,
            opened_ns,
            told_to_go: false,
            ping_at,
            pong_by: NEVER,
        });
        let mut connection = Box::new(Http2::new(key, io, codec, role, now));
        connection.id = self
            .shared
            .next_connection_id
            .fetch_add(1, Ordering::Relaxed);
        connection.readable = readable;
        connection.peer_closed = peer_closed;
        self.put_http2(connection);
        if failed {
            return self.close_http2(key, End::Broken);
        }
        pool.http2.borrow_mut().push(key);
        if !self.take_held(key, inbuf) {
            return;
        }
        self.offer_http2(key);
        self.drive_http2(key);
    }

    /// A connection of the pool that takes another stream.
    pub fn http2_with_room(&self, pool: &Pool) -> Option<Key> {
        let list = pool.http2.borrow();
        list.iter().copied().find(|key| {
            self.http2
                .get(*key)
                .is_some_and(|c| !c.peer_closed && c.codec.can_open() > 0)
        })
    }

    /// Whether a connection cannot say yet if it takes upgrades: its host's SETTINGS have not come.
    pub fn is_ungreeted(&self, key: Key) -> bool {
        self.http2.get(key).is_some_and(|c| !c.codec.is_greeted())
    }

    /// Gives a request a stream of its own and sends what there is of it.
    pub fn attach_to_http2(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        connection: Key,
        priority: RoutingPriority,
    ) {
        let Some(c) = self.http2.get_mut(connection) else {
            return self.fail_attempt(d, s, Failure::UpstreamClosed);
        };
        let Role::Client(client) = &mut c.role else {
            return self.fail_attempt(d, s, Failure::UpstreamClosed);
        };
        let (host, cluster) = (Rc::clone(&client.host), Rc::clone(&client.cluster));
        let pool = Rc::clone(&client.pool);
        let local = client.local.clone();
        let tls = c.io.tls_info().cloned();
        if s.request.upgrade && !c.codec.peer_allows_connect() {
            return self.reply_failure(d, s, Failure::UpstreamTakesNoUpgrade);
        }
        let Some(unit) = self.take_request_unit(&cluster, &host, priority) else {
            return self.reply_failure(d, s, Failure::Overflow);
        };
        self.count_http2_request(connection);
        let carrier = Carrier::Stream(StreamCarrier::new(connection, 0));
        let key = self.upstreams.reserve();
        let mut u = Box::new(Upstream::new(key, carrier, host, cluster, pool, priority));
        u.local = local;
        u.opened_ns = self.clock.now_ns();
        self.begin_exchange(d, &mut s, &mut u, unit, priority);
        s.info.upstream_protocol = Some(proto::h1::Version::Http2);
        s.info.upstream_tls = tls;
        if s.is_ready_to_answer() || !s.retry.body.is_empty() {
            let taken = self.upload_to(d, &mut s, &mut u, b"");
            self.upstreams.put(key, u);
            // The stream is not over by a head that could not be sent: it was answered.
            let _ = self.after_upload(d, s, taken);
        } else {
            self.upstreams.put(key, u);
            d.stream = Some(s);
        }
    }

    /// Counts a request that goes over a connection.
    pub fn count_http2_request(&mut self, key: Key) {
        if let Some(Role::Client(client)) = self.http2.get_mut(key).map(|c| &mut c.role) {
            client.requests = client.requests.saturating_add(1);
        }
    }

    /// Gives waiting requests to a connection, as many as it takes.
    pub fn offer_http2(&mut self, key: Key) {
        loop {
            let Some(c) = self.http2.get_mut(key) else {
                return;
            };
            let Role::Client(client) = &c.role else {
                return;
            };
            let pool = Rc::clone(&client.pool);
            let most = client
                .cluster
                .config
                .borrow()
                .http
                .max_requests_per_connection;
            if most.is_some_and(|most| client.requests >= most) && !c.codec.is_closing() {
                client
                    .cluster
                    .stats()
                    .inc(ClusterCounter::UpstreamCxMaxRequests);
                c.codec.goaway(&mut c.out, ErrorCode::NO_ERROR);
                self.wrote_http2(key);
                continue;
            }
            // Whoever waited when the host left is served still: a new connection would be no better.
            let is_old = pool.retired.get() || client.cluster.retired.get();
            let retired = is_old && !pool.is_awaited();
            if c.codec.is_closing() || c.peer_closed || retired {
                let (cluster, host) = (Rc::clone(&client.cluster), Rc::clone(&client.host));
                let priority = client.priority;
                if retired && !c.codec.is_closing() {
                    c.codec.goaway(&mut c.out, ErrorCode::NO_ERROR);
                    // Not otherwise: who writes is offered again, and that would never end.
                    self.wrote_http2(key);
                }
                pool.http2.borrow_mut().retain(|k| *k != key);
                self.reconnect_if_wanted(&cluster, &host, &pool, priority);
                return;
            }
            if c.codec.can_open() == 0 {
                let (cluster, host) = (Rc::clone(&client.cluster), Rc::clone(&client.host));
                let priority = client.priority;
                if self.http2_with_room(&pool).is_none() {
                    self.reconnect_if_wanted(&cluster, &host, &pool, priority);
                }
                return;
            }
            let greeted = c.codec.is_greeted();
            let Some(waiting) = pool.pending.borrow_mut().pop_front() else {
                if self.offer_to_rider(&pool, key) {
                    continue;
                }
                return;
            };
            let Some(mut d) = self.downstreams.take(waiting) else {
                continue;
            };
            let Some(s) = d.stream.take_if(|s| s.is_waiting()) else {
                self.downstreams.put(waiting, d);
                continue;
            };
            if s.request.upgrade && !greeted {
                // Whether the host takes it is in its SETTINGS, which are its first words.
                d.stream = Some(s);
                self.downstreams.put(waiting, d);
                pool.pending.borrow_mut().push_front(waiting);
                return;
            }
            self.left_queue(&s);
            let priority = s.priority;
            self.attach_to_http2(&mut d, s, key, priority);
            let alive = self.drive(&mut d);
            self.settle(d, alive);
        }
    }

    /// A response's head (of interim ones only what the client may see) with the start of its
    /// body, if that is there already; `end`: and nothing else.
    pub(super) fn http2_response(&mut self, key: Key, at: Key, data: &[u8], end: bool) {
        match self.rider_of(at) {
            Some(Rider::Tunnel(tunnel)) => {
                self.link_answered(tunnel, key, end && data.is_empty());
                if !data.is_empty() {
                    self.http2_response_data(at, data, end);
                }
                return;
            }
            Some(Rider::Call(call)) => return self.call_answered(call, key, data, end),
            None => {}
        }
        self.on_exchange(at, |worker, d, mut s, mut u| {
            take_data(&mut s, &mut u, data, end);
            if let Some(c) = worker.http2.get_mut(key) {
                std::mem::swap(&mut c.codec.response, &mut s.response);
                s.info.upstream_header_bytes_received = u64::from(c.codec.head_bytes);
            }
            worker.respond(d, s, u, data)
        });
    }

    pub(super) fn http2_response_data(&mut self, at: Key, data: &[u8], end: bool) {
        match self.rider_of(at) {
            Some(Rider::Tunnel(tunnel)) => return self.link_data(tunnel, data, end),
            Some(Rider::Call(call)) => return self.call_data(call, data, end),
            None => {}
        }
        self.on_exchange(at, |worker, d, mut s, mut u| {
            take_data(&mut s, &mut u, data, end);
            worker.respond(d, s, u, data)
        });
    }

    pub(super) fn http2_response_trailers(&mut self, key: Key, at: Key) {
        match self.rider_of(at) {
            Some(Rider::Tunnel(tunnel)) => return self.link_trailers(tunnel, key),
            Some(Rider::Call(call)) => return self.call_trailers(call, key),
            None => {}
        }
        self.on_exchange(at, |worker, d, mut s, mut u| {
            if let Carrier::Stream(carrier) = &mut u.carrier {
                carrier.ended = true;
            }
            if let Some(c) = worker.http2.get_mut(key) {
                std::mem::swap(&mut c.codec.trailers, &mut s.response_trailers);
            }
            worker.respond(d, s, u, b"")
        });
    }

    /// The host reset a stream.
    pub(super) fn http2_response_reset(&mut self, at: Key, code: ErrorCode) {
        let failure = if code == ErrorCode::REFUSED_STREAM {
            Failure::UpstreamRefused
        } else {
            Failure::UpstreamReset
        };
        self.lose_exchange(at, failure);
    }

    /// The host broke the rules in a stream, which we have reset.
    pub(super) fn http2_response_fault(&mut self, at: Key) {
        self.lose_exchange(at, Failure::UpstreamProtocol);
    }

    fn lose_exchange(&mut self, at: Key, failure: Failure) {
        match self.rider_of(at) {
            Some(Rider::Tunnel(tunnel)) => return self.link_lost(tunnel, failure),
            Some(Rider::Call(call)) => return self.call_lost(call, failure),
            None => {}
        }
        self.on_exchange(at, |worker, d, s, mut u| {
            if let Carrier::Stream(carrier) = &mut u.carrier {
                carrier.gone = true;
            }
            if s.response_started && failure == Failure::UpstreamReset && s.response_complete {
                return Step::Continue(u);
            }
            worker.upstream_lost(d, s, u, failure)
        });
    }

    /// Takes out both ends of an exchange, and puts back what is left of them.
    fn on_exchange(
        &mut self,
        at: Key,
        step: impl FnOnce(&mut Self, &mut Downstream, Box<Stream>, Box<Upstream>) -> Step,
    ) {
        let Some(u) = self.upstreams.take(at) else {
            return;
        };
        let Some(mut d) = u.downstream().and_then(|key| self.downstreams.take(key)) else {
            // Its client is being closed; that takes care of us.
            self.upstreams.put(at, u);
            return;
        };
        let Some(s) = d.stream.take() else {
            self.upstreams.put(at, u);
            self.settle(d, Alive::Yes);
            return;
        };
        match step(self, &mut d, s, u) {
            Step::Continue(mut u) => {
                if !self.is_full(&d.carrier, d.buffer_limit()) {
                    self.settle_debt(&mut u);
                }
                self.upstreams.put(at, u);
                self.settle(d, Alive::Yes);
            }
            Step::Done(alive) => self.settle(d, alive),
        }
    }

    /// What an exchange is for, if it is no request's.
    fn rider_of(&self, at: Key) -> Option<Rider> {
        match self.upstreams.get(at)?.state {
            State::Tunnel(key) => Some(Rider::Tunnel(key)),
            State::Call(key) => Some(Rider::Call(key)),
            _ => None,
        }
    }

    /// The client has taken what came: the host may send as much again.
    pub fn settle_debt(&mut self, u: &mut Upstream) {
        if let Carrier::Stream(carrier) = &mut u.carrier {
            let owed = carrier.owed;
            self.consumed_of_stream(carrier, owed);
        }
    }

    /// The request's bytes may go on.
    pub(super) fn resume_http2_request(&mut self, at: Key) {
        let Some(mut u) = self.upstreams.take(at) else {
            return;
        };
        if let Carrier::Stream(carrier) = &mut u.carrier {
            self.resume_stream(carrier);
        }
        let go_on = !self.is_full(&u.carrier, u.buffer_limit());
        let downstream = u.downstream();
        if go_on && let State::Tunnel(tunnel) = u.state {
            self.ready_tunnels.push(tunnel);
        }
        let call = match u.state {
            State::Call(call) if go_on => Some(call),
            _ => None,
        };
        self.upstreams.put(at, u);
        if let Some(call) = call {
            self.push_call(call);
        }
        if go_on && let Some(key) = downstream {
            self.ready_downstreams.push(key);
        }
    }

    pub(super) fn http2_goaway(&mut self, key: Key, last: StreamId) {
        let Some(c) = self.http2.get_mut(key) else {
            return;
        };
        if let Role::Client(client) = &mut c.role {
            if !std::mem::replace(&mut client.told_to_go, true) {
                let stats = client.cluster.stats();
                stats.inc(ClusterCounter::UpstreamCxCloseNotify);
            }
            client.pool.http2.borrow_mut().retain(|k| *k != key);
            let unprocessed: Vec<Key> = c
                .streams
                .extract_if(|id, _| *id > last)
                .map(|(_, at)| at)
                .collect();
            for at in unprocessed {
                self.http2_response_reset(at, ErrorCode::REFUSED_STREAM);
            }
            self.offer_http2(key);
        }
        self.wrote_http2(key);
    }

    pub(super) fn http2_client_closed(&mut self, c: &Http2, end: End, streams: &[Key]) {
        let Role::Client(client) = &c.role else {
            return;
        };
        let (pool, cluster) = (&client.pool, &client.cluster);
        pool.http2.borrow_mut().retain(|k| *k != c.key);
        let stats = cluster.stats();
        let (destroyed, with_requests) = match end {
            End::PeerClosed | End::Broken => (
                ClusterCounter::UpstreamCxDestroyRemote,
                ClusterCounter::UpstreamCxDestroyRemoteWithActiveRq,
            ),
            End::Fault(_) | End::Done | End::Timeout => (
                ClusterCounter::UpstreamCxDestroyLocal,
                ClusterCounter::UpstreamCxDestroyLocalWithActiveRq,
            ),
        };
        stats.inc(destroyed);
        if matches!(end, End::Fault(_)) {
            stats.inc(ClusterCounter::UpstreamCxProtocolError);
        }
        if !streams.is_empty() {
            stats.inc(with_requests);
            stats.inc(ClusterCounter::UpstreamCxDestroyWithActiveRq);
        }
        stats.record(
            ClusterHistogram::UpstreamRqPerCx,
            u64::from(client.requests),
        );
        let failure = match end {
            End::Fault(_) => Failure::UpstreamProtocol,
            _ => Failure::UpstreamGone,
        };
        for at in streams {
            self.lose_exchange(*at, failure);
        }
        self.count_upstream_closed(
            cluster,
            pool,
            client.priority,
            client.connection_unit,
            client.opened_ns,
        );
        self.reconnect_if_wanted(cluster, &client.host, pool, client.priority);
    }

    pub(super) fn http2_client_timer(&mut self, key: Key, now: u64) -> Option<End> {
        let c = self.http2.get_mut(key)?;
        let Role::Client(client) = &mut c.role else {
            return None;
        };
        if now >= client.pong_by {
            client
                .cluster
                .http2_stats()
                .inc(Http2Counter::KeepaliveTimeout);
            return Some(End::Broken);
        }
        if now >= client.ping_at {
            let timeout = {
                let config = client.cluster.config.borrow();
                let keepalive = config.http.http2.keepalive.as_ref();
                keepalive.map(|k| k.timeout)
            };
            client.ping_at = NEVER;
            client.pong_by = after(now, timeout);
            c.codec.ping(&mut c.out, now.to_be_bytes());
            self.wrote_http2(key);
            return None;
        }
        let http = client.cluster.config.borrow().http.clone();
        let stats = client.cluster.stats();
        if c.streams.is_empty() && now >= after(c.idle_since_ms, http.idle_timeout) {
            stats.inc(ClusterCounter::UpstreamCxIdleTimeout);
            return Some(End::Timeout);
        }
        let lifetime_end = after(c.opened_ms, http.max_connection_duration);
        if now >= lifetime_end && !c.codec.is_closing() {
            stats.inc(ClusterCounter::UpstreamCxMaxDurationReached);
            c.codec.goaway(&mut c.out, ErrorCode::NO_ERROR);
            self.offer_http2(key);
        }
        None
    }

    /// A PING was answered.
    pub(super) fn http2_pong(&mut self, key: Key) {
        let now = self.clock.now_ms();
        if let Some(c) = self.http2.get_mut(key)
            && let Role::Client(client) = &mut c.role
        {
            client.pong_by = NEVER;
            client.ping_at = next_ping(&client.cluster, now, &mut self.rng);
        }
        self.arm_http2(key);
    }

    /// A connection whose host left: no more requests; it closes when the last has ended.
    pub fn retire_http2(&mut self, key: Key) {
        let Some(c) = self.http2.get_mut(key) else {
            return;
        };
        c.codec.goaway(&mut c.out, ErrorCode::NO_ERROR);
        self.wrote_http2(key);
    }

    /// Envoy's counters of what a peer did to its stream.
    pub(super) fn count_http2_fault(&mut self, key: Key, fault: StreamFault) {
        if let Some(Role::Client(client)) = self.http2.get(key).map(|c| &c.role)
            && fault.is_malformed()
        {
            client
                .cluster
                .stats()
                .inc(ClusterCounter::UpstreamCxProtocolError);
        }
    }

    pub(super) fn count_http2_received(&mut self, key: Key, n: usize) {
        match self.http2.get(key).map(|c| &c.role) {
            Some(Role::Server(server)) => server.client.count_received(n),
            Some(Role::Client(client)) => client
                .cluster
                .stats()
                .add(ClusterCounter::UpstreamCxRxBytesTotal, n as u64),
            None => {}
        }
    }

    /// Ends what the connection counted for its cluster and its pool.
    pub fn count_upstream_closed(
        &self,
        cluster: &ClusterRuntime,
        pool: &Pool,
        priority: RoutingPriority,
        unit: Taken,
        opened_ns: u64,
    ) {
        pool.open.set(pool.open.get().saturating_sub(1));
        pool.shard.cx_active.dec();
        let stats = cluster.stats();
        stats.inc(ClusterCounter::UpstreamCxDestroy);
        stats.gauge_dec(ClusterGauge::UpstreamCxActive);
        let ms = self.clock.now_ns().saturating_sub(opened_ns) / 1_000_000;
        stats.record(ClusterHistogram::UpstreamCxLengthMs, ms);
        if unit == Taken::Counted {
            let usage = cluster.shared.breakers.usage(priority);
            usage.connections.give_back();
            cluster.breaker_open(priority, Limit::Connections, false);
        }
    }
}

/// Accounts for a part of a response's body; `end`: it is the last.
fn take_data(s: &mut Stream, u: &mut Upstream, data: &[u8], end: bool) {
    if let Carrier::Stream(carrier) = &mut u.carrier {
        carrier.ended |= end;
        carrier.owed = carrier.owed.saturating_add(data.len());
    }
    let n = data.len() as u64;
    s.info.upstream_wire_bytes_received = s.info.upstream_wire_bytes_received.saturating_add(n);
}

fn options(cluster: &ClusterRuntime) -> Options {
    let config = cluster.config.borrow();
    Options {
        max_header_bytes: config.http.max_response_headers_bytes,
        max_headers: config.http.max_headers_count,
        ..super::options(&config.http.http2)
    }
}

/// When the next keepalive PING is due (`connection_keepalive.interval`, with its jitter).
fn next_ping(cluster: &ClusterRuntime, now: u64, rng: &mut fastrand::Rng) -> u64 {
    let config = cluster.config.borrow();
    let Some(keepalive) = &config.http.http2.keepalive else {
        return NEVER;
    };
    let Some(interval) = keepalive.interval else {
        return NEVER;
    };
    let base = crate::http::deadlines::millis(interval);
    let most = base.saturating_mul(u64::from(keepalive.interval_jitter_percent)) / 100;
    now.saturating_add(base)
        .saturating_add(rng.u64(0..=most.min(base)))
}
