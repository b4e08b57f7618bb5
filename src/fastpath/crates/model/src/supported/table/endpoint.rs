//! Endpoints.

use super::{Entry, NO_HEALTH_CHECKS, all};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        message: "envoy.config.endpoint.v3.ClusterLoadAssignment",
        implemented: &["cluster_name", "endpoints", "policy"],
        ignored: &[],
        default_only: &[],
    },
    all(
        "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy",
        &[
            "overprovisioning_factor",
            "weighted_priority_health",
            "drop_overloads",
        ],
    ),
    Entry {
        message: "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy.DropOverload",
        implemented: &["drop_percentage"],
        ignored: &[("category", "a name in load reports, which are not sent")],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.endpoint.v3.LocalityLbEndpoints",
        implemented: &[
            "locality",
            "lb_endpoints",
            "load_balancing_weight",
            "priority",
            // Refused where it chooses transport sockets, opaque otherwise (endpoints.rs).
            "metadata",
        ],
        ignored: &[("proximity", "Envoy does not read it either")],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.endpoint.v3.LbEndpoint",
        implemented: &[
            "endpoint",
            "health_status",
            "load_balancing_weight",
            "metadata",
        ],
        ignored: &[],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.endpoint.v3.Endpoint",
        implemented: &["address", "hostname"],
        ignored: &[
            ("health_check_config", NO_HEALTH_CHECKS),
            (
                "observability_name",
                "names the endpoint in statistics that we do not have",
            ),
        ],
        default_only: &[],
    },
];
