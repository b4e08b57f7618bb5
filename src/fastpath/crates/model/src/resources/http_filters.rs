//! HTTP filters before the router, and what routes say of them (`typed_per_filter_config`), compiled.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ext_authz::{ExtAuthz, RouteExtAuthz};
use super::extension::Discovered;
use super::header_mutation::{HeaderAdd, HeaderName};
use super::istio::{AlpnOverride, PeerMetadata};
use super::istio_stats::IstioStats;
use super::jwt_authn::{JwtAuthn, RouteJwtAuthn};
use super::rbac::HttpRbac;
use super::route::{HeaderMatcher, StringMatcher};

/// A filter in the chain of a connection manager.
#[derive(Debug)]
pub struct ConfiguredFilter {
    /// What routes call it.
    pub name: Box<str>,
    /// Only at work where a route says so.
    pub disabled: bool,
    pub filter: FilterSource,
}

/// Where the configuration of a filter is.
pub enum FilterSource {
    /// `typed_config`
    Given(HttpFilter),
    /// `config_discovery`
    Discovered(Discovered),
}

impl fmt::Debug for FilterSource {
    /// As what it is: most are given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(filter) => filter.fmt(f),
            Self::Discovered(discovered) => discovered.fmt(f),
        }
    }
}

#[derive(Debug)]
pub enum HttpFilter {
    /// `envoy.filters.http.grpc_web`.
    GrpcWeb,
    /// `envoy.filters.http.grpc_http1_bridge`.
    GrpcHttp1Bridge {
        upgrade_protobuf_to_grpc: bool,
        ignore_query_parameters: bool,
    },
    /// `envoy.filters.http.grpc_stats`.
    GrpcStats {
        /// Counters by service and method; false: totals only.
        stats_for_all_methods: bool,
        enable_upstream_stats: bool,
        /// The access log may ask what was counted.
        emit_filter_state: bool,
    },
    /// `envoy.filters.http.rbac`.
    Rbac(Arc<HttpRbac>),
    /// `envoy.filters.http.ext_authz`.
    ExtAuthz(Arc<ExtAuthz>),
    /// `envoy.filters.http.jwt_authn`.
    JwtAuthn(Arc<JwtAuthn>),
    /// `envoy.filters.http.fault`.
    Fault(Arc<Fault>),
    /// `envoy.filters.http.cors`: what it does is said by routes.
    Cors,
    /// `envoy.filters.http.header_mutation`.
    HeaderMutation(Arc<HeaderMutation>),
    /// `istio.metadata_exchange`.
    PeerMetadata(Arc<PeerMetadata>),
    /// `istio.alpn`.
    IstioAlpn(Arc<AlpnOverride>),
    /// `istio.stats`.
    IstioStats(Arc<IstioStats>),
}

/// What one level (weighted cluster, route, virtual host, route configuration) says of filters.
#[derive(Debug, Default)]
pub struct PerFilter(pub Box<[(Box<str>, RouteFilter)]>);

/// What it says of one.
#[derive(Debug)]
pub enum RouteFilter {
    Disabled,
    /// It is at work, and its configuration is that of another level.
    Enabled,
    Config(RouteFilterConfig),
}

/// A filter's configuration for the level.
#[derive(Debug)]
pub enum RouteFilterConfig {
    /// `RBACPerRoute`; `None`: without rules, everybody passes.
    Rbac(Option<Arc<HttpRbac>>),
    ExtAuthz(Arc<RouteExtAuthz>),
    JwtAuthn(Arc<RouteJwtAuthn>),
    Fault(Arc<Fault>),
    Cors(Arc<CorsPolicy>),
    HeaderMutation(Arc<Mutations>),
}

impl PerFilter {
    #[must_use]
    pub fn get(&self, filter: &str) -> Option<&RouteFilter> {
        let named = |(name, _): &&(Box<str>, RouteFilter)| **name == *filter;
        self.0.iter().find(named).map(|(_, said)| said)
    }

    /// The configuration, if the level has one.
    #[must_use]
    pub fn config(&self, filter: &str) -> Option<&RouteFilterConfig> {
        match self.get(filter)? {
            RouteFilter::Config(config) => Some(config),
            RouteFilter::Disabled | RouteFilter::Enabled => None,
        }
    }
}

/// `FractionalPercent`, of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentage {
    pub millionths: u32,
    /// Of a numerator of 1.
    pub unit: u32,
}

impl Percentage {
    /// No more than `numerator`, which a request asks for.
    #[must_use]
    pub fn at_most(self, numerator: u32) -> Self {
        let asked = numerator.saturating_mul(self.unit);
        Self {
            millionths: self.millionths.min(asked),
            unit: self.unit,
        }
    }
}

/// `envoy.extensions.filters.http.fault.v3.HTTPFault`.
#[derive(Debug)]
pub struct Fault {
    pub delay: Option<Delay>,
    pub abort: Option<Abort>,
    /// Only requests to this cluster.
    pub upstream_cluster: Option<Box<str>>,
    /// Only requests that match all of them.
    pub headers: Vec<HeaderMatcher>,
    /// Only requests from these nodes (`x-envoy-downstream-service-node`); empty: from all.
    pub downstream_nodes: Vec<Box<str>>,
    /// Faults at work at once, over all workers.
    pub max_active_faults: Option<u64>,
    /// False: faults are counted by `x-envoy-downstream-service-cluster`, too.
    pub disable_downstream_cluster_stats: bool,
}

#[derive(Debug)]
pub struct Delay {
    pub duration: DelayDuration,
    pub percentage: Percentage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelayDuration {
    /// Whole milliseconds; 0 is no delay.
    Fixed(Duration),
    /// `x-envoy-fault-delay-request`, in milliseconds.
    Header,
}

#[derive(Debug)]
pub struct Abort {
    pub status: AbortStatus,
    pub percentage: Percentage,
    pub body: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortStatus {
    Http(u16),
    Grpc(u32),
    /// `x-envoy-fault-abort-request`, or `x-envoy-fault-abort-grpc-request`.
    Header,
}

/// `envoy.extensions.filters.http.cors.v3.CorsPolicy`; what is empty or `None` is left to the next
/// level.
#[derive(Debug)]
pub struct CorsPolicy {
    pub allow_origins: Vec<StringMatcher>,
    pub allow_methods: Box<str>,
    pub allow_headers: Box<str>,
    pub expose_headers: Box<str>,
    pub max_age: Box<str>,
    pub allow_credentials: Option<bool>,
    pub allow_private_network_access: Option<bool>,
    pub forward_not_matching_preflights: Option<bool>,
    /// Share of the requests, in millionths.
    pub filter_enabled: u32,
    pub shadow_enabled: u32,
}

/// `envoy.extensions.filters.http.header_mutation.v3.HeaderMutation`.
#[derive(Debug)]
pub struct HeaderMutation {
    pub mutations: Mutations,
    /// Otherwise the route configuration's mutations are the last.
    pub most_specific_wins: bool,
}

/// `envoy.extensions.filters.http.header_mutation.v3.Mutations`, in their order.
#[derive(Debug)]
pub struct Mutations {
    pub request: Vec<Mutation>,
    pub response: Vec<Mutation>,
}

#[derive(Debug)]
pub enum Mutation {
    Remove(HeaderName),
    /// `remove_on_match`: all headers whose names match.
    RemoveMatching(StringMatcher),
    Append(HeaderAdd),
}
