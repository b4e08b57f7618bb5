//! Dynamic metadata as matchers see it.

use crate::resources::metadata::{MetadataMatcher, NumberMatch, ValueMatcher};
use crate::value::{Struct, Value};

/// Where routes look for it.
pub trait Metadata {
    /// The value at a path of keys.
    fn value(&self, namespace: &str, path: &[Box<str>]) -> Option<MetadataValue<'_>>;
}

/// Nothing has set any.
#[derive(Debug, Clone, Copy)]
pub struct NoMetadata;

impl Metadata for NoMetadata {
    fn value(&self, _: &str, _: &[Box<str>]) -> Option<MetadataValue<'_>> {
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetadataValue<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    List(&'a [Value]),
    Struct(&'a Struct),
}

impl<'a> From<&'a Value> for MetadataValue<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Number(*number),
            Value::Text(text) => Self::Text(text),
            Value::List(values) => Self::List(values),
            Value::Struct(fields) => Self::Struct(fields),
        }
    }
}

impl MetadataMatcher {
    /// Of what is at its path.
    #[must_use]
    pub fn matches(&self, value: Option<MetadataValue<'_>>) -> bool {
        value.is_some_and(|value| self.value.matches(value)) != self.invert
    }
}

impl ValueMatcher {
    fn matches(&self, value: MetadataValue<'_>) -> bool {
        match (self, value) {
            (Self::Null, MetadataValue::Null) => true,
            (Self::Number(matcher), MetadataValue::Number(number)) => matcher.matches(number),
            (Self::String(matcher), MetadataValue::Text(text)) => matcher.matches(text.as_bytes()),
            (Self::Bool(want), MetadataValue::Bool(is)) => *want == is,
            (Self::OneOf(matcher), MetadataValue::List(values)) => {
                values.iter().any(|value| matcher.matches(value.into()))
            }
            (Self::Present(want), _) => *want,
            (Self::Or(any), value) => any.iter().any(|matcher| matcher.matches(value)),
            (Self::Null | Self::Number(_) | Self::String(_) | Self::Bool(_) | Self::OneOf(_), _) => {
                false
            }
        }
    }
}

impl NumberMatch {
    fn matches(self, number: f64) -> bool {
        match self {
            #[allow(clippy::float_cmp)] // Exact is what it says.
            Self::Exact(exact) => number == exact,
            Self::Range(start, end) => (start..end).contains(&number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::route::{StringMatcher, StringPattern};

    fn exact(text: &str) -> ValueMatcher {
        ValueMatcher::String(StringMatcher {
            pattern: StringPattern::Exact(text.as_bytes().into()),
            ignore_case: false,
        })
    }

    #[test]
    fn each_kind_matches_its_own() {
        let json = br#"{"n": null, "t": "x", "f": 1.5, "l": ["y", "x", 2], "b": true, "s": {}}"#;
        let fields = Struct::from_json(json).unwrap();
        let found = |matcher: &ValueMatcher| -> String {
            let matching = fields.iter().filter(|(_, v)| matcher.matches((*v).into()));
            matching.map(|(name, _)| name).collect()
        };
        let number = |matcher| ValueMatcher::Number(matcher);
        for (matcher, expected) in [
            (ValueMatcher::Null, "n"),
            (exact("x"), "t"),
            (exact("y"), ""),
            (ValueMatcher::OneOf(exact("x").into()), "l"),
            (ValueMatcher::OneOf(exact("z").into()), ""),
            (ValueMatcher::OneOf(number(NumberMatch::Exact(2.0)).into()), "l"),
            (number(NumberMatch::Exact(1.5)), "f"),
            (number(NumberMatch::Range(1.5, 2.0)), "f"),
            (number(NumberMatch::Range(1.0, 1.5)), ""),
            (ValueMatcher::Bool(true), "b"),
            (ValueMatcher::Bool(false), ""),
            (ValueMatcher::Present(true), "bflnst"),
            (ValueMatcher::Present(false), ""),
            (ValueMatcher::Or(vec![exact("x"), ValueMatcher::Null]), "nt"),
        ] {
            assert_eq!(found(&matcher), expected, "{matcher:?}");
        }
    }

    #[test]
    fn what_is_absent_matches_when_inverted() {
        let matcher = |invert| MetadataMatcher {
            filter: "f".into(),
            path: vec!["k".into()],
            value: exact("x"),
            invert,
        };
        for (value, plain) in [
            (None, false),
            (Some(MetadataValue::Text("x")), true),
            (Some(MetadataValue::Bool(true)), false),
        ] {
            assert_eq!(matcher(false).matches(value), plain);
            assert_eq!(matcher(true).matches(value), !plain);
        }
    }
}
