//! HTTP filters, but those with a file of their own.

use super::{Entry, NO_TRACING, RUNTIME, all};

pub(super) const ENTRIES: &[Entry] = &[
    all("envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", &[]),
    all(
        "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
        &["upgrade_protobuf_to_grpc", "ignore_query_parameters"],
    ),
    Entry {
        message: "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        implemented: &[
            "stats_for_all_methods",
            "enable_upstream_stats",
            "emit_filter_state",
        ],
        ignored: &[],
        default_only: &["replace_dots_in_grpc_service_name"],
    },
    all(
        "envoy.config.route.v3.FilterConfig",
        &["config", "is_optional", "disabled"],
    ),
    all(
        "envoy.config.common.mutation_rules.v3.HeaderMutationRules",
        &[
            "allow_all_routing",
            "allow_envoy",
            "disallow_system",
            "disallow_all",
            "allow_expression",
            "disallow_expression",
            "disallow_is_error",
        ],
    ),
    Entry {
        message: "envoy.extensions.filters.http.fault.v3.HTTPFault",
        implemented: &[
            "delay",
            "abort",
            "upstream_cluster",
            "headers",
            "downstream_nodes",
            "max_active_faults",
            "disable_downstream_cluster_stats",
        ],
        ignored: &[
            ("delay_percent_runtime", RUNTIME),
            ("abort_percent_runtime", RUNTIME),
            ("delay_duration_runtime", RUNTIME),
            ("abort_http_status_runtime", RUNTIME),
            ("abort_grpc_status_runtime", RUNTIME),
            ("max_active_faults_runtime", RUNTIME),
            ("response_rate_limit_percent_runtime", RUNTIME),
        ],
        default_only: &[],
    },
    all(
        "envoy.extensions.filters.http.fault.v3.FaultAbort",
        &[
            "http_status",
            "grpc_status",
            "header_abort",
            "percentage",
            "response_body",
        ],
    ),
    all(
        "envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort",
        &[],
    ),
    all(
        "envoy.extensions.filters.common.fault.v3.FaultDelay",
        &["fixed_delay", "header_delay", "percentage"],
    ),
    all(
        "envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay",
        &[],
    ),
    all("envoy.extensions.filters.http.cors.v3.Cors", &[]),
    all(
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        &[
            "allow_origin_string_match",
            "allow_methods",
            "allow_headers",
            "expose_headers",
            "max_age",
            "allow_credentials",
            "filter_enabled",
            "shadow_enabled",
            "allow_private_network_access",
            "forward_not_matching_preflights",
        ],
    ),
    all(
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        &["mutations", "most_specific_header_mutations_wins"],
    ),
    all(
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
        &["mutations"],
    ),
    all(
        "envoy.extensions.filters.http.header_mutation.v3.Mutations",
        &["request_mutations", "response_mutations"],
    ),
    all(
        "envoy.config.common.mutation_rules.v3.HeaderMutation",
        &["remove", "append", "remove_on_match"],
    ),
    all(
        "envoy.config.common.mutation_rules.v3.HeaderMutation.RemoveOnMatch",
        &["key_matcher"],
    ),
    Entry {
        message: "envoy.extensions.filters.http.router.v3.Router",
        implemented: &[
            "dynamic_stats",
            "suppress_envoy_headers",
            "respect_expected_rq_timeout",
        ],
        ignored: &[("start_child_span", NO_TRACING)],
        default_only: &["upstream_log_options"],
    },
];
