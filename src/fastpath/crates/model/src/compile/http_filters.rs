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

use super::{Context, ext_authz, extension, fault, header_mutation, istio, jwt_authn, rbac};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::extension::{ExtensionFilter, misplaced_other, misplaced_terminal};
use crate::resources::hcm::RouterFilter;
use crate::resources::http_filters::{ConfiguredFilter, FilterSource, HttpFilter};
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

/// The messages that are configurations of HTTP filters, with the filters' names in Envoy.
const FILTERS: [(&str, &str); 13] = [
    (ROUTER, "envoy.filters.http.router"),
    (GRPC_WEB, "envoy.filters.http.grpc_web"),
    (GRPC_HTTP1_BRIDGE, "envoy.filters.http.grpc_http1_bridge"),
    (GRPC_STATS, "envoy.filters.http.grpc_stats"),
    (RBAC, "envoy.filters.http.rbac"),
    (EXT_AUTHZ, "envoy.filters.http.ext_authz"),
    (JWT_AUTHN, "envoy.filters.http.jwt_authn"),
    (FAULT, "envoy.filters.http.fault"),
    (CORS, "envoy.filters.http.cors"),
    (HEADER_MUTATION, "envoy.filters.http.header_mutation"),
    (istio::PEER_METADATA, "envoy.filters.http.peer_metadata"),
    (istio::ALPN, "istio.alpn"),
    (istio::STATS, "envoy.filters.http.istio_stats"),
];

/// The filters in their order, and the router that ends them.
pub(super) fn compile(
    messages: &[pb::HttpFilter],
    cx: &mut Context,
) -> Option<(Vec<ConfiguredFilter>, RouterFilter)> {
    let Some(last) = messages.len().checked_sub(1) else {
        cx.problems.report_at(
            "http_filters",
            "a chain without a terminal filter (envoy.filters.http.router) is not implemented",
        );
        return None;
    };
    let mut filters = Vec::with_capacity(last);
    let mut router = None;
    for (index, message) in messages.iter().enumerate() {
        let level = cx.problems.enter_item("http_filters", index);
        let is_last = index == last;
        if is_last && message.disabled {
            let name = &message.name;
            cx.problems.report(format!(
                "Error: the last (terminal) filter ({name}) in the chain cannot be disabled by \
                 default."
            ));
        }
        let source = match message.config_type.as_ref() {
            Some(ConfigType::ConfigDiscovery(source)) => {
                let found = extension::discovered(&message.name, source, is_last, cx);
                if let Some(found) = found.as_ref().filter(|_| is_last) {
                    // It is what it is once its configuration is there.
                    router = Some(found.default_router());
                }
                found.map(FilterSource::Discovered)
            }
            _ => match given(message, is_last, cx) {
                Some(ExtensionFilter::Router(found)) => {
                    router = Some(found);
                    None
                }
                Some(ExtensionFilter::Before(filter)) => Some(FilterSource::Given(filter)),
                None => None,
            },
        };
        filters.extend(source.map(|filter| ConfiguredFilter {
            name: message.name.as_str().into(),
            disabled: message.disabled,
            filter,
        }));
        cx.problems.leave(level);
    }
    Some((filters, router?))
}

/// A filter that has its configuration with it. `None`: it is refused, or may be left out.
fn given(message: &pb::HttpFilter, is_last: bool, cx: &mut Context) -> Option<ExtensionFilter> {
    let Some(ConfigType::TypedConfig(any)) = message.config_type.as_ref() else {
        if !message.is_optional {
            cx.problems.report(not_implemented(Some(&message.name), ""));
        }
        return None;
    };
    let type_name = name_of_url(&any.type_url).unwrap_or("");
    let Some(kind) = kind(type_name) else {
        if !message.is_optional {
            cx.problems.report(no_filter(&message.name, type_name));
        }
        return None;
    };
    let name = &message.name;
    match (type_name == ROUTER, is_last) {
        (true, false) => cx.problems.report(misplaced_terminal(name, kind)),
        (false, true) => cx.problems.report(misplaced_other(name, kind)),
        _ => {}
    }
    let inbound = cx.inbound;
    cx.problems
        .within("typed_config", |p| configuration(any, inbound, p))
}

/// The name in Envoy of the filter that such a message configures, if it is one of ours.
pub(super) fn kind(type_name: &str) -> Option<&'static str> {
    let mut all = FILTERS.iter();
    all.find(|(message, _)| *message == type_name)
        .map(|(_, name)| *name)
}

/// The refusal of a message that configures no HTTP filter of ours.
pub(super) fn no_filter(name: &str, type_name: &str) -> String {
    let reason = not_implemented(Some(name), type_name);
    format!("{reason} as an HTTP filter")
}

/// What a message that `kind` knows is compiled to. `inbound`: for a listener of this direction.
pub(super) fn configuration(
    any: &Any,
    inbound: bool,
    problems: &mut Problems,
) -> Option<ExtensionFilter> {
    let type_name = name_of_url(&any.type_url).unwrap_or("");
    let before = problems.count();
    let filter = if type_name == ROUTER {
        router(any).map(ExtensionFilter::Router)
    } else {
        before_router(type_name, any, inbound, problems).map(ExtensionFilter::Before)
    };
    if filter.is_none() && problems.count() == before {
        // A filter that is not understood must not be left out.
        problems.report("could not be compiled");
    }
    filter
}

/// Whether what it is compiled to depends on the listener's direction.
pub(super) fn knows_direction(type_name: &str) -> bool {
    type_name == istio::STATS
}

/// `None`: its configuration is refused.
fn before_router(
    type_name: &str,
    any: &Any,
    inbound: bool,
    problems: &mut Problems,
) -> Option<HttpFilter> {
    let bytes = any.value.as_slice();
    Some(match type_name {
        GRPC_WEB => HttpFilter::GrpcWeb,
        GRPC_HTTP1_BRIDGE => {
            let bridge = bridge::Config::decode(bytes).ok()?;
            HttpFilter::GrpcHttp1Bridge {
                upgrade_protobuf_to_grpc: bridge.upgrade_protobuf_to_grpc,
                ignore_query_parameters: bridge.ignore_query_parameters,
            }
        }
        GRPC_STATS => grpc_stats(any)?,
        RBAC => {
            let message = Rbac::decode(bytes).ok()?;
            HttpFilter::Rbac(rbac::http(&message, problems)?.into())
        }
        EXT_AUTHZ => {
            let message = ExtAuthz::decode(bytes).ok()?;
            HttpFilter::ExtAuthz(ext_authz::compile(&message, problems)?.into())
        }
        JWT_AUTHN => {
            let message = JwtAuthentication::decode(bytes).ok()?;
            HttpFilter::JwtAuthn(jwt_authn::compile(&message, problems)?.into())
        }
        FAULT => {
            let message = HttpFault::decode(bytes).ok()?;
            HttpFilter::Fault(fault::compile(&message, problems)?.into())
        }
        CORS => HttpFilter::Cors,
        HEADER_MUTATION => {
            let message = HeaderMutation::decode(bytes).ok()?;
            HttpFilter::HeaderMutation(header_mutation::compile(&message, problems)?.into())
        }
        istio::PEER_METADATA => HttpFilter::PeerMetadata(istio::peer_metadata(bytes)?.into()),
        istio::ALPN => HttpFilter::IstioAlpn(istio::alpn(bytes, problems)?.into()),
        istio::STATS => HttpFilter::IstioStats(istio::stats(bytes, inbound, problems)?.into()),
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
