//! What the encoder does with which field: whether it goes into the dynamic table.
//!
//! The connections of a proxy carry the requests of many clients, so a value earns its place by
//! coming again. Values known to be few go in at once; values that may repeat go in when they
//! are seen for the second time; values that are new each time never do.

use super::field::Pseudo;
use crate::known::Known;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// Into the table at first sight.
    Index,
    /// Into the table at second sight.
    Seen,
    /// Not into the table, but for once where no table has the name yet: later ones refer to it.
    Changing,
    /// Not into any table, and no hop after us may either (RFC 7541 §7.1.3).
    Never,
}

/// Cookies shorter than this can be guessed by trying (§7.1.1), as nghttp2 and Envoy have it.
const GUESSABLE_COOKIE: usize = 20;

/// Longer paths are hardly those of an API method.
const LONG_PATH: usize = 128;

/// The policy of a field; `name` is that of `Known::Other`.
#[inline(always)]
pub(super) fn of(known: Known, name: &[u8], value: &[u8]) -> Policy {
    match known {
        Known::Other if is_secret(name) => Policy::Never,
        Known::Cookie if value.len() < GUESSABLE_COOKIE => Policy::Never,
        _ => BY_KNOWN
            .get(known as usize)
            .copied()
            .unwrap_or(Policy::Seen),
    }
}

/// The policy of a pseudo-header.
#[inline(always)]
pub(super) fn of_pseudo(pseudo: Pseudo, value: &[u8]) -> Policy {
    match pseudo {
        // Methods of gRPC come again, items of REST do not; a query may also be private.
        Pseudo::Path if value.len() > LONG_PATH || memchr::memchr(b'?', value).is_some() => {
            Policy::Changing
        }
        Pseudo::Path => Policy::Seen,
        _ => Policy::Index,
    }
}

/// Credentials that have no number: what is common in the field.
#[inline(always)]
fn is_secret(name: &[u8]) -> bool {
    matches!(
        name,
        b"api-key"
            | b"x-api-key"
            | b"x-auth-token"
            | b"x-access-token"
            | b"x-csrf-token"
            | b"x-xsrf-token"
            | b"x-vault-token"
            | b"x-amz-security-token"
            | b"x-forwarded-access-token"
            | b"x-goog-iap-jwt-assertion"
    )
}

static BY_KNOWN: [Policy; 128] = by_known();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // by the compiler
const fn by_known() -> [Policy; 128] {
    let mut table = [Policy::Index; 128];
    table[Known::Other as usize] = Policy::Seen;
    let mut i = 0;
    while i < NEVER.len() {
        table[NEVER[i] as usize] = Policy::Never;
        i += 1;
    }
    i = 0;
    while i < CHANGING.len() {
        table[CHANGING[i] as usize] = Policy::Changing;
        i += 1;
    }
    i = 0;
    while i < SEEN.len() {
        table[SEEN[i] as usize] = Policy::Seen;
        i += 1;
    }
    table
}

/// Credentials. `set-cookie` gives one out, and is new for each client.
const NEVER: &[Known] = &[
    Known::Authorization,
    Known::ProxyAuthorization,
    Known::SetCookie,
];

/// New for each message, resource or moment.
const CHANGING: &[Known] = &[
    // The resource.
    Known::ContentLength,
    Known::Etag,
    Known::LastModified,
    Known::Location,
    Known::Range,
    Known::XEnvoyOriginalPath,
    Known::XEnvoyOriginalUrl,
    // The message.
    Known::XRequestId,
    Known::XClientTraceId,
    Known::B3,
    Known::XB3TraceId,
    Known::XB3SpanId,
    Known::XB3ParentSpanId,
    Known::Traceparent,
    Known::Tracestate,
    Known::Baggage,
    Known::XOtSpanContext,
    Known::SecWebsocketKey,
    Known::SecWebsocketAccept,
    Known::GrpcStatusDetailsBin,
    // Numbers that run: short, and each of them would take some 60 bytes of the table.
    Known::XEnvoyUpstreamServiceTime,
    Known::XRatelimitRemaining,
    Known::XRatelimitReset,
];

/// May come again, but there may be as many as there are clients, pages or deadlines.
const SEEN: &[Known] = &[
    // The same within a second: in the table where there are many responses in one.
    Known::Date,
    Known::UserAgent,
    Known::Referer,
    Known::Origin,
    // Long ones: as valuable in the table as they are many.
    Known::Cookie,
    Known::RetryAfter,
    // The client.
    Known::Forwarded,
    Known::XForwardedFor,
    Known::XForwardedClientCert,
    Known::XEnvoyExternalAddress,
    Known::XEnvoyIpTags,
    Known::XEnvoyDecoratorOperation,
    // Constant where a client sets it, running where it is what is left of the caller's.
    Known::GrpcTimeout,
    Known::GrpcMessage,
    Known::XEnvoyExpectedRqTimeoutMs,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        for (known, name, value, policy) in [
            (Known::Authorization, "", "Bearer x", Policy::Never),
            (Known::Cookie, "", "a=1", Policy::Never),
            (Known::Cookie, "", "a=1234567890123456789", Policy::Seen),
            (Known::Other, "x-api-key", "k", Policy::Never),
            (Known::Other, "x-tenant", "k", Policy::Seen),
            (Known::ContentType, "", "text/html", Policy::Index),
            (Known::XRequestId, "", "1", Policy::Changing),
        ] {
            assert_eq!(
                of(known, name.as_bytes(), value.as_bytes()),
                policy,
                "{known:?}"
            );
        }
        for (value, policy) in [
            ("/pkg.Service/Method", Policy::Seen),
            ("/items?id=1", Policy::Changing),
        ] {
            assert_eq!(of_pseudo(Pseudo::Path, value.as_bytes()), policy);
        }
        let long = vec![b'/'; LONG_PATH + 1];
        assert_eq!(of_pseudo(Pseudo::Path, &long), Policy::Changing);
        assert_eq!(of_pseudo(Pseudo::Authority, b"a"), Policy::Index);
    }
}
