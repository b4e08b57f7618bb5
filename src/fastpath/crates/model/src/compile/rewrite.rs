//! Rewrites of paths and hosts by regular expressions.

use envoy_types::pb::envoy::r#type::matcher::v3::RegexMatchAndSubstitute;
use regex::bytes::Regex;

use super::pattern;
use crate::problem::Problems;
use crate::resources::route::{Substitution, SubstitutionPart};

/// `RegexMatchAndSubstitute` in `field`.
pub(super) fn regex_rewrite(
    field: &str,
    message: &RegexMatchAndSubstitute,
    problems: &mut Problems,
) -> Option<(Regex, Substitution)> {
    problems.within(field, |problems| {
        let matcher = message.pattern.as_ref()?;
        let regex = match pattern::search(&matcher.regex) {
            Ok(regex) => regex,
            Err(reason) => {
                problems.within("pattern", |p| p.report_at("regex", reason));
                return None;
            }
        };
        match substitution(&message.substitution, regex.captures_len()) {
            Ok(substitution) => Some((regex, substitution)),
            Err(reason) => {
                problems.report_at("substitution", reason);
                None
            }
        }
    })
}

/// Splits at `\0` to `\9`; `\\` is a backslash. `groups` counts group 0.
fn substitution(text: &str, groups: usize) -> Result<Substitution, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            literal.push(c);
            continue;
        }
        match chars.next().map(|c| (c, c.to_digit(10))) {
            Some((_, Some(digit))) => {
                let group = usize::try_from(digit).unwrap_or(usize::MAX);
                if group >= groups {
                    let last = groups.saturating_sub(1);
                    return Err(format!("\\{digit}: the pattern has {last} groups"));
                }
                if !literal.is_empty() {
                    parts.push(SubstitutionPart::Text(
                        std::mem::take(&mut literal).into_bytes().into(),
                    ));
                }
                parts.push(SubstitutionPart::Group(group));
            }
            Some(('\\', _)) => literal.push('\\'),
            _ => return Err("a backslash must be followed by a digit or a backslash".to_owned()),
        }
    }
    if !literal.is_empty() {
        parts.push(SubstitutionPart::Text(literal.into_bytes().into()));
    }
    Ok(Substitution { parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitutions() {
        let shown = |text, groups| {
            substitution(text, groups).map(|s| {
                let part = |p: &SubstitutionPart| match p {
                    SubstitutionPart::Text(t) => String::from_utf8(t.to_vec()).unwrap(),
                    SubstitutionPart::Group(n) => format!("<{n}>"),
                };
                s.parts.iter().map(part).collect::<Vec<_>>().join("|")
            })
        };
        assert_eq!(shown(r"/a\1b\\", 2).unwrap(), r"/a|<1>|b\");
        assert_eq!(shown("", 1).unwrap(), "");
        assert!(shown(r"\2", 2).is_err());
        assert!(shown(r"\x", 2).is_err());
        assert!(shown(r"x\", 2).is_err());
    }
}
