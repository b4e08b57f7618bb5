//! Listeners and filter chains; what chooses a chain is `matcher`.

use super::{Entry, NO_OVERLOAD, OPAQUE, all};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        message: "envoy.config.listener.v3.Listener",
        implemented: &[
            "name",
            "address",
            "stat_prefix",
            "additional_addresses",
            "filter_chains",
            "default_filter_chain",
            "filter_chain_matcher",
            "listener_filters",
            "listener_filters_timeout",
            "continue_on_listener_filters_timeout",
            "use_original_dst",
            "connection_balance_config",
            "transparent",
            "freebind",
            "tcp_fast_open_queue_length",
            "access_log",
            "deprecated_v1",
            "per_connection_buffer_limit_bytes",
            "drain_type",
            "traffic_direction",
            "enable_reuse_port",
            "reuse_port",
            "tcp_backlog_size",
            "bind_to_port",
        ],
        ignored: &[
            ("metadata", OPAQUE),
            ("ignore_global_conn_limit", NO_OVERLOAD),
            ("bypass_overload_manager", NO_OVERLOAD),
            (
                "max_connections_to_accept_per_socket_event",
                "paces accepting within one worker's loop; the same connections are accepted",
            ),
        ],
        default_only: &["enable_mptcp"],
    },
    all(
        "envoy.config.listener.v3.Listener.DeprecatedV1",
        &["bind_to_port"],
    ),
    all(
        "envoy.config.listener.v3.Listener.ConnectionBalanceConfig",
        &["exact_balance"],
    ),
    all(
        "envoy.config.listener.v3.Listener.ConnectionBalanceConfig.ExactBalance",
        &[],
    ),
    all("envoy.config.listener.v3.AdditionalAddress", &["address"]),
    Entry {
        message: "envoy.config.listener.v3.FilterChain",
        implemented: &[
            "filter_chain_match",
            "filters",
            "name",
            "transport_socket",
            "transport_socket_connect_timeout",
        ],
        ignored: &[("metadata", OPAQUE)],
        default_only: &["use_proxy_proto"],
    },
    // Addresses by suffix: in Envoy's API, and not implemented there either.
    all(
        "envoy.config.listener.v3.FilterChainMatch",
        &[
            "destination_port",
            "prefix_ranges",
            "direct_source_prefix_ranges",
            "source_type",
            "source_prefix_ranges",
            "source_ports",
            "server_names",
            "transport_protocol",
            "application_protocols",
        ],
    ),
];
