//! Lengths, patterns and well-known forms of strings and bytes; type URLs.

use envoy_types::pb::validate as pb;
use regex::Regex;

use crate::problem::Problems;

/// How `Regex` is bounded where the pattern comes from a `.proto` file: not at all.
fn compile(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

#[derive(Debug)]
pub struct Strings {
    rules: pb::StringRules,
    pattern: Option<Regex>,
}

impl Strings {
    pub fn new(rules: pb::StringRules) -> Self {
        let pattern = rules.pattern.as_deref().and_then(compile);
        Self { rules, pattern }
    }

    pub fn check(&self, text: &str, problems: &mut Problems) {
        let rules = &self.rules;
        if rules.ignore_empty() && text.is_empty() {
            return;
        }
        if let Some(want) = &rules.r#const
            && want != text
        {
            problems.report(format!("value must equal {want:?}"));
        }
        if rules.len.is_some() || rules.min_len.is_some() || rules.max_len.is_some() {
            let count = text.chars().count();
            length(
                count,
                rules.len,
                rules.min_len,
                rules.max_len,
                "characters",
                problems,
            );
        }
        let [exact, min, max] = [rules.len_bytes, rules.min_bytes, rules.max_bytes];
        length(text.len(), exact, min, max, "bytes", problems);
        self.check_parts(text, problems);
        if !rules.r#in.is_empty() && rules.r#in.iter().all(|allowed| allowed != text) {
            problems.report(format!("value must be in list [{}]", rules.r#in.join(", ")));
        }
        if rules.not_in.iter().any(|refused| refused == text) {
            problems.report(format!(
                "value must not be in list [{}]",
                rules.not_in.join(", ")
            ));
        }
        if let Some(reason) = well_known(rules, text) {
            problems.report(reason);
        }
    }

    fn check_parts(&self, text: &str, problems: &mut Problems) {
        let rules = &self.rules;
        if let Some(pattern) = &self.pattern
            && !pattern.is_match(text)
        {
            problems.report(format!(
                "value does not match regex pattern {:?}",
                pattern.as_str()
            ));
        }
        if let Some(prefix) = rules.prefix.as_deref().filter(|p| !text.starts_with(p)) {
            problems.report(format!("value does not have prefix {prefix:?}"));
        }
        if let Some(suffix) = rules.suffix.as_deref().filter(|s| !text.ends_with(s)) {
            problems.report(format!("value does not have suffix {suffix:?}"));
        }
        if let Some(part) = rules.contains.as_deref().filter(|p| !text.contains(p)) {
            problems.report(format!("value does not contain substring {part:?}"));
        }
        if let Some(part) = rules.not_contains.as_deref().filter(|p| text.contains(p)) {
            problems.report(format!("value contains substring {part:?}"));
        }
    }
}

fn well_known(rules: &pb::StringRules, text: &str) -> Option<String> {
    use pb::string_rules::WellKnown;
    let ip = || text.parse::<std::net::IpAddr>();
    let (fits, what) = match rules.well_known.as_ref()? {
        WellKnown::WellKnownRegex(regex) => {
            return header_form(*regex, rules.strict.unwrap_or(true), text);
        }
        WellKnown::Ip(true) => (ip().is_ok(), "a valid IP address"),
        WellKnown::Ipv4(true) => (ip().is_ok_and(|ip| ip.is_ipv4()), "a valid IPv4 address"),
        WellKnown::Ipv6(true) => (ip().is_ok_and(|ip| ip.is_ipv6()), "a valid IPv6 address"),
        WellKnown::Hostname(true) => (is_hostname(text), "a valid hostname"),
        WellKnown::Address(true) => (ip().is_ok() || is_hostname(text), "a valid hostname, or ip"),
        WellKnown::Uri(true) => (text.contains(':'), "a valid URI"),
        // No field of the closure has the others (a test says so).
        _ => return None,
    };
    (!fits).then(|| format!("value must be {what}"))
}

/// The two well-known regular expressions, as predicates.
fn header_form(regex: i32, strict: bool, text: &str) -> Option<String> {
    let loose = |b: u8| !matches!(b, 0 | b'\n' | b'\r');
    let fits = match pb::KnownRegex::try_from(regex) {
        Ok(pb::KnownRegex::HttpHeaderName) if strict => {
            let name = text.strip_prefix(':').unwrap_or(text);
            !name.is_empty() && name.bytes().all(is_token)
        }
        Ok(pb::KnownRegex::HttpHeaderValue) if strict => {
            text.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f))
        }
        Ok(pb::KnownRegex::HttpHeaderName | pb::KnownRegex::HttpHeaderValue) => {
            text.bytes().all(loose)
        }
        _ => true,
    };
    (!fits).then(|| match (pb::KnownRegex::try_from(regex), strict) {
        (Ok(pb::KnownRegex::HttpHeaderName), true) => "value is no HTTP header name".to_owned(),
        (_, true) => "value is no HTTP header value".to_owned(),
        _ => "value does not match regex pattern \"^[^\\u0000\\n\\r]*$\"".to_owned(),
    })
}

/// RFC 9110 §5.6.2.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_|~`".contains(&b)
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

#[derive(Debug)]
pub struct ByteStrings(pub pb::BytesRules);

impl ByteStrings {
    pub fn check(&self, bytes: &[u8], problems: &mut Problems) {
        let rules = &self.0;
        if rules.ignore_empty() && bytes.is_empty() {
            return;
        }
        let [exact, min, max] = [rules.len, rules.min_len, rules.max_len];
        length(bytes.len(), exact, min, max, "bytes", problems);
    }
}

/// `AnyRules`.
#[derive(Debug)]
pub struct TypeUrls(pub pb::AnyRules);

impl TypeUrls {
    pub fn check(&self, url: &str, problems: &mut Problems) {
        if !self.0.r#in.is_empty() && self.0.r#in.iter().all(|allowed| allowed != url) {
            problems.report(format!(
                "type URL must be in list [{}]",
                self.0.r#in.join(", ")
            ));
        }
        if self.0.not_in.iter().any(|refused| refused == url) {
            problems.report(format!(
                "type URL must not be in list [{}]",
                self.0.not_in.join(", ")
            ));
        }
    }
}

fn length(
    count: usize,
    exact: Option<u64>,
    min: Option<u64>,
    max: Option<u64>,
    unit: &str,
    problems: &mut Problems,
) {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    if let Some(want) = exact.filter(|want| count != *want) {
        problems.report(format!("value length must be {want} {unit}"));
    }
    match (min, max) {
        (Some(min), Some(max)) if count < min || count > max => {
            let reason = format!("value length must be between {min} and {max} {unit}, inclusive");
            problems.report(reason);
        }
        (Some(min), None) if count < min => {
            problems.report(format!("value length must be at least {min} {unit}"));
        }
        (None, Some(max)) if count > max => {
            problems.report(format!("value length must be at most {max} {unit}"));
        }
        _ => {}
    }
}
