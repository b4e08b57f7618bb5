//! `envoy.filters.http.ext_authz`, compiled: whom it asks, about what, and what may come of it.

use std::sync::Arc;

use regex::bytes::Regex;

use super::hcm::Hcm;
use super::header_mutation::HeaderAdd;
use super::rbac::MetadataMatcher;
use super::route::StringMatcher;

/// `envoy.extensions.filters.http.ext_authz.v3.ExtAuthz`.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // As in Envoy's message.
pub struct ExtAuthz {
    pub service: Service,
    /// `failure_mode_allow`: who cannot be asked about passes.
    pub failure_mode_allow: bool,
    /// And says so in `x-envoy-auth-failure-mode-allowed`.
    pub failure_mode_allow_header_add: bool,
    /// `with_request_body`
    pub body: Option<BodySettings>,
    pub clear_route_cache: bool,
    /// What a request gets about which nobody could be asked. Default 403.
    pub status_on_error: u16,
    /// `metadata_context_namespaces`: dynamic metadata that the server is told.
    pub metadata_namespaces: Vec<Box<str>>,
    /// `filter_enabled`: share of the requests that are asked about, in millionths.
    pub enabled: u32,
    /// `filter_enabled_metadata`: only those whose dynamic metadata matches.
    pub enabled_metadata: Option<MetadataMatcher>,
    /// The others are refused.
    pub deny_at_disable: bool,
    pub include_peer_certificate: bool,
    pub include_tls_session: bool,
    pub stat_prefix: Box<str>,
    /// Headers that the server is told; `None`: all.
    pub allowed_headers: Option<Names>,
    /// Headers that it is not told.
    pub disallowed_headers: Option<Names>,
    pub charge_cluster_response_stats: bool,
    /// Headers as bytes, each line for itself.
    pub encode_raw_headers: bool,
    /// `decoder_header_mutation_rules`
    pub mutation_rules: Option<MutationRules>,
    /// `enable_dynamic_metadata_ingestion`
    pub takes_metadata: bool,
    /// `max_denied_response_body_bytes`; `None`: as much as the server says.
    pub max_denied_body: Option<usize>,
}

/// `envoy.extensions.filters.network.ext_authz.v3.ExtAuthz`.
#[derive(Debug)]
pub struct NetworkExtAuthz {
    pub stat_prefix: Box<str>,
    pub service: GrpcService,
    pub failure_mode_allow: bool,
    pub include_peer_certificate: bool,
    pub include_tls_session: bool,
    /// `filter_enabled_metadata`: only connections whose dynamic metadata matches.
    pub enabled_metadata: Option<MetadataMatcher>,
    /// `metadata_context_namespaces`
    pub metadata_namespaces: Vec<Box<str>>,
    /// What its calls are, which have no connection manager: nothing but defaults.
    pub calls: Arc<Hcm>,
}

/// Whom it asks.
#[derive(Debug)]
pub enum Service {
    Grpc(GrpcService),
    Http(HttpService),
}

/// `envoy.config.core.v3.GrpcService` by `envoy_grpc`, for single calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcService {
    pub cluster: Arc<str>,
    /// `:authority`; empty: the cluster's name.
    pub authority: String,
    /// Milliseconds of a call; `None`: no end.
    pub timeout_ms: Option<u64>,
    pub initial_metadata: Vec<(String, String)>,
    pub skip_envoy_headers: bool,
    /// Bytes of the largest answer that is taken; `None`: the data plane's own limit.
    pub max_message: Option<u32>,
}

#[derive(Debug)]
pub struct HttpService {
    pub cluster: Arc<str>,
    pub timeout_ms: Option<u64>,
    pub path_prefix: Box<str>,
    /// `authorization_request.headers_to_add`
    pub headers_to_add: Vec<HeaderAdd>,
    /// Headers of the answer that replace those of the request, or are added to them.
    pub upstream: Names,
    pub upstream_append: Names,
    /// Headers of a refusal that the client gets; `None`: all.
    pub client: Option<Names>,
    /// Headers of a permission that the client gets with the response.
    pub client_on_success: Names,
    /// Headers of the answer that become dynamic metadata.
    pub metadata: Names,
}

/// Names of headers: one of the matchers must match.
#[derive(Debug, Default)]
pub struct Names(pub Vec<StringMatcher>);

impl Names {
    #[must_use]
    pub fn contain(&self, name: &[u8]) -> bool {
        self.0.iter().any(|matcher| matcher.matches(name))
    }
}

/// `BufferSettings`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodySettings {
    pub max_bytes: usize,
    /// A longer body is cut; else its request is refused.
    pub allow_partial: bool,
    pub as_bytes: bool,
}

/// `ExtAuthzPerRoute`
#[derive(Debug, Default)]
pub struct RouteExtAuthz {
    pub disabled: bool,
    /// What else the server is told.
    pub context_extensions: Vec<(Box<str>, Box<str>)>,
    pub disable_body: bool,
    pub body: Option<BodySettings>,
}

/// `envoy.config.common.mutation_rules.v3.HeaderMutationRules`
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // As in Envoy's message.
pub struct MutationRules {
    pub allow_all_routing: bool,
    pub allow_envoy: bool,
    pub disallow_system: bool,
    pub disallow_all: bool,
    pub allow: Option<Regex>,
    pub disallow: Option<Regex>,
    pub disallow_is_error: bool,
}

impl MutationRules {
    /// Whether a header of a request may be changed. `name` is in lower case.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        let matches = |regex: &Option<Regex>| {
            let regex = regex.as_ref();
            regex.is_some_and(|regex| regex.is_match(name.as_bytes()))
        };
        if matches(&self.disallow) {
            return false;
        }
        if matches(&self.allow) {
            return true;
        }
        let is_routing = matches!(name, "host" | ":authority" | ":scheme" | ":method");
        !(self.disallow_all
            || (self.disallow_system && name.starts_with(':'))
            || (!self.allow_envoy && name.starts_with("x-envoy"))
            || (!self.allow_all_routing && is_routing))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_no_comes_first_and_expressions_before_the_rest() {
        let regex = |text: &str| Some(Regex::new(text).unwrap());
        let default = MutationRules::default();
        for (name, allowed) in [
            ("x-a", true),
            (":path", true),
            ("host", false),
            (":authority", false),
            (":method", false),
            (":scheme", false),
            ("x-envoy-a", false),
        ] {
            assert_eq!(default.allows(name), allowed, "{name}");
        }
        let rules = MutationRules {
            disallow_all: true,
            allow: regex("^x-"),
            disallow: regex("^x-secret$"),
            ..MutationRules::default()
        };
        assert!(rules.allows("x-a") && rules.allows("x-envoy-a"));
        assert!(!rules.allows("x-secret") && !rules.allows("a"));
        let open = MutationRules {
            allow_all_routing: true,
            allow_envoy: true,
            disallow_system: true,
            ..MutationRules::default()
        };
        assert!(open.allows("host") && open.allows("x-envoy-a"));
        assert!(!open.allows(":method") && !open.allows(":path"));
    }
}
