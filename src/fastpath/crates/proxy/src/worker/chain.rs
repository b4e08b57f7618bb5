//! A filter chain with this worker's state of it: what its connections hold on to.
//!
//! An unchanged chain survives a change of its listener, with its connections.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use model::resources::hcm::{Hcm, RouteSource, RouterFilter};
use model::resources::http_filters::PerFilter;
use model::resources::listener::{self, FilterChain, NetworkFilter};
use model::resources::route::{Action, Forward, Route, RouteConfig, VirtualHost};
use model::resources::tcp_proxy::TcpProxy;
use proto::h1::{RequestPolicy, Underscores};

use super::admission::{ConnectionCounts, Limiter};
use super::ext_authz::ExtAuthz;
use super::guards::Guard;
use super::rbac::RbacFilter;
use super::timers::NEVER;
use crate::http::filters::{Configured, Surroundings};
use crate::router;
use crate::telemetry::istio::Reports;
use crate::telemetry::stats::{HcmShard, ListenerHttpShard, Stats, TcpShard};
use crate::worker::command::ServerTls;

#[derive(Debug)]
pub struct ChainRuntime {
    pub config: Arc<FilterChain>,
    /// Its name, counted by this worker alone.
    pub name: Rc<str>,
    /// Replaced when a secret was.
    pub tls: RefCell<ServerTls>,
    /// `connection_limit`
    pub limiter: Option<Limiter>,
    /// `rbac` and `ext_authz`, in their order.
    pub guards: Box<[Guard]>,
    pub service: Service,
}

/// What the terminal network filter serves.
#[derive(Debug, Clone)]
pub enum Service {
    Http(Rc<HttpRuntime>),
    Tcp(Rc<TcpRuntime>),
}

/// An HTTP connection manager.
#[derive(Debug)]
pub struct HttpRuntime {
    pub hcm: Arc<Hcm>,
    pub request_policy: RequestPolicy,
    routes: RefCell<Rc<RouteTable>>,
    /// Before the router, in order. Others take their place when an extension has changed; a
    /// request keeps those that it began with.
    pub filters: RefCell<Box<[Rc<Configured>]>>,
    /// Of the router; likewise.
    pub router: Cell<RouterFilter>,
    /// Connections close after their response.
    pub draining: Cell<bool>,
    listener_prefix: Arc<str>,
    registry: Stats,
    stats: OnceCell<Arc<HcmShard>>,
    listener_stats: OnceCell<Arc<ListenerHttpShard>>,
}

/// A TCP proxy.
#[derive(Debug)]
pub struct TcpRuntime {
    pub config: Arc<TcpProxy>,
    /// When its tunnels are cut (ms): it drains. `NEVER`: it does not.
    pub drain_end: Cell<u64>,
    /// `istio.stats` before it.
    pub reports: Box<[Reports]>,
    registry: Stats,
    stats: OnceCell<Arc<TcpShard>>,
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

    /// Where it sends requests; `None`: it answers them.
    pub fn forward(&self) -> Option<&Forward> {
        match &self.route()?.action {
            Action::Forward(forward) => Some(forward),
            Action::Redirect(_) | Action::DirectResponse(_) | Action::NonForwarding => None,
        }
    }

    /// What its levels say of HTTP filters, the most specific first. `weighted`: the cluster of
    /// several that was chosen.
    pub fn filter_levels(&self, weighted: Option<u32>) -> [Option<&PerFilter>; 4] {
        let cluster = || router::weighted(&self.forward()?.cluster, weighted?);
        [
            cluster().map(|cluster| &cluster.per_filter),
            self.route().map(|route| &route.per_filter),
            self.virtual_host().map(|host| &host.per_filter),
            Some(&self.table.0.per_filter),
        ]
    }
}

impl ChainRuntime {
    /// `routes` finds the table of an HTTP connection manager.
    pub fn new(
        config: Arc<FilterChain>,
        listener_prefix: &Arc<str>,
        counts: &ConnectionCounts,
        around: Surroundings<'_>,
        routes: impl FnOnce(&Hcm) -> Rc<RouteTable>,
    ) -> Self {
        let (registry, local) = (around.stats, around.local);
        let reports = config.istio.stats.iter();
        let reports = reports.map(|stats| Reports::new(stats, local.0, registry));
        let service = match &config.network {
            NetworkFilter::HttpConnectionManager(hcm) => {
                let (filters, router) = Configured::all(hcm, around, &[]);
                Service::Http(Rc::new(HttpRuntime {
                    request_policy: request_policy(hcm),
                    routes: RefCell::new(routes(hcm)),
                    filters: RefCell::new(filters),
                    router: Cell::new(router),
                    hcm: Arc::clone(hcm),
                    draining: Cell::new(false),
                    listener_prefix: Arc::clone(listener_prefix),
                    registry: registry.clone(),
                    stats: OnceCell::new(),
                    listener_stats: OnceCell::new(),
                }))
            }
            NetworkFilter::TcpProxy(tcp) => Service::Tcp(Rc::new(TcpRuntime {
                config: Arc::clone(tcp),
                drain_end: Cell::new(NEVER),
                reports: reports.collect(),
                registry: registry.clone(),
                stats: OnceCell::new(),
            })),
        };
        let limit = config.connection_limit.as_ref();
        let limiter = limit.map(|limit| Limiter::new(limit, counts, registry));
        let guard = |guard: &listener::Guard| match guard {
            listener::Guard::Rbac(rbac) => Guard::Rbac(RbacFilter::new(rbac, registry)),
            listener::Guard::ExtAuthz(filter) => {
                Guard::ExtAuthz(Rc::new(ExtAuthz::new(filter, registry, local.1)))
            }
        };
        let guards = config.guards.iter().map(guard).collect();
        Self {
            name: Rc::from(&*config.name),
            config,
            tls: RefCell::new(ServerTls::NotReady),
            limiter,
            guards,
            service,
        }
    }

    pub fn http(&self) -> Option<&Rc<HttpRuntime>> {
        match &self.service {
            Service::Http(http) => Some(http),
            Service::Tcp(_) => None,
        }
    }

    /// Its connections end as they become idle. (A tunnel is never known to be idle: it is cut
    /// when its time is over, `Worker::drain_tunnels`.)
    pub fn drain(&self) {
        match &self.service {
            Service::Http(http) => http.draining.set(true),
            Service::Tcp(_) => {}
        }
    }
}

impl TcpRuntime {
    pub fn stats(&self) -> &TcpShard {
        self.stats
            .get_or_init(|| self.registry.tcp(&self.config.stat_prefix))
    }
}

impl HttpRuntime {
    /// Of calls of our own that no connection manager is the cause of: what it counts is in nobody's
    /// statistics.
    pub fn of_calls(hcm: &Arc<Hcm>, registry: &Stats) -> Self {
        let routes = match &hcm.routes {
            RouteSource::Inline(routes) => Arc::clone(routes),
            RouteSource::Rds { name } => Arc::new(RouteConfig::empty(name)),
        };
        Self {
            request_policy: request_policy(hcm),
            routes: RefCell::new(Rc::new(RouteTable(routes))),
            filters: RefCell::default(),
            router: Cell::new(hcm.router),
            hcm: Arc::clone(hcm),
            draining: Cell::new(false),
            listener_prefix: Arc::from(""),
            registry: registry.clone(),
            stats: OnceCell::from(Arc::default()),
            listener_stats: OnceCell::from(Arc::default()),
        }
    }

    pub fn routes(&self) -> Rc<RouteTable> {
        Rc::clone(&self.routes.borrow())
    }

    pub fn set_routes(&self, routes: Rc<RouteTable>) {
        self.routes.replace(routes);
    }

    /// Filters that are discovered become what has come of them.
    pub fn follow_extensions(&self, around: Surroundings<'_>) {
        let mut discovered = self.hcm.discovered().peekable();
        if discovered.peek().is_none() {
            return;
        }
        // What a chain that drains has may be asked for by nobody any more: it keeps all of it.
        if self.draining.get() && discovered.any(|(name, _)| !around.extensions.contains_key(name))
        {
            return;
        }
        let (filters, router) = Configured::all(&self.hcm, around, &self.filters.borrow());
        self.filters.replace(filters);
        self.router.set(router);
    }

    pub fn stats(&self) -> &HcmShard {
        self.stats
            .get_or_init(|| self.registry.hcm(&self.hcm.stat_prefix))
    }

    pub fn listener_stats(&self) -> &ListenerHttpShard {
        self.listener_stats.get_or_init(|| {
            self.registry
                .listener_http(&self.listener_prefix, &self.hcm.stat_prefix)
        })
    }
}

fn request_policy(hcm: &Hcm) -> RequestPolicy {
    RequestPolicy {
        allow_missing_host: hcm.stream_error_on_invalid_http_message,
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
