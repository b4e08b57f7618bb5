//! What the names of an entity's statistics begin with, where that is not its stat name alone.

pub(super) fn outliers_name(cluster: &str) -> String {
    format!("{cluster}.outlier_detection")
}

/// The one entity of its kind.
pub(super) const TLS_INSPECTOR: &str = "tls_inspector";
pub(super) const HTTP_INSPECTOR: &str = "http_inspector";
/// HTTP/2 with clients.
pub(super) const HTTP2: &str = "http2";

/// Whose TLS it is: what the names of its statistics begin with.
#[derive(Debug, Clone, Copy)]
pub enum TlsOwner<'a> {
    /// A listener's `stat_prefix`.
    Listener(&'a str),
    /// A cluster's stat name.
    Cluster(&'a str),
}

impl TlsOwner<'_> {
    pub(super) fn handshakes(self) -> String {
        match self {
            Self::Listener(prefix) => format!("listener.{prefix}.ssl"),
            Self::Cluster(name) => format!("cluster.{name}.ssl"),
        }
    }

    pub(super) fn contexts(self) -> String {
        match self {
            Self::Listener(prefix) => format!("listener.{prefix}.server_ssl_socket_factory"),
            Self::Cluster(name) => format!("cluster.{name}.client_ssl_socket_factory"),
        }
    }
}

pub(super) fn proxy_protocol_name(stat_prefix: &str) -> String {
    match stat_prefix {
        "" => "proxy_proto".to_owned(),
        prefix => format!("proxy_proto.{prefix}"),
    }
}

/// Prefixes may bring their dot along, as Istio's `tcp.` does.
pub(super) fn rbac_name(stat_prefix: &str) -> String {
    let prefix = stat_prefix.strip_suffix('.').unwrap_or(stat_prefix);
    format!("{prefix}.rbac")
}

/// With a prefix of its own for the rules.
pub(super) fn rbac_prefixed_name(stat_prefix: &str, rules_prefix: &str) -> String {
    let rules_prefix = rules_prefix.strip_suffix('.').unwrap_or(rules_prefix);
    match rules_prefix {
        "" => rbac_name(stat_prefix),
        prefix => format!("{}.{prefix}", rbac_name(stat_prefix)),
    }
}

pub(super) fn ext_authz_name(of: &str, stat_prefix: &str) -> String {
    filter_name(of, "ext_authz", stat_prefix)
}

pub(super) fn jwt_authn_name(of: &str, stat_prefix: &str) -> String {
    filter_name(of, "jwt_authn", stat_prefix)
}

pub(super) fn filter_name(of: &str, filter: &str, stat_prefix: &str) -> String {
    match stat_prefix.trim_end_matches('.') {
        "" => format!("{of}.{filter}"),
        prefix => format!("{of}.{filter}.{prefix}"),
    }
}

/// What a connection manager's `rbac` counts for.
pub(super) fn http_prefix(hcm_prefix: &str) -> String {
    format!("http.{hcm_prefix}")
}
