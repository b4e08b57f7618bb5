//! The time a request may take (`FilterUtility::finalTimeout`,
//! `ConnectionManagerImpl::ActiveStream::refreshDurationTimeout`).

use model::resources::hcm::{Hcm, RouterFilter};
use model::resources::route::Forward;
use proto::Known;

use crate::http::deadlines::millis;
use crate::http::decimal::decimal;
use crate::http::grpc;
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

/// Milliseconds that the stream may last, `NEVER` for no limit: `grpc-timeout` if the route has a
/// maximum for it, else the route's or the connection manager's limit. With `max_stream_duration`
/// on the route, the upstream of a gRPC call gets to know it as `grpc-timeout`.
pub fn duration(forward: &Forward, s: &mut Stream, hcm: &Hcm) -> u64 {
    let headers = &mut s.request.headers;
    let is_new = forward.has_stream_limits;
    let of_client = grpc::timeout_ms(headers);
    let limit = match (of_client, forward.grpc_timeout_max.filter(|_| is_new)) {
        (Some(ms), Some(max)) => {
            let max = millis(max);
            let capped = if max == 0 { ms } else { ms.min(max) };
            Some(capped.saturating_sub(forward.grpc_timeout_offset.map_or(0, millis)))
        }
        _ => forward
            .max_stream_duration
            .unwrap_or(hcm.max_stream_duration)
            .map(millis),
    };
    if is_new
        && grpc::is_grpc(headers)
        && let Some(ms) = limit
    {
        grpc::set_timeout(headers, ms);
    }
    limit.unwrap_or(NEVER)
}

/// Milliseconds for the whole response, `NEVER` for no limit. Takes the steering headers off and
/// tells the upstream what it has (`x-envoy-expected-rq-timeout-ms`) if `tell`.
pub fn apply(forward: &Forward, s: &mut Stream, tell: bool, router: &RouterFilter) -> u64 {
    let headers = &mut s.request.headers;
    let is_new = forward.has_stream_limits;
    // The deprecated way to respect `grpc-timeout`.
    let grpc_max = forward
        .grpc_timeout_max
        .filter(|_| !is_new && grpc::is_grpc(headers))
        .map(millis);
    let mut timeout = match grpc_max {
        _ if is_new => 0,
        Some(max) => {
            let of_client = grpc::timeout_ms(headers).unwrap_or(0);
            of_grpc(
                of_client,
                max,
                forward.grpc_timeout_offset.map_or(0, millis),
            )
        }
        None => forward.timeout.map_or(0, millis),
    };
    if router.respect_expected_rq_timeout
        && let Some(ms) = number(headers.get(Known::XEnvoyExpectedRqTimeoutMs))
    {
        // An egress Envoy has decided already.
        timeout = ms;
    } else if let Some(ms) = number(headers.get(Known::XEnvoyUpstreamRqTimeoutMs)) {
        timeout = ms;
    }
    headers.remove(Known::XEnvoyUpstreamRqTimeoutMs);
    let retry = forward.retry.as_deref();
    let per_try = number(headers.get(Known::XEnvoyUpstreamRqPerTryTimeoutMs))
        .or_else(|| retry?.per_try_timeout.map(millis))
        .unwrap_or(0);
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

    s.try_timeout_ms = or_never(per_try);
    s.route_timeout_ms = or_never(timeout);
    tell_expected(forward, s, tell, 0);
    s.route_timeout_ms
}

/// Zero is no limit.
fn or_never(ms: u64) -> u64 {
    if ms == 0 { NEVER } else { ms }
}

/// Tells the host of another attempt what is left.
pub fn tell_again(forward: &Forward, s: &mut Stream, tell: bool, now: u64) {
    // The time runs since the request was complete.
    let elapsed = match s.route_deadline.checked_sub(s.route_timeout_ms) {
        Some(since) if s.route_deadline != NEVER => now.saturating_sub(since),
        _ => 0,
    };
    tell_expected(forward, s, tell, elapsed);
}

/// `FilterUtility::setTimeoutHeaders`.
fn tell_expected(forward: &Forward, s: &mut Stream, tell: bool, elapsed: u64) {
    let (timeout, per_try) = (s.route_timeout_ms, s.try_timeout_ms);
    let mut expected = per_try.min(timeout);
    if expected == NEVER {
        return;
    }
    if timeout != NEVER {
        // Zero would be no limit.
        expected = expected.min(timeout.saturating_sub(elapsed)).max(1);
    }
    let headers = &mut s.request.headers;
    if tell {
        headers.set(
            Known::XEnvoyExpectedRqTimeoutMs,
            decimal(&mut [0; 20], expected),
        );
    }
    let is_old_grpc = !forward.has_stream_limits && forward.grpc_timeout_max.is_some();
    if is_old_grpc && grpc::is_grpc(headers) {
        grpc::set_timeout(headers, expected);
    }
}

/// Milliseconds of `max_grpc_timeout` and `grpc_timeout_offset`, in which 0 is no limit.
fn of_grpc(of_client: u64, max: u64, offset: u64) -> u64 {
    let timeout = if offset < of_client {
        of_client.saturating_sub(offset)
    } else {
        of_client
    };
    if max != 0 && (timeout == 0 || timeout > max) {
        max
    } else {
        timeout
    }
}

fn number(value: Option<&[u8]>) -> Option<u64> {
    std::str::from_utf8(value?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deprecated_grpc_timeouts() {
        for ((of_client, max, offset), expected) in [
            ((500, 0, 0), 500),
            ((500, 100, 0), 100),
            ((0, 100, 0), 100),
            ((0, 0, 0), 0),
            ((500, 0, 100), 400),
            ((500, 0, 500), 500),
            ((500, 450, 100), 400),
        ] {
            assert_eq!(of_grpc(of_client, max, offset), expected);
        }
    }
}
