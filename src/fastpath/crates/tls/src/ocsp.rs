//! OCSP stapling: what becomes of a certificate's response when a client asks for it
//! (Envoy's `ServerContextImpl::ocspStapleAction`), and which key rustls presents.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use model::problem::Problem;
use model::resources::tls::{OcspPolicy, OcspStaple};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// What a client that asked for a response got; `ssl.ocsp_staple_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ocsp {
    /// `ocsp_staple_responses`
    Stapled,
    /// `ocsp_staple_omitted`
    Omitted,
    /// `ocsp_staple_failed`: the handshake ended.
    Failed,
}

/// The rule for one certificate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    policy: OcspPolicy,
    has_response: bool,
    next_update: Option<i64>,
}

impl Rule {
    /// # Errors
    /// There must be a response and there is none.
    pub(crate) fn new(
        policy: OcspPolicy,
        staple: Option<&OcspStaple>,
        must_staple: bool,
        path: &str,
    ) -> Result<Self, Problem> {
        let missing = match (staple, policy) {
            (None, _) if must_staple => {
                Some("OCSP response is required for must-staple certificate")
            }
            (None, OcspPolicy::Must) => Some("Required OCSP response is missing from TLS context"),
            _ => None,
        };
        if let Some(reason) = missing {
            return Err(Problem {
                path: format!("{path}.ocsp_staple"),
                reason: reason.into(),
            });
        }
        Ok(Self {
            policy: if must_staple {
                OcspPolicy::Must
            } else {
                policy
            },
            has_response: staple.is_some(),
            next_update: staple.and_then(|staple| staple.next_update),
        })
    }

    /// For a client that asks; `now` in seconds since 1970.
    pub(crate) fn apply(&self, now: i64) -> Ocsp {
        let holds = self.next_update.is_some_and(|until| until >= now);
        match self.policy {
            _ if self.has_response && holds => Ocsp::Stapled,
            OcspPolicy::Must => Ocsp::Failed,
            OcspPolicy::Strict if self.has_response => Ocsp::Failed,
            OcspPolicy::Strict | OcspPolicy::Lenient => Ocsp::Omitted,
        }
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}

/// Presents a key with its response as long as that holds. rustls sends it to those who ask.
pub(crate) struct Resolver {
    rule: Rule,
    with: Arc<CertifiedKey>,
    without: Arc<CertifiedKey>,
}

impl Resolver {
    pub(crate) fn new(rule: Rule, with: Arc<CertifiedKey>) -> Self {
        let without = if with.ocsp.is_some() {
            let mut key = CertifiedKey::clone(&with);
            key.ocsp = None;
            Arc::new(key)
        } else {
            Arc::clone(&with)
        };
        Self {
            rule,
            with,
            without,
        }
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(match self.rule.apply(now()) {
            Ocsp::Stapled => &self.with,
            Ocsp::Omitted | Ocsp::Failed => &self.without,
        }))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("rule", &self.rule)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        use OcspPolicy::{Lenient, Must, Strict};
        let staple = |next_update| OcspStaple {
            response: Vec::new(),
            this_update: 0,
            next_update,
        };
        let (good, old, endless) = (staple(Some(100)), staple(Some(99)), staple(None));
        for (policy, response, must_staple, expected) in [
            (Lenient, Some(&good), false, Ocsp::Stapled),
            (Lenient, Some(&old), false, Ocsp::Omitted),
            (Lenient, Some(&endless), false, Ocsp::Omitted),
            (Lenient, None, false, Ocsp::Omitted),
            (Strict, Some(&good), false, Ocsp::Stapled),
            (Strict, Some(&old), false, Ocsp::Failed),
            (Strict, None, false, Ocsp::Omitted),
            (Must, Some(&good), false, Ocsp::Stapled),
            (Must, Some(&old), false, Ocsp::Failed),
            (Lenient, Some(&old), true, Ocsp::Failed),
        ] {
            let rule = Rule::new(policy, response, must_staple, "c").unwrap();
            assert_eq!(rule.apply(100), expected, "{policy:?} {response:?}");
        }
        let missing = Rule::new(Must, None, false, "c").unwrap_err();
        assert_eq!(missing.path, "c.ocsp_staple");
        assert!(Rule::new(Lenient, None, true, "c").is_err());
    }
}
