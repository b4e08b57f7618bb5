//! The data plane as its owner sees it: configuration in, listeners and numbers out.
//!
//! `apply` is the only way a configuration gets in, whether it came from a bootstrap, a file or
//! ADS. It validates and compiles (`model::store`), binds what has to be bound, and hands every
//! worker the same immutable installation. Whatever cannot be done is reported by name and leaves
//! the last good state in place.

use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::compile::{CLUSTER, LISTENER};
use model::resources::Snapshot;
use model::resources::access_log::Sink;
use model::resources::cluster::{Cluster, Discovery, Endpoints};
use model::resources::listener::{Listener, NetworkFilter};
use model::store::{Applied, Store};

use crate::cluster::dns::{Outcome, Resolver};
use crate::cluster::report::ClusterView;
use crate::cluster::{ClusterShared, configured_endpoints};
use crate::net::socket;
use crate::telemetry::access_log::Sinks;
use crate::telemetry::log::Level;
use crate::telemetry::stats::{Declared, Membership, Stats};
use crate::worker::Worker;
use crate::worker::command::{
    ClusterState, Command, Installation, Mailbox, Shared, machine_address,
};

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
    drained: AtomicBool,
}

#[derive(Default)]
struct State {
    store: Store,
    /// What the workers have.
    installed: Snapshot,
    clusters: HashMap<Arc<str>, ClusterEntry>,
    static_clusters: HashSet<String>,
    sockets: HashMap<Arc<str>, BoundListener>,
}

struct ClusterEntry {
    config: Arc<Cluster>,
    shared: Arc<ClusterShared>,
    endpoints: Arc<Endpoints>,
    /// A DNS cluster whose first look-up has not ended.
    unresolved: bool,
}

struct BoundListener {
    address: std::net::SocketAddr,
    reuse_port: bool,
    /// With the port that the kernel chose for port 0.
    bound: std::net::SocketAddr,
    fds: Vec<Arc<OwnedFd>>,
}

/// A listener for `/listeners`.
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

impl Engine {
    /// Starts `concurrency` workers that serve nothing yet. `drain_time`: how long connections
    /// of a replaced or removed listener may live on.
    pub fn start(
        concurrency: usize,
        drain_time: Duration,
        service_node: &str,
        service_cluster: &str,
    ) -> std::io::Result<Self> {
        let concurrency = concurrency.max(1);
        let stats = Stats::new(concurrency);
        let logs = Sinks::new(stats.clone())?;
        let shared = Arc::new(Shared {
            health_check_failed: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            active_connections: AtomicU64::new(0),
            next_connection_id: AtomicU64::new(0),
            drain_time_ms: u64::try_from(drain_time.as_millis()).unwrap_or(u64::MAX),
            service_node: service_node.into(),
            service_cluster: service_cluster.into(),
            local_address: machine_address(),
        });
        let mut mailboxes = Vec::with_capacity(concurrency);
        for _ in 0..concurrency {
            mailboxes.push(Arc::new(Mailbox::new()?));
        }
        let control = Arc::new(Control {
            state: Mutex::default(),
            mailboxes,
            shared: Arc::clone(&shared),
            stats: stats.clone(),
            logs: logs.clone(),
            resolver: std::sync::OnceLock::new(),
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
        self.control.install(&mut state, &mut applied);
        applied
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
            .map(|(name, bound)| ListenerStatus {
                name: name.to_string(),
                address: bound.bound.to_string(),
                state: if drained { "draining" } else { "active" },
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
            each(ClusterView {
                config: &entry.config,
                shared: &entry.shared,
                endpoints: &entry.endpoints,
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

    /// Brings the workers to the store's state.
    fn install(self: &Arc<Self>, state: &mut State, applied: &mut Applied) {
        let mut snapshot = state.store.snapshot();
        self.bind_listeners(state, &mut snapshot, applied);
        self.prepare_clusters(state, &snapshot);
        // A new version of a DNS cluster serves once it is resolved; until then the old one does.
        for (name, config) in &mut snapshot.clusters {
            let resolving = state.clusters.get(name).is_some_and(|e| e.unresolved);
            if resolving && let Some(old) = state.installed.clusters.get(name) {
                *config = Arc::clone(old);
            }
        }
        let clusters = state
            .clusters
            .iter()
            .map(|(name, entry)| {
                let cluster = ClusterState {
                    shared: Arc::clone(&entry.shared),
                    endpoints: Arc::clone(&entry.endpoints),
                };
                (Arc::clone(name), cluster)
            })
            .collect();
        let sockets = state
            .sockets
            .iter()
            .map(|(name, bound)| (Arc::clone(name), bound.fds.clone()))
            .collect();
        self.declare_stats(&snapshot);
        self.gauge_warming(state);
        self.count_changes(&state.installed, &snapshot);
        state.installed = snapshot.clone();
        let installation = Arc::new(Installation {
            snapshot,
            clusters,
            sockets,
        });
        self.broadcast(&Command::Install(installation));
    }

    /// Binds listeners that are new or moved and opens their logs; what fails is refused and
    /// keeps its last good version.
    fn bind_listeners(&self, state: &mut State, snapshot: &mut Snapshot, applied: &mut Applied) {
        state
            .sockets
            .retain(|name, _| snapshot.listeners.contains_key(name));
        let mut refused: Vec<(Arc<str>, &str, String)> = Vec::new();
        let mut sinks = HashSet::new();
        for (name, listener) in &snapshot.listeners {
            if let Err(reason) = self.open_logs(listener, &mut sinks) {
                refused.push((Arc::clone(name), "access_log", reason));
                continue;
            }
            let unchanged = state.sockets.get(name).is_some_and(|b| {
                b.address == listener.address && b.reuse_port == listener.reuse_port
            });
            if unchanged {
                continue;
            }
            match bind(listener, self.mailboxes.len()) {
                Ok(bound) => {
                    state.sockets.insert(Arc::clone(name), bound);
                }
                Err(e) => {
                    let reason = format!("cannot bind '{}': {e}", listener.address);
                    refused.push((Arc::clone(name), "address", reason));
                }
            }
        }
        for (name, field, reason) in refused {
            match state.installed.listeners.get(&name) {
                Some(old) => {
                    snapshot
                        .listeners
                        .insert(Arc::clone(&name), Arc::clone(old));
                }
                None => {
                    snapshot.listeners.remove(&name);
                }
            }
            state.store.reject_listener(&name);
            applied.accepted.retain(|n| **n != *name);
            applied
                .rejected
                .push((name.to_string(), field.to_owned(), reason));
        }
        self.logs.retain(&sinks);
    }

    fn open_logs(&self, listener: &Listener, sinks: &mut HashSet<Sink>) -> Result<(), String> {
        let NetworkFilter::HttpConnectionManager(hcm) = &listener.filter_chain.network;
        for log in &hcm.access_logs {
            self.logs
                .open(&log.sink)
                .map_err(|e| format!("cannot open {:?}: {e}", log.sink))?;
            sinks.insert(log.sink.clone());
        }
        Ok(())
    }

    /// Endpoints, limits and look-ups of every cluster of the snapshot.
    fn prepare_clusters(self: &Arc<Self>, state: &mut State, snapshot: &Snapshot) {
        let resolver = || {
            let control: Weak<Self> = Arc::downgrade(self);
            self.resolver.get_or_init(|| {
                Resolver::new(Box::new(move |cluster, outcome| {
                    if let Some(control) = control.upgrade() {
                        control.resolved(cluster, outcome);
                    }
                }))
            })
        };
        state.clusters.retain(|name, _| {
            let keep = snapshot.clusters.contains_key(name);
            if !keep && let Some(resolver) = self.resolver.get() {
                resolver.forget(name);
            }
            keep
        });
        for (name, config) in &snapshot.clusters {
            let old = state.clusters.get(name);
            if old.is_some_and(|e| Arc::ptr_eq(&e.config, config)) {
                continue;
            }
            let same = old.is_some_and(|e| e.config.hash == config.hash);
            let shared = old.map(|e| Arc::clone(&e.shared)).unwrap_or_default();
            let last = old.map(|e| Arc::clone(&e.endpoints)).unwrap_or_default();
            let mut unresolved = false;
            let endpoints = match &config.discovery {
                Discovery::Dns(dns) => {
                    if !same {
                        unresolved = true;
                        resolver().watch(name, Arc::clone(dns));
                    }
                    last
                }
                _ => configured_endpoints(config).cloned().unwrap_or_default(),
            };
            self.count_members(config, &endpoints);
            let config = Arc::clone(config);
            state.clusters.insert(
                Arc::clone(name),
                ClusterEntry {
                    config,
                    shared,
                    endpoints,
                    unresolved,
                },
            );
        }
    }

    /// A look-up ended.
    fn resolved(self: &Arc<Self>, name: &Arc<str>, outcome: Outcome) {
        let mut state = self.lock();
        let Some(entry) = state.clusters.get_mut(name) else {
            return;
        };
        let prefix = format!("cluster.{}", entry.config.stat_name);
        self.stats.add(&format!("{prefix}.update_attempt"), 1);
        let first = std::mem::replace(&mut entry.unresolved, false);
        let counter = match &outcome {
            Outcome::Changed(_) => "update_success",
            Outcome::Unchanged => "update_no_rebuild",
            Outcome::Empty => "update_empty",
            Outcome::Failed => "update_failure",
        };
        self.stats.add(&format!("{prefix}.{counter}"), 1);
        if let Outcome::Changed(endpoints) = outcome {
            entry.endpoints = Arc::clone(&endpoints);
            let config = Arc::clone(&entry.config);
            self.count_members(&config, &endpoints);
            if !first {
                self.broadcast(&Command::Resolved {
                    cluster: Arc::clone(name),
                    endpoints,
                });
            }
        } else if let Outcome::Failed = outcome {
            crate::log!(
                Level::Warning,
                "dns",
                "cluster {name}: a name could not be looked up; the last addresses stay"
            );
        }
        if first {
            self.install(&mut state, &mut Applied::default());
        }
    }

    fn count_members(&self, cluster: &Cluster, endpoints: &Endpoints) {
        use model::resources::cluster::HealthStatus as H;
        let count = |want: fn(H) -> bool| {
            u32::try_from(endpoints.hosts.iter().filter(|h| want(h.health)).count())
                .unwrap_or(u32::MAX)
        };
        let membership = Membership {
            total: count(|_| true),
            healthy: count(|h| matches!(h, H::Healthy | H::Unknown)),
            degraded: count(|h| h == H::Degraded),
            excluded: 0,
            max_host_weight: 0,
        };
        self.stats.set_membership(&cluster.stat_name, membership);
    }

    /// Every configured entity is listed with its zeros, as in Envoy.
    fn declare_stats(&self, now: &Snapshot) {
        let mut declared = Declared::default();
        for cluster in now.clusters.values() {
            declared.clusters.insert(cluster.stat_name.to_string());
        }
        for listener in now.listeners.values() {
            let NetworkFilter::HttpConnectionManager(hcm) = &listener.filter_chain.network;
            let (listener, hcm) = (
                listener.stat_prefix.to_string(),
                hcm.stat_prefix.to_string(),
            );
            declared.listeners.insert(listener.clone());
            declared.hcms.insert(hcm.clone());
            declared.listener_http.insert((listener, hcm));
        }
        self.stats.set_declared(&declared);
        self.stats
            .set_gauge("cluster_manager.active_clusters", now.clusters.len() as u64);
        self.stats.set_gauge(
            "listener_manager.total_listeners_active",
            now.listeners.len() as u64,
        );
    }

    fn gauge_warming(&self, state: &State) {
        let warming = state.store.warming();
        let of = |kind: &str| {
            warming
                .iter()
                .filter(|(type_url, _)| *type_url == kind)
                .count()
        };
        let unresolved = state.clusters.values().filter(|c| c.unresolved).count();
        let clusters = of(CLUSTER).saturating_add(unresolved) as u64;
        self.stats
            .set_gauge("cluster_manager.warming_clusters", clusters);
        let listeners = of(LISTENER) as u64;
        self.stats
            .set_gauge("listener_manager.total_listeners_warming", listeners);
    }

    /// Envoy's counters of what happened to listeners and clusters.
    fn count_changes(&self, before: &Snapshot, now: &Snapshot) {
        let mut clusters = Changes::default();
        for (name, config) in &now.clusters {
            clusters.see(before.clusters.get(name).map(|old| old.hash == config.hash));
        }
        clusters.removed = before
            .clusters
            .keys()
            .filter(|n| !now.clusters.contains_key(*n))
            .count();
        clusters.count(&self.stats, "cluster_manager.cluster");
        let mut listeners = Changes::default();
        for (name, config) in &now.listeners {
            listeners.see(
                before
                    .listeners
                    .get(name)
                    .map(|old| old.hash == config.hash),
            );
        }
        listeners.removed = before
            .listeners
            .keys()
            .filter(|n| !now.listeners.contains_key(*n))
            .count();
        listeners.count(&self.stats, "listener_manager.listener");
        let created = listeners
            .added
            .saturating_add(listeners.modified)
            .saturating_mul(self.mailboxes.len());
        self.stats.add(
            "listener_manager.listener_create_success",
            i64::try_from(created).unwrap_or(i64::MAX),
        );
        self.stats.set_gauge("listener_manager.workers_started", 1);
    }
}

#[derive(Default)]
struct Changes {
    added: usize,
    modified: usize,
    removed: usize,
}

impl Changes {
    /// `same`: None if it was not there before.
    fn see(&mut self, same: Option<bool>) {
        match same {
            None => self.added = self.added.saturating_add(1),
            Some(false) => self.modified = self.modified.saturating_add(1),
            Some(true) => {}
        }
    }

    fn count(&self, stats: &Stats, prefix: &str) {
        for (what, n) in [
            ("added", self.added),
            ("modified", self.modified),
            ("removed", self.removed),
        ] {
            stats.add(
                &format!("{prefix}_{what}"),
                i64::try_from(n).unwrap_or(i64::MAX),
            );
        }
    }
}

fn bind(listener: &Listener, workers: usize) -> rustix::io::Result<BoundListener> {
    let count = if listener.reuse_port { workers } else { 1 };
    let mut fds = Vec::with_capacity(count);
    let mut address = listener.address;
    for _ in 0..count {
        let fd = socket::listen(&address, listener.backlog, listener.reuse_port)?;
        // Port 0: the first socket chooses, the others share.
        address = socket::local_address(&fd).unwrap_or(address);
        fds.push(Arc::new(fd));
    }
    Ok(BoundListener {
        address: listener.address,
        reuse_port: listener.reuse_port,
        bound: address,
        fds,
    })
}
