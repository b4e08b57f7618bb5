//! The TCP proxy (`envoy.filters.network.tcp_proxy`): what a client sends goes to a host as it is,
//! and back.
//!
//! A tunnel is a client's connection and one to a host. It begins when the client's transport is
//! there (`worker::pending`): a cluster is chosen (`route`), a host of it connected (`connect`),
//! then bytes are moved both ways (`relay`, `pipe`) until both sides have ended (`end`). Until the
//! host is there the client is not read: what it sends waits in its socket (but see `early`). Then
//! network filters look at it before it goes on (`filters`). Where the configuration says so the
//! way to the host is itself a tunnel through HTTP (`tunneling`, `queue`, `stream`).

pub mod connect;
pub mod deadlines;
pub mod early;
pub mod end;
pub mod filters;
pub mod log;
pub mod pipe;
pub mod propagate;
pub mod queue;
pub mod relay;
pub mod report;
pub mod route;
pub mod stream;
pub mod tunneling;

use std::rc::Rc;
use std::sync::Arc;

use model::resources::address::Address;
use model::resources::istio::Workload;

use crate::cluster::ClusterRuntime;
use crate::cluster::breaker::Taken;
use crate::cluster::host::Host;
use crate::http::failure::Failure;
use crate::listener::ConnectionFacts;
use crate::net::io::Io;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::{TcpCounter, TcpGauge};
use crate::telemetry::stream_info::AccessLogType;
use crate::upstream::queued::Queued;
use crate::worker::admission::Admission;
use crate::worker::chain::{ChainRuntime, TcpRuntime};
use crate::worker::config::ListenerRuntime;
use crate::worker::pending::Arrival;
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;
use crate::worker::{Kind, Readiness, Worker};
use filters::{Gate, Waiting};
use relay::Flow;
use report::Reported;
use tunneling::Asked;

#[derive(Debug)]
pub struct Tunnel {
    pub key: Key,
    pub tcp: Rc<TcpRuntime>,
    pub listener: Rc<ListenerRuntime>,
    pub chain: Rc<ChainRuntime>,
    pub peer: Address,
    pub local: Address,
    pub id: u64,
    /// What listener filters found out.
    pub facts: Box<ConnectionFacts>,
    pub client: Side,
    /// What the network filters let pass of it.
    pub gate: Gate,
    pub waiting: Option<Waiting>,
    /// The connection to the host; `None` between two attempts.
    pub server: Option<Server>,
    /// What it has instead of a connection of its own, and its place among those that wait for it.
    pub link: Option<Link>,
    pub queued: Option<Queued>,
    /// What was read of the client before there was a host.
    pub early: Vec<u8>,
    /// Bytes of it that statistics and logs have.
    pub early_counted: u64,
    /// From the client to the host, and back.
    pub up: Flow,
    pub down: Flow,
    /// Connections tried.
    pub attempts: u32,
    /// When the next is (ms); `NEVER`: none is waited for.
    pub retry_at: u64,
    /// The other peer is gone; this one still gets what is left.
    pub flushing: Option<To>,
    /// The host did not end but reset: the client is to see that.
    pub is_cut: bool,

    pub opened_ns: u64,
    /// When bytes last moved, or the host was there.
    pub active_ms: u64,
    pub next_log_ms: u64,
    /// `max_downstream_connection_duration`, its jitter included.
    pub duration_end: u64,
    /// When its drained chain cuts it.
    pub drain_end: u64,

    pub seen: Seen,
    /// By the filters of `tcp.reports`.
    pub reported: Vec<Reported>,
    /// Its place in the chain's connection limit.
    pub admission: Option<Admission>,
}

/// One of the two connections.
#[derive(Debug)]
pub struct Side {
    pub io: Io,
    pub readable: bool,
    /// The peer has shut its side, or more: a short read does not mean that there is no more.
    pub hung_up: bool,
    /// All that it sent was read.
    pub ended: bool,
    /// It was told that no more will come.
    pub shut: bool,
    /// Its socket took no more; an event tells when it does.
    pub full: bool,
}

/// Where bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    Host,
    Client,
}

/// The connection to a host.
#[derive(Debug)]
pub struct Server {
    pub side: Side,
    pub stage: Stage,
    pub cluster: Rc<ClusterRuntime>,
    pub host: Rc<Host>,
    /// Of the limit of connections, and of those that wait for one.
    pub connection_unit: Taken,
    pub pending_unit: Taken,
    pub opened_ns: u64,
    /// What was read of it while it introduces itself.
    pub listens: Option<Vec<u8>>,
    /// While it is being asked for a tunnel over HTTP/1.1.
    pub asked: Option<Box<Asked>>,
}

/// A stream of an HTTP/2 connection to a host.
#[derive(Debug)]
pub struct Link {
    /// In `Worker::upstreams`.
    pub at: Key,
    pub stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Connecting {
        deadline_ms: u64,
    },
    /// Connected; TLS is being agreed on.
    Handshaking {
        deadline_ms: u64,
    },
    /// The host has to agree to a tunnel (`tunneling_config`).
    Asking,
    Open,
}

/// What logs say of a tunnel.
#[derive(Debug, Default)]
pub struct Seen {
    pub received: u64,
    /// Received, and kept back by a network filter.
    pub refused: u64,
    pub sent: u64,
    pub flags: ResponseFlags,
    /// Why a network filter ended it.
    pub termination: Option<Box<str>>,
    pub transport_failure: Option<Box<str>>,
    pub cluster: Option<Rc<ClusterRuntime>>,
    pub host: Option<Rc<Host>>,
    /// There is a connection, whatever it is called: on a pipe its local end has no name.
    pub is_connected: bool,
    pub upstream_local: Option<Address>,
    pub upstream_id: u64,
    pub upstream_tls: Option<Arc<tls::Info>>,
    /// Who the client and the host say they are.
    pub client_peer: Option<Arc<Workload>>,
    pub host_peer: Option<Arc<Workload>>,
    /// Nanoseconds of the worker's clock: the last attempt began, the host was there.
    pub connect_begin: u64,
    pub connect_end: u64,
    pub stream_id: u128,
    /// What the host said to the request for a tunnel, and behind it (`propagate`).
    pub answer: Option<Rc<[u8]>>,
    pub trailers: Option<Rc<[u8]>>,
}

impl Side {
    fn new(io: Io) -> Self {
        Self {
            io,
            readable: false,
            hung_up: false,
            ended: false,
            shut: false,
            full: false,
        }
    }

    fn note(&mut self, event: Readiness) {
        self.readable |= event.readable | event.closing;
        self.hung_up |= event.closing;
        self.full &= !event.writable;
    }
}

impl Tunnel {
    /// The most that is held for either side.
    fn buffer_limit(&self) -> usize {
        self.listener.config.per_connection_buffer_limit_bytes
    }

    fn has_logs(&self) -> bool {
        !self.tcp.config.access_logs.is_empty() || !self.listener.config.access_logs.is_empty()
    }

    fn stage(&self) -> Option<Stage> {
        let server = self.server.as_ref().map(|server| server.stage);
        server.or_else(|| self.link.as_ref().map(|link| link.stage))
    }

    fn is_open(&self) -> bool {
        self.stage() == Some(Stage::Open)
    }

    fn is_asking(&self) -> bool {
        self.stage() == Some(Stage::Asking)
    }
}

impl Worker {
    /// Takes over a client's connection.
    pub fn open_tunnel(&mut self, tcp: Rc<TcpRuntime>, arrival: Arrival) {
        let key = self.tunnels.reserve();
        let watched = arrival.is_watched;
        if self
            .adopt(Kind::TunnelClient, key, &arrival.io, watched)
            .is_err()
        {
            self.tunnels.free(key);
            return self.count_connection_closed(&arrival.listener);
        }
        let stats = tcp.stats();
        stats.inc(TcpCounter::DownstreamCxTotal);
        for gauge in [
            TcpGauge::DownstreamCxRxBytesBuffered,
            TcpGauge::DownstreamCxTxBytesBuffered,
            TcpGauge::UpstreamFlushActive,
        ] {
            stats.gauge_add(gauge, 0);
        }
        stats.gauge_add(
            TcpGauge::DownstreamCxRxBytesBuffered,
            arrival.held.len() as u64,
        );
        let mut client = Side::new(arrival.io);
        client.readable = arrival.readable;
        client.hung_up = arrival.peer_closed;
        let gate = Gate::new(!arrival.chain.guards.is_empty());
        let mut t = Box::new(Tunnel {
            key,
            gate,
            waiting: None,
            tcp,
            listener: arrival.listener,
            chain: arrival.chain,
            peer: arrival.peer,
            local: arrival.local,
            id: arrival.id,
            facts: arrival.facts,
            client,
            server: None,
            link: None,
            queued: None,
            early: arrival.held,
            early_counted: 0,
            up: Flow::default(),
            down: Flow::default(),
            attempts: 0,
            retry_at: NEVER,
            flushing: None,
            is_cut: false,
            opened_ns: self.clock.now_ns(),
            active_ms: self.clock.now_ms(),
            next_log_ms: NEVER,
            duration_end: NEVER,
            drain_end: NEVER,
            seen: Seen {
                client_peer: arrival.workload,
                ..Seen::default()
            },
            reported: Vec::new(),
            admission: arrival.admission,
        });
        self.begin_reports(&mut t);
        self.set_deadlines(&mut t);
        if t.has_logs() {
            t.seen.stream_id = self.rng.u128(..);
        }
        if t.tcp.config.access_log_on_start {
            self.log_tunnel(&t, AccessLogType::TcpConnectionStart);
        }
        self.drive_early(t);
    }

    pub fn tunnel_client_event(&mut self, key: Key, event: Readiness) {
        let Some(mut t) = self.tunnels.take(key) else {
            return;
        };
        t.client.note(event);
        if event.failed && (t.client.ended || !t.is_open() || t.is_held()) {
            return self.client_lost(t);
        }
        if event.writable && t.client.io.backlog() > 0 && t.client.io.flush().is_err() {
            return self.client_lost(t);
        }
        self.drive_tunnel(t);
    }

    pub fn tunnel_server_event(&mut self, key: Key, event: Readiness) {
        let Some(mut t) = self.tunnels.take(key) else {
            return;
        };
        let Some(server) = &mut t.server else {
            return self.tunnels.put(key, t);
        };
        let side = &mut server.side;
        side.note(event);
        match server.stage {
            Stage::Connecting { deadline_ms } => {
                if event.writable || event.closing {
                    return self.tunnel_connected(t, deadline_ms, event.failed);
                }
                return self.tunnels.put(key, t);
            }
            Stage::Handshaking { .. } => return self.shake_tunnel(t),
            Stage::Asking => {
                if event.writable && side.io.flush().is_err() {
                    t.note_failure(Failure::UpstreamClosed, None);
                    return self.tunnel_refused(t);
                }
                return self.read_answer(t);
            }
            Stage::Open => {}
        }
        if event.failed && side.ended {
            return self.server_lost(t);
        }
        if event.writable && side.io.backlog() > 0 && side.io.flush().is_err() {
            return self.server_lost(t);
        }
        self.drive_tunnel(t);
    }

    /// A look at a tunnel that had more than its share of the turn to move.
    pub fn tunnel_ready(&mut self, key: Key) {
        if let Some(t) = self.tunnels.take(key) {
            self.drive_tunnel(t);
        }
    }
}
