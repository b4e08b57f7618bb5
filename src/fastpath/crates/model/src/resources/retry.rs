//! `RetryPolicy`, compiled: when a request is sent again, how often, and how long afterwards.

use std::ops::{BitOr, BitOrAssign};
use std::time::Duration;

use super::header_mutation::HeaderName;
use super::route::HeaderMatcher;

#[derive(Debug)]
pub struct RetryPolicy {
    pub on: RetryOn,
    /// Default 1.
    pub num_retries: u32,
    /// Of each attempt, the first among them.
    pub per_try_timeout: Option<Duration>,
    /// Without a byte of the response.
    pub per_try_idle_timeout: Option<Duration>,
    pub status_codes: Box<[u32]>,
    /// Of the response; one that matches is enough.
    pub headers: Box<[HeaderMatcher]>,
    /// Of the request; if there are any, one must match.
    pub request_headers: Box<[HeaderMatcher]>,
    /// Milliseconds; default 25, at least 1.
    pub base_interval: u64,
    /// Milliseconds; default ten times the base.
    pub max_interval: u64,
    pub rate_limited: Option<RateLimitedBackOff>,
    /// So often another host is looked for; default 1.
    pub host_attempts: u32,
    /// `previous_hosts`: not one that was tried before.
    pub avoids_previous_hosts: bool,
    /// `previous_priorities`: not priorities that were tried before; looked at after every so
    /// many attempts.
    pub previous_priorities: Option<u32>,
}

/// `rate_limited_retry_back_off`.
#[derive(Debug)]
pub struct RateLimitedBackOff {
    pub reset_headers: Box<[ResetHeader]>,
    /// Milliseconds; default 300 s. A host that asks for more is not heard.
    pub max_interval: u64,
}

#[derive(Debug)]
pub struct ResetHeader {
    pub name: HeaderName,
    pub format: ResetFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetFormat {
    Seconds,
    UnixTimestamp,
}

/// How much of a request's body is kept to send it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLimit {
    /// `request_body_buffer_limit`.
    Exactly(usize),
    /// `per_request_buffer_limit_bytes`: the listener's limit may be lower.
    AtMost(usize),
}

impl BodyLimit {
    #[must_use]
    pub fn bytes(limit: Option<Self>, of_connection: usize) -> usize {
        match limit {
            None => of_connection,
            Some(Self::Exactly(bytes)) => bytes,
            Some(Self::AtMost(bytes)) => bytes.min(of_connection),
        }
    }
}

/// A set of conditions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryOn(u32);

/// Names of `x-envoy-retry-on`, then those of `x-envoy-retry-grpc-on`; a policy knows both.
const HTTP: &[(&str, RetryOn)] = &[
    ("5xx", RetryOn::SERVER_ERROR),
    ("gateway-error", RetryOn::GATEWAY_ERROR),
    ("connect-failure", RetryOn::CONNECT_FAILURE),
    ("retriable-4xx", RetryOn::RETRIABLE_4XX),
    ("refused-stream", RetryOn::REFUSED_STREAM),
    ("retriable-status-codes", RetryOn::STATUS_CODES),
    ("reset", RetryOn::RESET),
    ("retriable-headers", RetryOn::HEADERS),
    ("envoy-ratelimited", RetryOn::RATE_LIMITED),
    (
        "http3-post-connect-failure",
        RetryOn::HTTP3_POST_CONNECT_FAILURE,
    ),
    ("reset-before-request", RetryOn::RESET_BEFORE_REQUEST),
];
const GRPC: &[(&str, RetryOn)] = &[
    ("cancelled", RetryOn::GRPC_CANCELLED),
    ("deadline-exceeded", RetryOn::GRPC_DEADLINE_EXCEEDED),
    ("resource-exhausted", RetryOn::GRPC_RESOURCE_EXHAUSTED),
    ("unavailable", RetryOn::GRPC_UNAVAILABLE),
    ("internal", RetryOn::GRPC_INTERNAL),
];

impl RetryOn {
    pub const NOTHING: Self = Self(0);
    pub const SERVER_ERROR: Self = Self(1);
    pub const GATEWAY_ERROR: Self = Self(1 << 1);
    pub const CONNECT_FAILURE: Self = Self(1 << 2);
    pub const RETRIABLE_4XX: Self = Self(1 << 3);
    pub const REFUSED_STREAM: Self = Self(1 << 4);
    pub const GRPC_CANCELLED: Self = Self(1 << 5);
    pub const GRPC_DEADLINE_EXCEEDED: Self = Self(1 << 6);
    pub const GRPC_RESOURCE_EXHAUSTED: Self = Self(1 << 7);
    pub const GRPC_UNAVAILABLE: Self = Self(1 << 8);
    pub const GRPC_INTERNAL: Self = Self(1 << 9);
    pub const STATUS_CODES: Self = Self(1 << 10);
    pub const RESET: Self = Self(1 << 11);
    pub const HEADERS: Self = Self(1 << 12);
    pub const RATE_LIMITED: Self = Self(1 << 13);
    /// There is no HTTP/3: without effect.
    pub const HTTP3_POST_CONNECT_FAILURE: Self = Self(1 << 14);
    pub const RESET_BEFORE_REQUEST: Self = Self(1 << 15);

    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }

    /// Whether it has some of these.
    #[must_use]
    pub fn has(self, some: Self) -> bool {
        self.0 & some.0 != 0
    }

    /// `retry_on` of a policy, and the first name in it that means nothing.
    #[must_use]
    pub fn of_policy(text: &str) -> (Self, Option<&str>) {
        let find = |name| find(HTTP, name).or_else(|| find(GRPC, name));
        let names = || text.split(',').map(str::trim).filter(|n| !n.is_empty());
        let unknown = names().find(|name| find(name).is_none());
        let all = names().filter_map(find);
        (all.fold(Self::NOTHING, BitOr::bitor), unknown)
    }

    /// `x-envoy-retry-on`; what means nothing is passed over, as in Envoy.
    #[must_use]
    pub fn of_header(text: &str) -> Self {
        let names = text.split(',').map(str::trim);
        names
            .filter_map(|name| find(HTTP, name))
            .fold(Self::NOTHING, BitOr::bitor)
    }

    /// `x-envoy-retry-grpc-on`.
    #[must_use]
    pub fn of_grpc_header(text: &str) -> Self {
        let names = text.split(',').map(str::trim);
        names
            .filter_map(|name| find(GRPC, name))
            .fold(Self::NOTHING, BitOr::bitor)
    }
}

fn find(names: &[(&str, RetryOn)], wanted: &str) -> Option<RetryOn> {
    let found = names.iter().find(|(name, _)| *name == wanted);
    found.map(|(_, on)| *on)
}

impl BitOr for RetryOn {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for RetryOn {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_knows_the_names_of_both_headers() {
        let (on, unknown) = RetryOn::of_policy("connect-failure, unavailable,,503");
        assert_eq!(on, RetryOn::CONNECT_FAILURE | RetryOn::GRPC_UNAVAILABLE);
        assert_eq!(unknown, Some("503"));
        assert_eq!(RetryOn::of_policy(""), (RetryOn::NOTHING, None));
        assert_eq!(
            RetryOn::of_header("unavailable, reset"),
            RetryOn::RESET,
            "each header knows its own"
        );
        assert_eq!(
            RetryOn::of_grpc_header("reset,internal"),
            RetryOn::GRPC_INTERNAL
        );
    }

    #[test]
    fn every_name_is_a_condition_of_its_own() {
        let all: Vec<RetryOn> = HTTP.iter().chain(GRPC).map(|(_, on)| *on).collect();
        for (at, on) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| !on.has(*other)));
        }
    }

    #[test]
    fn a_limit_of_its_own_may_be_above_the_listeners() {
        assert_eq!(BodyLimit::bytes(None, 10), 10);
        assert_eq!(BodyLimit::bytes(Some(BodyLimit::Exactly(20)), 10), 20);
        assert_eq!(BodyLimit::bytes(Some(BodyLimit::AtMost(20)), 10), 10);
        assert_eq!(BodyLimit::bytes(Some(BodyLimit::AtMost(5)), 10), 5);
    }
}
