//! Subject alternative names against matchers. A name with an embedded NUL matches nothing; the
//! common name is never looked at.

use model::resources::route::StringPattern;
use model::resources::tls::{SanMatcher, SanType};
use x509_parser::certificate::X509Certificate;

use super::policy::Refusal;
use crate::error::ErrorClass;
use crate::x509::{San, visit_sans};

/// How much of a hostile certificate's names goes into a log line.
const MAX_LOGGED: usize = 512;

/// One of `matchers` must match one of the names; none: any certificate passes.
pub(super) fn check(
    certificate: &X509Certificate<'_>,
    matchers: &[SanMatcher],
) -> Result<(), Refusal> {
    if matchers.is_empty() {
        return Ok(());
    }
    let found = any(certificate, |san| {
        matchers.iter().any(|matcher| matches(matcher, san))
    });
    if found {
        return Ok(());
    }
    refuse(format!(
        "verify cert failed: SAN matcher, certificate SANs are [{}]",
        logged(certificate)
    ))
}

/// `verify_subject_alt_name` of one connection: DNS names with wildcards, the others as text.
pub(super) fn check_override(
    certificate: &X509Certificate<'_>,
    wanted: &[Box<str>],
) -> Result<(), Refusal> {
    if wanted.is_empty() {
        return Ok(());
    }
    let found = any(certificate, |san| {
        wanted.iter().any(|wanted| match san {
            San::Dns(name) => dns_name_matches(wanted.as_bytes(), name),
            _ => value(san) == wanted.as_bytes(),
        })
    });
    if found {
        return Ok(());
    }
    refuse(format!(
        "verify cert failed: verify SAN list, expected SANs: [{}], certificate SANs: [{}]",
        wanted.join(", "),
        logged(certificate)
    ))
}

/// `auto_sni_san_validation`.
pub(super) fn check_dns(certificate: &X509Certificate<'_>, name: &str) -> Result<(), Refusal> {
    let found = any(certificate, |san| match san {
        San::Dns(pattern) => dns_name_matches(name.as_bytes(), pattern),
        _ => false,
    });
    if found {
        return Ok(());
    }
    refuse(format!(
        "verify cert failed: SAN matcher, certificate SANs are [{}]",
        logged(certificate)
    ))
}

/// The URI SAN, if there is exactly one and it is text.
pub(super) fn only_uri(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut uris = Vec::new();
    visit_sans(certificate, &mut |san| {
        if let San::Uri(uri) = san {
            uris.push(
                String::from_utf8(uri.to_vec())
                    .ok()
                    .filter(|uri| !uri.contains('\0')),
            );
        }
    });
    match uris.as_mut_slice() {
        [only] => only.take(),
        _ => None,
    }
}

/// Whether one of the names matches.
pub(crate) fn has(certificate: &X509Certificate<'_>, matcher: &SanMatcher) -> bool {
    any(certificate, |san| matches(matcher, san))
}

fn refuse(detail: String) -> Result<(), Refusal> {
    Err(Refusal::other(ErrorClass::VerifySan, detail))
}

fn any(certificate: &X509Certificate<'_>, test: impl Fn(&San<'_>) -> bool) -> bool {
    let mut found = false;
    visit_sans(certificate, &mut |san| {
        found = found || (!value(&san).contains(&0) && test(&san));
    });
    found
}

fn matches(matcher: &SanMatcher, san: &San<'_>) -> bool {
    match (&matcher.kind, san) {
        (SanType::Dns, San::Dns(name)) => match &matcher.matcher.pattern {
            // An exact DNS matcher has the semantics of DNS names.
            StringPattern::Exact(wanted) => dns_name_matches(wanted, name),
            _ => matcher.matcher.matches(name),
        },
        (SanType::Other(wanted), San::Other(oid, value)) => {
            **wanted == **oid && matcher.matcher.matches(value)
        }
        (SanType::Uri, San::Uri(_))
        | (SanType::Email, San::Email(_))
        | (SanType::Ip, San::Ip(_)) => matcher.matcher.matches(value(san)),
        _ => false,
    }
}

fn value<'a>(san: &'a San<'_>) -> &'a [u8] {
    match san {
        San::Dns(text) | San::Uri(text) | San::Email(text) => text,
        San::Ip(text) => text.as_bytes(),
        San::Other(_, value) => value,
    }
}

/// Whether the certificate's `pattern` covers `name`: equal but for case, or one `*` in the first
/// of several labels stands for any part of that label (RFC 6125 §6.4.3), unless it is an
/// A-label.
fn dns_name_matches(name: &[u8], pattern: &[u8]) -> bool {
    if name.eq_ignore_ascii_case(pattern) {
        return true;
    }
    let (Some((label, rest)), Some((pattern_label, pattern_rest))) =
        (first_label(name), first_label(pattern))
    else {
        return false;
    };
    let ace = pattern_label
        .get(..4)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"xn--"));
    !ace && !pattern_rest.contains(&b'*')
        && rest.eq_ignore_ascii_case(pattern_rest)
        && label_matches(label, pattern_label)
}

fn first_label(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = name.iter().position(|byte| *byte == b'.')?;
    let (label, rest) = name.split_at_checked(dot)?;
    Some((label, rest.get(1..)?))
}

/// `*` alone covers every label, also an empty one, as in Envoy.
fn label_matches(label: &[u8], pattern: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let (Some(before), Some(after), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let fixed = before.len().saturating_add(after.len());
    let (Some(start), Some(end)) = (
        label.get(..before.len()),
        label
            .len()
            .checked_sub(after.len())
            .and_then(|at| label.get(at..)),
    ) else {
        return false;
    };
    fixed <= label.len() && start.eq_ignore_ascii_case(before) && end.eq_ignore_ascii_case(after)
}

fn logged(certificate: &X509Certificate<'_>) -> String {
    let mut text = String::new();
    visit_sans(certificate, &mut |san| {
        if text.len() < MAX_LOGGED {
            if !text.is_empty() {
                text.push_str(", ");
            }
            let value = value(&san);
            let value = value.get(..MAX_LOGGED).unwrap_or(value);
            text.push_str(&String::from_utf8_lossy(value));
        }
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names() {
        for (name, pattern, want) in [
            ("a.example.com", "a.example.com", true),
            ("A.example.com", "a.EXAMPLE.com", true),
            ("a.example.com", "*.example.com", true),
            ("a.b.example.com", "*.example.com", false),
            ("example.com", "*.example.com", false),
            ("www1.example.com", "www*.example.com", true),
            ("1www.example.com", "www*.example.com", false),
            ("lang-en.example.com", "lang*en.example.com", true),
            ("langen.example.com", "lang*en.example.com", true),
            ("lange.example.com", "lang*en.example.com", false),
            ("a.example.com", "**.example.com", false),
            ("a.example.com", "a.*.com", false),
            ("a.example.com", "*.*.com", false),
            ("com", "*", false),
            ("xn--a.example.com", "xn--*.example.com", false),
            ("a.example.com", "", false),
        ] {
            assert_eq!(
                dns_name_matches(name.as_bytes(), pattern.as_bytes()),
                want,
                "{name} {pattern}"
            );
        }
    }
}
