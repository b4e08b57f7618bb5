//! Filters of Istio's.

use super::{Entry, all};

const NO_WORKLOAD_DISCOVERY: &str =
    "finds nobody without the bootstrap's workload discovery, which is refused";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        message: "envoy.tcp.metadataexchange.config.MetadataExchange",
        implemented: &["protocol", "additional_labels"],
        ignored: &[("enable_discovery", NO_WORKLOAD_DISCOVERY)],
        default_only: &[],
    },
    Entry {
        message: "io.istio.http.peer_metadata.Config",
        implemented: &[
            "downstream_discovery",
            "upstream_discovery",
            "downstream_propagation",
            "upstream_propagation",
            "additional_labels",
        ],
        ignored: &[],
        default_only: &["shared_with_upstream"],
    },
    all("io.istio.http.peer_metadata.Config.Baggage", &[]),
    Entry {
        message: "io.istio.http.peer_metadata.Config.DiscoveryMethod",
        implemented: &["istio_headers", "baggage"],
        ignored: &[("workload_discovery", NO_WORKLOAD_DISCOVERY)],
        default_only: &[],
    },
    all(
        "io.istio.http.peer_metadata.Config.IstioHeaders",
        &["skip_external_clusters"],
    ),
    all(
        "io.istio.http.peer_metadata.Config.PropagationMethod",
        &["istio_headers", "baggage"],
    ),
    all(
        "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
        &["alpn_override"],
    ),
    all(
        "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig.AlpnOverride",
        &["upstream_protocol", "alpn_override"],
    ),
    Entry {
        message: "stats.MetricConfig",
        implemented: &["dimensions", "name", "tags_to_remove", "drop"],
        ignored: &[],
        default_only: &["match"],
    },
    Entry {
        message: "stats.PluginConfig",
        implemented: &[
            "disable_host_header_fallback",
            "tcp_reporting_duration",
            "metrics",
        ],
        ignored: &[(
            "graceful_deletion_interval",
            "acts only with rotation_interval, which is refused",
        )],
        default_only: &["definitions", "reporter", "rotation_interval"],
    },
];
