//! Installing a configuration in a worker: what changed is swapped, what did not is untouched.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use model::matching::filter_chain::Facts;
use model::resources::address::Bind;
use model::resources::hcm::{Hcm, RouteSource};
use model::resources::listener::{FilterChain, Listener, ListenerFilter};
use model::resources::route::RouteConfig;

use super::Worker;
use super::balance::Balance;
use super::chain::{ChainRuntime, HttpRuntime, RouteTable, Service};
use super::command::{Command, Installation, ServerTls};
use super::slots::Key;
use crate::cluster::ClusterRuntime;
use crate::cluster::host::{Host, Pool};
use crate::http::filters::Surroundings;
use crate::http2::Role;
use crate::listener::FilterStats;
use crate::telemetry::stats::{
    HcmCounter, ListenerGauge, ListenerShard, Stats, TlsContextShard, TlsOwner, TlsShard,
};

/// A listener with this worker's state of it. A changed listener is a new one of these over the
/// same socket; what is left of the old one lives on in its chains and their connections.
#[derive(Debug)]
pub struct ListenerRuntime {
    pub config: Arc<Listener>,
    /// As `config.chains.list`, then the default one.
    pub chains: Vec<Rc<ChainRuntime>>,
    pub sockets: RefCell<Vec<Key>>,
    pub filter_stats: FilterStats,
    /// `exact_balance`.
    pub balance: Option<Arc<Balance>>,
    /// SO_ORIGINAL_DST is of interest.
    pub asks_original_destination: bool,
    worker: usize,
    registry: Stats,
    stats: OnceCell<Arc<ListenerShard>>,
    tls_stats: OnceCell<Arc<TlsShard>>,
    tls_context_stats: OnceCell<Arc<TlsContextShard>>,
}

impl ListenerRuntime {
    pub fn stats(&self) -> &ListenerShard {
        self.stats.get_or_init(|| {
            let shard = self
                .registry
                .listener(&self.config.stat_prefix, self.worker);
            shard.gauge_set(ListenerGauge::DownstreamPreCxActive, 0);
            shard
        })
    }

    /// Of handshakes with its clients.
    pub fn tls_stats(&self) -> &TlsShard {
        self.tls_stats.get_or_init(|| {
            let owner = TlsOwner::Listener(&self.config.stat_prefix);
            self.registry.tls(owner)
        })
    }

    pub fn tls_context_stats(&self) -> &TlsContextShard {
        self.tls_context_stats.get_or_init(|| {
            let owner = TlsOwner::Listener(&self.config.stat_prefix);
            self.registry.tls_contexts(owner)
        })
    }

    /// The chain for a connection; `None`: no chain takes it.
    pub fn chain(&self, facts: &Facts<'_>) -> Option<&Rc<ChainRuntime>> {
        let at = self.config.chains.position(facts)?;
        self.chains.get(at)
    }
}

impl Worker {
    pub fn execute(&mut self, command: Command) {
        match command {
            Command::Install(installation) => self.install(&installation),
            Command::Resolved { cluster, hosts } => {
                if let Some(runtime) = self.clusters.get(&cluster).cloned() {
                    let gone = runtime.set_hosts(&hosts, &mut self.rng);
                    self.retire_hosts(&gone);
                }
            }
            Command::Ejected { cluster, address } => {
                if let Some(runtime) = self.clusters.get(&cluster).cloned()
                    && let Some(host) = runtime.host(&address)
                {
                    self.drain_host(&host);
                    if runtime.closes_on_ejection() {
                        self.close_tunnels_to(&runtime, &address);
                    }
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
            Command::Call(order) => self.call_order(order),
            Command::Accepted { listener, fd, peer } => {
                self.accepted_elsewhere(&listener, fd, peer);
            }
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
                    runtime.transports.replace(state.transports.clone());
                    let gone = runtime.set_hosts(&state.hosts, &mut self.rng);
                    self.retire_hosts(&gone);
                    runtime
                }
                None => Rc::new(ClusterRuntime::new(
                    Arc::clone(config),
                    Arc::clone(&state.shared),
                    state.transports.clone(),
                    &state.hosts,
                    self.stats.clone(),
                    &mut self.rng,
                )),
            };
            self.clusters.insert(Arc::clone(name), runtime);
        }
        for old in before.into_values() {
            before_retired(self, &old);
        }
    }

    /// The host is out: idle connections close now, busy ones when their request is done.
    fn drain_host(&mut self, host: &Host) {
        for pool in host.pools() {
            pool.stale_before.set(self.clock.now_ns());
            self.close_idle(&pool);
        }
    }

    /// Hosts that left: idle connections close now, busy ones when their request is done.
    pub fn retire_hosts(&mut self, gone: &[Rc<Host>]) {
        for host in gone {
            for pool in host.pools() {
                pool.retired.set(true);
                self.close_idle(&pool);
            }
        }
    }

    fn close_idle(&mut self, pool: &Pool) {
        for key in pool.http2.take() {
            self.retire_http2(key);
        }
        for key in pool.idle.take() {
            self.close_idle_upstream(key);
        }
    }

    fn install_listeners(&mut self, installation: &Installation) {
        let (shared, stats) = (Arc::clone(&self.shared), self.stats.clone());
        let local = shared.local();
        // One table a route configuration, whoever uses it.
        let mut tables = Tables {
            rds: &installation.snapshot.routes,
            made: HashMap::new(),
            around: Surroundings {
                stats: &stats,
                faults: &shared.fault_counts,
                jwks: &shared.jwks,
                local: (&local, shared.local_address),
                extensions: &installation.snapshot.extensions,
            },
        };
        let mut before = std::mem::take(&mut self.listeners);
        for (name, config) in &installation.snapshot.listeners {
            let old = before.remove(name);
            let tls = installation.tls.get(name).map(Vec::as_slice);
            if let Some(same) = old.as_ref().filter(|o| Arc::ptr_eq(&o.config, config)) {
                set_tls(&same.chains, tls.unwrap_or_default());
                tables.follow(&same.chains);
                self.listeners.insert(Arc::clone(name), Rc::clone(same));
                continue;
            }
            let balance = installation.balances.get(name).cloned();
            let runtime = self.listener_runtime(config, old.as_deref(), balance, &mut tables);
            set_tls(&runtime.chains, tls.unwrap_or_default());
            let sockets = installation.sockets.get(name).map(Vec::as_slice);
            self.move_sockets(old.as_deref(), &runtime, sockets.unwrap_or_default());
            if let Some(old) = old {
                self.drain_chains(&old.chains, &runtime.chains);
            }
            self.listeners.insert(Arc::clone(name), runtime);
        }
        for old in before.into_values() {
            self.drain_listener(&old);
        }
        self.by_address = self
            .listeners
            .values()
            .flat_map(|l| {
                let of = |bind: &Bind| (bind.address.clone(), Rc::clone(l));
                l.config.addresses().map(of)
            })
            .collect();
        self.draining.retain(|weak| weak.strong_count() > 0);
        let draining: Vec<_> = self.draining.iter().filter_map(Weak::upgrade).collect();
        tables.follow(&draining);
    }

    /// A listener's new version; chains that did not change are those of the old one.
    fn listener_runtime(
        &self,
        config: &Arc<Listener>,
        old: Option<&ListenerRuntime>,
        balance: Option<Arc<Balance>>,
        tables: &mut Tables<'_>,
    ) -> Rc<ListenerRuntime> {
        let kept = old.filter(|o| o.config.frame_hash == config.frame_hash);
        let chain = |chain: &Arc<FilterChain>| {
            let same = kept.and_then(|old| {
                let mut chains = old.chains.iter();
                chains.find(|c| c.config.hash == chain.hash && c.config.name == chain.name)
            });
            same.cloned().unwrap_or_else(|| {
                let prefix = &config.stat_prefix;
                let chain = Arc::clone(chain);
                let counts = &self.shared.connection_counts;
                let around = tables.around;
                Rc::new(ChainRuntime::new(chain, prefix, counts, around, |hcm| {
                    tables.of(hcm)
                }))
            })
        };
        let chains: Vec<_> = config.chains.iter().map(chain).collect();
        tables.follow(&chains);
        Rc::new(ListenerRuntime {
            config: Arc::clone(config),
            chains,
            sockets: RefCell::default(),
            balance,
            filter_stats: FilterStats::new(&config.filters, &self.stats),
            asks_original_destination: config.use_original_dst
                || config
                    .filters
                    .iter()
                    .any(|f| f.filter == ListenerFilter::OriginalDst),
            worker: self.index,
            registry: self.stats.clone(),
            stats: OnceCell::new(),
            tls_stats: OnceCell::new(),
            tls_context_stats: OnceCell::new(),
        })
    }

    /// A socket that stays goes on with the new version, so that nothing in its queue is lost.
    fn move_sockets(
        &mut self,
        old: Option<&ListenerRuntime>,
        new: &Rc<ListenerRuntime>,
        sockets: &[Vec<Arc<OwnedFd>>],
    ) {
        let mut before: Vec<Key> = old.map(|o| o.sockets.take()).unwrap_or_default();
        for of_workers in sockets {
            let fd = of_workers.get(self.index).or_else(|| of_workers.first());
            let Some(fd) = fd else { continue };
            let at = before.iter().position(|key| {
                let socket = self.sockets.get(*key);
                socket.is_some_and(|s| Arc::ptr_eq(&s.fd, fd))
            });
            match at.map(|at| before.swap_remove(at)) {
                Some(key) => {
                    if let Some(socket) = self.sockets.get_mut(key) {
                        socket.listener = Rc::clone(new);
                    }
                    new.sockets.borrow_mut().push(key);
                }
                None => self.listen(Arc::clone(fd), Rc::clone(new)),
            }
        }
        for key in before {
            self.stop_listening(key);
        }
    }

    /// Stops accepting for a listener and lets its connections end: idle ones now, busy ones after
    /// their response.
    fn drain_listener(&mut self, listener: &ListenerRuntime) {
        for key in listener.sockets.take() {
            self.stop_listening(key);
        }
        self.drain_chains(&listener.chains, &[]);
    }

    /// Drains the chains that are not among `kept`.
    fn drain_chains(&mut self, chains: &[Rc<ChainRuntime>], kept: &[Rc<ChainRuntime>]) {
        let kept: HashSet<*const ChainRuntime> = kept.iter().map(Rc::as_ptr).collect();
        let mut https = HashSet::new();
        let mut tcps = HashSet::new();
        for chain in chains.iter().filter(|c| !kept.contains(&Rc::as_ptr(c))) {
            chain.drain();
            self.draining.push(Rc::downgrade(chain));
            match &chain.service {
                Service::Http(http) => https.insert(Rc::as_ptr(http)),
                Service::Tcp(tcp) => {
                    self.set_drain_end(tcp);
                    tcps.insert(Rc::as_ptr(tcp))
                }
            };
        }
        // One look at all connections, however many chains go.
        if !https.is_empty() {
            self.drain_http(&https);
        }
        if !tcps.is_empty() {
            self.drain_tunnels(&tcps);
        }
    }

    fn drain_http(&mut self, gone: &HashSet<*const HttpRuntime>) {
        for key in self.downstreams.keys() {
            let is_its = self
                .downstreams
                .get(key)
                .is_some_and(|d| gone.contains(&Rc::as_ptr(&d.client.http)));
            if is_its {
                self.drain_downstream(key);
            }
        }
        for key in self.http2.keys() {
            let http = self.http2.get(key).and_then(|c| match &c.role {
                Role::Server(server) => Some(Rc::clone(&server.client.http)),
                Role::Client(_) => None,
            });
            if let Some(http) = http
                && gone.contains(&Rc::as_ptr(&http))
                && self.drain_http2(key)
            {
                http.stats().inc(HcmCounter::DownstreamCxDrainClose);
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
                listener.chains.iter().for_each(|chain| chain.drain());
            } else {
                self.drain_listener(&listener);
            }
        }
    }
}

fn before_retired(worker: &mut Worker, old: &Rc<ClusterRuntime>) {
    old.retire();
    worker.retire_hosts(&old.hosts());
    old.forget_hosts();
}

/// New connections of the chains use these from now on.
fn set_tls(chains: &[Rc<ChainRuntime>], tls: &[ServerTls]) {
    for (chain, tls) in chains.iter().zip(tls) {
        chain.tls.replace(tls.clone());
    }
}

/// Route tables of one installation, each made once, and what its filters are made with.
struct Tables<'a> {
    rds: &'a HashMap<Arc<str>, Arc<RouteConfig>>,
    made: HashMap<*const RouteConfig, Rc<RouteTable>>,
    around: Surroundings<'a>,
}

impl Tables<'_> {
    fn of(&mut self, hcm: &Hcm) -> Rc<RouteTable> {
        let config = match &hcm.routes {
            RouteSource::Inline(config) => config,
            RouteSource::Rds { name } => match self.rds.get(name) {
                Some(config) => config,
                None => return Rc::new(RouteTable(Arc::new(RouteConfig::empty(name)))),
            },
        };
        self.shared(config)
    }

    fn shared(&mut self, config: &Arc<RouteConfig>) -> Rc<RouteTable> {
        let table = self
            .made
            .entry(Arc::as_ptr(config))
            .or_insert_with(|| Rc::new(RouteTable(Arc::clone(config))));
        Rc::clone(table)
    }

    /// Gives chains the newest version of the routes that they have by RDS, and of the filters by
    /// ECDS.
    fn follow(&mut self, chains: &[Rc<ChainRuntime>]) {
        for http in chains.iter().filter_map(|chain| chain.http()) {
            http.follow_extensions(self.around);
            let RouteSource::Rds { name } = &http.hcm.routes else {
                continue;
            };
            let Some(config) = self.rds.get(name) else {
                continue;
            };
            if !Arc::ptr_eq(&http.routes().0, config) {
                http.set_routes(self.shared(config));
            }
        }
    }
}
