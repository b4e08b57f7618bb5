//! Load balancing: policies, and their older forms in a cluster.

use super::{Entry, NO_HEALTH_CHECKS, all};

const NO_LOCALITY_AWARENESS: &str = "acts only with locality_weight_aware, which is refused";
const NO_ZONES: &str = "acts only with cluster_manager.local_cluster_name, which is refused";

pub(super) const ENTRIES: &[Entry] = &[
    all(
        "envoy.config.cluster.v3.Cluster.OriginalDstLbConfig",
        &[
            "use_http_header",
            "http_header_name",
            "upstream_port_override",
            "metadata_key",
        ],
    ),
    all(
        "envoy.config.cluster.v3.Cluster.LeastRequestLbConfig",
        &["choice_count", "active_request_bias", "slow_start_config"],
    ),
    all(
        "envoy.config.cluster.v3.Cluster.RoundRobinLbConfig",
        &["slow_start_config"],
    ),
    all(
        "envoy.config.cluster.v3.Cluster.SlowStartConfig",
        &["slow_start_window", "aggression", "min_weight_percent"],
    ),
    Entry {
        message: "envoy.config.cluster.v3.Cluster.CommonLbConfig",
        implemented: &[
            "locality_weighted_lb_config",
            "healthy_panic_threshold",
            "consistent_hashing_lb_config",
            "zone_aware_lb_config",
        ],
        ignored: &[
            (
                "update_merge_window",
                "gathers updates of hosts; the last state is the same",
            ),
            ("ignore_new_hosts_until_first_hc", NO_HEALTH_CHECKS),
        ],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.cluster.v3.Cluster.CommonLbConfig.ZoneAwareLbConfig",
        implemented: &["fail_traffic_on_panic"],
        ignored: &[
            ("routing_enabled", NO_ZONES),
            ("min_cluster_size", NO_ZONES),
        ],
        default_only: &[],
    },
    all(
        "envoy.config.cluster.v3.Cluster.CommonLbConfig.LocalityWeightedLbConfig",
        &[],
    ),
    all(
        "envoy.config.cluster.v3.Cluster.CommonLbConfig.ConsistentHashingLbConfig",
        &["use_hostname_for_hashing"],
    ),
    all(
        "envoy.config.cluster.v3.Cluster.RingHashLbConfig",
        &["minimum_ring_size", "maximum_ring_size", "hash_function"],
    ),
    all(
        "envoy.config.cluster.v3.Cluster.MaglevLbConfig",
        &["table_size"],
    ),
    Entry {
        message: "envoy.config.cluster.v3.Cluster.LbSubsetConfig",
        implemented: &[
            "fallback_policy",
            "default_subset",
            "subset_selectors",
            "panic_mode_any",
            "list_as_any",
            "metadata_fallback_policy",
        ],
        ignored: &[("scale_locality_weight", NO_LOCALITY_AWARENESS)],
        default_only: &["locality_weight_aware"],
    },
    all(
        "envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector",
        &[
            "keys",
            "single_host_per_subset",
            "fallback_policy",
            "fallback_keys_subset",
        ],
    ),
    all("envoy.config.cluster.v3.LoadBalancingPolicy", &["policies"]),
    all(
        "envoy.config.cluster.v3.LoadBalancingPolicy.Policy",
        &["typed_extension_config"],
    ),
    all(
        "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin",
        &["locality_lb_config", "slow_start_config"],
    ),
    all(
        "envoy.extensions.load_balancing_policies.random.v3.Random",
        &["locality_lb_config"],
    ),
    all(
        "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest",
        &[
            "choice_count",
            "active_request_bias",
            "locality_lb_config",
            "selection_method",
            "slow_start_config",
        ],
    ),
    all(
        "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
        &[
            "hash_function",
            "minimum_ring_size",
            "maximum_ring_size",
            "use_hostname_for_hashing",
            "consistent_hashing_lb_config",
            "locality_weighted_lb_config",
        ],
    ),
    all(
        "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
        &[
            "table_size",
            "consistent_hashing_lb_config",
            "locality_weighted_lb_config",
        ],
    ),
    all(
        "envoy.extensions.load_balancing_policies.common.v3.ConsistentHashingLbConfig",
        &["use_hostname_for_hashing"],
    ),
    Entry {
        message: "envoy.extensions.load_balancing_policies.subset.v3.Subset",
        implemented: &[
            "fallback_policy",
            "default_subset",
            "subset_selectors",
            "allow_redundant_keys",
            "panic_mode_any",
            "list_as_any",
            "metadata_fallback_policy",
            "subset_lb_policy",
        ],
        ignored: &[("scale_locality_weight", NO_LOCALITY_AWARENESS)],
        default_only: &["locality_weight_aware"],
    },
    all(
        "envoy.extensions.load_balancing_policies.subset.v3.Subset.LbSubsetSelector",
        &[
            "keys",
            "single_host_per_subset",
            "fallback_policy",
            "fallback_keys_subset",
        ],
    ),
    Entry {
        message: "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig",
        implemented: &["locality_weighted_lb_config", "zone_aware_lb_config"],
        ignored: &[],
        default_only: &[],
    },
    Entry {
        message: "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.ZoneAwareLbConfig",
        implemented: &["fail_traffic_on_panic"],
        ignored: &[
            ("routing_enabled", NO_ZONES),
            ("min_cluster_size", NO_ZONES),
            ("force_locality_direct_routing", NO_ZONES),
            ("force_local_zone", NO_ZONES),
            ("locality_basis", NO_ZONES),
        ],
        default_only: &[],
    },
    all(
        "envoy.extensions.load_balancing_policies.common.v3.SlowStartConfig",
        &["slow_start_window", "aggression", "min_weight_percent"],
    ),
    all(
        "envoy.extensions.load_balancing_policies.common.v3.LocalityLbConfig.LocalityWeightedLbConfig",
        &[],
    ),
];
