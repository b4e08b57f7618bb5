//! `HeaderMatcher`: pseudo headers, several values, absence.

use proto::HeaderMap;
use proto::Known;
use proto::h1::{RequestHead, ResponseHead};

use crate::resources::header_mutation::HeaderName;
use crate::resources::route::{HeaderMatchKind, HeaderMatcher};

impl HeaderMatcher {
    /// Envoy 1.40: with several values one that matches is enough, and `invert_match` inverts
    /// that. Without any value nothing matches, unless the absent counts as empty.
    #[must_use]
    pub fn matches(&self, head: &RequestHead) -> bool {
        self.matches_with(|test| self.name.any_value(head, test))
    }

    /// The same of a response.
    #[must_use]
    pub fn matches_response(&self, head: &ResponseHead) -> bool {
        self.matches_with(|test| self.name.any_value_of_response(head, test))
    }

    /// `any_value`: whether a test holds for some value of the header.
    #[inline]
    fn matches_with(&self, any_value: impl Fn(&mut dyn FnMut(&[u8]) -> bool) -> bool) -> bool {
        match &self.kind {
            HeaderMatchKind::Present(want) => {
                let present = self.treat_missing_as_empty || any_value(&mut |_| true);
                (present != self.invert) == *want
            }
            kind => {
                let mut present = false;
                let found = any_value(&mut |value| {
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
            _ => self.any_value_in(&head.headers, test),
        }
    }

    fn any_value_of_response(
        &self,
        head: &ResponseHead,
        mut test: impl FnMut(&[u8]) -> bool,
    ) -> bool {
        if self.text.as_bytes() == b":status" {
            return test(head.status.to_string().as_bytes());
        }
        self.any_value_in(&head.headers, test)
    }

    #[inline]
    fn any_value_in(&self, headers: &HeaderMap, mut test: impl FnMut(&[u8]) -> bool) -> bool {
        if self.known == Known::Other {
            headers.values_name(self.text.as_bytes()).any(&mut test)
        } else {
            headers.values(self.known).any(&mut test)
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
