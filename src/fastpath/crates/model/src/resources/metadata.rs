//! What dynamic metadata is asked, compiled: by RBAC rules and by routes.

use super::route::StringMatcher;

/// `envoy.type.matcher.v3.MetadataMatcher`, of dynamic metadata.
#[derive(Debug)]
pub struct MetadataMatcher {
    /// The namespace.
    pub filter: Box<str>,
    /// Keys, one inside the other; never empty.
    pub path: Vec<Box<str>>,
    pub value: ValueMatcher,
    pub invert: bool,
}

/// `envoy.type.matcher.v3.ValueMatcher`.
#[derive(Debug)]
pub enum ValueMatcher {
    Null,
    Number(NumberMatch),
    String(StringMatcher),
    Bool(bool),
    /// Any value; `false` matches nothing, not even absence.
    Present(bool),
    /// A list of which one value matches.
    OneOf(Box<ValueMatcher>),
    Or(Vec<ValueMatcher>),
}

/// `envoy.type.matcher.v3.DoubleMatcher`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NumberMatch {
    Exact(f64),
    /// From the first up to but without the second.
    Range(f64, f64),
}
