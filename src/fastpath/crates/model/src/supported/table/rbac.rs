//! RBAC, the network filter and the HTTP filter, and the rules that both share.

use super::{Entry, all};

pub(super) const ENTRIES: &[Entry] = &[
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
];
