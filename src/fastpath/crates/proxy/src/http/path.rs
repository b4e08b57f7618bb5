//! Path normalisation: `normalize_path`, `merge_slashes`, `path_with_escaped_slashes_action`.
//!
//! Envoy's order (`ConnectionManagerUtility::maybeNormalizePath`): escaped slashes, then RFC 3986
//! dot segments, then slashes merged. The query is never touched.

use model::resources::hcm::{EscapedSlashes, Hcm};

/// What became of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Normalized {
    Unchanged,
    Changed(Vec<u8>),
    /// 307 to this path.
    Redirect(Vec<u8>),
    Refused,
}

pub fn normalize(hcm: &Hcm, path_and_query: &[u8]) -> Normalized {
    let acts = hcm.normalize_path
        || hcm.merge_slashes
        || hcm.escaped_slashes != EscapedSlashes::KeepUnchanged;
    if !acts || path_and_query == b"*" || path_and_query.is_empty() {
        return Normalized::Unchanged;
    }
    let cut = path_and_query
        .iter()
        .position(|b| *b == b'?')
        .unwrap_or(path_and_query.len());
    let (path, query) = path_and_query
        .split_at_checked(cut)
        .unwrap_or((path_and_query, b""));
    let mut new = path.to_vec();
    let mut redirect = false;

    if hcm.escaped_slashes != EscapedSlashes::KeepUnchanged {
        let unescaped = unescape_slashes(&new);
        if unescaped != new {
            match hcm.escaped_slashes {
                EscapedSlashes::RejectRequest => return Normalized::Refused,
                EscapedSlashes::UnescapeAndRedirect => redirect = true,
                EscapedSlashes::UnescapeAndForward | EscapedSlashes::KeepUnchanged => {}
            }
            new = unescaped;
        }
    }
    if hcm.normalize_path {
        match canonical(&new) {
            Some(canonical) => new = canonical,
            None => return Normalized::Refused,
        }
    }
    if hcm.merge_slashes {
        new.dedup_by(|a, b| *a == b'/' && *b == b'/');
    }
    if new == path {
        return Normalized::Unchanged;
    }
    new.extend_from_slice(query);
    if redirect {
        Normalized::Redirect(new)
    } else {
        Normalized::Changed(new)
    }
}

/// `%2F` and `%5C` to `/` and `\`, either case.
fn unescape_slashes(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        match rest {
            [b'%', b'2', b'F' | b'f', after @ ..] => {
                out.push(b'/');
                rest = after;
            }
            [b'%', b'5', b'C' | b'c', after @ ..] => {
                out.push(b'\\');
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// What GURL's canonicalisation does to a path: `\` is `/`, unreserved characters are unescaped,
/// dot segments (also written `%2e`, also with `;parameters` as in Envoy 1.40) are resolved, what
/// must be escaped is. `None`: it holds `%00` or a bad start.
fn canonical(path: &[u8]) -> Option<Vec<u8>> {
    if path.first() != Some(&b'/') {
        return None;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match *first {
            b'\\' => decoded.push(b'/'),
            b'%' => match tail {
                [a, b, after @ ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                    let byte = (hex(*a) << 4) | hex(*b);
                    rest = after;
                    if byte == 0 {
                        return None;
                    }
                    if is_unreserved(byte) {
                        decoded.push(byte);
                    } else {
                        decoded.extend_from_slice(&[b'%', *a, *b]);
                    }
                }
                _ => decoded.push(b'%'),
            },
            // What no URL may hold unescaped.
            byte @ (b'"' | b'<' | b'>' | b'`' | b'{' | b'}') => {
                decoded.push(b'%');
                decoded.push(HEX.get(usize::from(byte >> 4)).copied().unwrap_or(b'0'));
                decoded.push(HEX.get(usize::from(byte & 0xf)).copied().unwrap_or(b'0'));
            }
            byte => decoded.push(byte),
        }
    }
    Some(remove_dot_segments(&decoded))
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |d| d as u8)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 §5.2.4. A segment `..;x` counts as `..` (Envoy 1.40, CVE-2026-73551).
fn remove_dot_segments(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut open = false;
    for segment in path.split(|b| *b == b'/').skip(1) {
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        open = matches!(name, b"." | b"..");
        match name {
            b"." => {}
            b".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for segment in &kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if open || out.is_empty() {
        out.push(b'/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canon(path: &str) -> String {
        String::from_utf8(canonical(path.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn dot_segments_are_resolved_however_they_are_written() {
        for (from, to) in [
            ("/a/b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../b", "/b"),
            ("/a/..;x/b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a\\..\\b", "/b"),
            ("/a/.", "/a/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/", "/"),
            ("/a//b", "/a//b"),
            ("/%41%2f", "/A%2f"),
            ("/a%zz", "/a%zz"),
            ("/a\"b", "/a%22b"),
        ] {
            assert_eq!(canon(from), to, "{from}");
        }
        assert_eq!(canonical(b"/a%00"), None);
    }

    #[test]
    fn slashes_are_unescaped() {
        assert_eq!(unescape_slashes(b"/a%2Fb%5cc%2"), b"/a/b\\c%2");
    }
}
