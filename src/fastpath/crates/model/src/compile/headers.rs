//! Header names, and the additions and removals of headers.

use envoy_types::pb::envoy::config::core::v3 as pb;
use pb::header_value_option::HeaderAppendAction;
use proto::Known;

use crate::format::Format;
use crate::problem::Problems;
use crate::resources::header_mutation::{AppendAction, HeaderAdd, HeaderMutations, HeaderName};

/// What one level of the configuration says about headers.
pub(super) struct Lists<'m> {
    pub request_add: &'m [pb::HeaderValueOption],
    pub request_remove: &'m [String],
    pub response_add: &'m [pb::HeaderValueOption],
    pub response_remove: &'m [String],
}

/// The lists of a message that has all four fields.
macro_rules! lists {
    ($message:expr) => {
        $crate::compile::headers::Lists {
            request_add: &$message.request_headers_to_add,
            request_remove: &$message.request_headers_to_remove,
            response_add: &$message.response_headers_to_add,
            response_remove: &$message.response_headers_to_remove,
        }
    };
}
pub(super) use lists;

pub(super) fn mutations(lists: &Lists<'_>, problems: &mut Problems) -> HeaderMutations {
    HeaderMutations {
        request_add: additions("request_headers_to_add", lists.request_add, problems),
        request_remove: removals("request_headers_to_remove", lists.request_remove, problems),
        response_add: additions("response_headers_to_add", lists.response_add, problems),
        response_remove: removals(
            "response_headers_to_remove",
            lists.response_remove,
            problems,
        ),
    }
}

/// A name to look up: lower-cased, `host` as `:authority`.
pub(super) fn name(text: &str) -> HeaderName {
    let lower = text.to_ascii_lowercase();
    HeaderName {
        known: Known::of(lower.as_bytes()),
        text: lower.into(),
    }
}

/// A name that a message can carry, reported in `field` otherwise.
pub(super) fn settable_name(
    field: &str,
    text: &str,
    problems: &mut Problems,
) -> Option<HeaderName> {
    if !is_token(text) {
        problems.report_at(field, format!("{text:?} is no HTTP header name"));
        return None;
    }
    Some(name(text))
}

/// `HeaderValueOption`s in `field`.
pub(super) fn additions(
    field: &str,
    options: &[pb::HeaderValueOption],
    problems: &mut Problems,
) -> Vec<HeaderAdd> {
    let each = |(index, option)| problems.within_item(field, index, |p| addition(option, p));
    options.iter().enumerate().filter_map(each).collect()
}

/// One of them, which the caller has entered.
pub(super) fn addition(
    option: &pb::HeaderValueOption,
    problems: &mut Problems,
) -> Option<HeaderAdd> {
    let action = action(option, problems);
    let header = option.header.as_ref()?;
    problems.within("header", |problems| {
        let value = match Format::parse_header_value(&header.value) {
            Ok(value) => Some(value),
            Err(error) => {
                problems.report_at("value", error.to_string());
                None
            }
        };
        if is_fixed(&header.key) {
            problems.report_at("key", ":-prefixed or host headers may not be modified");
            return None;
        }
        let name = settable_name("key", &header.key, problems)?;
        Some(HeaderAdd {
            name,
            value: value?,
            action: action?,
            keep_empty_value: option.keep_empty_value,
        })
    })
}

/// `append_action`, or the deprecated `append` it replaced.
fn action(option: &pb::HeaderValueOption, problems: &mut Problems) -> Option<AppendAction> {
    let append = option.append.as_ref().map(|v| v.value);
    let action = HeaderAppendAction::try_from(option.append_action).ok()?;
    match (append, action) {
        (None, action) => Some(match action {
            HeaderAppendAction::AppendIfExistsOrAdd => AppendAction::AppendIfExistsOrAdd,
            HeaderAppendAction::AddIfAbsent => AppendAction::AddIfAbsent,
            HeaderAppendAction::OverwriteIfExistsOrAdd => AppendAction::OverwriteIfExistsOrAdd,
            HeaderAppendAction::OverwriteIfExists => AppendAction::OverwriteIfExists,
        }),
        (Some(true), HeaderAppendAction::AppendIfExistsOrAdd) => {
            Some(AppendAction::AppendIfExistsOrAdd)
        }
        (Some(false), HeaderAppendAction::AppendIfExistsOrAdd) => {
            Some(AppendAction::OverwriteIfExistsOrAdd)
        }
        (Some(_), _) => {
            problems.report("Both append and append_action are set and it's not allowed");
            None
        }
    }
}

fn removals(field: &str, names: &[String], problems: &mut Problems) -> Vec<HeaderName> {
    let each =
        |(index, text): (usize, &String)| problems.within_item(field, index, |p| removal(text, p));
    names.iter().enumerate().filter_map(each).collect()
}

/// The name of a header to remove, which the caller has entered.
pub(super) fn removal(text: &str, problems: &mut Problems) -> Option<HeaderName> {
    if is_fixed(text) {
        problems.report(":-prefixed or host headers may not be removed");
        return None;
    }
    Some(name(text))
}

fn is_fixed(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_|~`".contains(&b);
    !text.is_empty() && text.bytes().all(token)
}
