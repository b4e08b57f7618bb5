//! `envoy.config.cluster.v3.Cluster` with its endpoints, compiled.

use std::sync::Arc;
use std::time::Duration;

use super::address::Address;
use super::bind::BindConfig;
use super::hash_lb::{Maglev, RingHash};
use super::http::Http2Options;
use super::istio::{ClusterInfo, MetadataExchange, Workload};
use super::lb_subset::LbSubsets;
use super::original_dst::OriginalDst;
use super::outlier::OutlierDetection;
use super::tls::UpstreamTls;

#[derive(Debug)]
pub struct Cluster {
    pub name: Arc<str>,
    /// `alt_stat_name` if given, else the name; `cluster.<this>.`
    pub stat_name: Arc<str>,
    pub discovery: Discovery,
    pub lb: LbPolicy,
    /// `lb_subset_config`; `None` also if it has no selectors.
    pub subsets: Option<Arc<LbSubsets>>,
    /// `common_lb_config.healthy_panic_threshold`, whole per cent; below it all hosts are used.
    pub panic_threshold: f64,
    /// `zone_aware_lb_config.fail_traffic_on_panic`: none are used then. Not of hash tables.
    pub fail_on_panic: bool,
    /// `slow_start_config` of ROUND_ROBIN and LEAST_REQUEST.
    pub slow_start: Option<SlowStart>,
    /// Default 5 s.
    pub connect_timeout: Duration,
    /// Default 1 MiB.
    pub per_connection_buffer_limit_bytes: usize,
    pub thresholds: [Thresholds; 2],
    /// `outlier_detection`.
    pub outlier_detection: Option<Arc<OutlierDetection>>,
    pub http: UpstreamHttp,
    pub transport: Transport,
    /// `transport_socket_matches`: the first whose `matches` are in the endpoint's
    /// `envoy.transport_socket_match` metadata.
    pub transport_matches: Vec<TransportMatch>,
    /// TCP keepalive of upstream connections.
    pub keepalive: Option<TcpKeepalive>,
    /// `upstream_bind_config`: its own, else that of the bootstrap.
    pub bind: Option<Arc<BindConfig>>,
    /// `filters`: `istio.metadata_exchange`.
    pub exchange: Option<Arc<MetadataExchange>>,
    /// `istio` of its metadata.
    pub istio: Option<Arc<ClusterInfo>>,
    /// Hash of the cluster resource's bytes (without endpoints that came by EDS).
    pub hash: u64,
}

impl Cluster {
    /// Whether some of its hosts are spoken to by TLS.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        let matches = self.transport_matches.iter().map(|m| &m.transport);
        std::iter::once(&self.transport)
            .chain(matches)
            .any(|transport| matches!(transport, Transport::Tls(_)))
    }

    /// Thresholds of a priority.
    #[must_use]
    pub fn thresholds(&self, priority: RoutingPriority) -> &Thresholds {
        let [default, high] = &self.thresholds;
        match priority {
            RoutingPriority::Default => default,
            RoutingPriority::High => high,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RoutingPriority {
    #[default]
    Default,
    High,
}

/// Where the endpoints come from.
#[derive(Debug)]
pub enum Discovery {
    /// STATIC, or EDS once its assignment is there.
    Static(Arc<Endpoints>),
    /// EDS: the assignment, `None` while it has not come (`initial_fetch_timeout` passed: the
    /// cluster is warm and empty).
    Eds {
        service_name: Arc<str>,
        endpoints: Option<Arc<Endpoints>>,
    },
    Dns(Arc<Dns>),
    /// ORIGINAL_DST: where each client was going.
    OriginalDst(OriginalDst),
}

/// STRICT_DNS or LOGICAL_DNS: resolved while serving; the hosts live in the data plane.
#[derive(Debug, Clone)]
pub struct Dns {
    pub logical: bool,
    pub targets: Vec<DnsTarget>,
    /// As in `Endpoints`.
    pub policy: EndpointPolicy,
    /// Default 5 s.
    pub refresh: Duration,
    /// `dns_failure_refresh_rate`; default: `refresh`.
    pub failure_refresh_base: Duration,
    pub failure_refresh_max: Duration,
    pub family: LookupFamily,
}

#[derive(Debug, Clone)]
pub struct DnsTarget {
    pub host: Arc<str>,
    pub port: u16,
    /// What every address that the name has carries, as in `Endpoint`.
    pub weight: u32,
    pub health: HealthStatus,
    pub priority: u8,
    pub locality: Arc<Locality>,
    pub locality_weight: Option<u32>,
    pub metadata: Option<Arc<EndpointMetadata>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupFamily {
    Auto,
    V4Only,
    V6Only,
    V4Preferred,
    All,
}

/// A load assignment: priorities and localities as one list.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// Ascending by priority.
    pub hosts: Vec<Endpoint>,
    pub policy: EndpointPolicy,
}

/// `ClusterLoadAssignment.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointPolicy {
    /// `overprovisioning_factor`, per cent: so much of the load of all can be taken by as many
    /// hosts as there are. Default 140.
    pub overprovisioning_factor: u32,
    /// `weighted_priority_health`: a priority's health counts the weights of hosts, not hosts.
    pub weighted_priority_health: bool,
    /// `drop_overloads`: how many requests, in millionths, are answered at once.
    pub drop_millionths: u32,
}

impl Default for EndpointPolicy {
    fn default() -> Self {
        Self {
            overprovisioning_factor: 140,
            weighted_priority_health: false,
            drop_millionths: 0,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub address: Address,
    /// `Endpoint.hostname`, for auto_host_rewrite.
    pub hostname: Option<Arc<str>>,
    /// `load_balancing_weight`, default 1.
    pub weight: u32,
    pub health: HealthStatus,
    /// At most `MAX_PRIORITY`.
    pub priority: u8,
    pub locality: Arc<Locality>,
    /// `load_balancing_weight` of its locality, 0 if it has none; `None` where the cluster does
    /// not weigh localities.
    pub locality_weight: Option<u32>,
    /// `metadata.filter_metadata`, only what is asked for: `envoy.transport_socket_match`,
    /// `envoy.lb` and `istio`.
    pub metadata: Option<Arc<EndpointMetadata>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointMetadata {
    pub transport_socket_match: Metadata,
    pub lb: Metadata,
    /// The elements of those values of `lb` that are lists, for `list_as_any`.
    pub lb_lists: Vec<(Box<str>, Vec<Box<str>>)>,
    /// `hash_key` of `envoy.lb` as it is, where it is a string and not empty.
    pub hash_key: Option<Box<str>>,
    /// `workload` of `istio`: who is behind the address.
    pub workload: Option<Arc<Workload>>,
}

impl EndpointMetadata {
    /// `canary` of `envoy.lb` is true.
    pub fn is_canary(&self) -> bool {
        let is = |(key, value): &(Box<str>, Box<str>)| &**key == "canary" && &**value == "true";
        self.lb.iter().any(is)
    }

    /// The values that `key` has for subsets: those in its list, if it is one that counts so.
    pub fn lb_values(&self, key: &str, list_as_any: bool) -> Option<&[Box<str>]> {
        if list_as_any && let Some((_, values)) = self.lb_lists.iter().find(|(k, _)| **k == *key) {
            return Some(values);
        }
        let (_, value) = self.lb.iter().find(|(k, _)| **k == *key)?;
        Some(std::slice::from_ref(value))
    }
}

/// Whether the cluster weighs localities (`locality_weighted_lb_config`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LocalityWeights {
    /// Hosts of all localities are alike.
    #[default]
    Ignored,
    Kept,
}

/// The lowest priority that the rules of the message allow; 0 is the highest.
pub const MAX_PRIORITY: u8 = 128;

/// A host that is new has less traffic for a while:
/// `weight * max(min_weight, (age / window) ^ (1 / aggression))`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowStart {
    /// More than nothing.
    pub window: Duration,
    /// More than 0; default 1.
    pub aggression: f64,
    /// Of one; default 0.1.
    pub min_weight: f64,
}

/// Key and value of a metadata struct, values as JSON text, sorted by key.
pub type Metadata = Vec<(Box<str>, Box<str>)>;

/// How an upstream connection is spoken under the protocol.
#[derive(Debug, Clone, Default)]
pub enum Transport {
    #[default]
    Plain,
    Tls(Arc<UpstreamTls>),
}

#[derive(Debug, Clone)]
pub struct TransportMatch {
    pub name: Arc<str>,
    /// All must be there; empty matches every endpoint.
    pub matches: Metadata,
    pub transport: Transport,
}

/// `upstream_connection_options.tcp_keepalive`; `None` leaves the system's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpKeepalive {
    pub probes: Option<u32>,
    pub time_seconds: Option<u32>,
    pub interval_seconds: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    pub region: Box<str>,
    pub zone: Box<str>,
    pub sub_zone: Box<str>,
}

/// `HealthStatus` as the configuration gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStatus {
    Unknown,
    Healthy,
    Unhealthy,
    Draining,
    Timeout,
    Degraded,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LbPolicy {
    RoundRobin,
    /// P2C when weights are equal, EDF with weight/(active+1)^bias otherwise.
    LeastRequest {
        choice_count: u32,
        active_request_bias: f64,
    },
    Random,
    RingHash(RingHash),
    Maglev(Maglev),
    /// CLUSTER_PROVIDED: its kind of discovery says who it is (ORIGINAL_DST).
    ClusterProvided,
}

impl LbPolicy {
    /// Whether it chooses by the hash of a request.
    #[must_use]
    pub fn is_hash(&self) -> bool {
        matches!(self, Self::RingHash(_) | Self::Maglev(_))
    }
}

/// Circuit-breaker limits of one routing priority. Defaults 1024, retries 3, pools unlimited.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    pub max_connections: u32,
    pub max_pending_requests: u32,
    pub max_requests: u32,
    pub max_retries: u32,
    /// In the place of `max_retries`.
    pub retry_budget: Option<RetryBudget>,
}

/// Retries may be so many per cent of the requests in flight, but always `min_concurrency`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryBudget {
    pub percent: f64,
    pub min_concurrency: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            retry_budget: None,
        }
    }
}

/// What is spoken with the hosts of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum UpstreamProtocol {
    #[default]
    Http1,
    Http2,
    /// `auto_config`: as ALPN says.
    Alpn,
    /// `use_downstream_protocol_config`: what the client speaks.
    Downstream,
}

/// Upstream HTTP options (`HttpProtocolOptions` extension or the deprecated cluster fields).
#[derive(Debug, Clone)]
pub struct UpstreamHttp {
    pub protocol: UpstreamProtocol,
    pub http2: Http2Options,
    /// `auto_sni`: the SNI is the request's host (or the header named below).
    pub auto_sni: bool,
    /// `auto_san_validation`.
    pub auto_san_validation: bool,
    /// `override_auto_sni_header`, lower case.
    pub auto_sni_header: Option<Box<str>>,
    /// Default 1 h; None: off.
    pub idle_timeout: Option<Duration>,
    pub max_connection_duration: Option<Duration>,
    pub max_requests_per_connection: Option<u32>,
    /// Default 60 KiB (503 beyond).
    pub max_response_headers_bytes: usize,
    /// Default 100.
    pub max_headers_count: usize,
    pub enable_trailers: bool,
}

impl UpstreamHttp {
    /// Whether requests say which name their host is asked for, or must prove.
    pub fn names_come_from_requests(&self) -> bool {
        self.auto_sni || self.auto_san_validation
    }
}
