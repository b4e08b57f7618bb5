//! Matchers of strings, headers, query parameters, and fractions of requests.

use envoy_types::pb::envoy::config::core::v3::RuntimeFractionalPercent;
use envoy_types::pb::envoy::config::route::v3 as pb;
use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use envoy_types::pb::envoy::r#type::v3::{FractionalPercent, fractional_percent::DenominatorType};
use matcher::string_matcher::MatchPattern;
use pb::header_matcher::HeaderMatchSpecifier as Specifier;
use pb::query_parameter_matcher::QueryParameterMatchSpecifier as QuerySpecifier;

use super::{headers, pattern};
use crate::problem::Problems;
use crate::resources::route::{
    HeaderMatchKind, HeaderMatcher, QueryMatcher, StringMatcher, StringPattern,
};

/// A regex in `field` that must match the whole text.
pub(super) fn full_regex(
    field: &str,
    matcher: &matcher::RegexMatcher,
    problems: &mut Problems,
) -> Option<regex::bytes::Regex> {
    problems.within(field, |problems| {
        match pattern::full_match(&matcher.regex) {
            Ok(regex) => Some(regex),
            Err(reason) => {
                problems.report_at("regex", reason);
                None
            }
        }
    })
}

/// A string matcher that `message` holds in a field of its own, which the caller has entered.
pub(super) fn string(
    message: &matcher::StringMatcher,
    problems: &mut Problems,
) -> Option<StringMatcher> {
    let ignore_case = message.ignore_case;
    let text = |text: &str| -> Box<[u8]> {
        if ignore_case {
            text.to_ascii_lowercase().into_bytes().into()
        } else {
            text.as_bytes().into()
        }
    };
    let pattern = match message.match_pattern.as_ref()? {
        MatchPattern::Exact(exact) => StringPattern::Exact(text(exact)),
        MatchPattern::Prefix(prefix) => StringPattern::Prefix(text(prefix)),
        MatchPattern::Suffix(suffix) => StringPattern::Suffix(text(suffix)),
        MatchPattern::Contains(part) => StringPattern::Contains(text(part)),
        // `ignore_case` says nothing to a regex, in Envoy too.
        MatchPattern::SafeRegex(regex) => {
            StringPattern::Regex(full_regex("safe_regex", regex, problems)?)
        }
        // Refused by name.
        MatchPattern::Custom(_) => return None,
    };
    let is_regex = matches!(pattern, StringPattern::Regex(_));
    Some(StringMatcher {
        pattern,
        ignore_case: ignore_case && !is_regex,
    })
}

pub(super) fn headers(
    field: &str,
    messages: &[pb::HeaderMatcher],
    problems: &mut Problems,
) -> Vec<HeaderMatcher> {
    let each = |(index, message)| problems.within_item(field, index, |p| header(message, p));
    messages.iter().enumerate().filter_map(each).collect()
}

pub(super) fn header(
    message: &pb::HeaderMatcher,
    problems: &mut Problems,
) -> Option<HeaderMatcher> {
    let plain = |pattern| {
        HeaderMatchKind::String(StringMatcher {
            pattern,
            ignore_case: false,
        })
    };
    let bytes = |text: &str| -> Box<[u8]> { text.as_bytes().into() };
    let kind = match &message.header_match_specifier {
        None => HeaderMatchKind::Present(true),
        Some(Specifier::PresentMatch(present)) => HeaderMatchKind::Present(*present),
        Some(Specifier::RangeMatch(range)) => HeaderMatchKind::Range {
            start: range.start,
            end: range.end,
        },
        Some(Specifier::ExactMatch(text)) => plain(StringPattern::Exact(bytes(text))),
        Some(Specifier::PrefixMatch(text)) => plain(StringPattern::Prefix(bytes(text))),
        Some(Specifier::SuffixMatch(text)) => plain(StringPattern::Suffix(bytes(text))),
        Some(Specifier::ContainsMatch(text)) => plain(StringPattern::Contains(bytes(text))),
        Some(Specifier::SafeRegexMatch(regex)) => plain(StringPattern::Regex(full_regex(
            "safe_regex_match",
            regex,
            problems,
        )?)),
        Some(Specifier::StringMatch(matcher)) => {
            let matcher = problems.within("string_match", |p| string(matcher, p));
            HeaderMatchKind::String(matcher?)
        }
    };
    Some(HeaderMatcher {
        name: headers::name(&message.name),
        kind,
        invert: message.invert_match,
        treat_missing_as_empty: message.treat_missing_header_as_empty,
    })
}

pub(super) fn query_parameters(
    field: &str,
    messages: &[pb::QueryParameterMatcher],
    problems: &mut Problems,
) -> Vec<QueryMatcher> {
    let each = |(index, message): (usize, &pb::QueryParameterMatcher)| {
        problems.within_item(field, index, |problems| {
            let value = match &message.query_parameter_match_specifier {
                Some(QuerySpecifier::StringMatch(matcher)) => {
                    Some(problems.within("string_match", |p| string(matcher, p))?)
                }
                Some(QuerySpecifier::PresentMatch(_)) | None => None,
            };
            let absent = Some(QuerySpecifier::PresentMatch(false));
            Some(QueryMatcher {
                name: message.name.as_bytes().into(),
                value,
                present: message.query_parameter_match_specifier != absent,
            })
        })
    };
    messages.iter().enumerate().filter_map(each).collect()
}

/// `runtime_fraction`'s default value in millionths.
pub(super) fn fraction(message: &RuntimeFractionalPercent) -> u32 {
    message.default_value.as_ref().map_or(0, millionths)
}

/// A fraction in millionths, 1 at most.
pub(super) fn millionths(percent: &FractionalPercent) -> u32 {
    let times = 1_000_000_u32.checked_div(denominator(percent)).unwrap_or(1);
    percent.numerator.saturating_mul(times).min(1_000_000)
}

pub(super) fn denominator(percent: &FractionalPercent) -> u32 {
    match DenominatorType::try_from(percent.denominator) {
        Ok(DenominatorType::Hundred) | Err(_) => 100,
        Ok(DenominatorType::TenThousand) => 10_000,
        Ok(DenominatorType::Million) => 1_000_000,
    }
}
