//! `envoy.filters.http.jwt_authn`, compiled: whose tokens a request needs, where they are, and what
//! is made of them.

use std::sync::Arc;
use std::time::Duration;

use super::header_mutation::HeaderName;
use super::route::{RouteMatch, StringMatcher};
use crate::jwt::{KeySet, Status};

/// `envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication`.
#[derive(Debug)]
pub struct JwtAuthn {
    /// In the order of their names.
    pub providers: Vec<Provider>,
    /// The first that matches counts.
    pub rules: Vec<Rule>,
    /// `requirement_map`, in the order of the names.
    pub named: Vec<(Box<str>, Arc<Requirement>)>,
    /// Headers that only the filter may set.
    pub own_headers: Vec<HeaderName>,
    pub bypass_cors_preflight: bool,
    pub strip_failure_response: bool,
    pub stat_prefix: Box<str>,
}

#[derive(Debug)]
pub struct Rule {
    pub matcher: RouteMatch,
    /// `None`: nothing.
    pub requires: Option<Arc<Requirement>>,
}

#[derive(Debug)]
pub enum Requirement {
    Nothing,
    Provider {
        /// Its place in `JwtAuthn::providers`.
        provider: usize,
        /// In place of the provider's own.
        audiences: Option<Audiences>,
        places: Places,
    },
    Any(Vec<Requirement>),
    All(Vec<Requirement>),
    /// `allow_missing`, or (`failed`) `allow_missing_or_failed`: of every provider that is meant.
    Optional {
        failed: bool,
        places: Places,
    },
}

/// What a route says (`PerRouteConfig`).
#[derive(Debug)]
pub enum RouteJwtAuthn {
    Disabled,
    /// The name of a requirement.
    Requires(Box<str>),
}

/// `JwtProvider`.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools)] // As in Envoy's message.
pub struct Provider {
    pub name: Box<str>,
    /// Empty: any.
    pub issuer: Box<str>,
    pub subjects: Option<StringMatcher>,
    pub audiences: Audiences,
    pub require_expiration: bool,
    pub max_lifetime: Option<Duration>,
    pub clock_skew_seconds: u64,
    pub keys: Keys,
    /// The token stays where it is.
    pub forward: bool,
    pub payload_header: Option<PayloadHeader>,
    pub claim_headers: Vec<ClaimHeader>,
    /// Keys of dynamic metadata.
    pub payload_key: Option<Arc<str>>,
    pub header_key: Option<Arc<str>>,
    pub failure_key: Option<Arc<str>>,
    /// `normalize_payload_in_metadata`: these claims become lists there.
    pub split_claims: Vec<Box<str>>,
    pub clear_route_cache: bool,
    /// Tokens that were found good.
    pub cache: Option<TokenCache>,
}

/// `forward_payload_header`.
#[derive(Debug)]
pub struct PayloadHeader {
    pub name: HeaderName,
    pub pad: bool,
}

/// `JwtClaimToHeader`.
#[derive(Debug)]
pub struct ClaimHeader {
    pub name: HeaderName,
    /// Names, one inside the other.
    pub path: Vec<Box<str>>,
}

/// `JwtCacheConfig`, of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCache {
    pub size: usize,
    /// Longer tokens are not kept.
    pub max_token: usize,
}

/// Where the keys of a provider come from.
#[derive(Debug)]
pub enum Keys {
    /// `Err`: there are none, and this is what requests are told.
    Local(Result<Arc<KeySet>, Status>),
    Remote(Arc<RemoteJwks>),
}

/// `RemoteJwks`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteJwks {
    pub cluster: Box<str>,
    pub authority: Box<str>,
    pub path: Box<str>,
    pub timeout_ms: u64,
    /// How long a set is good.
    pub cache: Duration,
    /// `async_fetch`: a set that is no longer good serves on while another one is fetched, and a
    /// fetch that failed is tried again after this time.
    pub retry_after: Option<Duration>,
}

/// Whom tokens are for. Schemes and a slash at the end do not count.
#[derive(Debug, Default)]
pub struct Audiences(Vec<Box<str>>);

impl Audiences {
    pub fn new<'a>(all: impl IntoIterator<Item = &'a str>) -> Self {
        Self(all.into_iter().map(|one| bare(one).into()).collect())
    }

    /// Whether one of a token's audiences is among them; all are, if there are none.
    #[must_use]
    pub fn allow(&self, audiences: &[Box<str>]) -> bool {
        let is_among = |one: &str| self.0.iter().any(|known| **known == *bare(one));
        self.0.is_empty() || audiences.iter().any(|one| is_among(one))
    }
}

fn bare(audience: &str) -> &str {
    let plain = audience
        .strip_prefix("https://")
        .or_else(|| audience.strip_prefix("http://"));
    let plain = plain.unwrap_or(audience);
    plain.strip_suffix('/').unwrap_or(plain)
}

/// Where tokens may be, and whose.
#[derive(Debug, Default)]
pub struct Places {
    /// In the order of name and prefix.
    pub headers: Vec<HeaderPlace>,
    /// By name, decoded; in its order.
    pub params: Vec<(Box<[u8]>, Issuers)>,
    pub cookies: Vec<(Box<[u8]>, Issuers)>,
    /// Headers of the providers that only the filter may set.
    pub own_headers: Vec<HeaderName>,
}

#[derive(Debug)]
pub struct HeaderPlace {
    pub name: HeaderName,
    /// What is before the token; empty: it is all of the value.
    pub prefix: Box<[u8]>,
    pub issuers: Issuers,
}

/// Whose tokens are looked for at a place.
#[derive(Debug, Default)]
pub struct Issuers {
    any: bool,
    named: Vec<Box<str>>,
}

impl Issuers {
    /// Empty: of anybody.
    pub fn add(&mut self, issuer: &str) {
        if issuer.is_empty() {
            self.any = true;
        } else {
            self.named.push(issuer.into());
        }
    }

    #[must_use]
    pub fn allow(&self, issuer: &str) -> bool {
        self.any || self.named.iter().any(|known| **known == *issuer)
    }
}

impl JwtAuthn {
    #[must_use]
    pub fn requirement(&self, name: &str) -> Option<&Arc<Requirement>> {
        let mut named = self.named.iter();
        named.find(|(known, _)| **known == *name).map(|(_, it)| it)
    }

    /// The names of requirements, for who has named another one.
    #[must_use]
    pub fn wrong_name(&self, name: &str) -> String {
        let known: Vec<&str> = self.named.iter().map(|(name, _)| &**name).collect();
        let known = known.join(",");
        format!("Wrong requirement_name: {name}. It should be one of [{known}]")
    }

    /// Whose tokens an issuer's are: the first provider's of that name, else the first's that takes
    /// any.
    #[must_use]
    pub fn of_issuer(&self, issuer: &str) -> Option<usize> {
        let of = |issuer: &str| self.providers.iter().position(|p| *p.issuer == *issuer);
        of(issuer).or_else(|| of(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_and_slashes_of_audiences_do_not_count() {
        let audiences = Audiences::new(["web", "https://api/"]);
        let allows = |one: &str| audiences.allow(&[one.into()]);
        for good in ["web", "web/", "http://web", "https://web/", "api"] {
            assert!(allows(good), "{good}");
        }
        for bad in ["", "WEB", "web//", "ftp://web"] {
            assert!(!allows(bad), "{bad}");
        }
        assert!(!audiences.allow(&[]));
        assert!(audiences.allow(&["x".into(), "api".into()]));
        assert!(Audiences::default().allow(&[]));
    }

    #[test]
    fn an_empty_issuer_is_anybody() {
        let mut issuers = Issuers::default();
        issuers.add("a");
        assert!(issuers.allow("a") && !issuers.allow("b") && !issuers.allow(""));
        issuers.add("");
        assert!(issuers.allow("b") && issuers.allow(""));
    }
}
