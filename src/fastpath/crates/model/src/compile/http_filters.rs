//! The HTTP filters of a connection manager: those before the router, and the router.

use envoy_types::pb::envoy::extensions::filters::http as filters;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use envoy_types::pb::google::protobuf::Any;
use filters::grpc_http1_bridge::v3 as bridge;
use filters::grpc_stats::v3 as stats;
use filters::router::v3::Router;
use pb::http_filter::ConfigType;
use prost::Message as _;
use stats::filter_config::PerMethodStatSpecifier;

use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::hcm::{HttpFilter, RouterFilter};
use crate::schema::name_of_url;

const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";
const GRPC_WEB: &str = "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb";
const GRPC_HTTP1_BRIDGE: &str = "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config";
const GRPC_STATS: &str = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig";

/// The filters in their order, and the router that ends them.
pub(super) fn compile(
    messages: &[pb::HttpFilter],
    problems: &mut Problems,
) -> Option<(Vec<HttpFilter>, RouterFilter)> {
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
        match filter(message, problems) {
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
                before.push(filter);
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

fn filter(message: &pb::HttpFilter, problems: &mut Problems) -> Option<Compiled> {
    let Some(ConfigType::TypedConfig(any)) = message.config_type.as_ref() else {
        problems.report(not_implemented(Some(&message.name), ""));
        return None;
    };
    match name_of_url(&any.type_url).unwrap_or("") {
        ROUTER => router(any).map(Compiled::Router),
        GRPC_WEB => Some(Compiled::Before(
            HttpFilter::GrpcWeb,
            "envoy.filters.http.grpc_web",
        )),
        GRPC_HTTP1_BRIDGE => {
            let bridge = bridge::Config::decode(any.value.as_slice()).ok()?;
            let filter = HttpFilter::GrpcHttp1Bridge {
                upgrade_protobuf_to_grpc: bridge.upgrade_protobuf_to_grpc,
                ignore_query_parameters: bridge.ignore_query_parameters,
            };
            Some(Compiled::Before(
                filter,
                "envoy.filters.http.grpc_http1_bridge",
            ))
        }
        GRPC_STATS => {
            let stats = grpc_stats(any)?;
            Some(Compiled::Before(stats, "envoy.filters.http.grpc_stats"))
        }
        other => {
            let reason = not_implemented(Some(&message.name), other);
            problems.report(format!("{reason} as an HTTP filter"));
            None
        }
    }
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
