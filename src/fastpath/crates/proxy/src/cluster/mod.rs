//! Clusters as a worker sees them: hosts, load balancer, limits, statistics.

pub mod breaker;
pub mod dns;
pub mod host;
pub mod lb;
pub mod report;

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use model::resources::cluster::{Cluster, Discovery, Endpoints, RoutingPriority};

use crate::telemetry::stats::{ClusterGauge, ClusterShard, Stats};
use breaker::Breakers;
use host::{Host, HostShards};
use lb::LoadBalancer;

/// A limit of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Connections,
    Pending,
    Requests,
}

/// Shown from the first use of a cluster on, as Envoy does.
const OPEN_GAUGES: &[ClusterGauge] = &[
    ClusterGauge::CircuitBreakersDefaultCxOpen,
    ClusterGauge::CircuitBreakersDefaultCxPoolOpen,
    ClusterGauge::CircuitBreakersDefaultRqOpen,
    ClusterGauge::CircuitBreakersDefaultRqPendingOpen,
    ClusterGauge::UpstreamCxRxBytesBuffered,
    ClusterGauge::WarmingState,
];

/// What all workers share of a cluster: it outlives configuration changes of the same name.
#[derive(Debug, Default)]
pub struct ClusterShared {
    pub breakers: Breakers,
    /// Per-host counters of all workers, for `/clusters`.
    pub hosts: HostShards,
}

/// One worker's cluster. Replaced when the resource changes; endpoint updates happen in place.
#[derive(Debug)]
pub struct ClusterRuntime {
    pub config: RefCell<Arc<Cluster>>,
    pub shared: Arc<ClusterShared>,
    lb: RefCell<LoadBalancer>,
    stats: OnceCell<Arc<ClusterShard>>,
    registry: Stats,
    /// Out of the configuration: connections close once idle.
    pub retired: Cell<bool>,
}

impl ClusterRuntime {
    pub fn new(
        config: Arc<Cluster>,
        shared: Arc<ClusterShared>,
        endpoints: &Endpoints,
        registry: Stats,
        random: u64,
    ) -> Self {
        let lb = LoadBalancer::new(config.lb, config.panic_threshold, random);
        let this = Self {
            config: RefCell::new(config),
            shared,
            lb: RefCell::new(lb),
            stats: OnceCell::new(),
            registry,
            retired: Cell::new(false),
        };
        this.set_endpoints(endpoints);
        this
    }

    /// This worker's statistics of the cluster, made when first touched.
    pub fn stats(&self) -> &ClusterShard {
        self.stats.get_or_init(|| {
            let shard = self.registry.cluster(&self.config.borrow().stat_name);
            for gauge in OPEN_GAUGES {
                shard.gauge_set(*gauge, 0);
            }
            shard
        })
    }

    /// Notes that a limit was met, or no longer is (`circuit_breakers.<priority>.<what>_open`).
    pub fn breaker_open(&self, priority: RoutingPriority, what: Limit, open: bool) {
        let gauge = match (priority, what) {
            (RoutingPriority::Default, Limit::Connections) => {
                ClusterGauge::CircuitBreakersDefaultCxOpen
            }
            (RoutingPriority::Default, Limit::Pending) => {
                ClusterGauge::CircuitBreakersDefaultRqPendingOpen
            }
            (RoutingPriority::Default, Limit::Requests) => {
                ClusterGauge::CircuitBreakersDefaultRqOpen
            }
            (RoutingPriority::High, Limit::Connections) => ClusterGauge::CircuitBreakersHighCxOpen,
            (RoutingPriority::High, Limit::Pending) => {
                ClusterGauge::CircuitBreakersHighRqPendingOpen
            }
            (RoutingPriority::High, Limit::Requests) => ClusterGauge::CircuitBreakersHighRqOpen,
        };
        let stats = self.stats();
        if (stats.gauge(gauge) != 0) != open {
            stats.gauge_set(gauge, u64::from(open));
        }
    }

    /// Replaces the endpoints; a host that stays keeps its pool. Returns the hosts that left.
    pub fn set_endpoints(&self, endpoints: &Endpoints) -> Vec<Rc<Host>> {
        let mut lb = self.lb.borrow_mut();
        let old = lb.hosts().to_vec();
        let mut new = Vec::with_capacity(endpoints.hosts.len());
        for endpoint in &endpoints.hosts {
            let kept = old.iter().find(|h| {
                h.address == endpoint.address
                    && h.weight == endpoint.weight
                    && h.health == endpoint.health
                    && h.hostname == endpoint.hostname
            });
            new.push(kept.cloned().unwrap_or_else(|| {
                // Same address, other weight or health: a new entry over the same pool.
                let before = old.iter().find(|h| h.address == endpoint.address);
                Rc::new(Host::new(
                    endpoint,
                    before.map(|h| &**h),
                    &self.shared.hosts,
                ))
            }));
        }
        let gone: Vec<Rc<Host>> = old
            .into_iter()
            .filter(|h| !new.iter().any(|n| n.address == h.address))
            .collect();
        lb.set_hosts(new);
        gone
    }

    /// All hosts, whatever their health.
    pub fn hosts(&self) -> Vec<Rc<Host>> {
        self.lb.borrow().hosts().to_vec()
    }

    /// Picks a host for one request; `None`: no healthy upstream.
    pub fn choose(&self, random: &mut fastrand::Rng) -> Option<Rc<Host>> {
        let mut lb = self.lb.borrow_mut();
        if lb.in_panic() {
            self.stats()
                .inc(crate::telemetry::stats::ClusterCounter::LbHealthyPanic);
        }
        lb.choose(random)
    }
}

/// The endpoints that the configuration itself carries (DNS clusters: none).
pub fn configured_endpoints(cluster: &Cluster) -> Option<&Arc<Endpoints>> {
    match &cluster.discovery {
        Discovery::Static(endpoints) => Some(endpoints),
        Discovery::Eds { endpoints, .. } => endpoints.as_ref(),
        Discovery::Dns(_) => None,
    }
}
