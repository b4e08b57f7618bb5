//! Bringing the workers to a configuration: sockets bound, logs opened, names looked up, then one
//! installation for all of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use model::resources::Snapshot;
use model::resources::access_log::Sink;
use model::resources::address::{Address, Bind};
use model::resources::cluster::Discovery;
use model::resources::listener::Listener;
use model::store::Applied;
use rustix::io::Errno;

use super::outlier::host_set;
use super::{BoundListener, ClusterEntry, Control, State};
use crate::cluster::configured_endpoints;
use crate::cluster::dns::{Outcome, Resolver};
use crate::cluster::host_set::count_subsets;
use crate::cluster::original_dst;
use crate::net::socket;
use crate::telemetry::log::Level;
use crate::worker::balance::Balance;
use crate::worker::command::{ClusterState, Command, Installation, ServerTls};

impl Control {
    /// Brings the workers to the store's state.
    pub(super) fn install(self: &Arc<Self>, state: &mut State, applied: &mut Applied) {
        let mut snapshot = state.store.snapshot();
        let tls = self.bind_listeners(state, &mut snapshot, applied);
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
                    transports: state.contexts.of_cluster(&entry.config, &snapshot),
                    shared: Arc::clone(&entry.shared),
                    hosts: Arc::clone(&entry.hosts),
                };
                (Arc::clone(name), cluster)
            })
            .collect();
        let sockets = state
            .sockets
            .iter()
            .map(|(name, bound)| {
                let fds = bound.iter().map(|b| b.fds.clone()).collect();
                (Arc::clone(name), fds)
            })
            .collect();
        self.declare_stats(&snapshot);
        self.count_contexts(state, &snapshot);
        self.gauge_warming(state);
        self.count_changes(&state.installed, &snapshot);
        state.installed = snapshot.clone();
        let installation = Arc::new(Installation {
            snapshot,
            clusters,
            sockets,
            tls,
            balances: self.balances(state),
        });
        self.broadcast(&Command::Install(installation));
    }

    /// The same if nothing changed but the endpoints of some clusters.
    pub(super) fn install_endpoints(&self, state: &mut State, clusters: &[Arc<str>]) {
        for name in clusters {
            let Some(config) = state.store.cluster(name).map(Arc::clone) else {
                continue;
            };
            let Some(entry) = state.clusters.get_mut(name) else {
                continue;
            };
            let endpoints = configured_endpoints(&config).cloned().unwrap_or_default();
            let hosts = entry.host_set(&config, endpoints);
            if let Some(stats) = &entry.subset_stats {
                count_subsets(stats, &hosts, &entry.hosts);
            }
            entry.hosts = Arc::clone(&hosts);
            entry.config = Arc::clone(&config);
            self.count_members(&config, &hosts);
            state.installed.clusters.insert(Arc::clone(name), config);
            self.broadcast(&Command::Resolved {
                cluster: Arc::clone(name),
                hosts,
            });
        }
    }

    /// Binds listeners that are new or moved and opens their logs; what fails is refused and
    /// keeps its last good version.
    fn bind_listeners(
        &self,
        state: &mut State,
        snapshot: &mut Snapshot,
        applied: &mut Applied,
    ) -> HashMap<Arc<str>, Vec<ServerTls>> {
        let mut tls = HashMap::new();
        state
            .sockets
            .retain(|name, _| snapshot.listeners.contains_key(name));
        let mut refused: Vec<(Arc<str>, String, String)> = Vec::new();
        let mut sinks: HashSet<Sink> = self.ejection_log.get().cloned().into_iter().collect();
        for (name, listener) in &snapshot.listeners {
            if let Err(reason) = self.open_logs(listener, &mut sinks) {
                refused.push((Arc::clone(name), "access_log".to_owned(), reason));
                continue;
            }
            match state.contexts.of_listener(listener, snapshot) {
                Ok(contexts) => {
                    tls.insert(Arc::clone(name), contexts);
                }
                Err(problem) => {
                    refused.push((Arc::clone(name), problem.path, problem.reason));
                    continue;
                }
            }
            let before = state.sockets.get(name).map(Vec::as_slice);
            match bind_all(listener, before.unwrap_or_default(), self.mailboxes.len()) {
                Ok(bound) => {
                    state.sockets.insert(Arc::clone(name), bound);
                }
                Err((bind, e)) => {
                    let reason = format!("cannot bind '{}': {e}", bind.address);
                    let field = if bind == listener.address {
                        "address"
                    } else {
                        "additional_addresses"
                    };
                    refused.push((Arc::clone(name), field.to_owned(), reason));
                }
            }
        }
        for (name, field, reason) in refused {
            match state.installed.listeners.get(&name) {
                Some(old) => {
                    // What it was made of served until now.
                    if let Ok(contexts) = state.contexts.of_listener(old, snapshot) {
                        tls.insert(Arc::clone(&name), contexts);
                    }
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
            applied.rejected.push((name.to_string(), field, reason));
        }
        self.logs.retain(&sinks);
        state.contexts.retain(snapshot);
        tls
    }

    /// The counts of listeners with `exact_balance`, the same from one version to the next.
    fn balances(&self, state: &mut State) -> HashMap<Arc<str>, Arc<Balance>> {
        let listeners = &state.installed.listeners;
        let wants = |name: &Arc<str>| listeners.get(name).is_some_and(|l| l.exact_balance);
        state.balances.retain(|name, _| wants(name));
        for name in listeners.keys().filter(|name| wants(name)) {
            state
                .balances
                .entry(Arc::clone(name))
                .or_insert_with(|| Arc::new(Balance::new(self.mailboxes.len())));
        }
        state.balances.clone()
    }

    fn open_logs(&self, listener: &Listener, sinks: &mut HashSet<Sink>) -> Result<(), String> {
        let http = listener.chains.hcms().flat_map(|hcm| &hcm.access_logs);
        let tcp = listener
            .chains
            .tcp_proxies()
            .flat_map(|tcp| &tcp.access_logs);
        for log in http.chain(tcp).chain(&listener.access_logs) {
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
        state.clusters.retain(|name, entry| {
            let keep = snapshot.clusters.contains_key(name);
            if !keep {
                self.forget_tables(&entry.config, &entry.hosts);
            }
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
            let mut old = state.clusters.remove(name);
            let watched = old.as_mut().filter(|e| e.config.hash == config.hash);
            let watched = watched.and_then(|e| e.watched.take());
            let mut watched = self.watched(&mut state.sweeps, config, watched);
            let old = old.as_ref();
            let same = old.is_some_and(|e| e.config.hash == config.hash);
            let shared = old.map(|e| Arc::clone(&e.shared)).unwrap_or_default();
            let last = old.map(|e| Arc::clone(&e.hosts)).unwrap_or_default();
            let before = old.map(|e| Arc::clone(&e.endpoints)).unwrap_or_default();
            let (endpoints, hosts, unresolved) = match &config.discovery {
                // What there is serves with the version that it is of, until names are looked up.
                Discovery::Dns(dns) if !same => {
                    resolver().watch(name, Arc::clone(dns));
                    (before, last, true)
                }
                Discovery::Dns(_) => (before, last, old.is_some_and(|e| e.unresolved)),
                Discovery::Static(_) | Discovery::Eds { .. } | Discovery::OriginalDst(_) => {
                    let endpoints = configured_endpoints(config).cloned().unwrap_or_default();
                    let hosts = if same && Arc::ptr_eq(&before, &endpoints) {
                        last
                    } else {
                        host_set(config, &endpoints, watched.as_mut())
                    };
                    (endpoints, hosts, false)
                }
            };
            if let Some(old) = old.filter(|_| !same) {
                self.forget_tables(&old.config, &old.hosts);
            }
            if matches!(config.discovery, Discovery::OriginalDst(_)) {
                shared.hosts.count_held(|total| {
                    let membership = original_dst::membership(total);
                    self.stats.set_membership(&config.stat_name, membership);
                });
            } else {
                self.count_members(config, &hosts);
            }
            let subset_stats = self.count_subsets(config, &hosts, old);
            let config = Arc::clone(config);
            state.clusters.insert(
                Arc::clone(name),
                ClusterEntry {
                    config,
                    shared,
                    endpoints,
                    hosts,
                    watched,
                    subset_stats,
                    unresolved,
                },
            );
        }
        state.sweeps.tidy(&state.clusters);
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
        let failed = matches!(outcome, Outcome::Failed);
        let endpoints = match outcome {
            Outcome::Changed(endpoints) => Some(endpoints),
            // As they were, for a new version of the cluster.
            _ if first => Some(Arc::clone(&entry.endpoints)),
            Outcome::Unchanged | Outcome::Empty | Outcome::Failed => None,
        };
        if let Some(endpoints) = endpoints {
            let config = Arc::clone(&entry.config);
            let hosts = entry.host_set(&config, endpoints);
            if let Some(stats) = &entry.subset_stats {
                count_subsets(stats, &hosts, &entry.hosts);
            }
            if first {
                self.forget_tables(&entry.config, &entry.hosts);
            }
            entry.hosts = Arc::clone(&hosts);
            self.count_members(&entry.config, &hosts);
            if !first {
                self.broadcast(&Command::Resolved {
                    cluster: Arc::clone(name),
                    hosts,
                });
            }
        }
        if failed {
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
}

/// Sockets for every address of a listener, those that are there already first of all.
fn bind_all(
    listener: &Listener,
    before: &[BoundListener],
    workers: usize,
) -> Result<Vec<BoundListener>, (Bind, Errno)> {
    if !listener.bind_to_port {
        return Ok(Vec::new());
    }
    let one = |address: &Bind| {
        let kept = before.iter().find(|b| {
            b.address == *address
                && b.reuse_port == listener.reuse_port
                && b.options == listener.socket
        });
        match kept {
            Some(bound) => Ok(bound.clone()),
            None => bind(listener, address, workers).map_err(|e| (address.clone(), e)),
        }
    };
    listener.addresses().map(one).collect()
}

fn bind(listener: &Listener, address: &Bind, workers: usize) -> rustix::io::Result<BoundListener> {
    let is_pipe = matches!(address.address, Address::Pipe(_));
    // Of a pipe there is one socket, for all workers.
    let count = if listener.reuse_port && !is_pipe {
        workers
    } else {
        1
    };
    let mut fds = Vec::with_capacity(count);
    let mut bound = address.clone();
    for _ in 0..count {
        let fd = socket::listen(
            &bound,
            listener.backlog,
            listener.reuse_port,
            listener.socket,
        )?;
        // Port 0: the first socket chooses, the others share.
        if let Some(address) = socket::local_address(&fd) {
            bound.address = address;
        }
        fds.push(Arc::new(fd));
    }
    Ok(BoundListener {
        address: address.clone(),
        reuse_port: listener.reuse_port,
        options: listener.socket,
        bound: bound.address,
        fds,
    })
}
