//! The hash of a request by its route's `hash_policy` (`source/common/http/hash_policy.cc`), for
//! clusters that choose hosts by it.

use std::io::Write;

use model::matching::query::first_value;
use model::resources::address::Address;
use model::resources::hash_policy::{CookieHash, HashPolicy, HashSource};
use model::resources::header_mutation::HeaderName;
use model::resources::route::Substitution;
use proto::Known;
use proto::h1::RequestHead;
use regex::bytes::Regex;

use super::rewrite::{split_query, substitute};
use crate::cluster::hashing::{hash_address, hash_all, hash_bytes};
use crate::http::client::Client;
use crate::http::stream::Stream;

/// The hashes that policies have, combined in their order; `None`: nothing that they name is
/// there. A cookie that is made for the client waits in `s.set_cookies`.
pub fn of_request(policies: &[HashPolicy], client: &Client, s: &mut Stream) -> Option<u64> {
    let mut hash: Option<u64> = None;
    for policy in policies {
        if let Some(new) = of_source(&policy.source, client, s) {
            // Rotated, so that one thing hashed twice does not cancel itself out.
            hash = Some(hash.map_or(0, |old| old.rotate_left(1)) ^ new);
        }
        if policy.terminal && hash.is_some() {
            break;
        }
    }
    hash
}

fn of_source(source: &HashSource, client: &Client, s: &mut Stream) -> Option<u64> {
    match source {
        HashSource::Header { name, rewrite } => of_header(&s.request, name, rewrite.as_ref()),
        HashSource::Cookie(cookie) => {
            let value = cookie_value(&s.request, &cookie.name);
            match value.filter(|value| !value.is_empty()) {
                Some(value) => Some(hash_bytes(value)),
                None => make_cookie(cookie, client, s),
            }
        }
        HashSource::SourceIp => {
            let address = s.info.downstream_remote.as_ref().unwrap_or(&client.peer);
            address.ip().map(hash_address)
        }
        HashSource::QueryParameter(name) => {
            let (_, query) = split_query(s.request.path());
            let query = query.strip_prefix(b"?")?;
            first_value(query, name).map(hash_bytes)
        }
    }
}

/// All values, sorted.
fn of_header(
    head: &RequestHead,
    name: &HeaderName,
    rewrite: Option<&(Regex, Substitution)>,
) -> Option<u64> {
    let mut count = 0_usize;
    let mut hash = None;
    // Most often there is one, which needs no list.
    name.any_value(head, |value| {
        count = count.saturating_add(1);
        if count == 1 && rewrite.is_none() {
            hash = Some(hash_bytes(value));
        }
        false
    });
    if count == 0 || (count == 1 && hash.is_some()) {
        return hash;
    }
    let mut values: Vec<Vec<u8>> = Vec::with_capacity(count);
    name.any_value(head, |value| {
        values.push(match rewrite {
            Some((pattern, substitution)) => substitute(pattern, substitution, value),
            None => value.to_vec(),
        });
        false
    });
    values.sort_unstable();
    Some(hash_all(values.iter().map(Vec::as_slice)))
}

/// Of the first cookie of that name, without the quotes around it.
fn cookie_value<'h>(head: &'h RequestHead, name: &[u8]) -> Option<&'h [u8]> {
    let cookies = head.headers.values(Known::Cookie);
    let mut pairs = cookies.flat_map(|value| value.split(|byte| *byte == b';'));
    let value = pairs.find_map(|pair| {
        let start = pair.iter().position(|byte| *byte != b' ')?;
        let pair = pair.get(start..)?;
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at_checked(at)?;
        (key == name).then(|| value.get(1..).unwrap_or_default())
    })?;
    match value {
        [b'"', inner @ .., b'"'] => Some(inner),
        value => Some(value),
    }
}

/// A cookie whose value is that of the connection, so that all of its requests get the same.
/// `None`: the policy makes none.
fn make_cookie(cookie: &CookieHash, client: &Client, s: &mut Stream) -> Option<u64> {
    let ttl = cookie.ttl?;
    let [peer, local] = [&client.peer, &client.local].map(Address::to_canonical);
    let value = hash_bytes(format!("{peer}{local}").as_bytes());
    let value = format!("{value:016x}");
    let mut text = cookie.name.to_vec();
    // Writing to a vector cannot fail.
    let _ = write!(text, "=\"{value}\"");
    if !ttl.is_zero() {
        let _ = write!(text, "; Max-Age={}", ttl.as_secs());
    }
    if !cookie.path.is_empty() {
        let _ = write!(text, "; Path={}", cookie.path);
    }
    for (name, value) in &cookie.attributes {
        let _ = match &**value {
            "" => write!(text, "; {name}"),
            value => write!(text, "; {name}={value}"),
        };
    }
    let _ = write!(text, "; HttpOnly");
    s.set_cookies.push(text);
    Some(hash_bytes(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> RequestHead {
        let mut head = RequestHead::new();
        for (name, value) in fields {
            assert!(head.headers.push(name.as_bytes(), value.as_bytes()));
        }
        head
    }

    #[test]
    fn cookies_are_the_first_of_their_name() {
        let value = |fields: &[(&str, &str)], name: &str| {
            let head = head(fields);
            let value = cookie_value(&head, name.as_bytes())?;
            Some(String::from_utf8(value.to_vec()).unwrap())
        };
        for (cookies, expected) in [
            ("c=1", Some("1")),
            ("a=0;  c=1; c=2", Some("1")),
            ("c=\"1 2\"", Some("1 2")),
            ("c=\"", Some("\"")),
            ("c=\"\"", Some("")),
            ("c=", Some("")),
            ("c; cc=1; xc=2", None),
            ("c=a=b", Some("a=b")),
            (";;", None),
        ] {
            let found = value(&[("cookie", cookies)], "c");
            assert_eq!(found.as_deref(), expected, "{cookies}");
        }
        let two = [("cookie", "a=1"), ("cookie", "c=2")];
        assert_eq!(value(&two, "c").as_deref(), Some("2"));
        assert_eq!(value(&[], "c"), None);
    }

    #[test]
    fn values_of_a_header_have_no_order() {
        let name = HeaderName {
            known: Known::Other,
            text: "x-key".into(),
        };
        let hash = |values: &[&str], rewrite| {
            let fields: Vec<_> = values.iter().map(|value| ("x-key", *value)).collect();
            of_header(&head(&fields), &name, rewrite)
        };
        assert_eq!(hash(&[], None), None);
        assert_eq!(hash(&["a"], None), Some(hash_bytes(b"a")));
        assert_eq!(hash(&["b", "a"], None), hash(&["a", "b"], None));
        assert_ne!(hash(&["b", "a"], None), hash(&["ab"], None));
        let shorter = (Regex::new("b+").unwrap(), Substitution { parts: vec![] });
        assert_eq!(hash(&["abbab"], Some(&shorter)), hash(&["aa"], None));
    }
}
