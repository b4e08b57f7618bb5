//! Installing a configuration in a worker: what changed is swapped, what did not is untouched.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use model::resources::hcm::{Hcm, RouteSource};
use model::resources::listener::{Listener, NetworkFilter};
use model::resources::route::{Route, RouteConfig, VirtualHost};

use proto::h1::{RequestPolicy, Underscores};

use super::Worker;
use super::command::{Command, Installation};
use super::slots::Key;
use crate::cluster::ClusterRuntime;
use crate::cluster::host::Host;
use crate::telemetry::stats::{HcmShard, ListenerGauge, ListenerHttpShard, ListenerShard, Stats};

/// A listener with this worker's state of it. A changed listener is a new one of these over the
/// same socket; the old one lives on in its connections, draining.
#[derive(Debug)]
pub struct ListenerRuntime {
    pub config: Arc<Listener>,
    pub hcm: Arc<Hcm>,
    pub request_policy: RequestPolicy,
    routes: RefCell<Rc<RouteTable>>,
    /// Connections close after their response.
    pub draining: Cell<bool>,
    pub socket: Cell<Option<Key>>,
    worker: usize,
    registry: Stats,
    stats: OnceCell<Arc<ListenerShard>>,
    http_stats: OnceCell<Arc<HcmShard>>,
    listener_http_stats: OnceCell<Arc<ListenerHttpShard>>,
}

/// A route configuration with a count that is this worker's own, so that a request can hold on to
/// it without touching memory that other workers write.
#[derive(Debug)]
pub struct RouteTable(pub Arc<RouteConfig>);

/// The route that a request matched, and the table that keeps it alive.
#[derive(Debug, Clone)]
pub struct RouteRef {
    table: Rc<RouteTable>,
    virtual_host: usize,
    route: usize,
}

impl RouteRef {
    pub fn new(table: Rc<RouteTable>, virtual_host: usize, route: usize) -> Self {
        Self {
            table,
            virtual_host,
            route,
        }
    }

    pub fn config(&self) -> &RouteConfig {
        &self.table.0
    }

    pub fn virtual_host(&self) -> Option<&Arc<VirtualHost>> {
        self.table.0.hosts.list.get(self.virtual_host)
    }

    pub fn route(&self) -> Option<&Arc<Route>> {
        self.virtual_host()?.routes.get(self.route)
    }
}

impl ListenerRuntime {
    fn new(config: Arc<Listener>, routes: Rc<RouteTable>, worker: usize, registry: Stats) -> Self {
        let NetworkFilter::HttpConnectionManager(hcm) = &config.filter_chain.network;
        Self {
            request_policy: request_policy(hcm),
            hcm: Arc::clone(hcm),
            config,
            routes: RefCell::new(routes),
            draining: Cell::new(false),
            socket: Cell::new(None),
            worker,
            registry,
            stats: OnceCell::new(),
            http_stats: OnceCell::new(),
            listener_http_stats: OnceCell::new(),
        }
    }

    pub fn routes(&self) -> Rc<RouteTable> {
        Rc::clone(&self.routes.borrow())
    }

    pub fn stats(&self) -> &ListenerShard {
        self.stats.get_or_init(|| {
            let shard = self
                .registry
                .listener(&self.config.stat_prefix, self.worker);
            shard.gauge_set(ListenerGauge::DownstreamPreCxActive, 0);
            shard
        })
    }

    pub fn http_stats(&self) -> &HcmShard {
        self.http_stats
            .get_or_init(|| self.registry.hcm(&self.hcm.stat_prefix))
    }

    pub fn listener_http_stats(&self) -> &ListenerHttpShard {
        self.listener_http_stats.get_or_init(|| {
            self.registry
                .listener_http(&self.config.stat_prefix, &self.hcm.stat_prefix)
        })
    }
}

impl Worker {
    pub fn execute(&mut self, command: Command) {
        match command {
            Command::Install(installation) => self.install(&installation),
            Command::Resolved { cluster, endpoints } => {
                if let Some(runtime) = self.clusters.get(&cluster).cloned() {
                    let gone = runtime.set_endpoints(&endpoints);
                    self.retire_hosts(&gone);
                }
            }
            Command::DrainListeners {
                inbound_only,
                graceful,
            } => {
                self.drain_listeners(inbound_only, graceful);
            }
            Command::Shutdown { deadline_ms } => {
                self.drain_listeners(false, false);
                let at = self.clock.now_ms().saturating_add(deadline_ms);
                self.stop_by(at);
            }
            Command::ReopenLogs => self.logs.flush(),
        }
    }

    fn install(&mut self, installation: &Installation) {
        self.route_stats.clear();
        self.install_clusters(installation);
        self.install_listeners(installation);
    }

    fn install_clusters(&mut self, installation: &Installation) {
        let mut before = std::mem::take(&mut self.clusters);
        for (name, config) in &installation.snapshot.clusters {
            let Some(state) = installation.clusters.get(name) else {
                continue;
            };
            let kept = before.remove(name).filter(|old| {
                let same = old.config.borrow().hash == config.hash;
                if !same {
                    before_retired(self, old);
                }
                same
            });
            let runtime = match kept {
                Some(runtime) => {
                    runtime.config.replace(Arc::clone(config));
                    let gone = runtime.set_endpoints(&state.endpoints);
                    self.retire_hosts(&gone);
                    runtime
                }
                None => Rc::new(ClusterRuntime::new(
                    Arc::clone(config),
                    Arc::clone(&state.shared),
                    &state.endpoints,
                    self.stats.clone(),
                    self.rng.u64(..),
                )),
            };
            self.clusters.insert(Arc::clone(name), runtime);
        }
        for old in before.into_values() {
            before_retired(self, &old);
        }
    }

    /// Hosts that left: idle connections close now, busy ones when their request is done.
    pub fn retire_hosts(&mut self, gone: &[Rc<Host>]) {
        for host in gone {
            host.pool.retired.set(true);
            let idle = host.pool.idle.take();
            for key in idle {
                self.close_idle_upstream(key);
            }
        }
    }

    fn install_listeners(&mut self, installation: &Installation) {
        // One table a route configuration, whoever uses it.
        let mut tables: HashMap<*const RouteConfig, Rc<RouteTable>> = HashMap::new();
        let rds = &installation.snapshot.routes;

        let mut before = std::mem::take(&mut self.listeners);
        for (name, config) in &installation.snapshot.listeners {
            let old = before.remove(name);
            if let Some(same) = old.as_ref().filter(|o| Arc::ptr_eq(&o.config, config)) {
                follow_routes(same, rds, &mut tables);
                self.listeners.insert(Arc::clone(name), Rc::clone(same));
                continue;
            }
            let NetworkFilter::HttpConnectionManager(hcm) = &config.filter_chain.network;
            let routes = table_for(hcm, rds, &mut tables);
            let runtime = Rc::new(ListenerRuntime::new(
                Arc::clone(config),
                routes,
                self.index,
                self.stats.clone(),
            ));
            let sockets = installation
                .sockets
                .get(name)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let fd = sockets.get(self.index).or_else(|| sockets.first()).cloned();
            match (old, fd) {
                (Some(old), Some(fd)) => {
                    let same_socket = old.socket.get().is_some_and(|key| {
                        self.sockets
                            .get(key)
                            .is_some_and(|s| Arc::ptr_eq(&s.fd, &fd))
                    });
                    if same_socket {
                        // The same socket, so that nothing in its queue is lost.
                        let key = old.socket.take();
                        runtime.socket.set(key);
                        if let Some(socket) = key.and_then(|k| self.sockets.get_mut(k)) {
                            socket.listener = Rc::clone(&runtime);
                        }
                    } else {
                        self.listen(fd, Rc::clone(&runtime));
                    }
                    self.drain_listener(&old);
                }
                (Some(old), None) => self.drain_listener(&old),
                (None, Some(fd)) => self.listen(fd, Rc::clone(&runtime)),
                (None, None) => {}
            }
            self.listeners.insert(Arc::clone(name), runtime);
        }
        for old in before.into_values() {
            self.drain_listener(&old);
        }
        self.draining.retain(|weak| weak.strong_count() > 0);
        for old in self.draining.iter().filter_map(std::rc::Weak::upgrade) {
            follow_routes(&old, rds, &mut tables);
        }
    }

    /// Stops accepting for a listener and lets its connections end: idle ones now, busy ones after
    /// their response.
    fn drain_listener(&mut self, listener: &Rc<ListenerRuntime>) {
        listener.draining.set(true);
        self.stop_listening(listener);
        self.draining.push(Rc::downgrade(listener));
        for key in self.downstreams.keys() {
            let is_its = self
                .downstreams
                .get(key)
                .is_some_and(|d| Rc::ptr_eq(&d.listener, listener));
            if is_its {
                self.drain_downstream(key);
            }
        }
    }

    fn drain_listeners(&mut self, inbound_only: bool, graceful: bool) {
        let listeners: Vec<_> = self
            .listeners
            .values()
            .filter(|l| !inbound_only || l.config.inbound)
            .cloned()
            .collect();
        for listener in listeners {
            if graceful {
                // Keep accepting; every response asks its client to go elsewhere.
                listener.draining.set(true);
            } else {
                self.drain_listener(&listener);
            }
        }
    }
}

fn request_policy(hcm: &Hcm) -> RequestPolicy {
    RequestPolicy {
        accept_http_10: hcm.accept_http_10,
        default_host_for_http_10: hcm
            .default_host_for_http_10
            .as_ref()
            .map(|h| h.as_bytes().into()),
        allow_absolute_url: hcm.allow_absolute_url,
        allow_chunked_length: hcm.allow_chunked_length,
        allow_custom_methods: hcm.allow_custom_methods,
        underscores: match hcm.underscores {
            model::resources::hcm::Underscores::Allow => Underscores::Allow,
            model::resources::hcm::Underscores::RejectRequest => Underscores::Reject,
            model::resources::hcm::Underscores::DropHeader => Underscores::Drop,
        },
    }
}

fn before_retired(worker: &mut Worker, old: &Rc<ClusterRuntime>) {
    old.retired.set(true);
    worker.retire_hosts(&old.hosts());
}

fn follow_routes(
    listener: &ListenerRuntime,
    rds: &HashMap<Arc<str>, Arc<RouteConfig>>,
    tables: &mut HashMap<*const RouteConfig, Rc<RouteTable>>,
) {
    let RouteSource::Rds { name } = &listener.hcm.routes else {
        return;
    };
    let Some(config) = rds.get(name) else { return };
    if !Arc::ptr_eq(&listener.routes().0, config) {
        listener.routes.replace(shared_table(config, tables));
    }
}

fn table_for(
    hcm: &Hcm,
    rds: &HashMap<Arc<str>, Arc<RouteConfig>>,
    tables: &mut HashMap<*const RouteConfig, Rc<RouteTable>>,
) -> Rc<RouteTable> {
    match &hcm.routes {
        RouteSource::Inline(config) => shared_table(config, tables),
        RouteSource::Rds { name } => match rds.get(name) {
            Some(config) => shared_table(config, tables),
            None => Rc::new(RouteTable(Arc::new(RouteConfig::empty(name)))),
        },
    }
}

fn shared_table(
    config: &Arc<RouteConfig>,
    tables: &mut HashMap<*const RouteConfig, Rc<RouteTable>>,
) -> Rc<RouteTable> {
    let table = tables
        .entry(Arc::as_ptr(config))
        .or_insert_with(|| Rc::new(RouteTable(Arc::clone(config))));
    Rc::clone(table)
}
