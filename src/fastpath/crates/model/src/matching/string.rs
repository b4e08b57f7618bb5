//! `StringMatcher`.

use crate::resources::route::{StringMatcher, StringPattern};

impl StringMatcher {
    #[inline]
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        if self.ignore_case {
            return self.matches_ignoring_case(text);
        }
        match &self.pattern {
            StringPattern::Exact(exact) => text == &**exact,
            StringPattern::Prefix(prefix) => text.starts_with(prefix),
            StringPattern::Suffix(suffix) => text.ends_with(suffix),
            StringPattern::Contains(part) => contains(text, part, |a, b| a == b),
            StringPattern::Regex(regex) => regex.is_match(text),
        }
    }

    fn matches_ignoring_case(&self, text: &[u8]) -> bool {
        match &self.pattern {
            StringPattern::Exact(exact) => text.eq_ignore_ascii_case(exact),
            StringPattern::Prefix(prefix) => starts_with_ignoring_case(text, prefix),
            StringPattern::Suffix(suffix) => {
                let start = text.len().checked_sub(suffix.len());
                let end = start.and_then(|start| text.get(start..));
                end.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
            StringPattern::Contains(part) => contains(text, part, <[u8]>::eq_ignore_ascii_case),
            StringPattern::Regex(regex) => regex.is_match(text),
        }
    }
}

pub(super) fn starts_with_ignoring_case(text: &[u8], prefix: &[u8]) -> bool {
    text.get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn contains(text: &[u8], part: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| same(window, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let bytes = |text: &str| -> Box<[u8]> { text.as_bytes().into() };
        let regex = regex::bytes::Regex::new(r"\A(?:a+)\z").unwrap();
        for (pattern, ignore_case, text, want) in [
            (StringPattern::Exact(bytes("ab")), false, "ab", true),
            (StringPattern::Exact(bytes("ab")), false, "aB", false),
            (StringPattern::Exact(bytes("ab")), true, "aB", true),
            (StringPattern::Prefix(bytes("ab")), true, "ABc", true),
            (StringPattern::Prefix(bytes("ab")), true, "A", false),
            (StringPattern::Suffix(bytes("bc")), false, "abc", true),
            (StringPattern::Suffix(bytes("bc")), true, "aBC", true),
            (StringPattern::Suffix(bytes("bc")), true, "c", false),
            (StringPattern::Contains(bytes("b")), false, "abc", true),
            (StringPattern::Contains(bytes("b")), true, "aBc", true),
            (StringPattern::Contains(bytes("x")), false, "abc", false),
            (StringPattern::Regex(regex.clone()), false, "aaa", true),
            (StringPattern::Regex(regex), false, "aab", false),
        ] {
            let matcher = StringMatcher {
                pattern,
                ignore_case,
            };
            assert_eq!(matcher.matches(text.as_bytes()), want, "{matcher:?} {text}");
        }
    }
}
