//! Where resources come from: files, servers, the gRPC services that are asked.

use super::{Entry, all};

pub(super) const ENTRIES: &[Entry] = &[
    all(
        "envoy.config.core.v3.ConfigSource",
        &[
            "path",
            "path_config_source",
            "ads",
            "api_config_source",
            "initial_fetch_timeout",
            "resource_api_version",
        ],
    ),
    all(
        "envoy.config.core.v3.PathConfigSource",
        &["path", "watched_directory"],
    ),
    all("envoy.config.core.v3.WatchedDirectory", &["path"]),
    all("envoy.config.core.v3.AggregatedConfigSource", &[]),
    Entry {
        message: "envoy.config.core.v3.ApiConfigSource",
        implemented: &[
            "api_type",
            "transport_api_version",
            "cluster_names",
            "grpc_services",
            "set_node_on_first_message_only",
        ],
        ignored: &[
            ("refresh_delay", "is for REST, which is refused"),
            ("request_timeout", "is for REST, which is refused"),
        ],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.core.v3.GrpcService",
        // `timeout`: of single calls; a stream of xDS has no end.
        implemented: &["envoy_grpc", "initial_metadata", "timeout"],
        ignored: &[],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.core.v3.GrpcService.EnvoyGrpc",
        implemented: &[
            "cluster_name",
            "authority",
            "retry_policy",
            "max_receive_message_length",
            // Streams of xDS have none.
            "skip_envoy_headers",
        ],
        ignored: &[],
        default_only: &[],
    },
    all("envoy.config.core.v3.RetryPolicy", &["retry_back_off"]),
    all(
        "envoy.config.core.v3.BackoffStrategy",
        &["base_interval", "max_interval"],
    ),
    all(
        "envoy.config.core.v3.ExtensionConfigSource",
        &[
            "config_source",
            "default_config",
            "apply_default_config_without_warming",
            "type_urls",
        ],
    ),
];
