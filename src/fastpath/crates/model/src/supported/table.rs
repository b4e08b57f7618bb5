//! The list: per message the fields we implement, and those that are safe to ignore, with why.
//!
//! A message that is not here is an extension or a part of Envoy that we do not have.

/// What we do with the fields of one message; those not named are refused.
#[derive(Debug)]
pub struct Entry {
    pub message: &'static str,
    pub implemented: &'static [&'static str],
    /// (field, why nothing is lost when it is ignored)
    pub ignored: &'static [(&'static str, &'static str)],
    /// Accepted while they say what is so anyway.
    pub default_only: &'static [&'static str],
}

/// An entry whose fields are all implemented.
const fn all(message: &'static str, implemented: &'static [&'static str]) -> Entry {
    Entry {
        message,
        implemented,
        ignored: &[],
        default_only: &[],
    }
}

const OPAQUE: &str = "data for other programs; no filter we have reads it";
const RUNTIME: &str = "there is no runtime to override it: the default value holds";
const NO_TRACING: &str = "acts only with tracing, which is refused";
const NO_HEALTH_CHECKS: &str = "acts only with health checks, which are refused";
const NO_LOCALITY_AWARENESS: &str = "acts only with locality_weight_aware, which is refused";
const NO_WORKLOAD_DISCOVERY: &str =
    "finds nobody without the bootstrap's workload discovery, which is refused";
const NO_HTTP3: &str = "tunes HTTP/3, which is refused where it is asked for";
const NO_OVERLOAD: &str = "exempts from the overload manager, which is refused";
const NO_ZONES: &str = "acts only with cluster_manager.local_cluster_name, which is refused";
const ONLY_RE2: &str = "the only engine; its program size is bounded anyway";
const DIAGNOSTIC: &str = "diagnoses Envoy's own process; traffic is the same";

pub const TABLE: &[Entry] = &[
    // -- bootstrap --
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
        implemented: &["envoy_grpc", "initial_metadata"],
        ignored: &[(
            "timeout",
            "bounds single requests; a stream of xDS has no end",
        )],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.core.v3.GrpcService.EnvoyGrpc",
        implemented: &[
            "cluster_name",
            "authority",
            "retry_policy",
            "max_receive_message_length",
        ],
        ignored: &[(
            "skip_envoy_headers",
            "there are none: x-envoy-internal and x-forwarded-for are not sent",
        )],
        default_only: &[],
    },
    all("envoy.config.core.v3.RetryPolicy", &["retry_back_off"]),
    all(
        "envoy.config.core.v3.BackoffStrategy",
        &["base_interval", "max_interval"],
    ),
    // -- listener --
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
    all(
        "xds.type.matcher.v3.Matcher",
        &["matcher_list", "matcher_tree", "on_no_match"],
    ),
    all(
        "xds.type.matcher.v3.Matcher.OnMatch",
        &["matcher", "action", "keep_matching"],
    ),
    all("xds.type.matcher.v3.Matcher.MatcherList", &["matchers"]),
    all(
        "xds.type.matcher.v3.Matcher.MatcherList.FieldMatcher",
        &["predicate", "on_match"],
    ),
    all(
        "xds.type.matcher.v3.Matcher.MatcherList.Predicate",
        &[
            "single_predicate",
            "or_matcher",
            "and_matcher",
            "not_matcher",
        ],
    ),
    all(
        "xds.type.matcher.v3.Matcher.MatcherList.Predicate.SinglePredicate",
        &["input", "value_match", "custom_match"],
    ),
    all(
        "xds.type.matcher.v3.Matcher.MatcherList.Predicate.PredicateList",
        &["predicate"],
    ),
    all(
        "xds.type.matcher.v3.Matcher.MatcherTree",
        &[
            "input",
            "exact_match_map",
            "prefix_match_map",
            "custom_match",
        ],
    ),
    all("xds.type.matcher.v3.Matcher.MatcherTree.MatchMap", &["map"]),
    all("xds.type.matcher.v3.IPMatcher", &["range_matchers"]),
    all(
        "xds.type.matcher.v3.IPMatcher.IPRangeMatcher",
        &["ranges", "on_match", "exclusive"],
    ),
    all(
        "xds.type.matcher.v3.ServerNameMatcher",
        &["domain_matchers"],
    ),
    all(
        "xds.type.matcher.v3.ServerNameMatcher.DomainMatcher",
        &["domains", "on_match"],
    ),
    all(
        "xds.type.matcher.v3.StringMatcher",
        &[
            "exact",
            "prefix",
            "suffix",
            "safe_regex",
            "contains",
            "ignore_case",
        ],
    ),
    Entry {
        message: "xds.type.matcher.v3.RegexMatcher",
        implemented: &["regex"],
        ignored: &[("google_re2", ONLY_RE2)],
        default_only: &[],
    },
    all(
        "xds.core.v3.TypedExtensionConfig",
        &["name", "typed_config"],
    ),
    all("xds.core.v3.CidrRange", &["address_prefix", "prefix_len"]),
    // The action of a `filter_chain_matcher`: the name of a chain.
    all("google.protobuf.StringValue", &["value"]),
    Entry {
        message: "envoy.extensions.matching.input_matchers.ip.v3.Ip",
        implemented: &["cidr_ranges"],
        ignored: &[(
            "stat_prefix",
            "counts inputs that are no addresses, which our inputs always are (of a pipe there is none)",
        )],
        default_only: &[],
    },
    all(
        "envoy.extensions.matching.common_inputs.network.v3.DestinationIPInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.SourcePortInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.DirectSourceIPInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.SourceTypeInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.ServerNameInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.TransportProtocolInput",
        &[],
    ),
    all(
        "envoy.extensions.matching.common_inputs.network.v3.ApplicationProtocolInput",
        &[],
    ),
    // -- listener filters --
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
    all("envoy.type.v3.Int32Range", &["start", "end"]),
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
    Entry {
        message: "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.KeyValuePair",
        implemented: &["metadata_namespace", "key"],
        ignored: &[],
        default_only: &["value_string_encoding"],
    },
    all(
        "envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
        &["bind_port", "mark"],
    ),
    // -- network filters --
    all(
        "envoy.extensions.filters.network.sni_cluster.v3.SniCluster",
        &[],
    ),
    all(
        "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
        &["stat_prefix", "max_connections", "delay", "runtime_enabled"],
    ),
    all(
        "envoy.extensions.filters.network.rbac.v3.RBAC",
        &[
            "rules",
            "shadow_rules",
            "shadow_rules_stat_prefix",
            "stat_prefix",
            "enforcement_type",
            "delay_deny",
        ],
    ),
    Entry {
        message: "envoy.config.rbac.v3.RBAC",
        implemented: &["action", "policies"],
        ignored: &[],
        default_only: &["audit_logging_options"],
    },
    all(
        "envoy.config.rbac.v3.Policy",
        &["permissions", "principals"],
    ),
    all(
        "envoy.config.rbac.v3.Permission",
        &[
            "and_rules",
            "or_rules",
            "any",
            // Refused by the network filter, in Envoy's words.
            "header",
            "url_path",
            "destination_ip",
            "destination_port",
            "destination_port_range",
            "metadata",
            "not_rule",
            "requested_server_name",
            "sourced_metadata",
        ],
    ),
    all("envoy.config.rbac.v3.Permission.Set", &["rules"]),
    all(
        "envoy.config.rbac.v3.Principal",
        &[
            "and_ids",
            "or_ids",
            "any",
            "authenticated",
            "source_ip",
            "direct_remote_ip",
            "remote_ip",
            "header",
            "url_path",
            "metadata",
            "not_id",
            "sourced_metadata",
            "custom",
        ],
    ),
    all("envoy.config.rbac.v3.Principal.Set", &["ids"]),
    all(
        "envoy.config.rbac.v3.Principal.Authenticated",
        &["principal_name"],
    ),
    all(
        "envoy.extensions.rbac.principals.mtls_authenticated.v3.Config",
        &["san_matcher", "any_validated_client_certificate"],
    ),
    all(
        "envoy.config.rbac.v3.SourcedMetadata",
        &["metadata_matcher", "metadata_source"],
    ),
    Entry {
        message: "envoy.config.core.v3.RuntimeFeatureFlag",
        implemented: &["default_value"],
        ignored: &[("runtime_key", RUNTIME)],
        default_only: &[],
    },
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
            "hash_policy",
            "tunneling_config",
            "max_downstream_connection_duration",
            "access_log_flush_interval",
            "flush_access_log_on_connected",
            "access_log_options",
            // ON_DOWNSTREAM_TLS_HANDSHAKE is what happens anyway.
            "upstream_connect_mode",
            "max_early_data_bytes",
        ],
        ignored: &[],
        default_only: &[
            "max_downstream_connection_duration_jitter_percentage",
            "proxy_protocol_tlv_merge_policy",
        ],
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
    Entry {
        message: "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions",
        implemented: &["access_log_flush_interval", "flush_access_log_on_connected"],
        ignored: &[],
        default_only: &["flush_access_log_on_start"],
    },
    all("envoy.type.v3.HashPolicy", &["source_ip"]),
    all("envoy.type.v3.HashPolicy.SourceIp", &[]),
    Entry {
        message: "envoy.config.core.v3.Metadata",
        implemented: &["filter_metadata"],
        ignored: &[("typed_filter_metadata", OPAQUE)],
        default_only: &[],
    },
    all("envoy.config.listener.v3.Filter", &["name", "typed_config"]),
    all(
        "envoy.config.core.v3.TransportSocket",
        &["name", "typed_config"],
    ),
    all(
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
        &[],
    ),
    // -- TLS --
    Entry {
        message: "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        implemented: &[
            "common_tls_context",
            "require_client_certificate",
            "session_ticket_keys",
            "session_ticket_keys_sds_secret_config",
            "disable_stateless_session_resumption",
            "disable_stateful_session_resumption",
            "session_timeout",
            "ocsp_staple_policy",
            "full_scan_certs_on_sni_mismatch",
            "prefer_client_ciphers",
        ],
        ignored: &[],
        // Envoy reads `require_sni` nowhere.
        default_only: &["require_sni"],
    },
    Entry {
        message: "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        implemented: &[
            "common_tls_context",
            "sni",
            "auto_host_sni",
            "auto_sni_san_validation",
            "allow_renegotiation",
            "max_session_keys",
        ],
        ignored: &[(
            "enforce_rsa_key_usage",
            "always enforced, as in Envoy 1.39 and later",
        )],
        default_only: &[],
    },
    all(
        "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
        &[
            "tls_params",
            "tls_certificates",
            "tls_certificate_sds_secret_configs",
            "validation_context",
            "validation_context_sds_secret_config",
            "combined_validation_context",
            "alpn_protocols",
            "key_log",
        ],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext",
        &[
            "default_validation_context",
            "validation_context_sds_secret_config",
        ],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.TlsParameters",
        &[
            "tls_minimum_protocol_version",
            "tls_maximum_protocol_version",
            "cipher_suites",
            "ecdh_curves",
        ],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
        &[
            "certificate_chain",
            "private_key",
            "ocsp_staple",
            "watched_directory",
        ],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys",
        &["keys"],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
        &[
            "trusted_ca",
            "system_root_certs",
            "watched_directory",
            "verify_certificate_spki",
            "verify_certificate_hash",
            "match_typed_subject_alt_names",
            "match_subject_alt_names",
            "require_signed_certificate_timestamp",
            "crl",
            "allow_expired_certificate",
            "trust_chain_verification",
            "custom_validator_config",
            "only_verify_leaf_cert_crl",
            "max_verify_depth",
        ],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.SystemRootCerts",
        &[],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher",
        &["san_type", "matcher", "oid"],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
        &["trust_domains"],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig.TrustDomain",
        &["name", "trust_bundle"],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.TlsKeyLog",
        &["path", "local_address_range", "remote_address_range"],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig",
        &["name", "sds_config"],
    ),
    all(
        "envoy.extensions.transport_sockets.tls.v3.Secret",
        &[
            "name",
            "tls_certificate",
            "session_ticket_keys",
            "validation_context",
        ],
    ),
    all("envoy.config.core.v3.Address", &["socket_address", "pipe"]),
    all("envoy.config.core.v3.Pipe", &["path", "mode"]),
    all(
        "envoy.config.core.v3.SocketAddress",
        &["protocol", "address", "port_value"],
    ),
    // -- HTTP connection manager --
    Entry {
        message: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        implemented: &[
            "codec_type",
            "stat_prefix",
            "rds",
            "route_config",
            "http_filters",
            "add_user_agent",
            "common_http_protocol_options",
            "http_protocol_options",
            "server_name",
            "server_header_transformation",
            "scheme_header_transformation",
            "max_request_headers_kb",
            "stream_idle_timeout",
            "request_timeout",
            "request_headers_timeout",
            "drain_timeout",
            "delayed_close_timeout",
            "access_log",
            "use_remote_address",
            "xff_num_trusted_hops",
            "internal_address_config",
            "skip_xff_append",
            "via",
            "generate_request_id",
            "preserve_external_request_id",
            "always_set_request_id_in_response",
            "proxy_100_continue",
            "represent_ipv4_remote_address_as_ipv4_mapped_ipv6",
            "normalize_path",
            "merge_slashes",
            "path_with_escaped_slashes_action",
            "request_id_extension",
            "strip_matching_host_port",
            "strip_any_host_port",
            "strip_trailing_host_dot",
            "append_x_forwarded_port",
            "http2_protocol_options",
            "upgrade_configs",
            "forward_client_cert_details",
            "set_current_client_cert_details",
            "stream_error_on_invalid_http_message",
        ],
        ignored: &[("http3_protocol_options", NO_HTTP3)],
        default_only: &[],
    },
    Entry {
        message: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails",
        implemented: &["subject", "cert", "chain", "dns", "uri"],
        ignored: &[],
        default_only: &["issuer", "format"],
    },
    all(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
        &["upgrade_type", "enabled"],
    ),
    all("envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", &[]),
    all(
        "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
        &["upgrade_protobuf_to_grpc", "ignore_query_parameters"],
    ),
    Entry {
        message: "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
        implemented: &[
            "stats_for_all_methods",
            "enable_upstream_stats",
            "emit_filter_state",
        ],
        ignored: &[],
        default_only: &["replace_dots_in_grpc_service_name"],
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
    Entry {
        message: "io.istio.http.peer_metadata.Config.DiscoveryMethod",
        implemented: &["istio_headers", "baggage"],
        ignored: &[("workload_discovery", NO_WORKLOAD_DISCOVERY)],
        default_only: &[],
    },
    all(
        "io.istio.http.peer_metadata.Config.PropagationMethod",
        &["istio_headers", "baggage"],
    ),
    all("io.istio.http.peer_metadata.Config.Baggage", &[]),
    Entry {
        message: "envoy.tcp.metadataexchange.config.MetadataExchange",
        implemented: &["protocol", "additional_labels"],
        ignored: &[("enable_discovery", NO_WORKLOAD_DISCOVERY)],
        default_only: &[],
    },
    all(
        "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
        &["alpn_override"],
    ),
    all(
        "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig.AlpnOverride",
        &["upstream_protocol", "alpn_override"],
    ),
    all(
        "io.istio.http.peer_metadata.Config.IstioHeaders",
        &["skip_external_clusters"],
    ),
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
    Entry {
        message: "stats.MetricConfig",
        implemented: &["dimensions", "name", "tags_to_remove", "drop"],
        ignored: &[],
        default_only: &["match"],
    },
    all(
        "envoy.extensions.filters.network.http_connection_manager.v3.Rds",
        &["config_source", "route_config_name"],
    ),
    Entry {
        message: "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        implemented: &["name", "typed_config", "is_optional", "disabled"],
        ignored: &[],
        default_only: &[],
    },
    all(
        "envoy.config.route.v3.FilterConfig",
        &["config", "is_optional", "disabled"],
    ),
    all(
        "envoy.extensions.filters.http.rbac.v3.RBAC",
        &[
            "rules",
            "rules_stat_prefix",
            "shadow_rules",
            "shadow_rules_stat_prefix",
        ],
    ),
    all(
        "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
        &["rbac"],
    ),
    Entry {
        message: "envoy.extensions.filters.http.fault.v3.HTTPFault",
        implemented: &[
            "delay",
            "abort",
            "upstream_cluster",
            "headers",
            "downstream_nodes",
            "max_active_faults",
            "disable_downstream_cluster_stats",
        ],
        ignored: &[
            ("delay_percent_runtime", RUNTIME),
            ("abort_percent_runtime", RUNTIME),
            ("delay_duration_runtime", RUNTIME),
            ("abort_http_status_runtime", RUNTIME),
            ("abort_grpc_status_runtime", RUNTIME),
            ("max_active_faults_runtime", RUNTIME),
            ("response_rate_limit_percent_runtime", RUNTIME),
        ],
        default_only: &[],
    },
    all(
        "envoy.extensions.filters.http.fault.v3.FaultAbort",
        &[
            "http_status",
            "grpc_status",
            "header_abort",
            "percentage",
            "response_body",
        ],
    ),
    all(
        "envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort",
        &[],
    ),
    all(
        "envoy.extensions.filters.common.fault.v3.FaultDelay",
        &["fixed_delay", "header_delay", "percentage"],
    ),
    all(
        "envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay",
        &[],
    ),
    all("envoy.extensions.filters.http.cors.v3.Cors", &[]),
    all(
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        &[
            "allow_origin_string_match",
            "allow_methods",
            "allow_headers",
            "expose_headers",
            "max_age",
            "allow_credentials",
            "filter_enabled",
            "shadow_enabled",
            "allow_private_network_access",
            "forward_not_matching_preflights",
        ],
    ),
    all(
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
        &["mutations", "most_specific_header_mutations_wins"],
    ),
    all(
        "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute",
        &["mutations"],
    ),
    all(
        "envoy.extensions.filters.http.header_mutation.v3.Mutations",
        &["request_mutations", "response_mutations"],
    ),
    all(
        "envoy.config.common.mutation_rules.v3.HeaderMutation",
        &["remove", "append", "remove_on_match"],
    ),
    all(
        "envoy.config.common.mutation_rules.v3.HeaderMutation.RemoveOnMatch",
        &["key_matcher"],
    ),
    Entry {
        message: "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig",
        implemented: &["cidr_ranges", "unix_sockets"],
        ignored: &[],
        default_only: &[],
    },
    all(
        "envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension",
        &["typed_config"],
    ),
    Entry {
        message: "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
        implemented: &[],
        ignored: &[
            ("pack_trace_reason", NO_TRACING),
            ("use_request_id_for_trace_sampling", NO_TRACING),
        ],
        default_only: &[],
    },
    Entry {
        message: "envoy.extensions.filters.http.router.v3.Router",
        implemented: &[
            "dynamic_stats",
            "suppress_envoy_headers",
            "respect_expected_rq_timeout",
        ],
        ignored: &[("start_child_span", NO_TRACING)],
        default_only: &["upstream_log_options"],
    },
    all(
        "envoy.config.core.v3.CidrRange",
        &["address_prefix", "prefix_len"],
    ),
    all(
        "envoy.config.core.v3.SchemeHeaderTransformation",
        &["scheme_to_overwrite"],
    ),
    all(
        "envoy.config.core.v3.HttpProtocolOptions",
        &[
            "idle_timeout",
            "max_connection_duration",
            "max_headers_count",
            "max_response_headers_kb",
            "max_stream_duration",
            "headers_with_underscores_action",
            "max_requests_per_connection",
        ],
    ),
    Entry {
        message: "envoy.config.core.v3.Http1ProtocolOptions",
        implemented: &[
            "allow_absolute_url",
            "accept_http_10",
            "default_host_for_http_10",
            "enable_trailers",
            "allow_chunked_length",
            "allow_custom_methods",
            "override_stream_error_on_invalid_http_message",
        ],
        ignored: &[("use_balsa_parser", "chooses between Envoy's two parsers")],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.core.v3.Http2ProtocolOptions",
        implemented: &[
            "hpack_table_size",
            "max_concurrent_streams",
            "initial_stream_window_size",
            "initial_connection_window_size",
            "allow_connect",
            "max_outbound_frames",
            "max_outbound_control_frames",
            "max_consecutive_inbound_frames_with_empty_payload",
            "max_inbound_priority_frames_per_stream",
            "max_inbound_window_update_frames_per_data_frame_sent",
            "stream_error_on_invalid_http_messaging",
            "override_stream_error_on_invalid_http_message",
            "connection_keepalive",
        ],
        ignored: &[
            ("use_oghttp2_codec", "chooses between Envoy's two codecs"),
            (
                "max_metadata_size",
                "bounds METADATA frames, which are refused with allow_metadata",
            ),
            (
                "enable_huffman_encoding",
                "how headers are packed is the sender's choice; every peer reads both",
            ),
            (
                "max_header_field_size_kb",
                "raises nghttp2's own limit; ours is that of all headers together",
            ),
        ],
        default_only: &["allow_metadata", "disallow_obs_text"],
    },
    all(
        "envoy.config.core.v3.KeepaliveSettings",
        &[
            "interval",
            "timeout",
            "interval_jitter",
            "connection_idle_interval",
        ],
    ),
    // -- routes --
    Entry {
        message: "envoy.config.route.v3.RouteConfiguration",
        implemented: &[
            "name",
            "virtual_hosts",
            "internal_only_headers",
            "response_headers_to_add",
            "response_headers_to_remove",
            "request_headers_to_add",
            "request_headers_to_remove",
            "most_specific_header_mutations_wins",
            "validate_clusters",
            "max_direct_response_body_size_bytes",
            "ignore_port_in_host_matching",
            "ignore_path_parameters_in_path_matching",
            "typed_per_filter_config",
            "request_mirror_policies",
        ],
        ignored: &[("metadata", OPAQUE)],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.route.v3.VirtualHost",
        implemented: &[
            "name",
            "domains",
            "routes",
            "require_tls",
            "request_headers_to_add",
            "request_headers_to_remove",
            "response_headers_to_add",
            "response_headers_to_remove",
            "include_request_attempt_count",
            "include_attempt_count_in_response",
            "typed_per_filter_config",
            "include_is_timeout_retry_header",
            "request_mirror_policies",
            "retry_policy",
            "per_request_buffer_limit_bytes",
            "request_body_buffer_limit",
        ],
        ignored: &[("metadata", OPAQUE)],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.route.v3.Route",
        implemented: &[
            "name",
            "match",
            "route",
            "redirect",
            "direct_response",
            "non_forwarding_action",
            "request_headers_to_add",
            "request_headers_to_remove",
            "response_headers_to_add",
            "response_headers_to_remove",
            "stat_prefix",
            "typed_per_filter_config",
            "per_request_buffer_limit_bytes",
            "request_body_buffer_limit",
        ],
        ignored: &[
            ("metadata", OPAQUE),
            ("decorator", NO_TRACING),
            ("tracing", NO_TRACING),
        ],
        default_only: &[],
    },
    all(
        "envoy.config.route.v3.RouteMatch",
        &[
            "prefix",
            "path",
            "safe_regex",
            "connect_matcher",
            "path_separated_prefix",
            "case_sensitive",
            "runtime_fraction",
            "headers",
            "query_parameters",
            "grpc",
            "tls_context",
        ],
    ),
    all(
        "envoy.config.route.v3.RouteMatch.TlsContextMatchOptions",
        &["presented", "validated"],
    ),
    all("envoy.config.route.v3.RouteMatch.ConnectMatcher", &[]),
    all(
        "envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions",
        &[],
    ),
    Entry {
        message: "envoy.config.core.v3.RuntimeFractionalPercent",
        implemented: &["default_value"],
        ignored: &[("runtime_key", RUNTIME)],
        default_only: &[],
    },
    all(
        "envoy.type.v3.FractionalPercent",
        &["numerator", "denominator"],
    ),
    all("envoy.type.v3.Percent", &["value"]),
    all("envoy.type.v3.Int64Range", &["start", "end"]),
    all(
        "envoy.config.route.v3.HeaderMatcher",
        &[
            "name",
            "exact_match",
            "safe_regex_match",
            "range_match",
            "present_match",
            "prefix_match",
            "suffix_match",
            "contains_match",
            "string_match",
            "invert_match",
            "treat_missing_header_as_empty",
        ],
    ),
    all(
        "envoy.config.route.v3.QueryParameterMatcher",
        &["name", "string_match", "present_match"],
    ),
    all(
        "envoy.type.matcher.v3.StringMatcher",
        &[
            "exact",
            "prefix",
            "suffix",
            "safe_regex",
            "contains",
            "ignore_case",
        ],
    ),
    all("envoy.type.matcher.v3.PathMatcher", &["path"]),
    all(
        "envoy.type.matcher.v3.MetadataMatcher",
        &["filter", "path", "value", "invert"],
    ),
    all(
        "envoy.type.matcher.v3.MetadataMatcher.PathSegment",
        &["key"],
    ),
    all(
        "envoy.type.matcher.v3.ValueMatcher",
        &[
            "null_match",
            "double_match",
            "string_match",
            "bool_match",
            "present_match",
            "list_match",
            "or_match",
        ],
    ),
    all("envoy.type.matcher.v3.ValueMatcher.NullMatch", &[]),
    all("envoy.type.matcher.v3.DoubleMatcher", &["range", "exact"]),
    all("envoy.type.matcher.v3.ListMatcher", &["one_of"]),
    all("envoy.type.matcher.v3.OrMatcher", &["value_matchers"]),
    all("envoy.type.v3.DoubleRange", &["start", "end"]),
    Entry {
        message: "envoy.type.matcher.v3.RegexMatcher",
        implemented: &["regex"],
        ignored: &[("google_re2", ONLY_RE2)],
        default_only: &[],
    },
    all(
        "envoy.type.matcher.v3.RegexMatchAndSubstitute",
        &["pattern", "substitution"],
    ),
    Entry {
        message: "envoy.config.route.v3.RouteAction",
        implemented: &[
            "cluster",
            "cluster_header",
            "weighted_clusters",
            "cluster_not_found_response_code",
            "prefix_rewrite",
            "regex_rewrite",
            "host_rewrite_literal",
            "auto_host_rewrite",
            "host_rewrite_header",
            "host_rewrite_path_regex",
            "append_x_forwarded_host",
            "timeout",
            "idle_timeout",
            "max_stream_duration",
            "max_grpc_timeout",
            "grpc_timeout_offset",
            "upgrade_configs",
            "priority",
            "metadata_match",
            "hash_policy",
            "retry_policy",
            "request_mirror_policies",
        ],
        ignored: &[(
            "include_vh_rate_limits",
            "acts only with rate limits, which are refused",
        )],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.route.v3.RouteAction.RequestMirrorPolicy",
        implemented: &[
            "cluster",
            "cluster_header",
            "runtime_fraction",
            "disable_shadow_host_suffix_append",
        ],
        ignored: &[("trace_sampled", NO_TRACING)],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.route.v3.RetryPolicy",
        implemented: &[
            "retry_on",
            "num_retries",
            "per_try_timeout",
            "per_try_idle_timeout",
            "retry_host_predicate",
            "host_selection_retry_max_attempts",
            "retriable_status_codes",
            "retry_back_off",
            "rate_limited_retry_back_off",
            "retriable_headers",
            "retriable_request_headers",
        ],
        ignored: &[],
        default_only: &["refresh_cluster_on_retry"],
    },
    all(
        "envoy.config.route.v3.RetryPolicy.RetryHostPredicate",
        &["name", "typed_config"],
    ),
    all(
        "envoy.config.route.v3.RetryPolicy.RetryBackOff",
        &["base_interval", "max_interval"],
    ),
    all(
        "envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff",
        &["reset_headers", "max_interval"],
    ),
    all(
        "envoy.config.route.v3.RetryPolicy.ResetHeader",
        &["name", "format"],
    ),
    all(
        "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
        &[],
    ),
    all(
        "envoy.config.route.v3.RouteAction.MaxStreamDuration",
        &[
            "max_stream_duration",
            "grpc_timeout_header_max",
            "grpc_timeout_header_offset",
        ],
    ),
    all(
        "envoy.config.route.v3.RouteAction.UpgradeConfig",
        &["upgrade_type", "enabled", "connect_config"],
    ),
    all(
        "envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig",
        &["allow_post"],
    ),
    Entry {
        message: "envoy.config.route.v3.WeightedCluster",
        implemented: &["clusters", "total_weight", "header_name"],
        ignored: &[("runtime_key_prefix", RUNTIME)],
        default_only: &["use_hash_policy"],
    },
    Entry {
        message: "envoy.config.route.v3.WeightedCluster.ClusterWeight",
        implemented: &[
            "name",
            "cluster_header",
            "weight",
            "request_headers_to_add",
            "request_headers_to_remove",
            "response_headers_to_add",
            "response_headers_to_remove",
            "host_rewrite_literal",
            "metadata_match",
            "typed_per_filter_config",
        ],
        ignored: &[],
        default_only: &[],
    },
    all(
        "envoy.config.route.v3.RouteAction.HashPolicy",
        &[
            "header",
            "cookie",
            "connection_properties",
            "query_parameter",
            "terminal",
        ],
    ),
    all(
        "envoy.config.route.v3.RouteAction.HashPolicy.Header",
        &["header_name", "regex_rewrite"],
    ),
    all(
        "envoy.config.route.v3.RouteAction.HashPolicy.Cookie",
        &["name", "ttl", "path", "attributes"],
    ),
    all(
        "envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute",
        &["name", "value"],
    ),
    all(
        "envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties",
        &["source_ip"],
    ),
    all(
        "envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter",
        &["name"],
    ),
    all(
        "envoy.config.route.v3.RedirectAction",
        &[
            "https_redirect",
            "scheme_redirect",
            "host_redirect",
            "port_redirect",
            "path_redirect",
            "prefix_rewrite",
            "regex_rewrite",
            "response_code",
            "strip_query",
        ],
    ),
    all(
        "envoy.config.route.v3.DirectResponseAction",
        &["status", "body", "body_format"],
    ),
    all("envoy.config.route.v3.NonForwardingAction", &[]),
    all(
        "envoy.config.core.v3.DataSource",
        &[
            "filename",
            "inline_bytes",
            "inline_string",
            "environment_variable",
        ],
    ),
    all(
        "envoy.config.core.v3.HeaderValueOption",
        &["header", "append", "append_action", "keep_empty_value"],
    ),
    all("envoy.config.core.v3.HeaderValue", &["key", "value"]),
    // -- access logs --
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
        ],
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
    Entry {
        message: "envoy.config.core.v3.RuntimeUInt32",
        implemented: &["default_value"],
        ignored: &[("runtime_key", RUNTIME)],
        default_only: &[],
    },
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
    // -- clusters --
    Entry {
        message: "envoy.config.cluster.v3.Cluster",
        implemented: &[
            "name",
            "alt_stat_name",
            "type",
            "eds_cluster_config",
            "connect_timeout",
            "per_connection_buffer_limit_bytes",
            "lb_policy",
            "load_assignment",
            "circuit_breakers",
            "max_requests_per_connection",
            "common_http_protocol_options",
            "http_protocol_options",
            "typed_extension_protocol_options",
            "dns_refresh_rate",
            "dns_failure_refresh_rate",
            "dns_lookup_family",
            "least_request_lb_config",
            "round_robin_lb_config",
            "ring_hash_lb_config",
            "maglev_lb_config",
            "lb_subset_config",
            "common_lb_config",
            "load_balancing_policy",
            "transport_socket",
            "transport_socket_matches",
            "http2_protocol_options",
            "protocol_selection",
            "upstream_http_protocol_options",
            "upstream_connection_options",
            "upstream_bind_config",
            "outlier_detection",
            "close_connections_on_host_health_failure",
            "original_dst_lb_config",
            "cleanup_interval",
            // `istio`: what its filters ask of a cluster.
            "metadata",
            "filters",
        ],
        ignored: &[
            (
                "respect_dns_ttl",
                "the system tells no TTL; then dns_refresh_rate counts, in Envoy too",
            ),
            ("ignore_health_on_host_removal", NO_HEALTH_CHECKS),
        ],
        default_only: &[],
    },
    Entry {
        message: "envoy.config.cluster.v3.OutlierDetection",
        implemented: &[
            "interval",
            "base_ejection_time",
            "max_ejection_time",
            "max_ejection_time_jitter",
            "max_ejection_percent",
            "always_eject_one_host",
            "split_external_local_origin_errors",
            "consecutive_5xx",
            "enforcing_consecutive_5xx",
            "consecutive_gateway_failure",
            "enforcing_consecutive_gateway_failure",
            "consecutive_local_origin_failure",
            "enforcing_consecutive_local_origin_failure",
            "success_rate_minimum_hosts",
            "success_rate_request_volume",
            "success_rate_stdev_factor",
            "enforcing_success_rate",
            "enforcing_local_origin_success_rate",
            "failure_percentage_threshold",
            "failure_percentage_minimum_hosts",
            "failure_percentage_request_volume",
            "enforcing_failure_percentage",
            "enforcing_failure_percentage_local_origin",
        ],
        ignored: &[(
            "successful_active_health_check_uneject_host",
            NO_HEALTH_CHECKS,
        )],
        default_only: &["detect_degraded_hosts"],
    },
    all("envoy.config.cluster.v3.Filter", &["name", "typed_config"]),
    all(
        "envoy.config.cluster.v3.Cluster.OriginalDstLbConfig",
        &[
            "use_http_header",
            "http_header_name",
            "upstream_port_override",
            "metadata_key",
        ],
    ),
    all("envoy.type.metadata.v3.MetadataKey", &["key", "path"]),
    all("envoy.type.metadata.v3.MetadataKey.PathSegment", &["key"]),
    all(
        "envoy.config.core.v3.BindConfig",
        &[
            "source_address",
            "freebind",
            "socket_options",
            "extra_source_addresses",
            "local_address_selector",
        ],
    ),
    all(
        "envoy.config.core.v3.ExtraSourceAddress",
        &["address", "socket_options"],
    ),
    all(
        "envoy.config.core.v3.SocketOptionsOverride",
        &["socket_options"],
    ),
    Entry {
        message: "envoy.config.core.v3.SocketOption",
        // `state`: STATE_PREBIND alone (bind.rs).
        implemented: &["level", "name", "int_value", "buf_value", "state"],
        ignored: &[("description", "for people")],
        default_only: &["ip_version"],
    },
    all(
        "envoy.config.upstream.local_address_selector.v3.DefaultLocalAddressSelector",
        &[],
    ),
    all(
        "envoy.config.cluster.v3.Cluster.EdsClusterConfig",
        &["eds_config", "service_name"],
    ),
    all(
        "envoy.config.cluster.v3.Cluster.RefreshRate",
        &["base_interval", "max_interval"],
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
    all("envoy.config.cluster.v3.CircuitBreakers", &["thresholds"]),
    Entry {
        message: "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
        implemented: &[
            "priority",
            "max_connections",
            "max_pending_requests",
            "max_requests",
            "max_retries",
            "retry_budget",
        ],
        ignored: &[
            ("track_remaining", "only publishes gauges of what is left"),
            (
                "max_connection_pools",
                "one host has one pool a worker: there is nothing to limit",
            ),
        ],
        default_only: &[],
    },
    all(
        "envoy.config.cluster.v3.CircuitBreakers.Thresholds.RetryBudget",
        &["budget_percent", "min_retry_concurrency"],
    ),
    all("envoy.config.cluster.v3.LoadBalancingPolicy", &["policies"]),
    all(
        "envoy.config.cluster.v3.LoadBalancingPolicy.Policy",
        &["typed_extension_config"],
    ),
    all(
        "envoy.config.core.v3.TypedExtensionConfig",
        &["name", "typed_config"],
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
    Entry {
        message: "envoy.config.core.v3.RuntimeDouble",
        implemented: &["default_value"],
        ignored: &[("runtime_key", RUNTIME)],
        default_only: &[],
    },
    Entry {
        message: "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        implemented: &[
            "common_http_protocol_options",
            "upstream_http_protocol_options",
            "explicit_http_config",
            "use_downstream_protocol_config",
            "auto_config",
        ],
        ignored: &[],
        default_only: &[],
    },
    all(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
        &["http_protocol_options", "http2_protocol_options"],
    ),
    all(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
        &["http_protocol_options", "http2_protocol_options"],
    ),
    all(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig",
        &["http_protocol_options", "http2_protocol_options"],
    ),
    all(
        "envoy.config.core.v3.UpstreamHttpProtocolOptions",
        &[
            "auto_sni",
            "auto_san_validation",
            "override_auto_sni_header",
        ],
    ),
    Entry {
        message: "envoy.config.cluster.v3.UpstreamConnectionOptions",
        implemented: &["tcp_keepalive"],
        ignored: &[],
        default_only: &["set_local_interface_name_on_upstream_connections"],
    },
    all(
        "envoy.config.core.v3.TcpKeepalive",
        &["keepalive_probes", "keepalive_time", "keepalive_interval"],
    ),
    all(
        "envoy.config.cluster.v3.Cluster.TransportSocketMatch",
        &["name", "match", "transport_socket"],
    ),
    // -- endpoints --
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
    all(
        "envoy.config.core.v3.Locality",
        &["region", "zone", "sub_zone"],
    ),
];
