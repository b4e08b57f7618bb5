//! The HTTP filters of a connection manager: those before the router, and the router.

use envoy_types::pb::envoy::extensions::filters::http as filters;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use envoy_types::pb::google::protobuf::Any;
use filters::ext_authz::v3::ExtAuthz;
use filters::fault::v3::HttpFault;
use filters::grpc_http1_bridge::v3 as bridge;
use filters::grpc_stats::v3 as stats;
use filters::header_mutation::v3::HeaderMutation;
use filters::jwt_authn::v3::JwtAuthentication;
use filters::rbac::v3::Rbac;
use filters::router::v3::Router;
use pb::http_filter::ConfigType;
use prost::Message as _;
use stats::filter_config::PerMethodStatSpecifier;

use super::{ext_authz, fault, header_mutation, istio, jwt_authn, rbac};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::hcm::RouterFilter;
use crate::resources::http_filters::{ConfiguredFilter, HttpFilter};
use crate::schema::name_of_url;

const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";
const GRPC_WEB: &str = "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb";
const GRPC_HTTP1_BRIDGE: &str = "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config";
const GRPC_STATS: &str = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig";
const RBAC: &str = "envoy.extensions.filters.http.rbac.v3.RBAC";
const EXT_AUTHZ: &str = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz";
const JWT_AUTHN: &str = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";
const FAULT: &str = "envoy.extensions.filters.http.fault.v3.HTTPFault";
const CORS: &str = "envoy.extensions.filters.http.cors.v3.Cors";
const HEADER_MUTATION: &str = "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation";

/// The filters in their order, and the router that ends them.
pub(super) fn compile(
    messages: &[pb::HttpFilter],
    inbound: bool,
    problems: &mut Problems,
) -> Option<(Vec<ConfiguredFilter>, RouterFilter)> {
    let Some(last) = messages.len().checked_sub(1) else {
        problems.report_at(
            "http_filters",
            "a chain without a terminal filter (envoy.filters.http.router) is not implemented",
        );
        return None;
    };
    let mut before = Vec::with_capacity(last);
    let mut router = None;
    for (index, message) in messages.iter().enumerate() {
        let level = problems.enter_item("http_filters", index);
        match filter(message, inbound, problems) {
            Some(Compiled::Router(_)) if index == last && message.disabled => {
                let name = &message.name;
                problems.report(format!(
                    "Error: the last (terminal) filter ({name}) in the chain cannot be disabled \
                     by default."
                ));
            }
            Some(Compiled::Router(found)) if index == last => router = Some(found),
            Some(Compiled::Router(_)) => problems.report(terminal(
                "terminal",
                message,
                ROUTER_NAME,
                "must be the last filter",
            )),
            Some(Compiled::Before(filter, name)) => {
                if index == last {
                    problems.report(terminal(
                        "non-terminal",
                        message,
                        name,
                        "is the last filter",
                    ));
                }
                before.push(ConfiguredFilter {
                    name: message.name.as_str().into(),
                    disabled: message.disabled,
                    filter,
                });
            }
            None => {}
        }
        problems.leave(level);
    }
    Some((before, router?))
}

const ROUTER_NAME: &str = "envoy.filters.http.router";

fn terminal(kind: &str, message: &pb::HttpFilter, type_name: &str, what: &str) -> String {
    let name = &message.name;
    format!("Error: {kind} filter named {name} of type {type_name} {what} in a http filter chain.")
}

enum Compiled {
    Router(RouterFilter),
    /// A filter and its name in Envoy.
    Before(HttpFilter, &'static str),
}

/// `None`: it is refused, or may be left out.
fn filter(message: &pb::HttpFilter, inbound: bool, problems: &mut Problems) -> Option<Compiled> {
    let Some(ConfigType::TypedConfig(any)) = message.config_type.as_ref() else {
        if !message.is_optional {
            problems.report(not_implemented(Some(&message.name), ""));
        }
        return None;
    };
    let type_name = name_of_url(&any.type_url).unwrap_or("");
    if type_name == ROUTER {
        return router(any).map(Compiled::Router);
    }
    let level = problems.enter("typed_config");
    let before = problems.count();
    let filter = before_router(type_name, any, inbound, problems);
    if matches!(filter, Some((None, _))) && problems.count() == before {
        // A filter that is not understood must not be left out.
        problems.report("could not be compiled");
    }
    problems.leave(level);
    match filter {
        Some((filter, name)) => Some(Compiled::Before(filter?, name)),
        None if message.is_optional => None,
        None => {
            let reason = not_implemented(Some(&message.name), type_name);
            problems.report(format!("{reason} as an HTTP filter"));
            None
        }
    }
}

/// A filter (`None`: its configuration is refused) and its name in Envoy, if there is one of this
/// type.
fn before_router(
    type_name: &str,
    any: &Any,
    inbound: bool,
    problems: &mut Problems,
) -> Option<(Option<HttpFilter>, &'static str)> {
    let bytes = any.value.as_slice();
    Some(match type_name {
        GRPC_WEB => (Some(HttpFilter::GrpcWeb), "envoy.filters.http.grpc_web"),
        GRPC_HTTP1_BRIDGE => {
            let bridge = bridge::Config::decode(bytes).ok();
            let filter = bridge.map(|bridge| HttpFilter::GrpcHttp1Bridge {
                upgrade_protobuf_to_grpc: bridge.upgrade_protobuf_to_grpc,
                ignore_query_parameters: bridge.ignore_query_parameters,
            });
            (filter, "envoy.filters.http.grpc_http1_bridge")
        }
        GRPC_STATS => (grpc_stats(any), "envoy.filters.http.grpc_stats"),
        RBAC => {
            let message = Rbac::decode(bytes).ok();
            let rules = message.and_then(|m| rbac::http(&m, problems));
            let filter = rules.map(|rules| HttpFilter::Rbac(rules.into()));
            (filter, "envoy.filters.http.rbac")
        }
        EXT_AUTHZ => {
            let message = ExtAuthz::decode(bytes).ok();
            let filter = message.and_then(|m| ext_authz::compile(&m, problems));
            let filter = filter.map(|filter| HttpFilter::ExtAuthz(filter.into()));
            (filter, "envoy.filters.http.ext_authz")
        }
        JWT_AUTHN => {
            let message = JwtAuthentication::decode(bytes).ok();
            let filter = message.and_then(|m| jwt_authn::compile(&m, problems));
            let filter = filter.map(|filter| HttpFilter::JwtAuthn(filter.into()));
            (filter, "envoy.filters.http.jwt_authn")
        }
        FAULT => {
            let message = HttpFault::decode(bytes).ok();
            let fault = message.and_then(|m| fault::compile(&m, problems));
            let filter = fault.map(|fault| HttpFilter::Fault(fault.into()));
            (filter, "envoy.filters.http.fault")
        }
        CORS => (Some(HttpFilter::Cors), "envoy.filters.http.cors"),
        HEADER_MUTATION => {
            let message = HeaderMutation::decode(bytes).ok();
            let mutation = message.and_then(|m| header_mutation::compile(&m, problems));
            let filter = mutation.map(|mutation| HttpFilter::HeaderMutation(mutation.into()));
            (filter, "envoy.filters.http.header_mutation")
        }
        istio::PEER_METADATA => {
            let filter = istio::peer_metadata(bytes);
            let filter = filter.map(|filter| HttpFilter::PeerMetadata(filter.into()));
            (filter, "envoy.filters.http.peer_metadata")
        }
        istio::ALPN => {
            let filter = istio::alpn(bytes, problems).map(Into::into);
            (filter.map(HttpFilter::IstioAlpn), "istio.alpn")
        }
        istio::STATS => {
            let stats = istio::stats(bytes, inbound, problems);
            let filter = stats.map(|stats| HttpFilter::IstioStats(stats.into()));
            (filter, "envoy.filters.http.istio_stats")
        }
        _ => return None,
    })
}

fn router(any: &Any) -> Option<RouterFilter> {
    let router = Router::decode(any.value.as_slice()).ok()?;
    Some(RouterFilter {
        suppress_envoy_headers: router.suppress_envoy_headers,
        dynamic_stats: router.dynamic_stats.as_ref().is_none_or(|v| v.value),
        respect_expected_rq_timeout: router.respect_expected_rq_timeout,
    })
}

fn grpc_stats(any: &Any) -> Option<HttpFilter> {
    let message = stats::FilterConfig::decode(any.value.as_slice()).ok()?;
    let stats_for_all_methods = match message.per_method_stat_specifier.as_ref() {
        // Envoy's default since 1.16.
        None => false,
        Some(PerMethodStatSpecifier::StatsForAllMethods(all)) => all.value,
        // Refused by name.
        Some(PerMethodStatSpecifier::IndividualMethodStatsAllowlist(_)) => return None,
    };
    Some(HttpFilter::GrpcStats {
        stats_for_all_methods,
        enable_upstream_stats: message.enable_upstream_stats,
        emit_filter_state: message.emit_filter_state,
    })
}
