//! The header names that the mesh itself reads or writes, as one byte each.

use crate::swar::token_is;

/// Declares the enum, its names and the list of all variants from one table.
macro_rules! known {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// A header name that some part of the mesh asks for; everything else is `Other`.
        ///
        /// Finding the variant costs one hash and one comparison when a field is
        /// inserted; from then on names are compared as one byte.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Known {
            /// Any name that is not in the table.
            #[default]
            Other = 0,
            $($(#[$doc])* $variant,)*
        }

        /// All variants in order of their number.
        const ALL: &[Known] = &[Known::Other, $(Known::$variant,)*];
        /// Their lower-case names, at the same places.
        const NAMES: &[&str] = &["", $($name,)*];
    };
}

known! {
    // Framing, connection (RFC 9110 §7, RFC 9112 §6)
    Host => "host",
    Connection => "connection",
    KeepAlive => "keep-alive",
    ProxyConnection => "proxy-connection",
    TransferEncoding => "transfer-encoding",
    ContentLength => "content-length",
    Te => "te",
    Trailer => "trailer",
    Upgrade => "upgrade",
    Http2Settings => "http2-settings",
    Expect => "expect",
    // General
    Date => "date",
    Server => "server",
    Via => "via",
    UserAgent => "user-agent",
    Referer => "referer",
    Cookie => "cookie",
    SetCookie => "set-cookie",
    Location => "location",
    ContentType => "content-type",
    ContentEncoding => "content-encoding",
    Accept => "accept",
    AcceptEncoding => "accept-encoding",
    AcceptLanguage => "accept-language",
    Allow => "allow",
    Authorization => "authorization",
    ProxyAuthorization => "proxy-authorization",
    ProxyAuthenticate => "proxy-authenticate",
    WwwAuthenticate => "www-authenticate",
    CacheControl => "cache-control",
    Etag => "etag",
    LastModified => "last-modified",
    Range => "range",
    RetryAfter => "retry-after",
    Vary => "vary",
    EarlyData => "early-data",
    // CORS
    Origin => "origin",
    AccessControlRequestMethod => "access-control-request-method",
    AccessControlRequestHeaders => "access-control-request-headers",
    AccessControlAllowOrigin => "access-control-allow-origin",
    AccessControlAllowMethods => "access-control-allow-methods",
    AccessControlAllowHeaders => "access-control-allow-headers",
    AccessControlAllowCredentials => "access-control-allow-credentials",
    AccessControlExposeHeaders => "access-control-expose-headers",
    AccessControlMaxAge => "access-control-max-age",
    // WebSocket (RFC 6455)
    SecWebsocketKey => "sec-websocket-key",
    SecWebsocketAccept => "sec-websocket-accept",
    SecWebsocketVersion => "sec-websocket-version",
    SecWebsocketProtocol => "sec-websocket-protocol",
    // Who the client is
    Forwarded => "forwarded",
    XForwardedFor => "x-forwarded-for",
    XForwardedProto => "x-forwarded-proto",
    XForwardedHost => "x-forwarded-host",
    XForwardedPort => "x-forwarded-port",
    XForwardedClientCert => "x-forwarded-client-cert",
    XRequestId => "x-request-id",
    XClientTraceId => "x-client-trace-id",
    // Envoy's own (docs: router filter, HTTP connection manager headers)
    XEnvoyExternalAddress => "x-envoy-external-address",
    XEnvoyInternal => "x-envoy-internal",
    XEnvoyOriginalPath => "x-envoy-original-path",
    XEnvoyOriginalHost => "x-envoy-original-host",
    XEnvoyOriginalUrl => "x-envoy-original-url",
    XEnvoyOriginalMethod => "x-envoy-original-method",
    XEnvoyOriginalDstHost => "x-envoy-original-dst-host",
    XEnvoyExpectedRqTimeoutMs => "x-envoy-expected-rq-timeout-ms",
    XEnvoyUpstreamRqTimeoutMs => "x-envoy-upstream-rq-timeout-ms",
    XEnvoyUpstreamRqPerTryTimeoutMs => "x-envoy-upstream-rq-per-try-timeout-ms",
    XEnvoyUpstreamRqTimeoutAltResponse => "x-envoy-upstream-rq-timeout-alt-response",
    XEnvoyUpstreamStreamDurationMs => "x-envoy-upstream-stream-duration-ms",
    XEnvoyUpstreamAltStatName => "x-envoy-upstream-alt-stat-name",
    XEnvoyUpstreamServiceTime => "x-envoy-upstream-service-time",
    XEnvoyUpstreamCanary => "x-envoy-upstream-canary",
    XEnvoyUpstreamHealthcheckedCluster => "x-envoy-upstream-healthchecked-cluster",
    XEnvoyRetryOn => "x-envoy-retry-on",
    XEnvoyRetryGrpcOn => "x-envoy-retry-grpc-on",
    XEnvoyMaxRetries => "x-envoy-max-retries",
    XEnvoyRetriableHeaderNames => "x-envoy-retriable-header-names",
    XEnvoyRetriableStatusCodes => "x-envoy-retriable-status-codes",
    XEnvoyHedgeOnPerTryTimeout => "x-envoy-hedge-on-per-try-timeout",
    XEnvoyForceTrace => "x-envoy-force-trace",
    XEnvoyIpTags => "x-envoy-ip-tags",
    XEnvoyDecoratorOperation => "x-envoy-decorator-operation",
    XEnvoyDownstreamServiceCluster => "x-envoy-downstream-service-cluster",
    XEnvoyDownstreamServiceNode => "x-envoy-downstream-service-node",
    XEnvoyAttemptCount => "x-envoy-attempt-count",
    XEnvoyIsTimeoutRetry => "x-envoy-is-timeout-retry",
    XEnvoyOverloaded => "x-envoy-overloaded",
    XEnvoyLocalOverloaded => "x-envoy-local-overloaded",
    XEnvoyDegraded => "x-envoy-degraded",
    XEnvoyImmediateHealthCheckFail => "x-envoy-immediate-health-check-fail",
    XEnvoyRatelimited => "x-envoy-ratelimited",
    XEnvoyAuthPartialBody => "x-envoy-auth-partial-body",
    XEnvoyPeerMetadata => "x-envoy-peer-metadata",
    XEnvoyPeerMetadataId => "x-envoy-peer-metadata-id",
    XRatelimitLimit => "x-ratelimit-limit",
    XRatelimitRemaining => "x-ratelimit-remaining",
    XRatelimitReset => "x-ratelimit-reset",
    XEnvoyFaultDelayRequest => "x-envoy-fault-delay-request",
    XEnvoyFaultAbortRequest => "x-envoy-fault-abort-request",
    XEnvoyFaultThroughputResponse => "x-envoy-fault-throughput-response",
    // Tracing
    B3 => "b3",
    XB3TraceId => "x-b3-traceid",
    XB3SpanId => "x-b3-spanid",
    XB3ParentSpanId => "x-b3-parentspanid",
    XB3Sampled => "x-b3-sampled",
    XB3Flags => "x-b3-flags",
    Traceparent => "traceparent",
    Tracestate => "tracestate",
    Baggage => "baggage",
    XOtSpanContext => "x-ot-span-context",
    // gRPC
    GrpcStatus => "grpc-status",
    GrpcMessage => "grpc-message",
    GrpcTimeout => "grpc-timeout",
    GrpcEncoding => "grpc-encoding",
    GrpcAcceptEncoding => "grpc-accept-encoding",
    GrpcStatusDetailsBin => "grpc-status-details-bin",
}

/// The presence mask of a header map is a u128.
const _: () = assert!(ALL.len() <= 128);

/// Slots of the hash table: 1 KiB of one-byte entries.
const BITS: u32 = 10;
const SLOTS: usize = 1 << BITS;
/// With it no two names share a slot; `table` refuses to compile otherwise. To add a name:
/// if the assertion fires, try `SEED + 2` until it does not.
const SEED: u64 = 0xf769_333d_c05b_f6d9;

/// Bit 5 of every byte, which is set in all bytes of our names; in a letter it makes the case.
const CASE: u64 = 0x2020_2020_2020_2020;

/// Mixes the length and three 4-byte windows, which tell all our names apart in any case.
#[inline(always)]
const fn slot(name: &[u8]) -> usize {
    let (a, b) = match (
        name.first_chunk::<4>(),
        middle(name),
        name.last_chunk::<4>(),
    ) {
        (Some(first), Some(mid), Some(last)) => (
            (u32::from_le_bytes(*first) as u64 | ((u32::from_le_bytes(*last) as u64) << 32)) | CASE,
            (u32::from_le_bytes(mid) as u64 | (CASE >> 32)) | ((name.len() as u64) << 32),
        ),
        // Two or three bytes: `te`, `b3`, `via`.
        _ => {
            let mut short = name.len() as u64;
            let mut rest = name;
            while let [first, tail @ ..] = rest {
                short = (short << 8) ^ (*first as u64 | 0x20);
                rest = tail;
            }
            (short, 0)
        }
    };
    let mixed = a.wrapping_mul(SEED) ^ b.wrapping_mul((SEED >> 7) | 1);
    (mixed >> (u64::BITS.wrapping_sub(BITS))) as usize
}

#[inline(always)]
const fn middle(name: &[u8]) -> Option<[u8; 4]> {
    match name.split_at_checked(name.len().saturating_sub(4) / 2) {
        Some((_, tail)) => tail.first_chunk::<4>().copied(),
        None => None,
    }
}

/// Built by the compiler, where an index out of range or a failed assertion is a compile error.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
const fn table() -> [Known; SLOTS] {
    let mut table = [Known::Other; SLOTS];
    let mut i = 1;
    while i < ALL.len() {
        let at = slot(NAMES[i].as_bytes());
        assert!(
            matches!(table[at], Known::Other),
            "two names share a slot: change SEED"
        );
        table[at] = ALL[i];
        i += 1;
    }
    table
}

static TABLE: [Known; SLOTS] = table();

impl Known {
    /// The variant of a lower-case name.
    #[inline]
    #[must_use]
    pub fn of(lowercase_name: &[u8]) -> Known {
        let found = TABLE.get(slot(lowercase_name)).copied().unwrap_or_default();
        if found.name().as_bytes() == lowercase_name {
            found
        } else {
            Known::Other
        }
    }

    /// The variant of a token in any case.
    #[inline(always)]
    pub(crate) fn of_token(token: &[u8]) -> Known {
        let found = TABLE.get(slot(token)).copied().unwrap_or_default();
        if token_is(token, found.name().as_bytes()) {
            found
        } else {
            Known::Other
        }
    }

    /// The variant of a name in any case.
    #[must_use]
    pub fn of_any_case(name: &[u8]) -> Known {
        let found = TABLE.get(slot(name)).copied().unwrap_or_default();
        if found.name().as_bytes().eq_ignore_ascii_case(name) {
            found
        } else {
            Known::Other
        }
    }

    /// The lower-case name; empty for `Other`.
    #[inline]
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.get(self as usize).copied().unwrap_or_default()
    }

    /// All variants but `Other`.
    pub fn all() -> impl Iterator<Item = Known> {
        ALL.iter().copied().skip(1)
    }

    /// The bit of this name in a presence mask.
    #[inline(always)]
    pub(crate) const fn bit(self) -> u128 {
        1u128 << (self as u32 & 127)
    }

    /// Every `x-envoy-*` name.
    #[must_use]
    pub fn is_envoy(self) -> bool {
        self.name().starts_with("x-envoy-")
    }
}

/// True for a name that a lenient parser could take for a framing field, such as
/// `transfer_encoding`: one that equals a framing name once `_` is read as `-`.
pub(crate) fn is_framing_lookalike(name: &[u8]) -> bool {
    const FRAMING: [&[u8]; 6] = [
        b"transfer-encoding",
        b"content-length",
        b"proxy-connection",
        b"keep-alive",
        b"http2-settings",
        b"proxy-authorization",
    ];
    let same = |a: u8, b: u8| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-');
    name.contains(&b'_')
        && FRAMING
            .iter()
            .any(|f| f.len() == name.len() && name.iter().zip(*f).all(|(a, b)| same(*a, *b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_itself_and_nothing_else_does() {
        for known in Known::all() {
            let name = known.name();
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
            assert_eq!(
                Known::of_any_case(name.to_ascii_uppercase().as_bytes()),
                known
            );
            assert_eq!(Known::of_token(name.to_ascii_uppercase().as_bytes()), known);
            assert!(
                name.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
            assert_eq!(Known::of(format!("{name}x").as_bytes()), Known::Other);
        }
        for name in [
            "",
            "x",
            "xx",
            "xxx",
            "hos",
            "hosts",
            "Host",
            "x-envoy-",
            &"x".repeat(300),
        ] {
            assert_eq!(Known::of(name.as_bytes()), Known::Other, "{name}");
        }
        assert!(Known::XEnvoyRetryOn.is_envoy() && !Known::Host.is_envoy());
    }
}
