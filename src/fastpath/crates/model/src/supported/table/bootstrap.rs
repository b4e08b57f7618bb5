//! The bootstrap and the node.

use super::{Entry, NO_OVERLOAD, all};

const DIAGNOSTIC: &str = "diagnoses Envoy's own process; traffic is the same";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        message: "envoy.config.bootstrap.v3.Bootstrap",
        implemented: &[
            "node",
            "static_resources",
            "dynamic_resources",
            "stats_flush_interval",
            "admin",
            "cluster_manager",
        ],
        ignored: &[
            (
                "layered_runtime",
                "read, not acted on: every default value holds",
            ),
            ("watchdog", DIAGNOSTIC),
            ("watchdogs", DIAGNOSTIC),
            ("enable_dispatcher_stats", DIAGNOSTIC),
            ("perf_tracing_file_path", DIAGNOSTIC),
            (
                "memory_allocator_manager",
                "tunes tcmalloc, which we do not use",
            ),
            (
                "deferred_stat_options",
                "statistics are always created when first touched",
            ),
            (
                "stats_server_version_override",
                "the gauge server.version has no other reader",
            ),
        ],
        default_only: &["stats_config", "overload_manager"],
    },
    Entry {
        message: "envoy.config.bootstrap.v3.ClusterManager",
        implemented: &["upstream_bind_config", "outlier_detection"],
        ignored: &[],
        default_only: &[
            "local_cluster_name",
            "load_stats_config",
            "enable_deferred_cluster_creation",
        ],
    },
    Entry {
        message: "envoy.config.bootstrap.v3.ClusterManager.OutlierDetection",
        implemented: &["event_log_path"],
        ignored: &[],
        default_only: &["event_service"],
    },
    all(
        "envoy.config.bootstrap.v3.Bootstrap.StaticResources",
        &["listeners", "clusters", "secrets"],
    ),
    all(
        "envoy.config.bootstrap.v3.Bootstrap.DynamicResources",
        &["lds_config", "cds_config", "ads_config"],
    ),
    Entry {
        message: "envoy.config.bootstrap.v3.Admin",
        // Access logs: only to /dev/null (bootstrap.rs).
        implemented: &["address", "access_log", "access_log_path"],
        ignored: &[
            ("profile_path", "there is no CPU profiler to write it"),
            ("ignore_global_conn_limit", NO_OVERLOAD),
        ],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.core.v3.Node",
        // What we do not read ourselves an xDS server is told.
        implemented: &[
            "id",
            "cluster",
            "metadata",
            "dynamic_parameters",
            "locality",
            "user_agent_name",
            "user_agent_version",
            "user_agent_build_version",
            "extensions",
            "client_features",
            "listening_addresses",
        ],
        ignored: &[],
        default_only: &[],
    },
    all(
        "envoy.config.core.v3.BuildVersion",
        &["version", "metadata"],
    ),
    all(
        "envoy.type.v3.SemanticVersion",
        &["major_number", "minor_number", "patch"],
    ),
    all(
        "envoy.config.core.v3.Extension",
        &[
            "name",
            "category",
            "type_descriptor",
            "version",
            "disabled",
            "type_urls",
        ],
    ),
    all("xds.core.v3.ContextParams", &["params"]),
];
