//! The data plane as its owner sees it: configuration in, listeners and numbers out.
//!
//! `apply` is the only way a configuration gets in, whether it came from a bootstrap, a file or
//! ADS. It validates and compiles (`model::store`), binds what has to be bound, and hands every
//! worker the same immutable installation. Whatever cannot be done is reported by name and leaves
//! the last good state in place.

mod certs;
mod install;
mod outlier;
mod statistics;
mod tls;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::compile::{CLUSTER, LISTENER};
use model::resources::Snapshot;
use model::resources::access_log::Sink;
use model::resources::address::{Address, Bind};
use model::resources::bind::BindConfig;
use model::resources::cluster::{Cluster, Discovery, Endpoints};
use model::resources::istio::Local;
use model::resources::listener::SocketOptions;
use model::store::{Applied, Store};

use crate::cluster::ClusterShared;
use crate::cluster::dns::Resolver;
use crate::cluster::host_set::HostSet;
use crate::cluster::original_dst;
use crate::cluster::outlier::Reports;
use crate::cluster::report::ClusterView;
use crate::grpc::Calls;
use crate::http::deadlines::millis;
use crate::http::filters::fault::FaultCounts;
use crate::http::filters::jwt_authn::JwksStore;
use crate::net::local_address;
use crate::telemetry::access_log::Sinks;
use crate::telemetry::log::Level;
use crate::telemetry::stats::{ClusterShard, Stats};
use crate::worker::Worker;
use crate::worker::admission::ConnectionCounts;
use crate::worker::balance::Balance;
use crate::worker::command::{Command, Mailbox, Shared};

/// How long the access logs may take to be written at the end.
const LOG_GRACE: Duration = Duration::from_secs(2);

/// How long `shutdown` waits for workers beyond their deadline.
const JOIN_GRACE: Duration = Duration::from_secs(2);

pub struct Engine {
    control: Arc<Control>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

/// What the control side knows; the resolver's threads reach it, too.
struct Control {
    state: Mutex<State>,
    mailboxes: Vec<Arc<Mailbox>>,
    shared: Arc<Shared>,
    stats: Stats,
    logs: Sinks,
    resolver: std::sync::OnceLock<Resolver>,
    /// Where workers report outliers to, since there was a cluster that has outlier detection.
    reports: std::sync::OnceLock<Option<Arc<Reports>>>,
    /// Where ejections are logged.
    ejection_log: std::sync::OnceLock<Sink>,
    drained: AtomicBool,
}

#[derive(Default)]
struct State {
    store: Store,
    /// What the workers have.
    installed: Snapshot,
    clusters: HashMap<Arc<str>, ClusterEntry>,
    sweeps: outlier::Sweeps,
    static_clusters: HashSet<String>,
    /// By listener; one for each of its addresses.
    sockets: HashMap<Arc<str>, Vec<BoundListener>>,
    contexts: tls::Contexts,
    /// Gauges of when certificates end, as they are shown.
    expirations: BTreeMap<String, i64>,
    balances: HashMap<Arc<str>, Arc<Balance>>,
}

struct ClusterEntry {
    config: Arc<Cluster>,
    shared: Arc<ClusterShared>,
    /// As the configuration or DNS has them.
    endpoints: Arc<Endpoints>,
    /// What workers have of these.
    hosts: Arc<HostSet>,
    /// Outlier detection.
    watched: Option<outlier::Watched>,
    /// What the control side counts of its subsets, if it has any.
    subset_stats: Option<Arc<ClusterShard>>,
    /// A DNS cluster whose first look-up has not ended.
    unresolved: bool,
}

#[derive(Clone)]
struct BoundListener {
    address: Bind,
    reuse_port: bool,
    options: SocketOptions,
    /// With the port that the kernel chose for port 0.
    bound: Address,
    fds: Vec<Arc<OwnedFd>>,
}

/// An address of a listener, for `/listeners`: the first of a name is the listener's own, the others
/// are additional ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerStatus {
    pub name: String,
    pub address: String,
    pub state: &'static str,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

/// What the command line says of the data plane.
#[derive(Debug, Clone)]
pub struct Options {
    /// Workers.
    pub concurrency: usize,
    /// How long connections of a replaced or removed listener may live on.
    pub drain_time: Duration,
    pub service_node: String,
    pub service_cluster: String,
    /// How long a line of an access log waits for others at most.
    pub file_flush_interval: Duration,
    /// `--local-address-ip-version v6`.
    pub local_ipv6: bool,
}

impl Engine {
    /// Starts workers that serve nothing yet.
    pub fn start(options: &Options) -> std::io::Result<Self> {
        let concurrency = options.concurrency.max(1);
        let stats = Stats::new(concurrency);
        let logs = Sinks::new(stats.clone())?;
        let shared = Arc::new(Shared {
            health_check_failed: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            active_connections: AtomicU64::new(0),
            mailboxes: std::sync::OnceLock::new(),
            next_connection_id: AtomicU64::new(0),
            connection_counts: ConnectionCounts::default(),
            fault_counts: FaultCounts::default(),
            jwks: JwksStore::default(),
            drain_time_ms: millis(options.drain_time),
            file_flush_ms: millis(options.file_flush_interval).max(1),
            local: std::sync::OnceLock::new(),
            service_node: options.service_node.as_str().into(),
            service_cluster: options.service_cluster.as_str().into(),
            local_address: local_address::of_machine(options.local_ipv6),
        });
        let mut mailboxes = Vec::with_capacity(concurrency);
        for _ in 0..concurrency {
            mailboxes.push(Arc::new(Mailbox::new()?));
        }
        // Set once, before anybody can ask.
        let _ = shared.mailboxes.set(mailboxes.clone());
        let control = Arc::new(Control {
            state: Mutex::default(),
            mailboxes,
            shared: Arc::clone(&shared),
            stats: stats.clone(),
            logs: logs.clone(),
            resolver: std::sync::OnceLock::new(),
            reports: std::sync::OnceLock::new(),
            ejection_log: std::sync::OnceLock::new(),
            drained: AtomicBool::new(false),
        });
        let mut workers = Vec::with_capacity(concurrency);
        for (index, mailbox) in control.mailboxes.iter().enumerate() {
            let (mailbox, shared) = (Arc::clone(mailbox), Arc::clone(&shared));
            let (stats, logs) = (stats.clone(), logs.worker());
            let handle = std::thread::Builder::new()
                .name(format!("wrk:{index}"))
                .stack_size(512 * 1024)
                .spawn(
                    move || match Worker::new(index, mailbox, shared, stats, logs) {
                        Ok(worker) => worker.run(),
                        Err(e) => {
                            crate::log!(Level::Critical, "main", "worker {index}: {e}");
                        }
                    },
                )?;
            workers.push(handle);
        }
        Ok(Self {
            control,
            workers: Mutex::new(workers),
        })
    }

    /// Validates, compiles and installs; see `model::store::Store::apply`.
    pub fn apply(
        &self,
        type_url: &str,
        updated: &[(String, Vec<u8>)],
        removed: &[String],
        is_static: bool,
    ) -> Applied {
        let mut state = self.control.lock();
        let mut applied = state.store.apply(type_url, updated, removed, is_static);
        if is_static && type_url == CLUSTER {
            state
                .static_clusters
                .extend(applied.accepted.iter().cloned());
        }
        for scope in &applied.conflicts {
            let counter = format!("{scope}config_conflict");
            self.control.stats.add(&counter, 1);
        }
        match applied.only_endpoints.take() {
            Some(clusters) => self.control.install_endpoints(&mut state, &clusters),
            None => self.control.install(&mut state, &mut applied),
        }
        applied
    }

    /// The bootstrap has an `ads_config`.
    pub fn allow_ads(&self) {
        self.control.lock().store.allow_ads();
    }

    /// The bootstrap's `cluster_manager.upstream_bind_config`.
    pub fn bind_upstreams(&self, config: Option<Arc<BindConfig>>) {
        self.control.lock().store.bind_upstreams(config);
    }

    /// The bootstrap's `cluster_manager.outlier_detection.event_log_path`, before anything else.
    pub fn log_ejections(&self, path: &Path) -> std::io::Result<()> {
        let sink = Sink::File(path.to_owned());
        self.control.logs.open(&sink)?;
        // Set once.
        let _ = self.control.ejection_log.set(sink);
        Ok(())
    }

    /// The bootstrap's node, as Istio's filters see it. Once, before there are listeners.
    pub fn introduce(&self, local: &Arc<Local>) {
        let shared = &self.control.shared;
        let mut local = (**local).clone();
        if !shared.service_node.is_empty() {
            local.told.id = shared.service_node.clone();
        }
        // What was said first holds.
        let _ = shared.local.set(Arc::new(local));
    }

    /// gRPC calls for the caller's thread. They live in the first worker.
    pub fn grpc_calls(&self) -> std::io::Result<Calls> {
        let mailbox = self.control.mailboxes.first();
        let mailbox = mailbox.ok_or_else(|| std::io::Error::other("there is no worker"))?;
        Calls::new(Arc::clone(mailbox))
    }

    /// `initial_fetch_timeout` passed for a resource.
    pub fn fetch_timed_out(&self, type_url: &str, name: &str) {
        let mut state = self.control.lock();
        state.store.fetch_timed_out(type_url, name);
        let mut applied = Applied::default();
        self.control.install(&mut state, &mut applied);
    }

    /// (type URL, name) of what waits for something.
    pub fn warming(&self) -> Vec<(String, String)> {
        let state = self.control.lock();
        let mut all = state
            .store
            .warming()
            .into_iter()
            .map(|(t, n)| (t.to_owned(), n))
            .collect::<Vec<_>>();
        for (name, entry) in &state.clusters {
            if entry.unresolved {
                all.push((CLUSTER.to_owned(), name.to_string()));
            }
        }
        all
    }

    pub fn listeners(&self) -> Vec<ListenerStatus> {
        let state = self.control.lock();
        let drained = self.control.drained.load(Ordering::Relaxed);
        let mut all: Vec<ListenerStatus> = state
            .sockets
            .iter()
            .flat_map(|(name, bound)| {
                let status = |address: &Address| ListenerStatus {
                    name: name.to_string(),
                    address: address.to_string(),
                    state: if drained { "draining" } else { "active" },
                };
                // One that is not bound takes what others hand on.
                let unbound = state.installed.listeners.get(name);
                let unbound = unbound.filter(|_| bound.is_empty());
                let bound = bound.iter().map(|bound| &bound.bound);
                let unbound = unbound.into_iter().flat_map(|l| l.addresses());
                let unbound = unbound.map(|bind| &bind.address);
                bound.chain(unbound).map(status).collect::<Vec<_>>()
            })
            .collect();
        for (type_url, name) in state.store.warming() {
            if type_url == LISTENER && !state.sockets.contains_key(name.as_str()) {
                all.push(ListenerStatus {
                    name,
                    address: String::new(),
                    state: "warming",
                });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Calls `each` for every cluster that serves, in order of name.
    pub fn each_cluster(&self, mut each: impl FnMut(ClusterView<'_>)) {
        let state = self.control.lock();
        let mut names: Vec<&Arc<str>> = state.clusters.keys().collect();
        names.sort();
        for entry in names
            .into_iter()
            .filter_map(|name| state.clusters.get(name))
        {
            let on_demand = matches!(entry.config.discovery, Discovery::OriginalDst(_))
                .then(|| original_dst::endpoints(&entry.config, entry.shared.hosts.held()));
            each(ClusterView {
                config: &entry.config,
                shared: &entry.shared,
                endpoints: on_demand.as_ref().unwrap_or(&entry.endpoints),
                detector: entry.watched.as_ref().map(|watched| &watched.detector),
                added_via_api: !state.static_clusters.contains(&*entry.config.name),
            });
        }
    }

    pub fn stats(&self) -> &Stats {
        &self.control.stats
    }

    pub fn active_connections(&self) -> u64 {
        self.control
            .shared
            .active_connections
            .load(Ordering::Relaxed)
    }

    pub fn fail_health_check(&self, fail: bool) {
        self.control
            .shared
            .health_check_failed
            .store(fail, Ordering::Relaxed);
    }

    pub fn drain_listeners(&self, graceful: bool, inbound_only: bool) {
        if !graceful {
            self.control.drained.store(true, Ordering::Relaxed);
        }
        self.control.broadcast(&Command::DrainListeners {
            inbound_only,
            graceful,
        });
    }

    pub fn reopen_logs(&self) {
        self.control.broadcast(&Command::ReopenLogs);
        self.control.logs.reopen();
    }

    /// Stops accepting, lets requests end, joins the workers. True: all ended before the deadline.
    pub fn shutdown(&self, drain: Duration) -> bool {
        self.control.shared.draining.store(true, Ordering::Relaxed);
        self.control.drained.store(true, Ordering::Relaxed);
        let deadline_ms = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX);
        // Our own references to the listening sockets: nobody may keep them open.
        self.control.lock().sockets.clear();
        self.control.broadcast(&Command::Shutdown { deadline_ms });
        if let Some(resolver) = self.control.resolver.get() {
            resolver.stop();
        }
        self.control.stop_watching();
        let until = Instant::now().checked_add(drain.saturating_add(JOIN_GRACE));
        let mut workers =
            std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        loop {
            workers.retain(|w| !w.is_finished());
            if workers.is_empty() || until.is_none_or(|u| Instant::now() >= u) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if !self.control.logs.shutdown(LOG_GRACE) {
            crate::log!(
                Level::Warning,
                "main",
                "access logs: not all lines could be written"
            );
        }
        workers.is_empty() && self.active_connections() == 0
    }
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broadcast(&self, command: &Command) {
        for mailbox in &self.mailboxes {
            mailbox.send(command.clone());
        }
    }
}
