//! The host that a request is for, and its port.

use std::io::Write;

use model::resources::hcm::{Hcm, StripPort};

use super::stream::Stream;

/// `strip_matching_host_port`, `strip_any_host_port`, `strip_trailing_host_dot`.
pub(super) fn normalize_host(hcm: &Hcm, local_port: u16, s: &mut Stream) {
    if hcm.strip_port == StripPort::No && !hcm.strip_trailing_host_dot {
        return;
    }
    let authority = s.request.authority();
    let (mut host, mut port) = split_port(authority);
    let strip = match (hcm.strip_port, port) {
        (StripPort::Any, Some(_)) => true,
        (StripPort::Matching, Some(p)) => p == local_port,
        _ => false,
    };
    if hcm.strip_trailing_host_dot {
        host = host.strip_suffix(b".").unwrap_or(host);
    }
    if strip {
        port = None;
    }
    let mut new = host.to_vec();
    if let Some(port) = port {
        let _ = write!(new, ":{port}");
    }
    if new != authority {
        s.request.set_authority(&new);
    }
}

/// Host and port of an authority; an IPv6 address keeps its brackets.
pub fn split_port(authority: &[u8]) -> (&[u8], Option<u16>) {
    let after = authority.iter().rposition(|b| *b == b']').unwrap_or(0);
    let Some(colon) = authority
        .iter()
        .rposition(|b| *b == b':')
        .filter(|c| *c > after)
    else {
        return (authority, None);
    };
    let (host, port) = authority
        .split_at_checked(colon)
        .unwrap_or((authority, b""));
    let port = port
        .get(1..)
        .and_then(|p| std::str::from_utf8(p).ok())
        .and_then(|p| p.parse().ok());
    match port {
        Some(port) => (host, Some(port)),
        None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        assert_eq!(split_port(b"a:80"), (&b"a"[..], Some(80)));
        assert_eq!(split_port(b"[::1]"), (&b"[::1]"[..], None));
        assert_eq!(split_port(b"[::1]:8"), (&b"[::1]"[..], Some(8)));
        assert_eq!(split_port(b"a:x"), (&b"a:x"[..], None));
    }
}
