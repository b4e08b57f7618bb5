//! `RouteConfiguration`, compiled: virtual hosts, routes, actions. Matching is in `matching`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;

use super::cluster::{Metadata, RoutingPriority};
use super::hash_policy::HashPolicy;
use super::header_mutation::{HeaderMutations, HeaderName};
use super::http::UpgradeConfig;
use super::http_filters::PerFilter;
use super::rbac::MetadataMatcher;
use super::retry::{BodyLimit, RetryPolicy};
use crate::format::Format;
use crate::route_index::RouteIndex;

#[derive(Debug)]
pub struct RouteConfig {
    pub name: Arc<str>,
    pub hosts: VirtualHosts,
    pub ignore_port_in_host_matching: bool,
    pub ignore_path_parameters_in_path_matching: bool,
    pub mutations: HeaderMutations,
    pub internal_only_headers: Vec<HeaderName>,
    pub per_filter: PerFilter,
    /// False (default): route, then virtual host, then route configuration.
    pub most_specific_header_mutations_wins: bool,
    pub hash: u64,
}

impl RouteConfig {
    /// No routes: what an RDS configuration is until it comes. Everything is 404.
    #[must_use]
    pub fn empty(name: &Arc<str>) -> Self {
        Self {
            name: Arc::clone(name),
            hosts: VirtualHosts::default(),
            ignore_port_in_host_matching: false,
            ignore_path_parameters_in_path_matching: false,
            mutations: HeaderMutations::default(),
            internal_only_headers: Vec::new(),
            per_filter: PerFilter::default(),
            most_specific_header_mutations_wins: false,
            hash: 0,
        }
    }
}

/// Wildcard domains of one length (without the `*`), by text.
pub type WildcardsOfLength = (usize, HashMap<Box<[u8]>, usize>);

/// Domain look-up: exact, longest `*.suffix`, longest `prefix.*`, `*`. All lower-case.
#[derive(Debug, Default)]
pub struct VirtualHosts {
    pub list: Vec<Arc<VirtualHost>>,
    pub exact: HashMap<Box<[u8]>, usize>,
    /// By length of the suffix, longest first.
    pub suffix: Vec<WildcardsOfLength>,
    /// By length of the prefix, longest first.
    pub prefix: Vec<WildcardsOfLength>,
    pub default: Option<usize>,
}

#[derive(Debug)]
pub struct VirtualHost {
    pub name: Arc<str>,
    pub routes: Vec<Arc<Route>>,
    /// Which routes can match a path, in list order, without trying all of them.
    pub index: RouteIndex,
    pub require_tls: RequireTls,
    pub mutations: HeaderMutations,
    pub per_filter: PerFilter,
    pub include_request_attempt_count: bool,
    pub include_attempt_count_in_response: bool,
    /// `x-envoy-is-timeout-retry` in requests that are sent again.
    pub include_is_timeout_retry_header: bool,
    /// Clusters that its routes name.
    pub clusters: Box<[Arc<str>]>,
    /// Something of it came from a file or the environment, and may be another the next time.
    pub reads_elsewhere: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequireTls {
    None,
    ExternalOnly,
    All,
}

#[derive(Debug)]
pub struct Route {
    pub name: Arc<str>,
    pub matcher: RouteMatch,
    pub action: Action,
    pub mutations: HeaderMutations,
    pub per_filter: PerFilter,
    /// `stat_prefix`: `vhost.<v>.route.<p>`.
    pub stat_prefix: Option<Arc<str>>,
}

#[derive(Debug)]
pub struct RouteMatch {
    pub path: PathMatch,
    pub case_sensitive: bool,
    pub headers: Vec<HeaderMatcher>,
    pub query_parameters: Vec<QueryMatcher>,
    /// `runtime_fraction`'s default, in millionths; None: always.
    pub fraction_millionths: Option<u32>,
    /// `grpc: {}`: content-type application/grpc.
    pub grpc: bool,
    /// `tls_context`; `None`: not asked.
    pub tls: Option<TlsMatch>,
    /// `dynamic_metadata`: all of them match.
    pub metadata: Vec<MetadataMatcher>,
}

/// `TlsContextMatchOptions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlsMatch {
    pub presented: Option<bool>,
    pub validated: Option<bool>,
}

#[derive(Debug)]
pub enum PathMatch {
    Prefix(Box<[u8]>),
    Exact(Box<[u8]>),
    /// `/api` matches `/api` and `/api/...`, not `/apis`.
    PathSeparatedPrefix(Box<[u8]>),
    /// Full match of the path without its query.
    Regex(Regex),
    /// `connect_matcher`: CONNECT requests only.
    Connect,
}

#[derive(Debug)]
pub struct HeaderMatcher {
    pub name: HeaderName,
    pub kind: HeaderMatchKind,
    pub invert: bool,
    pub treat_missing_as_empty: bool,
}

#[derive(Debug)]
pub enum HeaderMatchKind {
    Present(bool),
    Range { start: i64, end: i64 },
    String(StringMatcher),
}

#[derive(Debug)]
pub struct QueryMatcher {
    pub name: Box<[u8]>,
    /// None: `present` decides.
    pub value: Option<StringMatcher>,
    /// Whether the parameter must be there or must not.
    pub present: bool,
}

/// `envoy.type.matcher.v3.StringMatcher`. With `ignore_case` the pattern is stored lower-case.
#[derive(Debug, Clone)]
pub struct StringMatcher {
    pub pattern: StringPattern,
    pub ignore_case: bool,
}

#[derive(Debug, Clone)]
pub enum StringPattern {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
    Contains(Box<[u8]>),
    /// Full match.
    Regex(Regex),
}

#[derive(Debug)]
pub enum Action {
    Forward(Box<Forward>),
    Redirect(Box<Redirect>),
    DirectResponse(Box<DirectResponse>),
    /// `non_forwarding_action`: matched and not served (404 without a cluster to go to).
    NonForwarding,
}

#[derive(Debug)]
pub struct Forward {
    pub cluster: ClusterChoice,
    /// Default 503.
    pub cluster_not_found_status: u16,
    pub rewrite: PathRewrite,
    pub host_rewrite: HostRewrite,
    /// `append_x_forwarded_host`.
    pub append_x_forwarded_host: bool,
    /// Default 15 s; None: off (`timeout: 0s`).
    pub timeout: Option<Duration>,
    /// Route's idle timeout: over the HCM's stream_idle_timeout. Outer None: not set.
    pub idle_timeout: Option<Option<Duration>>,
    /// `max_stream_duration` is there: `timeout` does not count, and the upstream is told the
    /// limit in `grpc-timeout` (Envoy's `usingNewTimeouts`).
    pub has_stream_limits: bool,
    /// `max_stream_duration.max_stream_duration`; same shape.
    pub max_stream_duration: Option<Option<Duration>>,
    pub priority: RoutingPriority,
    /// Over those of the connection manager, by type.
    pub upgrades: Vec<UpgradeConfig>,
    /// `max_stream_duration.grpc_timeout_header_max` (or the deprecated `max_grpc_timeout`):
    /// `grpc-timeout` sets the timeout, up to this; zero: without a limit.
    pub grpc_timeout_max: Option<Duration>,
    /// Subtracted from `grpc-timeout`.
    pub grpc_timeout_offset: Option<Duration>,
    /// `metadata_match`, `envoy.lb` of it: the subset of the cluster's hosts.
    pub metadata_match: Option<Arc<Metadata>>,
    pub hash_policy: Box<[HashPolicy]>,
    /// Its own, or that of its virtual host; they are not merged.
    pub retry: Option<Arc<RetryPolicy>>,
    pub body_limit: Option<BodyLimit>,
    /// Of the closest level that has some.
    pub mirrors: Option<Arc<[MirrorPolicy]>>,
}

/// `RequestMirrorPolicy`.
#[derive(Debug)]
pub struct MirrorPolicy {
    pub cluster: ClusterOrHeader,
    /// `None`: all requests.
    pub fraction_millionths: Option<u32>,
    /// `disable_shadow_host_suffix_append`.
    pub keeps_host: bool,
}

#[derive(Debug)]
pub enum ClusterChoice {
    Named(Arc<str>),
    Header(HeaderName),
    Weighted {
        clusters: Vec<WeightedCluster>,
        /// Sum of the weights, > 0.
        total: u64,
        /// `header_name` that carries the random value.
        header: Option<HeaderName>,
    },
}

#[derive(Debug)]
pub struct WeightedCluster {
    pub name: ClusterOrHeader,
    pub weight: u32,
    pub mutations: HeaderMutations,
    pub per_filter: PerFilter,
    pub host_rewrite: Option<Arc<str>>,
    /// Its own over that of the route; `None`: neither has one.
    pub metadata_match: Option<Arc<Metadata>>,
}

#[derive(Debug)]
pub enum ClusterOrHeader {
    Named(Arc<str>),
    Header(HeaderName),
}

#[derive(Debug)]
pub enum PathRewrite {
    None,
    /// Replaces what the path match matched (prefix, exact or path-separated prefix).
    Prefix(Arc<str>),
    /// Applied to the path without its query; `\1` groups in RE2 syntax.
    Regex {
        pattern: Regex,
        substitution: Substitution,
    },
}

/// A rewrite's right side, split at its `\N` references.
#[derive(Debug)]
pub struct Substitution {
    pub parts: Vec<SubstitutionPart>,
}

#[derive(Debug)]
pub enum SubstitutionPart {
    Text(Box<[u8]>),
    Group(usize),
}

#[derive(Debug)]
pub enum HostRewrite {
    None,
    Literal(Arc<str>),
    /// `auto_host_rewrite`: the chosen endpoint's hostname (DNS clusters).
    Auto,
    Header(HeaderName),
    PathRegex {
        pattern: Regex,
        substitution: Substitution,
    },
}

#[derive(Debug)]
pub struct Redirect {
    pub scheme: SchemeRedirect,
    pub host: Option<Arc<str>>,
    pub port: Option<u32>,
    pub path: RedirectPath,
    /// 301 by default.
    pub status: u16,
    pub strip_query: bool,
}

#[derive(Debug)]
pub enum SchemeRedirect {
    Keep,
    Https,
    To(Arc<str>),
}

#[derive(Debug)]
pub enum RedirectPath {
    Keep,
    /// `path_redirect`; with a `?` in it the request's query is dropped.
    Path(Arc<str>),
    Rewrite(PathRewrite),
}

#[derive(Debug)]
pub struct DirectResponse {
    pub status: u16,
    /// At most 4 KiB by Envoy's default.
    pub body: Option<DirectBody>,
}

#[derive(Debug)]
pub enum DirectBody {
    Static(Arc<[u8]>),
    /// `body_format`.
    Format {
        format: Format,
        content_type: Arc<str>,
    },
}
