//! Authorities: host and port (RFC 3986 §3.2).

use crate::chars::decimal;
use crate::swar;

/// `host` and what follows its colon, if there is one.
#[inline(always)]
pub(crate) fn split_port(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let host_len = if authority.starts_with(b"[") {
        authority.iter().position(|b| *b == b']')?.checked_add(1)?
    } else {
        authority
            .iter()
            .position(|b| *b == b':')
            .unwrap_or(authority.len())
    };
    match authority.split_at_checked(host_len)? {
        (host, []) => Some((host, None)),
        (host, [b':', port @ ..]) => Some((host, Some(port))),
        _ => None,
    }
}

/// True for `uri-host [ ":" port ]` of RFC 9110 §7.2 with a host that is not empty. Of the
/// sub-delims the comma is left out: a joined list of two hosts is not a host. No userinfo.
#[inline]
#[must_use]
pub fn is_authority(authority: &[u8]) -> bool {
    if is_plain(without_port(authority)) {
        return true;
    }
    let Some((host, port)) = split_port(authority) else {
        return false;
    };
    let host_ok = match host {
        [b'[', inside @ .., b']'] => is_ipv6_literal(inside),
        _ => is_reg_name(host),
    };
    host_ok && port.is_none_or(is_port)
}

/// Without a colon and a valid port, if those end it.
#[inline(always)]
fn without_port(authority: &[u8]) -> &[u8] {
    let start = authority.len().saturating_sub(":65535".len());
    let (host, tail) = authority.split_at_checked(start).unwrap_or_default();
    match tail.iter().position(|b| *b == b':') {
        Some(colon) if tail.get(colon.wrapping_add(1)..).is_some_and(is_port) => {
            let end = host.len().wrapping_add(colon); // within `authority`
            authority.get(..end).unwrap_or(authority)
        }
        _ => authority,
    }
}

/// Letters, digits, `-` and `.` only, 8 at least: by words, the last of which overlaps.
#[inline(always)]
fn is_plain(host: &[u8]) -> bool {
    let Some(last) = host.last_chunk::<8>() else {
        return false;
    };
    let word = |w: &[u8; 8]| {
        let w = u64::from_le_bytes(*w);
        swar::plain(w) | swar::dot(w)
    };
    let words = host.as_chunks::<8>().0.iter();
    words.fold(word(last), |ok, w| ok & word(w)) == swar::HIGH
}

/// `*DIGIT`, and at most 65535. Empty is allowed by RFC 3986 §3.2.3.
fn is_port(port: &[u8]) -> bool {
    port.is_empty() || (port.len() <= 5 && decimal(port).is_some_and(|n| n <= 65_535))
}

/// Bytes of a `reg-name` (which an IPv4 address is, too), `%` included.
static REG_NAME: [bool; 256] = reg_name();

/// Built by the compiler, where an index out of range is a compile error.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
const fn reg_name() -> [bool; 256] {
    let mut table = [false; 256];
    let mut i = 0usize;
    while i < 256 {
        let b = i as u8;
        table[i] = b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b';'
                    | b'='
            );
        i += 1;
    }
    table
}

#[inline(always)]
#[allow(clippy::indexing_slicing)] // a u8 cannot leave a table of 256
fn is_reg_name(host: &[u8]) -> bool {
    let mut percent = false;
    let mut ok = !host.is_empty();
    for b in host {
        ok &= REG_NAME[*b as usize];
        percent |= *b == b'%';
    }
    ok && (!percent || percents_are_well_formed(host))
}

fn percents_are_well_formed(mut host: &[u8]) -> bool {
    while let Some(at) = host.iter().position(|b| *b == b'%') {
        match host.get(at..) {
            Some([_, a, b, rest @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => {
                host = rest
            }
            _ => return false,
        }
    }
    true
}

fn is_ipv6_literal(inside: &[u8]) -> bool {
    std::str::from_utf8(inside).is_ok_and(|s| s.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        for good in [
            "a",
            "a.example",
            "a.example:80",
            "a:",
            "127.0.0.1:65535",
            "[::1]",
            "[::1]:8080",
            "[::ffff:1.2.3.4]",
            "a_b",
            "xn--a",
            "a%20b",
            "outbound_.80_._.svc",
            "a*b",
            "~x",
            "shop.svc.cluster.local:8080",
            "shop.svc.cluster.local:",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a,b",
            "a@b",
            "u:p@h",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a:b",
            "a:65536",
            "a:-1",
            "a:+1",
            "a:1:2",
            "shop.svc.cluster.local:65536",
            "shop.svc.cluster.local:1:2",
            "shop.svc.cluster.local:1x",
            "shop_svc,cluster.local:80",
            "a:000080",
            "[::1",
            "::1",
            "[]",
            "[::1]x",
            "[g::]",
            "[fe80::1%25eth0]",
            "a%2",
            "a%zz",
            "a\"b",
            "a<b",
            "a\tb",
            "\u{e9}",
            "a\0",
            "[::1]:x",
            "[v1.x]",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
