//! A worker: one thread, one event loop, everything it serves.
//!
//! Nothing here is shared on the hot path (docs/adr/0001): a worker owns its listening sockets,
//! connections, pools, timers and its shard of every counter. Work arrives as epoll events
//! (edge-triggered, a socket is registered once) and, seldom, as commands in the mailbox.
//!
//! The protocol is written as `impl Worker` blocks where it belongs: `http::downstream` (client
//! side), `http::request` and `router` (what happens to a request), `upstream` (server side), `tcp`.

pub mod admission;
pub mod balance;
pub mod chain;
pub mod clock;
pub mod command;
pub mod config;
mod connection_log;
pub mod ext_authz;
pub mod guards;
pub mod inspect;
pub mod introductions;
pub mod linger;
pub mod listen;
pub mod pending;
mod phases;
pub mod rbac;
pub mod slots;
pub mod timers;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use model::resources::address::Address;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::cluster::ClusterRuntime;
use crate::cluster::host::Pool;
use crate::grpc::Call;
use crate::http::downstream::Downstream;
use crate::http::failure::Failure;
use crate::http::filters::ClusterCounts;
use crate::http::filters::fault::OfCluster;
use crate::http::own_call::{Answer, Asker, Starting};
use crate::http::stream::Stream;
use crate::http2::{Http2, Role};
use crate::net::io::Scratch;
use crate::tcp::Tunnel;
use crate::tcp::pipe::Pipes;
use crate::telemetry::access_log::AccessLogs;
use crate::telemetry::istio::peers::Peers;
use crate::telemetry::log::Level;
use crate::telemetry::stats::{GrpcShard, Http2Shard, RouteShard, Stats};
use crate::upstream::Upstream;
use crate::upstream::datagrams::Datagrams;
use chain::ChainRuntime;
use clock::Clock;
use command::{Mailbox, Shared};
use config::ListenerRuntime;
use inspect::Inspecting;
use introductions::Introductions;
use linger::Lingering;
use listen::ListenSocket;
use pending::Pending;
use slots::{Key, Slots};
use timers::{NEVER, Timers};

/// Events taken from the kernel at once.
const MAX_EVENTS: usize = 128;

/// Streams kept for reuse, with their buffers.
const MAX_SPARE_STREAMS: usize = 64;

/// What an epoll event is about, in the top bits of its user data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Mailbox,
    Listener,
    Downstream,
    Upstream,
    Http2,
    Lingering,
    Pending,
    Inspecting,
    /// The client's, the host's side of a TCP tunnel.
    TunnelClient,
    TunnelServer,
    /// The host's side of a CONNECT-UDP that ends here.
    Udp,
    /// A gRPC call of our own: only its deadline.
    Call,
}

pub fn token(kind: Kind, key: Key) -> u64 {
    let kind: u64 = match kind {
        Kind::Mailbox => 0,
        Kind::Listener => 1,
        Kind::Downstream => 2,
        Kind::Upstream => 3,
        Kind::Http2 => 4,
        Kind::Lingering => 5,
        Kind::Pending => 6,
        Kind::Inspecting => 9,
        Kind::TunnelClient => 7,
        Kind::TunnelServer => 8,
        Kind::Udp => 10,
        Kind::Call => 11,
    };
    (kind << 60) | key.to_bits()
}

fn untoken(token: u64) -> (Kind, Key) {
    let kind = match token >> 60 {
        1 => Kind::Listener,
        2 => Kind::Downstream,
        3 => Kind::Upstream,
        4 => Kind::Http2,
        5 => Kind::Lingering,
        6 => Kind::Pending,
        9 => Kind::Inspecting,
        7 => Kind::TunnelClient,
        8 => Kind::TunnelServer,
        10 => Kind::Udp,
        11 => Kind::Call,
        _ => Kind::Mailbox,
    };
    (kind, Key::from_bits(token))
}

/// What epoll said of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    pub readable: bool,
    pub writable: bool,
    /// The peer shut its side down (or the connection is broken): a read will tell.
    pub closing: bool,
    /// The connection is broken, or could not be made.
    pub failed: bool,
}

pub struct Worker {
    pub index: usize,
    epoll: OwnedFd,
    pub clock: Clock,
    pub timers: Timers,
    pub rng: fastrand::Rng,

    pub sockets: Slots<ListenSocket>,
    pub listeners: HashMap<Arc<str>, Rc<ListenerRuntime>>,
    /// Chains that are gone but still have connections: they follow route updates until they end.
    pub draining: Vec<Weak<ChainRuntime>>,
    pub clusters: HashMap<Arc<str>, Rc<ClusterRuntime>>,

    pub downstreams: Slots<Downstream>,
    pub upstreams: Slots<Upstream>,
    pub udp: Slots<Datagrams>,
    pub http2: Slots<Http2>,
    pub lingering: Slots<Lingering>,
    /// By their places among the downstreams.
    pub pending: HashMap<Key, Box<Pending>>,
    pub inspecting: Slots<Inspecting>,
    /// For `use_original_dst`.
    pub by_address: HashMap<Address, Rc<ListenerRuntime>>,
    pub tunnels: Slots<Tunnel>,
    /// gRPC calls of our own, and where each is by its number.
    pub calls: Slots<Call>,
    pub call_keys: HashMap<u64, Key>,
    /// What tunnels splice through.
    pub pipes: Pipes,
    /// Connections to look at again in this turn, without an event.
    pub ready_downstreams: Vec<Key>,
    /// Exchanges of our own that begin with the next turn; copies of requests and calls, how many
    /// there are; and answers to calls that nobody has got yet.
    pub starting: Vec<Starting>,
    pub mirrors: usize,
    pub own_calls: usize,
    pub answers: Vec<(Key, Asker, Answer)>,
    pub ready_upstreams: Vec<Key>,
    pub ready_http2: Vec<Key>,
    pub ready_tunnels: Vec<Key>,
    pub ready_udp: Vec<Key>,
    /// Connections with frames to write at the end of this turn.
    pub written_http2: Vec<Key>,
    /// Connections over HTTP/1.1 with bytes to send (`phases`).
    pub written_downstreams: Vec<Key>,
    pub written_upstreams: Vec<Key>,
    /// Streams of HTTP/2 clients that are gone.
    pub abandoned: Vec<(Key, Failure)>,
    /// Requests over HTTP/2 begun in this turn.
    pub begun_http2: usize,
    /// Connections to hosts begun so far.
    pub connects: usize,
    /// Pools for which no connection could be started: their queues fail later in this turn.
    pub doomed_queues: Vec<(Rc<Pool>, Failure)>,
    /// Boxed, because that is how connections hold them.
    #[allow(clippy::vec_box)]
    spare_streams: Vec<Box<Stream>>,

    /// What a read fills; only what a message leaves over is copied to its connection.
    pub scratch: Scratch,
    /// Where heads are built.
    pub out: Vec<u8>,
    /// Data of one HTTP/2 stream that came in several frames: no more than a read.
    pub gathered: Vec<u8>,

    pub stats: Stats,
    pub http2_shard: OnceCell<Arc<Http2Shard>>,
    /// (virtual host, stat_prefix) of routes that have one; emptied with every configuration.
    pub route_stats: HashMap<(Arc<str>, Arc<str>), Arc<RouteShard>>,
    /// By cluster and `grpc.<service>.<method>`.
    pub grpc_stats: HashMap<Box<str>, HashMap<Box<str>, Arc<GrpcShard>>>,
    /// By stat prefix of the connection manager and `x-envoy-downstream-service-cluster`.
    pub fault_stats: HashMap<Box<str>, HashMap<Box<str>, OfCluster>>,
    /// Who we say we are.
    pub introductions: Introductions,
    /// Who peers say they are.
    pub peers: Peers,
    pub ext_authz_stats: ClusterCounts,
    pub logs: AccessLogs,
    pub shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    /// Set by `Command::Shutdown`: leave when the last connection has ended, or at this time (ms).
    stop_at: Option<u64>,
    next_log_flush: u64,
    /// When to look for hosts of ORIGINAL_DST that nobody uses (`cluster::original_dst`).
    pub next_host_sweep: u64,
}

impl Worker {
    pub fn new(
        index: usize,
        mailbox: Arc<Mailbox>,
        shared: Arc<Shared>,
        stats: Stats,
        logs: AccessLogs,
    ) -> std::io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            mailbox.wake_fd(),
            epoll::EventData::new_u64(token(Kind::Mailbox, Key::from_bits(0))),
            epoll::EventFlags::IN,
        )?;
        Ok(Self {
            index,
            epoll,
            clock: Clock::default(),
            timers: Timers::default(),
            rng: fastrand::Rng::new(),
            sockets: Slots::default(),
            listeners: HashMap::new(),
            draining: Vec::new(),
            clusters: HashMap::new(),
            downstreams: Slots::default(),
            upstreams: Slots::default(),
            udp: Slots::default(),
            http2: Slots::default(),
            lingering: Slots::default(),
            pending: HashMap::new(),
            inspecting: Slots::default(),
            by_address: HashMap::new(),
            tunnels: Slots::default(),
            calls: Slots::default(),
            call_keys: HashMap::new(),
            pipes: Pipes::default(),
            ready_downstreams: Vec::new(),
            starting: Vec::new(),
            mirrors: 0,
            own_calls: 0,
            answers: Vec::new(),
            ready_upstreams: Vec::new(),
            ready_http2: Vec::new(),
            ready_tunnels: Vec::new(),
            ready_udp: Vec::new(),
            written_http2: Vec::new(),
            written_downstreams: Vec::new(),
            written_upstreams: Vec::new(),
            abandoned: Vec::new(),
            begun_http2: 0,
            connects: 0,
            doomed_queues: Vec::new(),
            spare_streams: Vec::new(),
            scratch: Scratch::default(),
            out: Vec::with_capacity(4096),
            gathered: Vec::new(),
            stats,
            http2_shard: OnceCell::new(),
            route_stats: HashMap::new(),
            grpc_stats: HashMap::new(),
            fault_stats: HashMap::new(),
            introductions: Introductions::default(),
            peers: Peers::default(),
            ext_authz_stats: ClusterCounts::new(),
            logs,
            shared,
            mailbox,
            stop_at: None,
            next_log_flush: 0,
            next_host_sweep: NEVER,
        })
    }

    /// Serves until a shutdown command has been carried out.
    pub fn run(mut self) {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(MAX_EVENTS);
        loop {
            events.clear();
            let timeout = self.wait_time();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => {
                    crate::log!(Level::Critical, "main", "worker {}: epoll: {e}", self.index);
                    break;
                }
            }
            self.clock.tick();
            for part in events.chunks(phases::MOST_AT_ONCE) {
                self.serve_events(part);
            }
            self.run_ready();
            self.run_timers();
            self.sweep_hosts();
            self.flush_http2();
            self.send_written();
            self.flush_logs();
            if self.is_done() {
                break;
            }
        }
        self.close_all();
        self.close_tunnels();
        self.close_calls();
        self.logs.flush();
    }

    fn wait_time(&self) -> Option<Timespec> {
        if !self.ready_downstreams.is_empty()
            || !self.starting.is_empty()
            || !self.answers.is_empty()
            || !self.ready_upstreams.is_empty()
            || !self.ready_http2.is_empty()
            || !self.abandoned.is_empty()
            || !self.ready_tunnels.is_empty()
            || !self.ready_udp.is_empty()
            || !self.doomed_queues.is_empty()
        {
            return Some(Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            });
        }
        let now = self.clock.now_ms();
        let mut ms = self.timers.wait_ms(now);
        for at in [
            self.stop_at,
            self.logs.is_pending().then_some(self.next_log_flush),
            (self.next_host_sweep != NEVER).then_some(self.next_host_sweep),
        ]
        .into_iter()
        .flatten()
        {
            let until = i64::try_from(at.saturating_sub(now))
                .unwrap_or(i64::MAX)
                .max(1);
            ms = if ms < 0 { until } else { ms.min(until) };
        }
        (ms >= 0).then(|| Timespec {
            tv_sec: ms / 1000,
            tv_nsec: (ms % 1000).saturating_mul(1_000_000),
        })
    }

    fn dispatch(&mut self, data: u64, flags: epoll::EventFlags) {
        let (kind, key) = untoken(data);
        let readiness = Readiness {
            readable: flags.contains(epoll::EventFlags::IN),
            writable: flags.contains(epoll::EventFlags::OUT),
            closing: flags.intersects(
                epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR,
            ),
            failed: flags.contains(epoll::EventFlags::ERR),
        };
        match kind {
            Kind::Mailbox => self.run_commands(),
            Kind::Listener => self.accept(key),
            Kind::Downstream => self.downstream_event(key, readiness),
            Kind::Upstream => self.upstream_event(key, readiness),
            Kind::Http2 => self.http2_event(key, readiness),
            Kind::Lingering => self.lingering_event(key),
            Kind::Inspecting => self.inspecting_event(key, readiness),
            Kind::TunnelClient => self.tunnel_client_event(key, readiness),
            Kind::TunnelServer => self.tunnel_server_event(key, readiness),
            Kind::Udp => self.udp_event(key),
            Kind::Pending | Kind::Call => {}
        }
    }

    fn run_ready(&mut self) {
        // Each list is taken once a turn: what a connection adds for itself waits for the next
        // turn, so that one busy connection cannot starve the others.
        self.end_abandoned();
        for key in std::mem::take(&mut self.ready_http2) {
            self.drive_http2(key);
        }
        for key in std::mem::take(&mut self.ready_upstreams) {
            self.upstream_ready(key);
        }
        self.hand_out_answers();
        for key in std::mem::take(&mut self.ready_downstreams) {
            self.downstream_ready(key);
        }
        self.start_own();
        for key in std::mem::take(&mut self.ready_tunnels) {
            self.tunnel_ready(key);
        }
        for key in std::mem::take(&mut self.ready_udp) {
            self.udp_event(key);
        }
        for (pool, failure) in std::mem::take(&mut self.doomed_queues) {
            self.fail_queue(&pool, failure);
        }
    }

    fn run_timers(&mut self) {
        let now = self.clock.now_ms();
        while let Some((token, _)) = self.timers.pop(now) {
            let (kind, key) = untoken(token);
            match kind {
                Kind::Downstream => self.downstream_timer(key),
                Kind::Upstream => self.upstream_timer(key),
                Kind::Listener => self.listener_timer(key),
                Kind::Http2 => self.http2_timer(key),
                Kind::Lingering => self.lingering_timer(key),
                Kind::Pending => self.pending_timer(key),
                Kind::Inspecting => self.inspecting_timer(key),
                Kind::TunnelClient => self.tunnel_timer(key),
                Kind::Call => self.call_timer(key),
                Kind::TunnelServer | Kind::Udp | Kind::Mailbox => {}
            }
        }
    }

    fn run_commands(&mut self) {
        for command in self.mailbox.take() {
            self.execute(command);
        }
    }

    fn flush_logs(&mut self) {
        let now = self.clock.now_ms();
        if self.logs.is_pending() && now >= self.next_log_flush {
            self.logs.tick();
            self.next_log_flush = now.saturating_add(self.shared.file_flush_ms);
        }
    }

    /// Asks to leave once idle, at the latest at `at` (ms of this worker's clock).
    pub fn stop_by(&mut self, at: u64) {
        self.stop_at = Some(at);
    }

    fn is_done(&self) -> bool {
        match self.stop_at {
            None => false,
            Some(at) => self.is_idle() || self.clock.now_ms() >= at,
        }
    }

    /// No client is connected.
    fn is_idle(&self) -> bool {
        let clients = |c: &Http2| matches!(c.role, Role::Server(_));
        self.downstreams.count() == self.pending.len()
            && self.tunnels.count() == 0
            && !self.http2.iter().any(clients)
    }

    /// A connection has become something else: its events go there, and those that came before
    /// come again.
    pub fn register_again(&self, kind: Kind, key: Key, fd: impl AsFd) -> Result<(), Errno> {
        let data = epoll::EventData::new_u64(token(kind, key));
        epoll::modify(&self.epoll, fd, data, flags_of(kind))
    }

    /// `register`, or `register_again` for a socket that is watched already.
    pub fn adopt(&self, kind: Kind, key: Key, fd: impl AsFd, watched: bool) -> Result<(), Errno> {
        if watched {
            self.register_again(kind, key, fd)
        } else {
            self.register(kind, key, fd)
        }
    }

    /// Registers a connection once, edge-triggered, for everything.
    pub fn register(&self, kind: Kind, key: Key, fd: impl AsFd) -> Result<(), Errno> {
        epoll::add(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(token(kind, key)),
            flags_of(kind),
        )
    }

    /// Turns a listening socket's events off or on.
    pub fn listen_events(&self, key: Key, fd: impl AsFd, on: bool) {
        let flags = if on {
            epoll::EventFlags::IN
        } else {
            epoll::EventFlags::empty()
        };
        let data = epoll::EventData::new_u64(token(Kind::Listener, key));
        if let Err(e) = epoll::modify(&self.epoll, fd, data, flags) {
            crate::log!(Level::Warning, "main", "epoll of a listening socket: {e}");
        }
    }

    /// Stops watching a socket that other workers still use.
    pub fn unregister(&self, fd: impl AsFd) {
        // It may be gone from the set already; then there is nothing to undo.
        let _ = epoll::delete(&self.epoll, fd);
    }

    pub fn arm_downstream(&mut self, d: &Downstream, deadline: u64) {
        let now = self.clock.now_ms();
        self.timers
            .arm(token(Kind::Downstream, d.key), now, deadline);
    }

    pub fn arm_upstream(&mut self, u: &Upstream, deadline: u64) {
        let now = self.clock.now_ms();
        self.timers.arm(token(Kind::Upstream, u.key), now, deadline);
    }

    pub fn arm_listener(&mut self, key: Key, deadline: u64) {
        let now = self.clock.now_ms();
        self.timers.arm(token(Kind::Listener, key), now, deadline);
    }

    pub fn new_stream(&mut self) -> Box<Stream> {
        self.spare_streams.pop().unwrap_or_default()
    }

    /// Takes a finished stream back, with its buffers.
    pub fn recycle(&mut self, mut stream: Box<Stream>) {
        if self.spare_streams.len() < MAX_SPARE_STREAMS {
            stream.reset();
            self.spare_streams.push(stream);
        }
    }
}

fn flags_of(kind: Kind) -> epoll::EventFlags {
    match kind {
        Kind::Listener => epoll::EventFlags::IN,
        // Each datagram that has left would be an event.
        Kind::Udp => epoll::EventFlags::IN | epoll::EventFlags::ET,
        _ => {
            epoll::EventFlags::IN
                | epoll::EventFlags::OUT
                | epoll::EventFlags::RDHUP
                | epoll::EventFlags::ET
        }
    }
}
