//! Hop-by-hop fields: what a message loses before it goes on to the next hop.

use crate::chars::trim_ows;
use crate::headers::HeaderMap;
use crate::known::Known;

/// What the `Connection` field nominated (RFC 9110 §7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nominations {
    /// Number of list elements.
    pub count: usize,
    /// It named a field that no client may have removed (CVE-2024-45410); the field stayed.
    pub protected: bool,
}

/// The elements of a comma-separated list, without empty ones (RFC 9110 §5.6.1).
pub fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|b| *b == b',')
        .map(trim_ows)
        .filter(|t| !t.is_empty())
}

/// True if one of the fields of that name lists `token`, in any case.
#[must_use]
pub fn has_token(headers: &HeaderMap, known: Known, token: &[u8]) -> bool {
    headers
        .values(known)
        .any(|list| tokens(list).any(|t| t.eq_ignore_ascii_case(token)))
}

/// Fields that say who is asking or where to: a `Connection` field must not take them away.
pub(crate) fn is_protected(known: Known, name: &[u8]) -> bool {
    use Known::{
        Authorization, ContentLength, ContentType, Forwarded, Host, XForwardedClientCert,
        XForwardedFor, XForwardedHost, XForwardedPort, XForwardedProto, XRequestId,
    };
    matches!(
        known,
        Host | ContentLength
            | ContentType
            | Authorization
            | Forwarded
            | XForwardedFor
            | XForwardedHost
            | XForwardedProto
            | XForwardedPort
            | XForwardedClientCert
            | XRequestId
    ) || known.is_envoy()
        || [&b"x-forwarded-"[..], b"x-envoy-"].iter().any(|prefix| {
            name.get(..prefix.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        })
        || name.eq_ignore_ascii_case(b"x-real-ip")
}

/// Removes the fields that concern one connection only, in Envoy's order: those nominated by
/// `Connection`, then `connection`, `upgrade`, `te` (kept as `trailers` if it says so),
/// `keep-alive`, `proxy-connection`, `transfer-encoding`, `http2-settings`.
///
/// The body's length is not lost: it is in the head's `body`, and the writers frame by that.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) -> Nominations {
    let nominations = drop_nominated(headers);
    strip_fixed(headers);
    headers.remove(Known::Upgrade);
    nominations
}

/// The same for a message that asks for or agrees to an upgrade: `upgrade` stays and
/// `connection` says just that, in the sender's case.
pub fn strip_for_upgrade(headers: &mut HeaderMap) -> Nominations {
    let token = headers
        .values(Known::Connection)
        .flat_map(tokens)
        .filter_map(|token| <[u8; 7]>::try_from(token).ok())
        .find(|token| token.eq_ignore_ascii_case(b"upgrade"));
    let nominations = drop_nominated(headers);
    strip_fixed(headers);
    if headers.contains(Known::Upgrade) {
        headers.push_known(Known::Connection, &token.unwrap_or(*b"upgrade"));
    }
    nominations
}

/// Bits of all fields that `strip_hop_by_hop` may have to touch.
const HOP: u128 = Known::Connection.bit()
    | Known::Upgrade.bit()
    | Known::Te.bit()
    | Known::KeepAlive.bit()
    | Known::ProxyConnection.bit()
    | Known::TransferEncoding.bit()
    | Known::Http2Settings.bit();

fn strip_fixed(headers: &mut HeaderMap) {
    if !headers.contains_any(HOP) {
        return;
    }
    headers.remove(Known::Connection);
    if headers.contains(Known::Te) {
        if has_token(headers, Known::Te, b"trailers") {
            headers.set(Known::Te, b"trailers");
        } else {
            headers.remove(Known::Te);
        }
    }
    for known in [
        Known::KeepAlive,
        Known::ProxyConnection,
        Known::TransferEncoding,
        Known::Http2Settings,
    ] {
        headers.remove(known);
    }
}

fn drop_nominated(headers: &mut HeaderMap) -> Nominations {
    let mut seen = Nominations::default();
    if !headers.contains(Known::Connection) {
        return seen;
    }
    let mut removable = false;
    for token in headers.values(Known::Connection).flat_map(tokens) {
        seen.count = seen.count.saturating_add(1);
        match (Known::of_any_case(token), token) {
            // Dealt with below by name, or no field at all.
            (
                Known::Connection
                | Known::KeepAlive
                | Known::Upgrade
                | Known::Te
                | Known::TransferEncoding
                | Known::ProxyConnection
                | Known::Http2Settings,
                _,
            ) => {}
            (_, token) if token.eq_ignore_ascii_case(b"close") => {}
            (known, token) if is_protected(known, token) => seen.protected = true,
            _ => removable = true,
        }
    }
    if removable {
        // Rare: a copy of the list, so that the map can be changed while reading it.
        let mut list = Vec::new();
        for value in headers.values(Known::Connection) {
            list.extend_from_slice(value);
            list.push(b',');
        }
        list.make_ascii_lowercase();
        for token in tokens(&list) {
            let known = Known::of(token);
            let by_name = matches!(known, Known::Connection | Known::Upgrade | Known::Te);
            if !by_name && !is_protected(known, token) {
                headers.remove_name(token);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            assert!(map.push(name.as_bytes(), value.as_bytes()));
        }
        map
    }

    #[test]
    fn strips_what_is_nominated_and_what_is_always_hop_by_hop() {
        let mut headers = map(&[
            ("host", "a"),
            ("connection", "close, X-Hop , te"),
            ("connection", "other-hop"),
            ("x-hop", "1"),
            ("other-hop", "2"),
            ("x-end", "3"),
            ("te", "gzip, Trailers;q=1, trailers"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
        ]);
        let seen = strip_hop_by_hop(&mut headers);
        assert_eq!(
            seen,
            Nominations {
                count: 4,
                protected: false
            }
        );
        assert_eq!(
            headers,
            map(&[("host", "a"), ("x-end", "3"), ("te", "trailers")])
        );
    }

    #[test]
    fn te_without_trailers_goes() {
        let mut headers = map(&[("te", "gzip")]);
        strip_hop_by_hop(&mut headers);
        assert!(headers.is_empty());
    }

    /// CVE-2024-45410: a client must not be able to drop what proxies say about it.
    #[test]
    fn protected_fields_stay() {
        for name in [
            "host",
            "X-Forwarded-For",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-client-cert",
            "forwarded",
            "x-real-ip",
            "x-envoy-internal",
            "x-envoy-anything",
            "content-length",
            "authorization",
            "x-request-id",
        ] {
            let mut headers = map(&[("connection", name), (name, "1"), ("y", "2")]);
            assert!(strip_hop_by_hop(&mut headers).protected, "{name}");
            assert_eq!(headers, map(&[(name, "1"), ("y", "2")]), "{name}");
        }
    }

    #[test]
    fn upgrade_may_stay() {
        let mut headers = map(&[
            ("Connection", "keep-alive, Upgrade, x"),
            ("Upgrade", "websocket"),
            ("x", "1"),
        ]);
        strip_for_upgrade(&mut headers);
        assert_eq!(
            headers,
            map(&[("upgrade", "websocket"), ("connection", "Upgrade")])
        );
    }
}
