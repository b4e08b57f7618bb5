//! External authorization, the network filter and the HTTP filter.

use super::{Entry, NO_TRACING, all};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        message: "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        implemented: &[
            "grpc_service",
            "http_service",
            // V2 is refused where it is said.
            "transport_api_version",
            "failure_mode_allow",
            "failure_mode_allow_header_add",
            "with_request_body",
            "clear_route_cache",
            "status_on_error",
            "metadata_context_namespaces",
            "filter_enabled",
            "filter_enabled_metadata",
            "deny_at_disable",
            "include_peer_certificate",
            "stat_prefix",
            "allowed_headers",
            "disallowed_headers",
            "include_tls_session",
            "charge_cluster_response_stats",
            "encode_raw_headers",
            "decoder_header_mutation_rules",
            "enable_dynamic_metadata_ingestion",
            "max_denied_response_body_bytes",
        ],
        ignored: &[
            ("emit_client_span", NO_TRACING),
            (
                "validate_mutations",
                "headers that HTTP cannot carry are never passed on",
            ),
        ],
        default_only: &[
            "bootstrap_metadata_labels_key",
            "typed_metadata_context_namespaces",
            "route_metadata_context_namespaces",
            "route_typed_metadata_context_namespaces",
            "emit_filter_state_stats",
            "enforce_response_header_limits",
            "shadow_mode",
        ],
    },
    Entry {
        message: "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
        implemented: &[
            "stat_prefix",
            "grpc_service",
            "failure_mode_allow",
            "include_peer_certificate",
            // V2 is refused where it is said.
            "transport_api_version",
            "filter_enabled_metadata",
            "include_tls_session",
            "metadata_context_namespaces",
        ],
        ignored: &[],
        default_only: &[
            "bootstrap_metadata_labels_key",
            "send_tls_alert_on_denial",
            "typed_metadata_context_namespaces",
            "shadow_mode",
        ],
    },
    all(
        "envoy.extensions.filters.http.ext_authz.v3.BufferSettings",
        &[
            "max_request_bytes",
            "allow_partial_message",
            "pack_as_bytes",
        ],
    ),
    Entry {
        message: "envoy.extensions.filters.http.ext_authz.v3.HttpService",
        implemented: &[
            "server_uri",
            "path_prefix",
            "authorization_request",
            "authorization_response",
        ],
        ignored: &[],
        default_only: &["path_override"],
    },
    all(
        "envoy.extensions.filters.http.ext_authz.v3.AuthorizationRequest",
        &["allowed_headers", "headers_to_add"],
    ),
    all(
        "envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse",
        &[
            "allowed_upstream_headers",
            "allowed_upstream_headers_to_append",
            "allowed_client_headers",
            "allowed_client_headers_on_success",
            "dynamic_metadata_from_headers",
        ],
    ),
    all(
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        &["disabled", "check_settings"],
    ),
    Entry {
        message: "envoy.extensions.filters.http.ext_authz.v3.CheckSettings",
        implemented: &[
            "context_extensions",
            "disable_request_body_buffering",
            "with_request_body",
        ],
        ignored: &[("emit_client_span", NO_TRACING)],
        default_only: &[],
    },
];
