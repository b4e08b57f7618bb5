//! Network filters, but those with a file of their own.

use super::{Entry, all};

pub(super) const ENTRIES: &[Entry] = &[
    all(
        "envoy.extensions.filters.network.sni_cluster.v3.SniCluster",
        &[],
    ),
    all(
        "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
        &["stat_prefix", "max_connections", "delay", "runtime_enabled"],
    ),
    Entry {
        message: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        implemented: &[
            "stat_prefix",
            "cluster",
            "weighted_clusters",
            "metadata_match",
            "idle_timeout",
            "access_log",
            "max_connect_attempts",
            "backoff_options",
            "hash_policy",
            "tunneling_config",
            "max_downstream_connection_duration",
            "max_downstream_connection_duration_jitter_percentage",
            "access_log_flush_interval",
            "flush_access_log_on_connected",
            "access_log_options",
            // ON_DOWNSTREAM_TLS_HANDSHAKE is what happens anyway.
            "upstream_connect_mode",
            "max_early_data_bytes",
        ],
        ignored: &[],
        default_only: &["proxy_protocol_tlv_merge_policy"],
    },
    all(
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster",
        &["clusters"],
    ),
    all(
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
        &["name", "weight", "metadata_match"],
    ),
    Entry {
        message: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig",
        implemented: &[
            "hostname",
            "use_post",
            "post_path",
            "headers_to_add",
            "propagate_response_headers",
            "propagate_response_trailers",
        ],
        ignored: &[],
        default_only: &[],
    },
    all(
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions",
        &[
            "access_log_flush_interval",
            "flush_access_log_on_connected",
            "flush_access_log_on_start",
        ],
    ),
    all("envoy.type.v3.HashPolicy", &["source_ip"]),
    all("envoy.type.v3.HashPolicy.SourceIp", &[]),
    all("envoy.config.listener.v3.Filter", &["name", "typed_config"]),
];
