//! `rbac` of a filter chain: rules say whether the bytes of a client go on.
//!
//! `CONTINUOUS` ones are asked again before bytes that come later go on; but for the metadata of the
//! filters themselves the answer cannot have changed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::matching::rbac::{MetadataValue, Subject, Verdict};
use model::resources::rbac::{Action, NetworkRbac, Source};
use model::resources::route::{HeaderMatcher, StringMatcher};
use model::resources::tls::SanMatcher;
use tls::{Info, PeerCertificate};

use super::guards::Refusal;
use crate::listener::ConnectionFacts;
use crate::telemetry::log::Level;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::{RbacCounter, RbacShadowCounter, RbacShadowShard, RbacShard, Stats};

/// Where the results of shadow rules are told.
const NAMESPACE: &str = "envoy.filters.network.rbac";
/// Where the action LOG says whether it is asked for.
pub const COMMON_NAMESPACE: &str = "envoy.common";
pub const LOG_HINT: &str = "access_log_hint";

/// A filter with this worker's statistics of it.
#[derive(Debug)]
pub struct RbacFilter {
    config: Arc<NetworkRbac>,
    stats: Arc<RbacShard>,
    shadow_stats: Arc<RbacShadowShard>,
    /// Keys of the dynamic metadata.
    policy_key: Box<str>,
    result_key: Box<str>,
}

impl RbacFilter {
    pub fn new(config: &Arc<NetworkRbac>, stats: &Stats) -> Self {
        let prefix = &config.shadow_prefix;
        Self {
            stats: stats.rbac(&config.stat_prefix),
            shadow_stats: stats.rbac_shadow(&config.stat_prefix, prefix),
            policy_key: format!("{prefix}shadow_effective_policy_id").into(),
            result_key: format!("{prefix}shadow_engine_result").into(),
            config: Arc::clone(config),
        }
    }

    /// Whether it is asked about all that comes.
    pub fn is_continuous(&self) -> bool {
        self.config.is_continuous
    }

    /// Asks it about a connection; `None`: its bytes go on. What it finds out is added to the facts.
    pub fn ask(&self, facts: &mut ConnectionFacts, tls: Option<&Info>) -> Option<Refusal> {
        if let Some(rules) = &self.config.shadow_rules {
            let verdict = rules.ask(&Connection { facts, tls });
            self.note_shadow(verdict, facts);
        }
        let rules = self.config.rules.as_ref()?;
        let verdict = rules.ask(&Connection { facts, tls });
        if rules.action == Action::Log {
            facts.set_flag(COMMON_NAMESPACE, LOG_HINT, verdict.policy.is_some());
        }
        if verdict.allowed {
            self.stats.inc(RbacCounter::Allowed);
            return None;
        }
        self.stats.inc(RbacCounter::Denied);
        let policy = verdict.policy.map_or("none", |policy| policy);
        crate::log!(
            Level::Debug,
            "rbac",
            "{}: {} is refused, matched policy {policy}",
            self.config.stat_prefix,
            facts.source
        );
        Some(Refusal {
            details: Some(details(policy)),
            flags: ResponseFlags::default(),
            delay: self.config.delay_deny,
        })
    }

    fn note_shadow(&self, verdict: Verdict<'_>, facts: &mut ConnectionFacts) {
        let (counter, result) = if verdict.allowed {
            (RbacShadowCounter::ShadowAllowed, "allowed")
        } else {
            (RbacShadowCounter::ShadowDenied, "denied")
        };
        self.shadow_stats.inc(counter);
        if let Some(policy) = verdict.policy {
            facts.set_text(NAMESPACE, &self.policy_key, policy);
        }
        facts.set_text(NAMESPACE, &self.result_key, result);
    }
}

/// In Envoy's form, without white space.
pub fn details(policy: &str) -> Box<str> {
    let policy = policy.replace(|c: char| c.is_ascii_whitespace(), "_");
    format!("rbac_access_denied_matched_policy[{policy}]").into()
}

/// A connection as rules see it.
struct Connection<'a> {
    facts: &'a ConnectionFacts,
    tls: Option<&'a Info>,
}

impl Connection<'_> {
    fn peer(&self) -> Option<&PeerCertificate> {
        self.tls?.peer.as_deref()
    }
}

/// Whether `matches` holds for a name of a peer that rules may ask for.
pub fn any_principal(
    peer: Option<&PeerCertificate>,
    mut matches: impl FnMut(&[u8]) -> bool,
) -> bool {
    let Some(peer) = peer else {
        return matches(b"");
    };
    let mut names = peer.sans.uri.iter().chain(&peer.sans.dns);
    names.any(|name| matches(name.as_bytes())) || matches(peer.subject.as_bytes())
}

impl Subject for Connection<'_> {
    fn destination(&self) -> Option<SocketAddr> {
        self.facts.destination.socket_addr()
    }

    fn source(&self, which: Source) -> Option<IpAddr> {
        match which {
            Source::Direct => self.facts.direct_source.ip(),
            Source::Connection | Source::Remote => self.facts.source.ip(),
        }
    }

    /// What the TLS inspector found: without one there is none, in Envoy too.
    fn server_name(&self) -> &[u8] {
        &self.facts.server_name
    }

    fn has_header(&self, _: &HeaderMatcher) -> bool {
        false
    }

    fn has_path(&self, _: &StringMatcher) -> bool {
        false
    }

    fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    fn any_principal(&self, matches: impl FnMut(&[u8]) -> bool) -> bool {
        any_principal(self.peer(), matches)
    }

    fn is_verified(&self) -> bool {
        self.peer().is_some_and(|peer| peer.validated)
    }

    fn has_san(&self, matcher: &SanMatcher) -> bool {
        self.peer().is_some_and(|peer| peer.has_san(matcher))
    }

    fn metadata(&self, namespace: &str, path: &[Box<str>]) -> Option<MetadataValue<'_>> {
        // None of it has structure.
        match path {
            [key] => self.facts.metadata(namespace, key),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
