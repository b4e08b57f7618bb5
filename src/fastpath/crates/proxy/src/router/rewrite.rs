//! Host and path rewrites.

use model::resources::route::{
    Forward, HostRewrite, PathMatch, PathRewrite, Substitution, SubstitutionPart,
};
use proto::Known;
use regex::bytes::Regex;

use crate::http::stream::Stream;
use crate::worker::chain::RouteRef;

/// Rewrites the authority; the old one goes to `x-envoy-original-host` if `tell` (but not for a
/// weighted cluster's rewrite, as in Envoy) and, if the route says so, to `x-forwarded-host`.
pub fn host(
    s: &mut Stream,
    forward: &Forward,
    weighted: Option<&str>,
    hostname: Option<&str>,
    tell: bool,
) {
    let tell = tell && weighted.is_none();
    let new: Option<Vec<u8>> = if let Some(host) = weighted {
        Some(host.as_bytes().to_vec())
    } else {
        match &forward.host_rewrite {
            HostRewrite::None => None,
            HostRewrite::Literal(host) => Some(host.as_bytes().to_vec()),
            HostRewrite::Auto => hostname.map(|h| h.as_bytes().to_vec()),
            HostRewrite::Header(name) => s
                .request
                .headers
                .get_name(name.text.as_bytes())
                .filter(|v| !v.is_empty())
                .map(<[u8]>::to_vec),
            HostRewrite::PathRegex {
                pattern,
                substitution,
            } => {
                let (path, _) = split_query(s.request.path());
                Some(substitute(pattern, substitution, path))
            }
        }
    };
    let Some(new) = new else { return };
    let old = s.request.authority().to_vec();
    if !s.request.set_authority(&new) {
        return;
    }
    if forward.append_x_forwarded_host {
        s.request
            .headers
            .append_value(Known::XForwardedHost, b",", &old);
    }
    if tell {
        s.request.headers.set(Known::XEnvoyOriginalHost, &old);
    }
}

/// Rewrites the path; the old one goes to `x-envoy-original-path` if `tell`.
pub fn path(s: &mut Stream, route: &RouteRef, rewrite: &PathRewrite, tell: bool) {
    let Some(new) = rewritten(s.request.path(), route, rewrite) else {
        return;
    };
    let old = s.request.path().to_vec();
    if !s.request.set_path(&new) {
        return;
    }
    if tell {
        s.request.headers.set(Known::XEnvoyOriginalPath, &old);
    }
}

/// The path after a rewrite, `None` if there is none.
pub fn rewritten(
    path_and_query: &[u8],
    route: &RouteRef,
    rewrite: &PathRewrite,
) -> Option<Vec<u8>> {
    let (path, query) = split_query(path_and_query);
    let mut new = match rewrite {
        PathRewrite::None => return None,
        PathRewrite::Prefix(prefix) => {
            let matched = matched_len(&route.route()?.matcher.path, path);
            let mut new = prefix.as_bytes().to_vec();
            new.extend_from_slice(path.get(matched..).unwrap_or_default());
            new
        }
        PathRewrite::Regex {
            pattern,
            substitution,
        } => substitute(pattern, substitution, path),
    };
    new.extend_from_slice(query);
    Some(new)
}

/// How much of the path the route matched.
fn matched_len(matcher: &PathMatch, path: &[u8]) -> usize {
    match matcher {
        PathMatch::Prefix(prefix) | PathMatch::PathSeparatedPrefix(prefix) => prefix.len(),
        PathMatch::Exact(_) | PathMatch::Regex(_) | PathMatch::Connect => path.len(),
    }
}

/// Path, and query with its `?`.
pub fn split_query(path: &[u8]) -> (&[u8], &[u8]) {
    let at = path.iter().position(|b| *b == b'?').unwrap_or(path.len());
    path.split_at_checked(at).unwrap_or((path, b""))
}

/// The path without query and fragment.
pub fn path_only(path: &[u8]) -> &[u8] {
    let end = path.iter().position(|b| matches!(b, b'?' | b'#'));
    end.and_then(|end| path.get(..end)).unwrap_or(path)
}

/// RE2's global replace.
pub fn substitute(pattern: &Regex, substitution: &Substitution, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut last = 0;
    for found in pattern.captures_iter(text) {
        let Some(whole) = found.get(0) else { continue };
        out.extend_from_slice(text.get(last..whole.start()).unwrap_or_default());
        for part in &substitution.parts {
            match part {
                SubstitutionPart::Text(text) => out.extend_from_slice(text),
                SubstitutionPart::Group(n) => {
                    out.extend_from_slice(found.get(*n).map(|m| m.as_bytes()).unwrap_or_default());
                }
            }
        }
        last = whole.end();
    }
    out.extend_from_slice(text.get(last..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_put_in() {
        let pattern = Regex::new("^/service/([^/]+)(/.*)$").unwrap();
        let substitution = Substitution {
            parts: vec![
                SubstitutionPart::Group(2),
                SubstitutionPart::Text((*b"/instance/").into()),
                SubstitutionPart::Group(1),
            ],
        };
        let got = substitute(&pattern, &substitution, b"/service/foo/v1/api");
        assert_eq!(got, b"/v1/api/instance/foo");
        assert_eq!(substitute(&pattern, &substitution, b"/x"), b"/x");
    }

    #[test]
    fn queries_are_split_off() {
        assert_eq!(split_query(b"/a?b?c"), (&b"/a"[..], &b"?b?c"[..]));
        assert_eq!(split_query(b"/a"), (&b"/a"[..], &b""[..]));
    }
}
