//! `envoy.config.rbac.v3.RBAC`, compiled: who may do what. The network filter `rbac` and what
//! speaks HTTP ask the same rules about a subject of their own (`matching::rbac`).

use std::sync::Arc;
use std::time::Duration;

use super::hcm::Cidr;
use super::route::{HeaderMatcher, StringMatcher};
use super::tls::SanMatcher;

/// `envoy.extensions.filters.network.rbac.v3.RBAC`.
#[derive(Debug)]
pub struct NetworkRbac {
    pub stat_prefix: Box<str>,
    /// `shadow_rules_stat_prefix`: also what the keys of the dynamic metadata begin with.
    pub shadow_prefix: Box<str>,
    /// Enforced; `None`: everybody passes, and nothing is counted.
    pub rules: Option<Rules>,
    /// Counted, logged, and not enforced.
    pub shadow_rules: Option<Rules>,
    /// `enforcement_type: CONTINUOUS`: asked whenever bytes come, not only the first time.
    pub is_continuous: bool,
    /// `delay_deny`: how long a refused connection is held before it is closed.
    pub delay_deny: Option<Duration>,
}

/// `envoy.extensions.filters.http.rbac.v3.RBAC`.
#[derive(Debug)]
pub struct HttpRbac {
    /// Enforced; `None`: everybody passes, and nothing is counted.
    pub rules: Option<Rules>,
    /// Counted, noted, and not enforced.
    pub shadow_rules: Option<Rules>,
    /// `rules_stat_prefix`, `shadow_rules_stat_prefix`.
    pub prefix: Box<str>,
    pub shadow_prefix: Box<str>,
    pub keys: RbacKeys,
}

/// Keys of the dynamic metadata in which a request's results are noted.
#[derive(Debug)]
pub struct RbacKeys {
    pub result: Arc<str>,
    pub policy: Arc<str>,
    pub shadow_result: Arc<str>,
    pub shadow_policy: Arc<str>,
}

impl RbacKeys {
    #[must_use]
    pub fn new(prefix: &str, shadow_prefix: &str) -> Self {
        Self {
            result: format!("{prefix}enforced_engine_result").into(),
            policy: format!("{prefix}enforced_effective_policy_id").into(),
            shadow_result: format!("{shadow_prefix}shadow_engine_result").into(),
            shadow_policy: format!("{shadow_prefix}shadow_effective_policy_id").into(),
        }
    }
}

/// `envoy.config.rbac.v3.RBAC`.
#[derive(Debug)]
pub struct Rules {
    pub action: Action,
    /// By their names, in the order of these: the first that applies is the one that is named.
    pub policies: Vec<Policy>,
}

/// What becomes of a subject that a policy applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It passes; the others do not.
    Allow,
    /// It does not pass; the others do.
    Deny,
    /// All pass, and metadata says whether a policy applied.
    Log,
}

/// Applies if one of the permissions and one of the principals does.
#[derive(Debug)]
pub struct Policy {
    pub name: Arc<str>,
    pub permissions: Vec<Criterion>,
    pub principals: Vec<Criterion>,
}

/// A `Permission` or a `Principal`.
#[derive(Debug)]
pub enum Criterion {
    Any,
    And(Vec<Criterion>),
    Or(Vec<Criterion>),
    Not(Box<Criterion>),
    DestinationIp(Cidr),
    /// From the first up to but without the second.
    DestinationPort {
        start: u32,
        end: u32,
    },
    /// Of a request; no connection has any.
    Header(HeaderMatcher),
    /// `requested_server_name`
    ServerName(StringMatcher),
    /// `url_path`: the path without its query and fragment; nothing that is no request has one.
    UrlPath(StringMatcher),
    Metadata(MetadataMatcher),
    /// `authenticated`, of TLS; with a matcher one of the certificate's URI names, else of its DNS
    /// names, else its subject must match.
    Authenticated(Option<StringMatcher>),
    /// `mtls_authenticated`: of a certificate that was verified; with a matcher one of its
    /// alternative names must match.
    Verified(Option<SanMatcher>),
    SourceIp(Source, Cidr),
}

/// Which of a client's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `source_ip`: of the connection, as PROXY protocol has it.
    Connection,
    /// `direct_remote_ip`: of the socket.
    Direct,
    /// `remote_ip`: as `x-forwarded-for` has it, too, where there is a request.
    Remote,
}

/// `envoy.type.matcher.v3.MetadataMatcher`, of dynamic metadata.
#[derive(Debug)]
pub struct MetadataMatcher {
    /// The namespace.
    pub filter: Box<str>,
    /// Keys, one inside the other; never empty.
    pub path: Vec<Box<str>>,
    pub value: ValueMatcher,
    pub invert: bool,
}

/// `envoy.type.matcher.v3.ValueMatcher`.
#[derive(Debug)]
pub enum ValueMatcher {
    String(StringMatcher),
    Bool(bool),
    /// Any value; `false` matches nothing, not even absence.
    Present(bool),
    Or(Vec<ValueMatcher>),
    Null,
    Number(f64),
    /// From the first up to but without the second.
    NumberIn {
        start: f64,
        end: f64,
    },
    /// `list_match`: of a list's values.
    OneOf(Box<ValueMatcher>),
}
