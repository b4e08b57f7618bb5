//! `HeaderMatcher`: pseudo headers, several values, absence.

use proto::Known;
use proto::h1::RequestHead;

use crate::resources::header_mutation::HeaderName;
use crate::resources::route::{HeaderMatchKind, HeaderMatcher};

impl HeaderMatcher {
    /// Envoy 1.40: with several values one that matches is enough, and `invert_match` inverts
    /// that. Without any value nothing matches, unless the absent counts as empty.
    #[must_use]
    pub fn matches(&self, head: &RequestHead) -> bool {
        match &self.kind {
            HeaderMatchKind::Present(want) => {
                let present = self.treat_missing_as_empty || self.is_present(head);
                (present != self.invert) == *want
            }
            kind => {
                let mut present = false;
                let found = self.name.any_value(head, |value| {
                    present = true;
                    value_matches(kind, value)
                });
                if present || found {
                    return found != self.invert;
                }
                self.treat_missing_as_empty && value_matches(kind, b"") != self.invert
            }
        }
    }

    fn is_present(&self, head: &RequestHead) -> bool {
        self.name.any_value(head, |_| true)
    }
}

impl HeaderName {
    /// Whether `test` holds for some value of the header, which may be a pseudo header.
    #[inline]
    pub fn any_value(&self, head: &RequestHead, mut test: impl FnMut(&[u8]) -> bool) -> bool {
        match (self.known, self.text.as_bytes()) {
            (Known::Host, _) | (_, b":authority") => {
                head.headers.get(Known::Host).is_some_and(&mut test)
            }
            (Known::Other, b":path") => !head.path().is_empty() && test(head.path()),
            (Known::Other, b":method") => test(head.method()),
            (Known::Other, b":scheme") => scheme(head).is_some_and(&mut test),
            (Known::Other, name) => head.headers.values_name(name).any(&mut test),
            (known, _) => head.headers.values(known).any(&mut test),
        }
    }
}

/// The target's own scheme, or what `x-forwarded-proto` says by the time routes are chosen.
fn scheme(head: &RequestHead) -> Option<&[u8]> {
    match head.scheme {
        Some(scheme) => Some(scheme.as_bytes()),
        None => head.headers.get(Known::XForwardedProto),
    }
}

fn value_matches(kind: &HeaderMatchKind, value: &[u8]) -> bool {
    match kind {
        HeaderMatchKind::Present(want) => *want,
        HeaderMatchKind::String(matcher) => matcher.matches(value),
        HeaderMatchKind::Range { start, end } => {
            integer(value).is_some_and(|number| *start <= number && number < *end)
        }
    }
}

/// A decimal integer with a sign, and nothing else.
fn integer(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.trim_ascii().parse().ok()
}
