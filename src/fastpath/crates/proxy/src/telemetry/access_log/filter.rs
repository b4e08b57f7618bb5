//! Which requests a log is about.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};

use model::resources::access_log::{Comparison, Filter};
use model::resources::route::{HeaderMatchKind, HeaderMatcher, StringMatcher, StringPattern};
use proto::Known;
use proto::h1::RequestHead;

use crate::http::grpc;
use crate::telemetry::stream_info::LogContext;

pub(super) fn passes(filter: &Filter, ctx: &LogContext<'_>, random: &mut u64) -> bool {
    let info = ctx.info;
    match filter {
        Filter::StatusCode { op, value } => {
            compare(*op, info.response_code.unwrap_or(0).into(), (*value).into())
        }
        Filter::Duration { op, millis } => info
            .millis_to(info.end)
            .is_some_and(|taken| compare(*op, taken, (*millis).into())),
        Filter::NotHealthCheck => !info.health_check,
        Filter::ResponseFlag { flags: 0 } => !info.flags.is_empty(),
        Filter::ResponseFlag { flags } => info.flags.0 & flags != 0,
        Filter::GrpcStatus { statuses, exclude } => {
            let bit = 1_u32.checked_shl(u32::try_from(grpc_status(ctx)).unwrap_or(u32::MAX));
            (statuses & bit.unwrap_or(0) != 0) != *exclude
        }
        Filter::LogType { types, exclude } => {
            let bit = 1_u32.checked_shl(info.log_type.number());
            (types & bit.unwrap_or(0) != 0) != *exclude
        }
        Filter::Header(matcher) => header_matches(matcher, ctx.request),
        Filter::Runtime { millionths } => next(random) % 1_000_000 < u64::from(*millionths),
        Filter::And(all) => all.iter().all(|filter| passes(filter, ctx, random)),
        Filter::Or(any) => any.iter().any(|filter| passes(filter, ctx, random)),
    }
}

/// `Grpc::Common::getGrpcStatus`, else UNKNOWN.
fn grpc_status(ctx: &LogContext<'_>) -> u64 {
    ctx.trailers
        .and_then(grpc::status_of)
        .or_else(|| ctx.response.and_then(grpc::status_of))
        .or_else(|| ctx.info.response_code.map(grpc::status_of_http))
        .unwrap_or(2)
}

fn compare(op: Comparison, value: u64, with: u64) -> bool {
    match op {
        Comparison::Equal => value == with,
        Comparison::GreaterOrEqual => value >= with,
        Comparison::LessOrEqual => value <= with,
        Comparison::NotEqual => value != with,
    }
}

/// A seed that differs between workers.
pub(super) fn seed() -> u64 {
    std::collections::hash_map::RandomState::new()
        .build_hasher()
        .finish()
        | 1
}

/// xorshift64: enough to choose which lines are logged.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Envoy's header matching: values of one name are joined by commas; a header that is not there
/// matches nothing but `present_match: false`, inverted or not.
#[must_use]
pub fn header_matches(matcher: &HeaderMatcher, head: &RequestHead) -> bool {
    let value = value_of(matcher, head);
    let matched = match (&matcher.kind, value) {
        (HeaderMatchKind::Present(present), value) => value.is_some() == *present,
        (_, None) if !matcher.treat_missing_as_empty => return false,
        (HeaderMatchKind::Range { start, end }, value) => {
            let number = value.as_deref().and_then(|v| std::str::from_utf8(v).ok());
            let number = number.and_then(|text| text.parse::<i64>().ok());
            number.is_some_and(|n| *start <= n && n < *end)
        }
        (HeaderMatchKind::String(pattern), value) => {
            string_matches(pattern, value.as_deref().unwrap_or_default())
        }
    };
    matched != matcher.invert
}

fn value_of<'a>(matcher: &HeaderMatcher, head: &'a RequestHead) -> Option<Cow<'a, [u8]>> {
    let nonempty = |bytes: &'a [u8]| (!bytes.is_empty()).then_some(Cow::Borrowed(bytes));
    match &*matcher.name.text {
        ":method" => nonempty(head.method()),
        ":path" => nonempty(head.path()),
        ":authority" | "host" => nonempty(head.authority()),
        name => {
            let mut first: Option<Cow<'a, [u8]>> = None;
            let mut add = |value: &'a [u8]| match &mut first {
                None => first = Some(Cow::Borrowed(value)),
                Some(all) => {
                    all.to_mut().push(b',');
                    all.to_mut().extend_from_slice(value);
                }
            };
            match matcher.name.known {
                Known::Other => {
                    let of_name = |(field, _): &(&[u8], &[u8])| *field == name.as_bytes();
                    head.headers
                        .iter()
                        .filter(of_name)
                        .for_each(|(_, value)| add(value));
                }
                known => head.headers.values(known).for_each(add),
            }
            first
        }
    }
}

fn string_matches(matcher: &StringMatcher, value: &[u8]) -> bool {
    let lower;
    let value = if matcher.ignore_case {
        lower = value.to_ascii_lowercase();
        &lower
    } else {
        value
    };
    match &matcher.pattern {
        StringPattern::Exact(text) => value == &**text,
        StringPattern::Prefix(text) => value.starts_with(text),
        StringPattern::Suffix(text) => value.ends_with(text),
        StringPattern::Contains(text) => {
            text.is_empty() || value.windows(text.len()).any(|window| window == &**text)
        }
        StringPattern::Regex(regex) => regex.is_match(value),
    }
}
