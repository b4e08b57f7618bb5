//! How the control side talks to a worker: a queue and an eventfd. Nothing here is hot.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::resources::Snapshot;
use model::resources::address::Address;
use model::resources::istio::Local;
use model::resources::tls::UpstreamTls;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::HashMap;
use tls::{ClientContext, ServerContext};

use super::admission::ConnectionCounts;
use super::balance::Balance;
use crate::cluster::ClusterShared;
use crate::cluster::host_set::HostSet;
use crate::http::filters::fault::FaultCounts;
use crate::http::filters::jwt_authn::JwksStore;

/// One command, handled between two turns of the loop.
#[derive(Debug, Clone)]
pub enum Command {
    /// Install a configuration.
    Install(Arc<Installation>),
    /// New hosts of a cluster, by DNS or EDS; everything else of it stays.
    Resolved {
        cluster: Arc<str>,
        hosts: Arc<HostSet>,
    },
    /// Outlier detection put a host out: its connections end as they become idle.
    Ejected {
        cluster: Arc<str>,
        address: Address,
    },
    /// Close the listening sockets; connections end as they become idle.
    DrainListeners {
        inbound_only: bool,
        graceful: bool,
    },
    /// Stop accepting and leave when idle, at the latest after this many milliseconds.
    Shutdown {
        deadline_ms: u64,
    },
    ReopenLogs,
    /// About a gRPC call of our own.
    Call(crate::grpc::Order),
    /// A connection for this worker that another one accepted (`exact_balance`).
    Accepted {
        listener: Arc<str>,
        fd: Arc<OwnedFd>,
        peer: Address,
    },
}

/// A snapshot with what the workers need to serve it.
#[derive(Debug)]
pub struct Installation {
    pub snapshot: Snapshot,
    /// Of every cluster in the snapshot.
    pub clusters: HashMap<Arc<str>, ClusterState>,
    /// Sockets of every listener in the snapshot, by address: one a worker, or one for all.
    pub sockets: HashMap<Arc<str>, Vec<Vec<Arc<OwnedFd>>>>,
    /// Of every listener in the snapshot, by chain.
    pub tls: HashMap<Arc<str>, Vec<ServerTls>>,
    /// Of listeners with `exact_balance`.
    pub balances: HashMap<Arc<str>, Arc<Balance>>,
}

/// The TLS of a filter chain.
#[derive(Debug, Clone)]
pub enum ServerTls {
    Plain,
    Ready(Arc<ServerContext>),
    /// A secret that it needs has not come: connections are refused.
    NotReady,
}

/// What is spoken under the protocol with hosts of a cluster.
#[derive(Debug, Clone)]
pub enum UpstreamTransport {
    Plain,
    Tls {
        config: Arc<UpstreamTls>,
        context: Arc<ClientContext>,
    },
    /// A secret that it needs has not come: connections fail.
    NotReady,
}

#[derive(Debug, Clone)]
pub struct ClusterState {
    /// The cluster's own, then those of `transport_socket_matches`.
    pub transports: Vec<UpstreamTransport>,
    pub shared: Arc<ClusterShared>,
    /// From the configuration or from DNS.
    pub hosts: Arc<HostSet>,
}

/// Facts about the process that workers read while serving.
#[derive(Debug)]
pub struct Shared {
    /// `/healthcheck/fail`: responses carry `connection: close`.
    pub health_check_failed: AtomicBool,
    /// SIGTERM or `/drain_listeners?graceful`.
    pub draining: AtomicBool,
    pub active_connections: AtomicU64,
    /// Of all workers.
    pub mailboxes: std::sync::OnceLock<Vec<Arc<Mailbox>>>,
    pub next_connection_id: AtomicU64,
    pub connection_counts: ConnectionCounts,
    pub fault_counts: FaultCounts,
    pub jwks: JwksStore,
    /// `--drain-time-s`.
    pub drain_time_ms: u64,
    /// `--file-flush-interval-msec`.
    pub file_flush_ms: u64,
    /// Who the node says it is; set before anything is served.
    pub local: std::sync::OnceLock<Arc<Local>>,
    pub service_node: Box<str>,
    pub service_cluster: Box<str>,
    /// What XFF gets for a loopback peer, as in Envoy: the machine's own address.
    pub local_address: std::net::IpAddr,
}

impl Shared {
    /// Who we are.
    pub fn local(&self) -> Arc<Local> {
        Arc::clone(self.local.get_or_init(Arc::default))
    }

    /// `modify_only`: the listener's `drain_type` leaves failed health checks out.
    pub fn is_draining(&self, modify_only: bool) -> bool {
        self.draining.load(Ordering::Relaxed)
            || (!modify_only && self.health_check_failed.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
pub struct Mailbox {
    queue: Mutex<Vec<Command>>,
    wake: OwnedFd,
}

impl Mailbox {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            queue: Mutex::new(Vec::new()),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        })
    }

    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    pub fn send(&self, command: Command) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(command);
        // Fails only when the counter is full, and then the worker is awake already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    pub fn take(&self) -> Vec<Command> {
        let mut counter = [0; 8];
        // Fails only when nobody woke us, and then the queue is empty.
        let _ = rustix::io::read(&self.wake, &mut counter);
        std::mem::take(&mut self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
