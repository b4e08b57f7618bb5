//! Listener filters.

use super::{Entry, all};

pub(super) const ENTRIES: &[Entry] = &[
    all(
        "envoy.config.listener.v3.ListenerFilter",
        &["name", "typed_config", "filter_disabled"],
    ),
    all(
        "envoy.config.listener.v3.ListenerFilterChainMatchPredicate",
        &[
            "or_match",
            "and_match",
            "not_match",
            "any_match",
            "destination_port_range",
        ],
    ),
    all(
        "envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet",
        &["rules"],
    ),
    all(
        "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
        &[],
    ),
    all(
        "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        &[
            "enable_ja3_fingerprinting",
            "enable_ja4_fingerprinting",
            "initial_read_buffer_size",
            "max_client_hello_size",
            "close_connection_on_client_hello_parsing_errors",
        ],
    ),
    all(
        "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
        &[],
    ),
    Entry {
        message: "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
        implemented: &[
            "rules",
            "allow_requests_without_proxy_protocol",
            "disallowed_versions",
            "stat_prefix",
        ],
        ignored: &[],
        default_only: &["tlv_location"],
    },
    all(
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.Rule",
        &["tlv_type", "on_tlv_present"],
    ),
    all(
        "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.KeyValuePair",
        &["metadata_namespace", "key", "value_string_encoding"],
    ),
    all(
        "envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
        &["bind_port", "mark"],
    ),
];
