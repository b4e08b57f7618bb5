//! The time a request may take (`FilterUtility::finalTimeout`).

use model::resources::hcm::RouterFilter;
use model::resources::route::Forward;
use proto::Known;

use crate::http::deadlines::millis;
use crate::http::request::decimal;
use crate::http::stream::Stream;
use crate::worker::timers::NEVER;

/// What a trusted client says to this hop's router only.
const ROUTER_CONTROL: &[Known] = &[
    Known::XEnvoyRetryOn,
    Known::XEnvoyRetryGrpcOn,
    Known::XEnvoyMaxRetries,
    Known::XEnvoyRetriableHeaderNames,
    Known::XEnvoyRetriableStatusCodes,
    Known::XEnvoyHedgeOnPerTryTimeout,
    Known::XEnvoyUpstreamAltStatName,
    Known::XEnvoyUpstreamStreamDurationMs,
];

/// Milliseconds for the whole response, `NEVER` for no limit. Takes the steering headers off and
/// tells the upstream what it has (`x-envoy-expected-rq-timeout-ms`) if `tell`.
pub fn apply(forward: &Forward, s: &mut Stream, tell: bool, router: &RouterFilter) -> u64 {
    let headers = &mut s.request.headers;
    let mut timeout = forward.timeout.map_or(0, millis);
    if router.respect_expected_rq_timeout
        && let Some(ms) = number(headers.get(Known::XEnvoyExpectedRqTimeoutMs))
    {
        // An egress Envoy has decided already.
        timeout = ms;
    } else if let Some(ms) = number(headers.get(Known::XEnvoyUpstreamRqTimeoutMs)) {
        timeout = ms;
    }
    headers.remove(Known::XEnvoyUpstreamRqTimeoutMs);
    let per_try = number(headers.get(Known::XEnvoyUpstreamRqPerTryTimeoutMs)).unwrap_or(0);
    headers.remove(Known::XEnvoyUpstreamRqPerTryTimeoutMs);
    s.timeout_alt_response = headers.remove(Known::XEnvoyUpstreamRqTimeoutAltResponse);
    for name in ROUTER_CONTROL {
        headers.remove(*name);
    }
    let per_try = if per_try >= timeout && timeout != 0 {
        0
    } else {
        per_try
    };

    let expected = if per_try > 0 { per_try } else { timeout };
    if tell && expected > 0 {
        headers.set(
            Known::XEnvoyExpectedRqTimeoutMs,
            decimal(&mut [0; 20], expected),
        );
    }
    s.route_timeout_is_per_try = per_try > 0;
    match (timeout, per_try) {
        (0, 0) => NEVER,
        (0, per_try) => per_try,
        // Without retries the first try's limit is the request's.
        (timeout, 0) => timeout,
        (timeout, per_try) => timeout.min(per_try),
    }
}

fn number(value: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(value?).ok()?.parse().ok()
}
