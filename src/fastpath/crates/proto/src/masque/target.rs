//! `/.well-known/masque/udp/HOST/PORT/`, the default template of RFC 9298 §3: Envoy knows no other.

use crate::authority::is_authority;
use crate::chars::decimal;

const PREFIX: &[u8] = b"/.well-known/masque/udp/";

/// The authority, `HOST:PORT`, that a request's path names; `None`: it names none.
///
/// Both parts may be percent-encoded, as the colons of an IPv6 address have to be; what is still
/// encoded then is a zone, which RFC 9298 does not allow.
#[must_use]
pub fn udp_authority(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts = path.strip_prefix(PREFIX)?.split(|b| *b == b'/');
    let (host, port, end) = (parts.next()?, parts.next()?, parts.next()?);
    if !end.is_empty() || parts.next().is_some() {
        return None;
    }
    let host = decoded(host)?;
    let port = decoded(port)?;
    let is_port = port.len() <= 5 && decimal(&port).is_some_and(|n| (1..=65_535).contains(&n));
    if !is_port || host.starts_with(b"[") {
        return None;
    }
    let is_ipv6 = host.contains(&b':');
    let mut authority = Vec::with_capacity(host.len().saturating_add(port.len()).saturating_add(3));
    if is_ipv6 {
        authority.push(b'[');
    }
    authority.extend_from_slice(&host);
    if is_ipv6 {
        authority.push(b']');
    }
    authority.push(b':');
    authority.extend_from_slice(&port);
    is_authority(&authority).then_some(authority)
}

/// Percent-decoded once; `None` if a percent sign is left.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let [high, low, after @ ..] = after else {
            return None;
        };
        let byte = (nibble(*high)? << 4) | nibble(*low)?;
        if byte == b'%' {
            return None;
        }
        out.push(byte);
        rest = after;
    }
    Some(out)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|n| u8::try_from(n).ok())
}
