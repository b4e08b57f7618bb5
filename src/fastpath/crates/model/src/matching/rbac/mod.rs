//! RBAC: what rules say of a subject, a connection or a request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use super::metadata::MetadataValue;
use crate::resources::rbac::{Action, Criterion, MetadataMatcher, Policy, Rules, Source};
use crate::resources::route::{HeaderMatcher, StringMatcher};
use crate::resources::tls::SanMatcher;

/// Whom rules are asked about. What a subject does not have matches nothing.
pub trait Subject {
    /// Where it wants to go: the local address, or what it was before a redirect.
    fn destination(&self) -> Option<SocketAddr>;
    fn source(&self, which: Source) -> Option<IpAddr>;
    /// The server name that a client asked for; empty without one.
    fn server_name(&self) -> &[u8];
    /// Whether a request's headers match.
    fn has_header(&self, matcher: &HeaderMatcher) -> bool;
    /// Whether a request's path, without query and fragment, matches.
    fn has_path(&self, matcher: &StringMatcher) -> bool;
    /// Whether the connection speaks TLS.
    fn is_secure(&self) -> bool;
    /// Whether `matches` holds for a URI name or a DNS name of the peer's certificate, or for its
    /// subject, which is empty without a certificate.
    fn any_principal(&self, matches: impl FnMut(&[u8]) -> bool) -> bool;
    /// Whether the peer showed a certificate that was verified.
    fn is_verified(&self) -> bool;
    /// Whether an alternative name of the peer's certificate matches.
    fn has_san(&self, matcher: &SanMatcher) -> bool;
    /// Dynamic metadata: the value at a path of keys.
    fn metadata(&self, namespace: &str, path: &[Box<str>]) -> Option<MetadataValue<'_>>;
}

/// What rules say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'a> {
    pub allowed: bool,
    /// The name of the first policy that applies.
    pub policy: Option<&'a Arc<str>>,
}

impl Rules {
    #[must_use]
    pub fn ask(&self, subject: &impl Subject) -> Verdict<'_> {
        let mut policies = self.policies.iter();
        let policy = policies.find(|policy| policy.applies(subject));
        let allowed = match self.action {
            Action::Allow => policy.is_some(),
            Action::Deny => policy.is_none(),
            Action::Log => true,
        };
        Verdict {
            allowed,
            policy: policy.map(|policy| &policy.name),
        }
    }
}

impl Policy {
    fn applies(&self, subject: &impl Subject) -> bool {
        let any = |of: &[Criterion]| of.iter().any(|c| c.matches(subject));
        any(&self.permissions) && any(&self.principals)
    }
}

impl Criterion {
    fn matches(&self, subject: &impl Subject) -> bool {
        match self {
            Self::Any => true,
            Self::And(all) => all.iter().all(|c| c.matches(subject)),
            Self::Or(any) => any.iter().any(|c| c.matches(subject)),
            Self::Not(not) => !not.matches(subject),
            Self::DestinationIp(range) => subject
                .destination()
                .is_some_and(|address| range.contains(address.ip())),
            Self::DestinationPort { start, end } => {
                let port = subject.destination().map(|address| address.port());
                port.is_some_and(|port| (*start..*end).contains(&u32::from(port)))
            }
            Self::Header(header) => subject.has_header(header),
            Self::ServerName(name) => name.matches(subject.server_name()),
            Self::UrlPath(path) => subject.has_path(path),
            Self::Metadata(metadata) => metadata.matches(subject),
            Self::Authenticated(None) => subject.is_secure(),
            Self::Authenticated(Some(name)) => {
                subject.is_secure() && subject.any_principal(|p| name.matches(p))
            }
            Self::Verified(san) => {
                subject.is_verified() && san.as_ref().is_none_or(|san| subject.has_san(san))
            }
            Self::SourceIp(which, range) => {
                subject.source(*which).is_some_and(|ip| range.contains(ip))
            }
        }
    }
}

impl MetadataMatcher {
    fn matches(&self, subject: &impl Subject) -> bool {
        self.takes(subject.metadata(&self.filter, &self.path))
    }

    /// Whether it matches what is at its path.
    #[must_use]
    pub fn takes(&self, value: Option<MetadataValue<'_>>) -> bool {
        value.is_some_and(|value| self.value.matches(value)) != self.invert
    }
}

#[cfg(test)]
mod tests;
