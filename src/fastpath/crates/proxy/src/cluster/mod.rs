//! Clusters as a worker sees them: hosts, load balancer, limits, statistics.

pub mod availability;
pub mod breaker;
pub mod dns;
mod edf;
pub mod hash_table;
pub mod hashing;
pub mod host;
pub mod host_set;
pub mod lb;
pub mod levels;
pub mod original_dst;
pub mod outlier;
pub mod previous_priorities;
mod priority;
pub mod report;
mod slow_start;
mod subset;
#[cfg(test)]
mod testing;
mod turns;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use model::resources::address::Address;
use model::resources::cluster::{
    Cluster, Discovery, Endpoint, Endpoints, RoutingPriority, Thresholds,
};

use crate::net::socket::Refusal;
use crate::telemetry::stats::{
    ClusterCounter, ClusterGauge, ClusterShard, Http2Shard, Stats, TlsContextShard, TlsOwner,
    TlsShard,
};
use crate::worker::command::UpstreamTransport;
use breaker::Breakers;
use host::{Host, HostShards};
use host_set::HostSet;
use lb::{LbContext, LoadBalancer};
use original_dst::OriginalHosts;
use subset::SubsetLoadBalancer;

/// A limit of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Connections,
    Pending,
    Requests,
    Retries,
}

/// Shown from the first use of a cluster on, as Envoy does.
const OPEN_GAUGES: &[ClusterGauge] = &[
    ClusterGauge::CircuitBreakersDefaultCxOpen,
    ClusterGauge::CircuitBreakersDefaultCxPoolOpen,
    ClusterGauge::CircuitBreakersDefaultRqOpen,
    ClusterGauge::CircuitBreakersDefaultRqPendingOpen,
    ClusterGauge::CircuitBreakersDefaultRqRetryOpen,
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
    /// The cluster's own transport, then those of `transport_socket_matches`.
    pub transports: RefCell<Vec<UpstreamTransport>>,
    /// Over all hosts.
    lb: RefCell<LoadBalancer>,
    /// ORIGINAL_DST: then the load balancer has nobody.
    pub original: Option<OriginalHosts>,
    /// `lb_subset_config`.
    subsets: Option<RefCell<SubsetLoadBalancer>>,
    /// What the load balancers were made of.
    host_set: RefCell<Arc<HostSet>>,
    stats: OnceCell<Arc<ClusterShard>>,
    tls_stats: OnceCell<Arc<TlsShard>>,
    tls_context_stats: OnceCell<Arc<TlsContextShard>>,
    http2_stats: OnceCell<Arc<Http2Shard>>,
    registry: Stats,
    /// Out of the configuration: connections close once idle.
    pub retired: Cell<bool>,
}

impl ClusterRuntime {
    /// Whether connections to the host have TLS.
    pub fn has_tls(&self, host: &Host) -> bool {
        let transports = self.transports.borrow();
        let transport = transports.get(host.pool.transport);
        !matches!(transport, None | Some(UpstreamTransport::Plain))
    }

    pub fn new(
        config: Arc<Cluster>,
        shared: Arc<ClusterShared>,
        transports: Vec<UpstreamTransport>,
        host_set: &Arc<HostSet>,
        registry: Stats,
        random: &mut fastrand::Rng,
    ) -> Self {
        let lb = LoadBalancer::new(&config, random.u64(..));
        let subsets = config.subsets.as_ref().map(SubsetLoadBalancer::new);
        let original = OriginalHosts::of(&config);
        let this = Self {
            original,
            config: RefCell::new(config),
            shared,
            transports: RefCell::new(transports),
            lb: RefCell::new(lb),
            subsets: subsets.map(RefCell::new),
            host_set: RefCell::default(),
            stats: OnceCell::new(),
            tls_stats: OnceCell::new(),
            tls_context_stats: OnceCell::new(),
            http2_stats: OnceCell::new(),
            registry,
            retired: Cell::new(false),
        };
        this.set_hosts(host_set, random);
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

    /// Of handshakes with its hosts.
    pub fn tls_stats(&self) -> &TlsShard {
        self.tls_stats.get_or_init(|| {
            let name = &self.config.borrow().stat_name;
            self.registry.tls(TlsOwner::Cluster(name))
        })
    }

    pub fn tls_context_stats(&self) -> &TlsContextShard {
        self.tls_context_stats.get_or_init(|| {
            let name = &self.config.borrow().stat_name;
            self.registry.tls_contexts(TlsOwner::Cluster(name))
        })
    }

    /// Of HTTP/2 with its hosts.
    pub fn http2_stats(&self) -> &Http2Shard {
        self.http2_stats
            .get_or_init(|| self.registry.cluster_http2(&self.config.borrow().stat_name))
    }

    /// Circuit-breaker limits of a priority.
    pub fn limits(&self, priority: RoutingPriority) -> Thresholds {
        let mut limits = *self.config.borrow().thresholds(priority);
        if limits.retry_budget.is_some() {
            // What has no limit is not counted, but a budget is a share of these.
            let most = u32::MAX.saturating_sub(1);
            limits.max_pending_requests = limits.max_pending_requests.min(most);
            limits.max_requests = limits.max_requests.min(most);
        }
        limits
    }

    /// How many retries there may be now.
    pub fn retry_limit(&self, priority: RoutingPriority) -> u32 {
        let limits = self.limits(priority);
        let Some(budget) = limits.retry_budget else {
            return limits.max_retries;
        };
        let usage = self.shared.breakers.usage(priority);
        let pending = usage.pending_requests.in_use();
        let active = usage.requests.in_use().saturating_add(pending);
        let share = (budget.percent / 100.0 * f64::from(active)) as u32;
        share.max(budget.min_concurrency)
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
            (RoutingPriority::Default, Limit::Retries) => {
                ClusterGauge::CircuitBreakersDefaultRqRetryOpen
            }
            (RoutingPriority::High, Limit::Retries) => ClusterGauge::CircuitBreakersHighRqRetryOpen,
        };
        let stats = self.stats();
        if (stats.gauge(gauge) != 0) != open {
            stats.gauge_set(gauge, u64::from(open));
        }
    }

    /// Replaces the hosts; one that stays keeps its pool, and the same set changes nothing (not the
    /// load balancer's turns either). Returns the hosts that left.
    pub fn set_hosts(&self, host_set: &Arc<HostSet>, random: &mut fastrand::Rng) -> Vec<Rc<Host>> {
        if Arc::ptr_eq(&self.host_set.borrow(), host_set) {
            return Vec::new();
        }
        self.host_set.replace(Arc::clone(host_set));
        let endpoints = &host_set.endpoints;
        let config = Arc::clone(&self.config.borrow());
        let protocol = config.http.protocol;
        let mut lb = self.lb.borrow_mut();
        let mut old: HashMap<Address, Rc<Host>> = lb
            .hosts()
            .iter()
            .map(|h| (h.address.clone(), Rc::clone(h)))
            .collect();
        let mut new = Vec::with_capacity(endpoints.hosts.len());
        for (at, endpoint) in endpoints.hosts.iter().enumerate() {
            let before = old.remove(&endpoint.address);
            let monitor = host_set.monitors.get(at);
            new.push(match before {
                Some(host) if host.is_same(endpoint) && host.is_watched_by(monitor) => host,
                // Same address, other weight or health: a new entry over the same pool.
                before => {
                    let shards = &self.shared.hosts;
                    let transport = transport_of(&config, endpoint);
                    let before = before.as_deref();
                    let mut host = Host::new(endpoint, before, shards, protocol, transport);
                    host.monitor = monitor.cloned();
                    Rc::new(host)
                }
            });
        }
        let now = Instant::now();
        for (host, availability) in new.iter().zip(&host_set.availability) {
            host.set_availability(*availability, now);
        }
        let new: Rc<[Rc<Host>]> = new.into();
        lb.set_hosts(&new, &host_set.levels);
        if let Some(subsets) = &self.subsets {
            let mut subsets = subsets.borrow_mut();
            subsets.set_hosts(&config, host_set, &new, random, self.stats());
        }
        old.into_values().collect()
    }

    /// All hosts, whatever their health.
    pub fn hosts(&self) -> Vec<Rc<Host>> {
        if let Some(original) = &self.original {
            return original.hosts();
        }
        self.lb.borrow().hosts().to_vec()
    }

    /// The host of an address.
    pub fn host(&self, address: &Address) -> Option<Rc<Host>> {
        let lb = self.lb.borrow();
        let host = lb.hosts().iter().find(|host| host.address == *address);
        host.cloned()
    }

    /// Whether tunnels end with their host's ejection.
    pub fn closes_on_ejection(&self) -> bool {
        let config = self.config.borrow();
        let outliers = config.outlier_detection.as_ref();
        outliers.is_some_and(|outliers| outliers.close_connections)
    }

    /// Whether hashes of requests are asked for: making them is not free.
    pub fn wants_hash(&self) -> bool {
        self.config.borrow().lb.is_hash()
    }

    /// How many requests are answered at once (`EndpointPolicy::drop_millionths`).
    pub fn drop_millionths(&self) -> u32 {
        self.host_set.borrow().endpoints.policy.drop_millionths
    }

    /// Picks a host for one request; `None`: no healthy upstream.
    pub fn choose(&self, cx: LbContext<'_>, random: &mut fastrand::Rng) -> Option<Rc<Host>> {
        if let Some(original) = &self.original {
            return original.choose(cx, self);
        }
        let mut any = self.lb.borrow_mut();
        let mut choose = |nth: u32| match &self.subsets {
            None => any.choose(cx, nth, random, self.stats()),
            Some(subsets) => subsets
                .borrow_mut()
                .choose(cx, nth, &mut any, random, self.stats()),
        };
        let mut host = choose(0)?;
        if let Some(selection) = cx.selection {
            let mut nth = 0;
            while nth < selection.attempts && selection.tried.contains(&host.address) {
                nth = nth.saturating_add(1);
                host = choose(nth)?;
            }
        }
        Some(host)
    }

    /// A connection could not even be tried.
    pub fn count_refused(&self, refusal: Refusal) {
        let stats = self.stats();
        stats.inc(ClusterCounter::UpstreamCxConnectFail);
        match refusal {
            // To Envoy these are connections that fail.
            Refusal::Bind(..) => {
                stats.inc(ClusterCounter::UpstreamCxTotal);
                stats.inc(ClusterCounter::BindErrors);
            }
            Refusal::Option(_) => stats.inc(ClusterCounter::UpstreamCxTotal),
            Refusal::Other(_) => {}
        }
    }

    /// A host of ORIGINAL_DST.
    fn host_on_demand(&self, address: SocketAddr) -> Host {
        let config = self.config.borrow();
        let endpoint = original_dst::endpoint(&config, Address::Ip(address));
        let transport = transport_of(&config, &endpoint);
        let shards = &self.shared.hosts;
        Host::new(&endpoint, None, shards, config.http.protocol, transport)
    }

    /// All workers have `total` of these now.
    fn tell_original_hosts(&self, total: usize) {
        let name = &self.config.borrow().stat_name;
        let membership = original_dst::membership(total);
        self.registry.set_membership(name, membership);
    }

    /// Forgets hosts that were made on demand: no new requests come.
    pub fn forget_hosts(&self) {
        if let Some(original) = &self.original {
            original.clear();
        }
    }

    /// Out of the configuration: connections close once idle.
    pub fn retire(&self) {
        self.retired.set(true);
        if let Some(subsets) = &self.subsets {
            subsets.borrow_mut().retire(self.stats());
        }
    }
}

/// The endpoints that the configuration itself carries (DNS and ORIGINAL_DST clusters: none).
pub fn configured_endpoints(cluster: &Cluster) -> Option<&Arc<Endpoints>> {
    match &cluster.discovery {
        Discovery::Static(endpoints) => Some(endpoints),
        Discovery::Eds { endpoints, .. } => endpoints.as_ref(),
        Discovery::Dns(_) | Discovery::OriginalDst(_) => None,
    }
}

/// Index of an endpoint's transport in `ClusterRuntime::transports`: the first match whose every
/// entry is in the endpoint's metadata, else the cluster's own.
fn transport_of(cluster: &Cluster, endpoint: &Endpoint) -> usize {
    let given = endpoint.metadata.as_ref();
    let given = given.map_or(&[][..], |m| &m.transport_socket_match);
    let matching = cluster
        .transport_matches
        .iter()
        .position(|m| m.matches.iter().all(|entry| given.contains(entry)));
    matching.map_or(0, |at| at.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_set(hosts: &[(u16, u32)]) -> Arc<HostSet> {
        let hosts = hosts
            .iter()
            .map(|(port, weight)| testing::endpoint(*port, *weight));
        let endpoints = Endpoints {
            hosts: hosts.collect(),
            ..Endpoints::default()
        };
        let cluster = testing::cluster(Vec::new());
        Arc::new(HostSet::new(&cluster, Arc::new(endpoints)))
    }

    fn cluster(host_set: &Arc<HostSet>) -> ClusterRuntime {
        let config = testing::cluster(host_set.endpoints.hosts.clone());
        ClusterRuntime::new(
            Arc::new(config),
            Arc::default(),
            vec![UpstreamTransport::Plain],
            host_set,
            Stats::new(1),
            &mut fastrand::Rng::with_seed(0),
        )
    }

    fn ports(cluster: &ClusterRuntime, n: usize) -> Vec<u16> {
        let mut rng = fastrand::Rng::with_seed(1);
        (0..n)
            .map(|_| {
                cluster
                    .choose(LbContext::default(), &mut rng)
                    .unwrap()
                    .address
                    .port()
                    .unwrap()
            })
            .collect()
    }

    #[test]
    fn the_same_endpoints_do_not_restart_the_schedule() {
        let two = host_set(&[(1, 1), (2, 3)]);
        let mut rng = fastrand::Rng::with_seed(2);
        let undisturbed = ports(&cluster(&two), 8);
        let cluster = cluster(&two);
        let mut got = ports(&cluster, 3);
        assert!(cluster.set_hosts(&two, &mut rng).is_empty());
        got.extend(ports(&cluster, 5));
        assert_eq!(got, undisturbed);
    }

    #[test]
    fn hosts_that_stay_keep_their_pool_and_leavers_are_told() {
        let cluster = cluster(&host_set(&[(1, 1), (2, 1)]));
        let before = cluster.hosts();
        let mut rng = fastrand::Rng::with_seed(2);
        let gone = cluster.set_hosts(&host_set(&[(2, 5), (3, 1)]), &mut rng);
        assert_eq!(
            gone.iter()
                .map(|h| h.address.port().unwrap())
                .collect::<Vec<_>>(),
            [1]
        );
        let after = cluster.hosts();
        assert_eq!((after[0].weight, after[1].address.port()), (5, Some(3)));
        assert!(Rc::ptr_eq(&before[1].pool, &after[0].pool));
    }
}
