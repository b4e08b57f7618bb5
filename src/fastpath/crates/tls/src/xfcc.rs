//! `x-forwarded-client-cert` (Envoy, "HTTP header manipulation", "x-forwarded-client-cert").

use crate::info::Info;

/// `set_current_client_cert_details`
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // As in Envoy's message.
pub struct Details {
    pub subject: bool,
    pub cert: bool,
    pub chain: bool,
    pub dns: bool,
    pub uri: bool,
}

/// The element for this connection:
/// `By=…;Hash=…;Cert="…";Chain="…";Subject="…";URI=…;DNS=…`. `By` is each URI SAN of our own
/// certificate. `None` when the client presented no certificate.
#[must_use]
pub fn xfcc_element(info: &Info, details: Details) -> Option<Vec<u8>> {
    let peer = info.peer.as_ref()?;
    let mut element = Element::default();
    for uri in info.local.iter().flat_map(|local| &local.sans.uri) {
        element.add("By", uri);
    }
    element.add("Hash", &peer.sha256);
    if details.cert {
        element.add_quoted("Cert", &peer.url_encoded_pem());
    }
    if details.chain {
        element.add_quoted("Chain", &peer.url_encoded_chain());
    }
    if details.subject {
        // There even if it is empty. RFC 2253 has quotes escaped.
        element.add_quoted("Subject", &peer.subject);
    }
    if details.uri {
        for uri in &peer.sans.uri {
            element.add("URI", uri);
        }
        // The key is there even if there is none, as in Envoy.
        if peer.sans.uri.is_empty() {
            element.add("URI", "");
        }
    }
    if details.dns {
        for dns in &peer.sans.dns {
            element.add("DNS", dns);
        }
    }
    Some(element.0)
}

#[derive(Default)]
struct Element(Vec<u8>);

impl Element {
    fn add(&mut self, key: &str, value: &str) {
        self.key(key);
        self.0.extend_from_slice(value.as_bytes());
    }

    fn add_quoted(&mut self, key: &str, value: &str) {
        self.key(key);
        self.0.push(b'"');
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'"');
    }

    fn key(&mut self, key: &str) {
        if !self.0.is_empty() {
            self.0.push(b';');
        }
        self.0.extend_from_slice(key.as_bytes());
        self.0.push(b'=');
    }
}
