//! Transport sockets: TLS, its contexts and secrets.

use super::{Entry, all};

pub(super) const ENTRIES: &[Entry] = &[
    all(
        "envoy.config.core.v3.TransportSocket",
        &["name", "typed_config"],
    ),
    all(
        "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
        &[],
    ),
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
];
