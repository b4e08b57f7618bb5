//! Access logs, their filters and formats.

use super::{Entry, RUNTIME, all};

pub(super) const ENTRIES: &[Entry] = &[
    all(
        "envoy.config.accesslog.v3.AccessLog",
        &["name", "filter", "typed_config"],
    ),
    all(
        "envoy.config.accesslog.v3.AccessLogFilter",
        &[
            "status_code_filter",
            "duration_filter",
            "not_health_check_filter",
            "runtime_filter",
            "and_filter",
            "or_filter",
            "header_filter",
            "response_flag_filter",
            "grpc_status_filter",
            "log_type_filter",
        ],
    ),
    all(
        "envoy.config.accesslog.v3.LogTypeFilter",
        &["types", "exclude"],
    ),
    all(
        "envoy.config.accesslog.v3.GrpcStatusFilter",
        &["statuses", "exclude"],
    ),
    all(
        "envoy.config.accesslog.v3.StatusCodeFilter",
        &["comparison"],
    ),
    all("envoy.config.accesslog.v3.DurationFilter", &["comparison"]),
    all(
        "envoy.config.accesslog.v3.ComparisonFilter",
        &["op", "value"],
    ),
    all("envoy.config.accesslog.v3.NotHealthCheckFilter", &[]),
    Entry {
        message: "envoy.config.accesslog.v3.RuntimeFilter",
        implemented: &["percent_sampled"],
        ignored: &[
            ("runtime_key", RUNTIME),
            (
                "use_independent_randomness",
                "every request's number is drawn for itself",
            ),
        ],
        default_only: &[],
    },
    all("envoy.config.accesslog.v3.AndFilter", &["filters"]),
    all("envoy.config.accesslog.v3.OrFilter", &["filters"]),
    all("envoy.config.accesslog.v3.HeaderFilter", &["header"]),
    all("envoy.config.accesslog.v3.ResponseFlagFilter", &["flags"]),
    all(
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        &[
            "path",
            "format",
            "json_format",
            "typed_json_format",
            "log_format",
        ],
    ),
    all(
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        &["log_format"],
    ),
    all(
        "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
        &["log_format"],
    ),
    Entry {
        message: "envoy.config.core.v3.SubstitutionFormatString",
        implemented: &[
            "text_format",
            "text_format_source",
            "json_format",
            "omit_empty_values",
            "content_type",
            "formatters",
        ],
        ignored: &[("json_format_options", "keys are always sorted")],
        default_only: &[],
    },
    all(
        "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery",
        &[],
    ),
];
