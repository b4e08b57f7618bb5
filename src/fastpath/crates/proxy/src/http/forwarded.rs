//! Who the client is: what proxies before us say of it, and what we tell upstreams of it.

use std::net::{IpAddr, SocketAddr};

use model::resources::address::Address;
use model::resources::hcm::{Cidr, ForwardClientCertMode, Hcm};
use proto::{HeaderMap, Known};
use tls::{Details, Info};

/// The client, as far as it is believed.
pub(super) struct Remote {
    /// With port 0 where x-forwarded-for says it.
    pub(super) address: Option<Address>,
    /// Nobody else's address is in x-forwarded-for.
    pub(super) single: bool,
}

/// `Utility::getLastAddressFromXFF`: the address `skip` places from the right, and whether it is
/// the only one.
pub(super) fn xff_address(headers: &HeaderMap, skip: usize) -> (Option<Address>, bool) {
    let Some(value) = headers.get(Known::XForwardedFor) else {
        return (None, false);
    };
    let mut all = value.rsplit(|b| *b == b',');
    let address = all
        .nth(skip)
        .and_then(|text| std::str::from_utf8(text.trim_ascii()).ok())
        .and_then(|text| text.parse::<IpAddr>().ok())
        .map(|ip| SocketAddr::new(ip.to_canonical(), 0).into());
    let single = !value.contains(&b',');
    (address, single)
}

pub(super) fn is_internal(hcm: &Hcm, address: &Address) -> bool {
    match address.ip() {
        Some(ip) => is_in(hcm.internal_addresses.as_deref(), ip),
        None => hcm.internal_unix_sockets,
    }
}

fn is_in(ranges: Option<&[Cidr]>, ip: IpAddr) -> bool {
    ranges.is_some_and(|ranges| ranges.iter().any(|r| r.contains(ip)))
}

/// x-forwarded-client-cert, by `forward_client_cert_details`. What a client says of a certificate
/// that it did not show us is nobody's business but in `ALWAYS_FORWARD_ONLY`.
pub(super) fn forward_client_cert(hcm: &Hcm, tls: Option<&Info>, headers: &mut HeaderMap) {
    let shown = tls.filter(|info| info.peer.is_some());
    let ours = shown.and_then(|info| {
        let details = Details {
            subject: hcm.client_cert.subject,
            cert: hcm.client_cert.cert,
            chain: hcm.client_cert.chain,
            dns: hcm.client_cert.dns,
            uri: hcm.client_cert.uri,
        };
        tls::xfcc_element(info, details)
    });
    put_client_cert(hcm.client_cert.mode, ours, headers);
}

/// `ours`: the element of the certificate that the client has shown.
fn put_client_cert(mode: ForwardClientCertMode, ours: Option<Vec<u8>>, headers: &mut HeaderMap) {
    let known = Known::XForwardedClientCert;
    let is_right = match (mode, ours) {
        (ForwardClientCertMode::AlwaysForwardOnly, _)
        | (ForwardClientCertMode::ForwardOnly, Some(_)) => true,
        (ForwardClientCertMode::AppendForward, Some(element)) => {
            headers.append_value(known, b",", &element)
        }
        (ForwardClientCertMode::SanitizeSet, Some(element)) => headers.set(known, &element),
        (ForwardClientCertMode::Sanitize, _) | (_, None) => false,
    };
    // A name with a control character in it is no header's value: then there is no header, rather
    // than the one that the client has made up.
    if !is_right {
        headers.remove(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_hops_count_from_the_right() {
        let mut h = HeaderMap::new();
        h.push_known(Known::XForwardedFor, b"1.1.1.1, 2.2.2.2,3.3.3.3");
        let at = |ip: [u8; 4]| Some(SocketAddr::from((ip, 0)).into());
        assert_eq!(xff_address(&h, 0), (at([3, 3, 3, 3]), false));
        assert_eq!(xff_address(&h, 2), (at([1, 1, 1, 1]), false));
        assert_eq!(xff_address(&h, 3), (None, false));
    }

    #[test]
    fn internal_needs_a_range() {
        let ranges = [Cidr {
            address: [10, 0, 0, 0].into(),
            prefix_len: 8,
        }];
        assert!(is_in(Some(&ranges), [10, 9, 8, 7].into()));
        assert!(!is_in(Some(&ranges), [11, 0, 0, 1].into()));
        assert!(!is_in(None, [10, 9, 8, 7].into()));
    }

    #[test]
    fn a_certificate_that_no_header_can_say_leaves_none_of_the_clients() {
        use ForwardClientCertMode::{AlwaysForwardOnly, AppendForward, ForwardOnly};
        use ForwardClientCertMode::{Sanitize, SanitizeSet};
        let (good, bad) = (
            b"URI=spiffe://a/b".as_slice(),
            b"URI=spiffe://a/\n".as_slice(),
        );
        for (mode, ours, want) in [
            (SanitizeSet, Some(good), Some("URI=spiffe://a/b")),
            (SanitizeSet, Some(bad), None),
            (SanitizeSet, None, None),
            (AppendForward, Some(good), Some("By=liar,URI=spiffe://a/b")),
            (AppendForward, Some(bad), None),
            (ForwardOnly, Some(bad), Some("By=liar")),
            (ForwardOnly, None, None),
            (Sanitize, Some(good), None),
            (AlwaysForwardOnly, None, Some("By=liar")),
        ] {
            let mut headers = HeaderMap::new();
            headers.push_known(Known::XForwardedClientCert, b"By=liar");
            put_client_cert(mode, ours.map(<[u8]>::to_vec), &mut headers);
            let found = headers.get(Known::XForwardedClientCert);
            assert_eq!(found, want.map(str::as_bytes), "{mode:?} {ours:?}");
        }
    }
}
