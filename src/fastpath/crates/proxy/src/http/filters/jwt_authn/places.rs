//! Where the tokens of a request are: headers, parameters of its path, cookies.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::resources::header_mutation::HeaderName;
use model::resources::jwt_authn::{Issuers, Places};
use proto::Known;
use proto::h1::RequestHead;

/// What may be a token.
pub(super) struct Found<'p> {
    pub text: String,
    /// Whose are looked for here.
    pub issuers: &'p Issuers,
    pub place: Place<'p>,
}

#[derive(Clone, Copy)]
pub(super) enum Place<'p> {
    Header(&'p HeaderName),
    Param(&'p [u8]),
    Cookie,
}

/// All of them; the first place last to be looked at.
pub(super) fn find<'p>(places: &'p Places, request: &RequestHead) -> Vec<Found<'p>> {
    let mut found = Vec::new();
    for place in &places.headers {
        let name = place.name.text.as_bytes();
        let mut take = |value: &[u8]| {
            if let Some(text) = after(&place.prefix, value) {
                found.push(Found {
                    text: String::from_utf8_lossy(text).into_owned(),
                    issuers: &place.issuers,
                    place: Place::Header(&place.name),
                });
            }
        };
        // Of these Envoy has one value, however many fields there are.
        let joins: Option<&[u8]> = match name {
            b"authorization" => Some(b","),
            b"cookie" => Some(b"; "),
            _ => None,
        };
        let values = request.headers.values_name(name);
        match joins {
            Some(between) => {
                let values: Vec<&[u8]> = values.collect();
                if !values.is_empty() {
                    take(&values.join(between));
                }
            }
            None => values.for_each(take),
        }
    }
    if !places.params.is_empty() && request.path().contains(&b'?') {
        let query = parameters(request.path());
        for (name, issuers) in &places.params {
            if let Some(value) = query.get(&**name).and_then(|values| values.first()) {
                found.push(Found {
                    text: String::from_utf8_lossy(value).into_owned(),
                    issuers,
                    place: Place::Param(name),
                });
            }
        }
    }
    for (name, issuers) in &places.cookies {
        if let Some(value) = cookie(request, name) {
            found.push(Found {
                text: String::from_utf8_lossy(value).into_owned(),
                issuers,
                place: Place::Cookie,
            });
        }
    }
    found
}

/// Takes the token away. (Cookies stay, as in Envoy.) What the path was, if it has changed.
pub(super) fn remove(place: Place<'_>, request: &mut RequestHead) -> Option<Vec<u8>> {
    match place {
        Place::Header(name) => {
            request.headers.remove_name(name.text.as_bytes());
            None
        }
        Place::Param(name) => {
            let before = request.path().to_vec();
            let without = without(&before, name);
            // A path of what can be said in one can be said.
            request.set_path(&without);
            Some(before)
        }
        Place::Cookie => None,
    }
}

/// The first value with the prefix somewhere in it, from the first character after it that a token
/// may have; a value in which there is none, as it is.
fn after<'v>(prefix: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
    if prefix.is_empty() {
        return Some(value);
    }
    let at = value
        .windows(prefix.len())
        .position(|part| part == prefix)?;
    let rest = value
        .get(at.saturating_add(prefix.len())..)
        .unwrap_or_default();
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let start = rest.iter().position(is_token);
    Some(start.and_then(|start| rest.get(start..)).unwrap_or(value))
}

/// Parameters by name, decoded.
fn parameters(path: &[u8]) -> BTreeMap<Cow<'_, [u8]>, Vec<Cow<'_, [u8]>>> {
    let mark = path.iter().position(|b| *b == b'?').unwrap_or(path.len());
    let query = path.get(mark.saturating_add(1)..).unwrap_or_default();
    let end = query.iter().position(|b| *b == b'#').unwrap_or(query.len());
    let query = query.get(..end).unwrap_or(query);
    let mut all: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for one in query.split(|b| *b == b'&') {
        let equals = one.iter().position(|b| *b == b'=').unwrap_or(one.len());
        let name = one.get(..equals).unwrap_or(one);
        let value = one.get(equals.saturating_add(1)..).unwrap_or_default();
        if !one.is_empty() {
            all.entry(decoded(name)).or_default().push(decoded(value));
        }
    }
    all
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let digit = |at: usize| tail.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (digit(1), digit(2)) {
            (Some(high), Some(low)) => {
                let byte = high.saturating_mul(16).saturating_add(low);
                out.push(u8::try_from(byte).unwrap_or_default());
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => {
                out.push(b'%');
                rest = tail.get(1..).unwrap_or_default();
            }
        }
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// The path without a parameter; the others decoded, in the order of their names, as Envoy leaves
/// them. What would have another meaning then stays encoded.
fn without(path: &[u8], name: &[u8]) -> Vec<u8> {
    let mark = path.iter().position(|b| *b == b'?').unwrap_or(path.len());
    let mut out = path.get(..mark).unwrap_or(path).to_vec();
    let mut between = b'?';
    for (key, values) in parameters(path) {
        if *key == *name {
            continue;
        }
        for value in values {
            out.push(between);
            between = b'&';
            encode(&key, b"#&%=", &mut out);
            out.push(b'=');
            encode(&value, b"#&%", &mut out);
        }
    }
    out
}

fn encode(text: &[u8], special: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        if byte.is_ascii_graphic() && !special.contains(byte) {
            out.push(*byte);
            continue;
        }
        out.push(b'%');
        for digit in [byte >> 4, byte & 15] {
            out.extend(DIGITS.get(usize::from(digit)));
        }
    }
}

/// The first of that name, without the quotes around it.
fn cookie<'r>(request: &'r RequestHead, name: &[u8]) -> Option<&'r [u8]> {
    let pairs = request.headers.values(Known::Cookie);
    let mut pairs = pairs.flat_map(|value| value.split(|b| *b == b';'));
    pairs.find_map(|pair| {
        let pair = pair.trim_ascii();
        let equals = pair.iter().position(|b| *b == b'=')?;
        let value = pair.get(equals.saturating_add(1)..)?;
        let inside = value
            .strip_prefix(b"\"")
            .and_then(|it| it.strip_suffix(b"\""));
        (pair.get(..equals)? == name).then_some(inside.unwrap_or(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_token_is_after_its_prefix() {
        for (value, want) in [
            ("Bearer a.b", Some("a.b")),
            ("Basic x, Bearer  a.b c", Some("a.b c")),
            ("Bearer \"a.b\"", Some("a.b\"")),
            ("Bearer ;", Some("Bearer ;")),
            ("bearer a", None),
            ("Bearer", None),
        ] {
            let found = after(b"Bearer ", value.as_bytes());
            assert_eq!(found.map(text), want, "{value}");
        }
        assert_eq!(after(b"", b" x "), Some(&b" x "[..]));
    }

    #[test]
    fn what_is_left_of_a_query_is_sorted_and_says_the_same() {
        for (path, want) in [
            ("/a", "/a"),
            ("/a?t=1", "/a"),
            ("/a?%74=1&b=2", "/a?b=2"),
            ("/a?t=1&c&b=%41%2F+x&=d", "/a?=d&b=A/+x&c="),
            ("/a?b=2&t=1&b=1", "/a?b=2&b=1"),
            ("/a?t=1&b=%0d%0a%23%26%25", "/a?b=%0D%0A%23%26%25"),
            ("/a?t=1&b=%zz%4", "/a?b=%25zz%254"),
            ("/a?t=1&&b", "/a?b="),
            ("/a?t=1&b%3Dc=d%3De", "/a?b%3Dc=d=e"),
        ] {
            assert_eq!(text(&without(path.as_bytes(), b"t")), want, "{path}");
        }
    }

    #[test]
    fn the_first_cookie_of_a_name_counts() {
        let mut request = RequestHead::new();
        for value in [&b"a=b; s=\"x\""[..], b"s=y;t=z;u"] {
            request.headers.push(b"cookie", value);
        }
        for (name, want) in [("s", Some("x")), ("t", Some("z")), ("u", None), ("S", None)] {
            assert_eq!(cookie(&request, name.as_bytes()).map(text), want, "{name}");
        }
    }
}
