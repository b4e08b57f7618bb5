//! Values of dynamic metadata (`google.protobuf.Value`), and what matchers say of them.

use crate::resources::rbac::ValueMatcher;
use crate::value;

/// A value with structure, which somebody outside has set.
#[derive(Debug, Clone, PartialEq)]
pub enum Structured {
    Null,
    Bool(bool),
    Number(f64),
    Text(Box<str>),
    List(Box<[Structured]>),
    /// In the order of the keys.
    Struct(Box<[(Box<str>, Structured)]>),
}

/// A value as it is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetadataValue<'a> {
    Text(&'a str),
    Bool(bool),
    Structured(&'a Structured),
}

impl Structured {
    /// What is at a path of keys inside it.
    #[must_use]
    pub fn at(&self, path: &[Box<str>]) -> Option<MetadataValue<'_>> {
        let Some((key, rest)) = path.split_first() else {
            return Some(match self {
                Self::Text(text) => MetadataValue::Text(text),
                Self::Bool(flag) => MetadataValue::Bool(*flag),
                other => MetadataValue::Structured(other),
            });
        };
        let Self::Struct(fields) = self else {
            return None;
        };
        let found = fields.iter().find(|(name, _)| name == key);
        found.and_then(|(_, value)| value.at(rest))
    }

    /// As JSON, as Envoy logs it. `string` appends a text as a JSON string.
    pub fn write_json(&self, out: &mut String, string: fn(&mut String, &str)) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Number(number) => write_number(*number, out),
            Self::Text(text) => string(out, text),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write_json(out, string);
                }
                out.push(']');
            }
            Self::Struct(fields) => {
                out.push('{');
                for (at, (key, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    string(out, key);
                    out.push(':');
                    value.write_json(out, string);
                }
                out.push('}');
            }
        }
    }
}

/// What JSON has no number for is text in it.
fn write_number(number: f64, out: &mut String) {
    if number.is_nan() {
        out.push_str("\"NaN\"");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        });
    } else {
        value::write_number(number, out);
    }
}

impl ValueMatcher {
    pub(super) fn matches(&self, value: MetadataValue<'_>) -> bool {
        match (self, value) {
            (Self::String(matcher), MetadataValue::Text(text)) => matcher.matches(text.as_bytes()),
            (Self::Bool(want), MetadataValue::Bool(is)) => *want == is,
            (Self::Present(want), _) => *want,
            (Self::Or(any), value) => any.iter().any(|matcher| matcher.matches(value)),
            (Self::Null, MetadataValue::Structured(Structured::Null)) => true,
            (Self::Number(want), MetadataValue::Structured(Structured::Number(is))) => *want == *is,
            (Self::NumberIn { start, end }, MetadataValue::Structured(Structured::Number(is))) => {
                *start <= *is && *is < *end
            }
            (Self::OneOf(matcher), MetadataValue::Structured(Structured::List(items))) => items
                .iter()
                .filter_map(|item| item.at(&[]))
                .any(|item| matcher.matches(item)),
            (
                Self::String(_)
                | Self::Bool(_)
                | Self::Null
                | Self::Number(_)
                | Self::NumberIn { .. }
                | Self::OneOf(_),
                _,
            ) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn value() -> Structured {
        let list = [
            Structured::Number(1.5),
            Structured::Bool(true),
            Structured::Null,
        ];
        let inner = [("l".into(), Structured::List(list.into()))];
        let fields = [
            ("in".into(), Structured::Struct(inner.into())),
            ("t".into(), Structured::Text("a\"".into())),
        ];
        Structured::Struct(fields.into())
    }

    #[test]
    fn paths_lead_into_structures() {
        let value = value();
        let at = |path: &[&str]| {
            let path: Vec<Box<str>> = path.iter().map(|key| Box::from(*key)).collect();
            value.at(&path)
        };
        assert_eq!(at(&["t"]), Some(MetadataValue::Text("a\"")));
        assert!(matches!(
            at(&["in", "l"]),
            Some(MetadataValue::Structured(Structured::List(_)))
        ));
        assert_eq!(at(&["t", "x"]), None);
        assert_eq!(at(&["no"]), None);
    }

    #[test]
    fn matchers_of_every_kind() {
        use ValueMatcher as V;
        let list = Structured::List([Structured::Number(1.5), Structured::Text("x".into())].into());
        let number = Structured::Number(1.5);
        let one_of = |matcher| V::OneOf(Box::new(matcher));
        for (matcher, value, want) in [
            (V::Number(1.5), &number, true),
            (V::Number(2.0), &number, false),
            (
                V::NumberIn {
                    start: 1.5,
                    end: 2.0,
                },
                &number,
                true,
            ),
            (
                V::NumberIn {
                    start: 1.0,
                    end: 1.5,
                },
                &number,
                false,
            ),
            (V::Null, &Structured::Null, true),
            (V::Null, &number, false),
            (one_of(V::Number(1.5)), &list, true),
            (one_of(V::Bool(true)), &list, false),
            (one_of(V::Number(1.5)), &number, false),
            (V::Present(true), &list, true),
        ] {
            let shown = format!("{matcher:?} {value:?}");
            assert_eq!(matcher.matches(value.at(&[]).unwrap()), want, "{shown}");
        }
    }

    #[test]
    fn json() {
        let mut out = String::new();
        value().write_json(&mut out, |out, text| {
            let _ = write!(out, "<{text}>");
        });
        assert_eq!(out, "{<in>:{<l>:[1.5,true,null]},<t>:<a\">}");
        let mut out = String::new();
        Structured::Number(f64::NAN).write_json(&mut out, |_, _| ());
        Structured::Number(3.0).write_json(&mut out, |_, _| ());
        assert_eq!(out, "\"NaN\"3");
    }
}
