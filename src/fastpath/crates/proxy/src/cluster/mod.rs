//! Clusters as a worker sees them: hosts, load balancer, limits, statistics.

pub mod breaker;
pub mod dns;
pub mod host;
pub mod lb;
pub mod report;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use model::resources::address::Address;
use model::resources::cluster::{
    Cluster, Discovery, Endpoint, Endpoints, Metadata, RoutingPriority, Thresholds,
};

use crate::telemetry::stats::{
    ClusterGauge, ClusterShard, Http2Shard, Stats, TlsContextShard, TlsOwner, TlsShard,
};
use crate::worker::command::UpstreamTransport;
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
    /// The cluster's own transport, then those of `transport_socket_matches`.
    pub transports: RefCell<Vec<UpstreamTransport>>,
    lb: RefCell<LoadBalancer>,
    /// Of hosts whose metadata has what the key says; made when first asked for.
    subsets: RefCell<HashMap<Metadata, LoadBalancer>>,
    /// What the load balancer was made of.
    endpoints: RefCell<Arc<Endpoints>>,
    stats: OnceCell<Arc<ClusterShard>>,
    tls_stats: OnceCell<Arc<TlsShard>>,
    tls_context_stats: OnceCell<Arc<TlsContextShard>>,
    http2_stats: OnceCell<Arc<Http2Shard>>,
    registry: Stats,
    /// Out of the configuration: connections close once idle.
    pub retired: Cell<bool>,
}

impl ClusterRuntime {
    pub fn new(
        config: Arc<Cluster>,
        shared: Arc<ClusterShared>,
        transports: Vec<UpstreamTransport>,
        endpoints: &Arc<Endpoints>,
        registry: Stats,
        random: u64,
    ) -> Self {
        let lb = LoadBalancer::new(config.lb, config.panic_threshold, random);
        let this = Self {
            config: RefCell::new(config),
            shared,
            transports: RefCell::new(transports),
            lb: RefCell::new(lb),
            subsets: RefCell::default(),
            endpoints: RefCell::default(),
            stats: OnceCell::new(),
            tls_stats: OnceCell::new(),
            tls_context_stats: OnceCell::new(),
            http2_stats: OnceCell::new(),
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
        *self.config.borrow().thresholds(priority)
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

    /// Replaces the endpoints; a host that stays keeps its pool, and the same set changes nothing
    /// (not the load balancer's turns either). Returns the hosts that left.
    pub fn set_endpoints(&self, endpoints: &Arc<Endpoints>) -> Vec<Rc<Host>> {
        if Arc::ptr_eq(&self.endpoints.borrow(), endpoints) {
            return Vec::new();
        }
        self.endpoints.replace(Arc::clone(endpoints));
        let config = Arc::clone(&self.config.borrow());
        let protocol = config.http.protocol;
        let mut lb = self.lb.borrow_mut();
        let mut old: HashMap<Address, Rc<Host>> = lb
            .hosts()
            .iter()
            .map(|h| (h.address.clone(), Rc::clone(h)))
            .collect();
        let mut new = Vec::with_capacity(endpoints.hosts.len());
        for endpoint in &endpoints.hosts {
            let before = old.remove(&endpoint.address);
            new.push(match before {
                Some(host) if host.is_same(endpoint) => host,
                // Same address, other weight or health: a new entry over the same pool.
                before => {
                    let shards = &self.shared.hosts;
                    let transport = transport_of(&config, endpoint);
                    Rc::new(Host::new(
                        endpoint,
                        before.as_deref(),
                        shards,
                        protocol,
                        transport,
                    ))
                }
            });
        }
        lb.set_hosts(new);
        self.subsets.borrow_mut().clear();
        old.into_values().collect()
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

    /// Picks among the hosts whose `envoy.lb` metadata has all of `subset`; among all if there is
    /// none. (What to ask for comes from the configuration, so the subsets are few.)
    pub fn choose_subset(&self, subset: &Metadata, random: &mut fastrand::Rng) -> Option<Rc<Host>> {
        let mut subsets = self.subsets.borrow_mut();
        if !subsets.contains_key(subset) {
            let config = self.config.borrow();
            let mut lb = LoadBalancer::new(config.lb, config.panic_threshold, random.u64(..));
            let hosts = self.hosts();
            let hosts = hosts.into_iter().filter(|host| host.is_in_subset(subset));
            lb.set_hosts(hosts.collect());
            subsets.insert(subset.clone(), lb);
        }
        let chosen = subsets.get_mut(subset).and_then(|lb| lb.choose(random));
        chosen.or_else(|| self.choose(random))
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
    use model::resources::address::Address;
    use model::resources::cluster::{
        Endpoint, HealthStatus, LbPolicy, Transport, UpstreamHttp, UpstreamProtocol,
    };
    use model::resources::http::Http2Options;
    use std::time::Duration;

    fn endpoints(hosts: &[(u16, u32)]) -> Arc<Endpoints> {
        let host = |(port, weight): &(u16, u32)| Endpoint {
            address: Address::Ip(([127, 0, 0, 1], *port).into()),
            hostname: None,
            weight: *weight,
            health: HealthStatus::Healthy,
            locality: Arc::default(),
            metadata: None,
        };
        Arc::new(Endpoints {
            hosts: hosts.iter().map(host).collect(),
        })
    }

    fn cluster(endpoints: &Arc<Endpoints>) -> ClusterRuntime {
        let config = Cluster {
            name: "c".into(),
            stat_name: "c".into(),
            discovery: Discovery::Static(Arc::clone(endpoints)),
            lb: LbPolicy::RoundRobin,
            panic_threshold: 50.0,
            connect_timeout: Duration::from_secs(5),
            per_connection_buffer_limit_bytes: 1 << 20,
            thresholds: [Thresholds::default(); 2],
            transport: Transport::Plain,
            transport_matches: Vec::new(),
            keepalive: None,
            http: UpstreamHttp {
                protocol: UpstreamProtocol::Http1,
                http2: Http2Options::default(),
                auto_sni: false,
                auto_san_validation: false,
                auto_sni_header: None,
                idle_timeout: None,
                max_connection_duration: None,
                max_requests_per_connection: None,
                max_response_headers_bytes: 61_440,
                max_headers_count: 100,
                enable_trailers: false,
            },
            hash: 1,
        };
        ClusterRuntime::new(
            Arc::new(config),
            Arc::default(),
            vec![UpstreamTransport::Plain],
            endpoints,
            Stats::new(1),
            0,
        )
    }

    fn ports(cluster: &ClusterRuntime, n: usize) -> Vec<u16> {
        let mut rng = fastrand::Rng::with_seed(1);
        (0..n)
            .map(|_| cluster.choose(&mut rng).unwrap().address.port().unwrap())
            .collect()
    }

    #[test]
    fn the_same_endpoints_do_not_restart_the_schedule() {
        let two = endpoints(&[(1, 1), (2, 3)]);
        let undisturbed = ports(&cluster(&two), 8);
        let cluster = cluster(&two);
        let mut got = ports(&cluster, 3);
        assert!(cluster.set_endpoints(&two).is_empty());
        got.extend(ports(&cluster, 5));
        assert_eq!(got, undisturbed);
    }

    #[test]
    fn hosts_that_stay_keep_their_pool_and_leavers_are_told() {
        let cluster = cluster(&endpoints(&[(1, 1), (2, 1)]));
        let before = cluster.hosts();
        let gone = cluster.set_endpoints(&endpoints(&[(2, 5), (3, 1)]));
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
