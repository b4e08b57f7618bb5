//! The server's side: a connection that speaks HTTP/1.1 with an upstream host.
//!
//! A connection serves one request at a time and then waits in its host's pool (`pool`). While it
//! serves, its events move the response straight to the client: what is read into the worker's
//! scratch buffer is written to the client's socket from there.

pub mod datagrams;
pub mod download;
pub mod given_up;
pub mod pool;
pub mod queued;
pub mod transport;
pub mod upload;

use std::rc::Rc;
use std::sync::Arc;

use model::resources::address::Address;
use model::resources::cluster::{RoutingPriority, UpstreamProtocol};
use proto::h1::HeadReader;

use crate::cluster::breaker::Taken;
use crate::cluster::host::{Host, Pool};
use crate::cluster::{ClusterRuntime, Limit};
use crate::http::deadlines::{after, millis};
use crate::http::downstream::{Alive, Downstream};
use crate::http::failure::Failure;
use crate::http::stream::{Stream, Upstreaming};
use crate::http2::carrier::{Carrier, StreamCarrier};
use crate::net::io::{Input, Io, Scratch};
use crate::net::socket::{self, Refusal, Wishes};
use crate::telemetry::stats::{ClusterCounter, ClusterGauge, ClusterHistogram};
use crate::worker::slots::Key;
use crate::worker::{Kind, Readiness, Worker};

/// Reads in one turn before the others get theirs.
const MAX_READS: usize = 8;

/// Data up to this size is copied behind its head: cheaper than a second entry in the vector.
const COPY_BELOW: usize = 2048;

#[derive(Debug)]
pub struct Upstream {
    pub key: Key,
    pub carrier: Carrier,
    pub host: Rc<Host>,
    pub cluster: Rc<ClusterRuntime>,
    pub pool: Rc<Pool>,
    pub state: State,
    /// Half a response head; what was read before the protocol was known.
    pub inbuf: Vec<u8>,
    pub reader: HeadReader,
    /// The host is introducing itself.
    pub listens: bool,
    pub readable: bool,
    pub peer_closed: bool,
    pub requests: u32,
    pub connection_unit: Taken,
    pub request_unit: Taken,
    pub priority: RoutingPriority,
    pub opened_ns: u64,
    /// Known once connected.
    pub local: Option<Address>,
    pub idle_since_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Connecting {
        deadline_ms: u64,
    },
    /// Connected; TLS is being agreed on.
    Handshaking {
        deadline_ms: u64,
    },
    Idle,
    /// Serves the stream of this downstream connection.
    Busy(Key),
    /// Carries this TCP tunnel: a stream of HTTP/2.
    Tunnel(Key),
    /// Carries this gRPC call of our own: the same.
    Call(Key),
}

impl Upstream {
    pub fn new(
        key: Key,
        carrier: Carrier,
        host: Rc<Host>,
        cluster: Rc<ClusterRuntime>,
        pool: Rc<Pool>,
        priority: RoutingPriority,
    ) -> Self {
        Self {
            key,
            carrier,
            host,
            cluster,
            pool,
            state: State::Idle,
            inbuf: Vec::new(),
            reader: HeadReader::default(),
            listens: false,
            readable: false,
            peer_closed: false,
            requests: 0,
            connection_unit: Taken::Unlimited,
            request_unit: Taken::Unlimited,
            priority,
            opened_ns: 0,
            local: None,
            idle_since_ms: 0,
        }
    }

    pub fn downstream(&self) -> Option<Key> {
        match self.state {
            State::Busy(key) => Some(key),
            State::Connecting { .. }
            | State::Handshaking { .. }
            | State::Idle
            | State::Tunnel(_)
            | State::Call(_) => None,
        }
    }

    /// Bytes of requests that the host has not taken yet.
    pub fn backlog(&self) -> usize {
        self.carrier.backlog()
    }

    /// Its socket takes no more. It may have answered before it closed: the read will tell.
    pub fn note_broken(&mut self) {
        if let Some(io) = self.carrier.io_mut() {
            io.forget();
        }
        self.readable = true;
    }

    /// There is something to read, or to give back to the windows.
    pub fn may_go_on(&self) -> bool {
        match &self.carrier {
            Carrier::Socket(_) => self.readable,
            Carrier::Stream(stream) => stream.owed > 0,
        }
    }

    pub fn buffer_limit(&self) -> usize {
        self.cluster
            .config
            .borrow()
            .per_connection_buffer_limit_bytes
    }
}

impl Worker {
    /// Starts a connection to a host of a cluster.
    pub fn connect(
        &mut self,
        cluster: &Rc<ClusterRuntime>,
        host: &Rc<Host>,
        pool: &Rc<Pool>,
        priority: RoutingPriority,
        unit: Taken,
    ) -> Result<(), Refusal> {
        let source = pool.kind.source.as_ref();
        let config = Arc::clone(&cluster.config.borrow());
        let connecting = socket::connect(&host.address, Wishes::new(&config, source))?;
        let io = Io::connecting(connecting);
        self.connects = self.connects.wrapping_add(1);
        let key = self.upstreams.reserve();
        if let Err(e) = self.register(Kind::Upstream, key, &io) {
            self.upstreams.free(key);
            return Err(e.into());
        }
        let stats = cluster.stats();
        stats.inc(ClusterCounter::UpstreamCxTotal);
        match pool.kind.protocol {
            UpstreamProtocol::Http1 => stats.inc(ClusterCounter::UpstreamCxHttp1Total),
            UpstreamProtocol::Http2 => stats.inc(ClusterCounter::UpstreamCxHttp2Total),
            // ALPN will say.
            UpstreamProtocol::Alpn | UpstreamProtocol::Downstream => {}
        }
        stats.gauge_inc(ClusterGauge::UpstreamCxActive);
        pool.shard.cx_total.inc();
        pool.shard.cx_active.inc();
        pool.connecting.set(pool.connecting.get().saturating_add(1));
        pool.open.set(pool.open.get().saturating_add(1));
        let deadline_ms = self
            .clock
            .now_ms()
            .saturating_add(millis(cluster.config.borrow().connect_timeout));
        let (h, c, p) = (Rc::clone(host), Rc::clone(cluster), Rc::clone(pool));
        let mut u = Box::new(Upstream::new(key, Carrier::Socket(io), h, c, p, priority));
        u.state = State::Connecting { deadline_ms };
        u.connection_unit = unit;
        u.opened_ns = self.clock.now_ns();
        self.arm_upstream(&u, deadline_ms);
        self.upstreams.put(key, u);
        Ok(())
    }

    pub fn upstream_event(&mut self, key: Key, event: Readiness) {
        let Some(mut u) = self.upstreams.take(key) else {
            return;
        };
        u.readable |= event.readable | event.closing;
        u.peer_closed |= event.closing;
        match u.state {
            State::Connecting { .. } => {
                if event.writable || event.closing {
                    self.connected(u);
                } else {
                    self.upstreams.put(key, u);
                }
                return;
            }
            State::Handshaking { .. } => return self.shake_hands(u),
            State::Idle | State::Busy(_) | State::Tunnel(_) | State::Call(_) => {}
        }
        if event.writable
            && u.backlog() > 0
            && let Some(io) = u.carrier.io_mut()
        {
            if io.flush().is_err() {
                u.note_broken();
            }
            if u.backlog() < u.buffer_limit() / 2
                && let Some(downstream) = u.downstream()
            {
                self.ready_downstreams.push(downstream);
            }
        }
        self.drive_upstream(u);
    }

    /// A look at a connection without an event.
    pub fn upstream_ready(&mut self, key: Key) {
        let Some(mut u) = self.upstreams.take(key) else {
            return;
        };
        if u.carrier.is_stream() {
            self.settle_debt(&mut u);
            self.upstreams.put(key, u);
            return;
        }
        match u.state {
            State::Connecting { .. } => self.upstreams.put(key, u),
            State::Handshaking { .. } => self.shake_hands(u),
            State::Idle => self.offer(u),
            State::Busy(_) => self.drive_upstream(u),
            State::Tunnel(_) | State::Call(_) => self.upstreams.put(key, u),
        }
    }

    fn connected(&mut self, mut u: Box<Upstream>) {
        let State::Connecting { deadline_ms } = u.state else {
            return self.upstreams.put(u.key, u);
        };
        let Some(io) = u.carrier.io() else {
            return self.upstreams.put(u.key, u);
        };
        let failure = match io.refused() {
            Some(errno) => Some(Failure::ImmediateConnectFailure(errno)),
            None => socket::connect_result(io)
                .err()
                .map(Failure::ConnectFailure),
        };
        match failure {
            None => {
                let ms = self.clock.now_ns().saturating_sub(u.opened_ns) / 1_000_000;
                u.local = io.local_address();
                u.cluster
                    .stats()
                    .record(ClusterHistogram::UpstreamCxConnectMs, ms);
                u.state = State::Handshaking { deadline_ms };
                self.begin_transport(u);
            }
            Some(failure) => self.connect_failed(u, failure),
        }
    }

    pub(super) fn connect_failed(&mut self, u: Box<Upstream>, failure: Failure) {
        let stats = u.cluster.stats();
        stats.inc(ClusterCounter::UpstreamCxConnectFail);
        stats.inc(ClusterCounter::UpstreamCxDestroyRemote);
        if failure == Failure::ConnectTimeout {
            stats.inc(ClusterCounter::UpstreamCxConnectTimeout);
        }
        u.pool.shard.cx_connect_fail.inc();
        let reason = u
            .carrier
            .io()
            .and_then(Io::tls_failure)
            .map(|error| Arc::from(error.reason()));
        let waiting: Vec<Key> = u.pool.pending.borrow_mut().drain(..).collect();
        self.fail_riders(&u.pool, failure, reason.as_deref());
        self.close_upstream(u);
        self.fail_waiting_all(waiting, failure, reason.as_ref());
    }

    /// Whoever waits for this host gets to know now (Envoy purges its queue, too).
    pub fn fail_queue(&mut self, pool: &Pool, failure: Failure) {
        let waiting: Vec<Key> = pool.pending.borrow_mut().drain(..).collect();
        self.fail_riders(pool, failure, None);
        self.fail_waiting_all(waiting, failure, None);
    }

    fn fail_waiting_all(&mut self, waiting: Vec<Key>, failure: Failure, reason: Option<&Arc<str>>) {
        for key in waiting {
            self.fail_waiting(key, failure, reason);
        }
    }

    /// `reason`: what TLS says of it.
    fn fail_waiting(&mut self, key: Key, failure: Failure, reason: Option<&Arc<str>>) {
        let Some(mut d) = self.downstreams.take(key) else {
            return;
        };
        let mut alive = Alive::Yes;
        if let Some(mut s) = d.stream.take() {
            if s.is_waiting() {
                self.left_queue(&s);
                if let Some(cluster) = &s.cluster {
                    cluster
                        .stats()
                        .inc(ClusterCounter::UpstreamRqPendingFailureEject);
                }
                s.upstream = Upstreaming::None;
                if let Some(reason) = reason {
                    s.info.upstream_transport_failure = Some(reason.to_string().into());
                }
                if let Some(host) = &s.host {
                    host.pool.shard.rq_error.inc();
                }
                alive = self.fail_stream(&mut d, s, failure);
            } else {
                d.stream = Some(s);
            }
        }
        self.settle(d, alive);
    }

    /// Reads what the host sent and hands it on.
    fn drive_upstream(&mut self, mut u: Box<Upstream>) {
        let State::Busy(downstream) = u.state else {
            self.drive_idle(u);
            return;
        };
        let Some(mut d) = self.downstreams.take(downstream) else {
            // Its client is being closed; that takes care of us.
            self.upstreams.put(u.key, u);
            return;
        };
        let mut alive = Alive::Yes;
        for _ in 0..MAX_READS {
            let Some(s) = d.stream.take() else { break };
            if !u.readable || self.is_full(&d.carrier, d.buffer_limit()) {
                d.stream = Some(s);
                break;
            }
            let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
            let step = self.read_upstream(&mut d, s, u, &mut scratch);
            self.scratch = scratch;
            match step {
                Step::Continue(back) => u = back,
                Step::Done(verdict) => {
                    self.settle(d, verdict);
                    return;
                }
            }
        }
        if u.readable && !self.is_full(&d.carrier, d.buffer_limit()) {
            self.ready_upstreams.push(u.key);
        }
        self.upstreams.put(u.key, u);
        let is_tunnel = d.stream.as_ref().is_some_and(|s| s.tunnel.is_open());
        let is_left = d.peer_closed && d.stream.is_some() && !d.readable;
        if is_left && !is_tunnel && !d.carrier.is_stream() {
            alive = Alive::No;
        }
        self.settle(d, alive);
    }

    fn read_upstream(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        mut u: Box<Upstream>,
        scratch: &mut Scratch,
    ) -> Step {
        let room = self.room_for(&d.carrier);
        let Some(io) = u.carrier.io_mut() else {
            d.stream = Some(s);
            return Step::Continue(u);
        };
        match io.read_at_most(room, scratch) {
            Input::Eof => self.upstream_eof(d, s, u),
            Input::Data { bytes, drained } => {
                if drained && !u.peer_closed {
                    u.readable = false;
                }
                let n = bytes.len() as u64;
                u.cluster
                    .stats()
                    .add(ClusterCounter::UpstreamCxRxBytesTotal, n);
                s.info.upstream_wire_bytes_received =
                    s.info.upstream_wire_bytes_received.saturating_add(n);
                if u.inbuf.is_empty() {
                    self.respond(d, s, u, bytes)
                } else {
                    let mut held = std::mem::take(&mut u.inbuf);
                    held.extend_from_slice(bytes);
                    self.respond(d, s, u, &held)
                }
            }
            Input::Empty => {
                u.readable = false;
                d.stream = Some(s);
                Step::Continue(u)
            }
            Input::Interrupted => {
                d.stream = Some(s);
                Step::Continue(u)
            }
            Input::Broken => self.upstream_lost(d, s, u, Failure::UpstreamClosed),
        }
    }

    /// An idle connection has nothing to say: whatever it says ends it.
    fn drive_idle(&mut self, mut u: Box<Upstream>) {
        if !u.readable {
            self.upstreams.put(u.key, u);
            return;
        }
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let said = match u.carrier.io_mut().map(|io| io.read(&mut scratch)) {
            Some(Input::Empty | Input::Interrupted) => None,
            Some(Input::Data { bytes, .. }) => Some(bytes.len()),
            Some(Input::Eof | Input::Broken) | None => Some(0),
        };
        self.scratch = scratch;
        match said {
            None => {
                u.readable = false;
                self.upstreams.put(u.key, u);
                return;
            }
            Some(0) => u
                .cluster
                .stats()
                .inc(ClusterCounter::UpstreamCxDestroyRemote),
            Some(_) => u
                .cluster
                .stats()
                .inc(ClusterCounter::UpstreamCxProtocolError),
        }
        u.pool.idle.borrow_mut().retain(|k| *k != u.key);
        self.close_upstream(u);
    }

    pub fn upstream_timer(&mut self, key: Key) {
        let Some(u) = self.upstreams.take(key) else {
            return;
        };
        let now = self.clock.now_ms();
        let http = u.cluster.config.borrow().http.clone();
        let lifetime_end = after(u.opened_ns / 1_000_000, http.max_connection_duration);
        match u.state {
            State::Connecting { deadline_ms } | State::Handshaking { deadline_ms } => {
                if now >= deadline_ms {
                    self.connect_failed(u, Failure::ConnectTimeout);
                    return;
                }
                self.arm_upstream(&u, deadline_ms);
            }
            State::Idle => {
                let idle_end = after(u.idle_since_ms, http.idle_timeout);
                if now >= idle_end.min(lifetime_end) {
                    u.cluster.stats().inc(if now >= idle_end {
                        ClusterCounter::UpstreamCxIdleTimeout
                    } else {
                        ClusterCounter::UpstreamCxMaxDurationReached
                    });
                    u.pool.idle.borrow_mut().retain(|k| *k != key);
                    self.close_upstream(u);
                    return;
                }
                self.arm_upstream(&u, idle_end.min(lifetime_end));
            }
            // The stream has its own deadlines; look again when it may be idle.
            State::Busy(_) | State::Tunnel(_) | State::Call(_) => {
                let again =
                    after(now, http.idle_timeout).min(lifetime_end.max(now.saturating_add(1000)));
                self.arm_upstream(&u, again);
            }
        }
        self.upstreams.put(key, u);
    }

    /// Closes an idle connection of a host that left.
    pub fn close_idle_upstream(&mut self, key: Key) {
        if let Some(u) = self.upstreams.take(key) {
            u.cluster
                .stats()
                .inc(ClusterCounter::UpstreamCxDestroyLocal);
            self.close_upstream(u);
        }
    }

    /// The stream of a connection that stands for an upstream, if it is one.
    pub fn carrier_at(&mut self, at: Key) -> Option<&mut StreamCarrier> {
        match &mut self.upstreams.get_mut(at)?.carrier {
            Carrier::Stream(carrier) => Some(carrier),
            Carrier::Socket(_) => None,
        }
    }

    /// Ends a stream, which is a reset unless it is over.
    pub fn reset_upstream(&mut self, u: Box<Upstream>) {
        if let Carrier::Stream(carrier) = &u.carrier
            && carrier.id != 0
            && !carrier.gone
            && !(carrier.ended && carrier.finished)
        {
            u.cluster.stats().inc(ClusterCounter::UpstreamRqTxReset);
        }
        self.close_upstream(u);
    }

    /// Ends a connection (or a stream of one): gives back what it held of the limits and counts
    /// it off.
    pub fn close_upstream(&mut self, mut u: Box<Upstream>) {
        self.release_request_unit(&u);
        self.upstreams.free(u.key);
        if let Carrier::Stream(carrier) = &mut u.carrier {
            self.close_stream(carrier);
            return;
        }
        let pool = &u.pool;
        if let State::Connecting { .. } | State::Handshaking { .. } = u.state {
            pool.connecting.set(pool.connecting.get().saturating_sub(1));
        }
        let unit = u.connection_unit;
        self.count_upstream_closed(&u.cluster, pool, u.priority, unit, u.opened_ns);
        self.reconnect_if_wanted(&u.cluster, &u.host, pool, u.priority);
    }

    /// Somebody may have waited for the unit of the connection limit, or for the connection.
    pub fn reconnect_if_wanted(
        &mut self,
        cluster: &Rc<ClusterRuntime>,
        host: &Rc<Host>,
        pool: &Rc<Pool>,
        priority: RoutingPriority,
    ) {
        if pool.is_awaited()
            && let Err(failure) = self.connect_for_waiting(cluster, host, pool, priority)
        {
            // Later in this turn: our caller may hold one of those that wait.
            self.doomed_queues.push((Rc::clone(pool), failure));
        }
    }

    /// The request that the connection served is over for the limits.
    pub fn release_request_unit(&self, u: &Upstream) {
        if let State::Busy(_) | State::Tunnel(_) | State::Call(_) = u.state {
            let pool = &u.pool;
            pool.active.set(pool.active.get().saturating_sub(1));
            pool.shard.rq_active.dec();
            u.cluster.stats().gauge_dec(ClusterGauge::UpstreamRqActive);
            if u.request_unit == Taken::Counted {
                u.cluster
                    .shared
                    .breakers
                    .usage(u.priority)
                    .requests
                    .give_back();
                u.cluster.breaker_open(u.priority, Limit::Requests, false);
            }
        }
    }
}

/// How a read step ended. The stream is back in its connection, or over.
pub enum Step {
    Continue(Box<Upstream>),
    /// The upstream connection has been dealt with.
    Done(Alive),
}
