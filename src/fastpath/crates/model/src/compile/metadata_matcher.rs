//! `MetadataMatcher`, of RBAC rules and of routes.

use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
use matcher::double_matcher::MatchPattern as NumberPattern;
use matcher::list_matcher::MatchPattern as ListPattern;
use matcher::metadata_matcher::path_segment::Segment;
use matcher::value_matcher::MatchPattern;

use super::matchers;
use crate::problem::Problems;
use crate::resources::metadata::{MetadataMatcher, NumberMatch, ValueMatcher};

pub(super) fn metadata(
    message: &matcher::MetadataMatcher,
    problems: &mut Problems,
) -> Option<MetadataMatcher> {
    let value = message.value.as_ref()?;
    let key = |segment: &matcher::metadata_matcher::PathSegment| {
        let Segment::Key(key) = segment.segment.as_ref()?;
        Some(Box::from(key.as_str()))
    };
    Some(MetadataMatcher {
        filter: message.filter.as_str().into(),
        path: message.path.iter().map(key).collect::<Option<_>>()?,
        value: problems.within("value", |p| metadata_value(value, p))?,
        invert: message.invert,
    })
}

fn metadata_value(
    message: &matcher::ValueMatcher,
    problems: &mut Problems,
) -> Option<ValueMatcher> {
    Some(match message.match_pattern.as_ref()? {
        MatchPattern::StringMatch(matcher) => {
            let matcher = problems.within("string_match", |p| matchers::string(matcher, p));
            ValueMatcher::String(matcher?)
        }
        MatchPattern::BoolMatch(want) => ValueMatcher::Bool(*want),
        MatchPattern::PresentMatch(want) => ValueMatcher::Present(*want),
        MatchPattern::OrMatch(or) => {
            let level = problems.enter("or_match");
            let each = |(index, value)| {
                problems.within_item("value_matchers", index, |p| metadata_value(value, p))
            };
            let any: Vec<_> = or.value_matchers.iter().enumerate().map(each).collect();
            problems.leave(level);
            ValueMatcher::Or(any.into_iter().collect::<Option<_>>()?)
        }
        MatchPattern::NullMatch(_) => ValueMatcher::Null,
        MatchPattern::DoubleMatch(number) => ValueMatcher::Number(match number.match_pattern? {
            NumberPattern::Exact(exact) => NumberMatch::Exact(exact),
            NumberPattern::Range(range) => NumberMatch::Range(range.start, range.end),
        }),
        MatchPattern::ListMatch(list) => {
            let ListPattern::OneOf(value) = list.match_pattern.as_ref()?;
            let level = problems.enter("list_match");
            let value = problems.within("one_of", |p| metadata_value(value, p));
            problems.leave(level);
            ValueMatcher::OneOf(value?.into())
        }
    })
}
