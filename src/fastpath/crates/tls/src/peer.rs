//! The peer's certificate, read.

use std::sync::Arc;

use model::resources::tls::{SanMatcher, Validation};
use rustls::pki_types::CertificateDer;

use crate::verify::san;
use crate::x509;

/// Subject alternative names as text, in the certificate's order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Sans {
    pub dns: Box<[Box<str>]>,
    pub uri: Box<[Box<str>]>,
    pub email: Box<[Box<str>]>,
    pub ip: Box<[Box<str>]>,
    /// The values of other names, without their object identifiers.
    pub other: Box<[Box<str>]>,
}

#[derive(Debug)]
pub struct PeerCertificate {
    /// Whether the validation context accepted it; false under `ACCEPT_UNTRUSTED` when it did not,
    /// and without a validation context.
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
    /// DER as sent, leaf first; never empty.
    pub chain: Box<[Box<[u8]>]>,
    /// What vouches for it; `None`: nothing does.
    authorities: Option<Arc<Validation>>,
}

impl PeerCertificate {
    /// `None`: no chain, or a leaf that cannot be read (then the handshake did not pass).
    pub(crate) fn read(
        chain: &[CertificateDer<'_>],
        validated: bool,
        authorities: Option<Arc<Validation>>,
    ) -> Option<Self> {
        let leaf = chain.first()?;
        let facts = x509::read(leaf).ok()?;
        Some(Self {
            validated,
            subject: facts.subject,
            issuer: facts.issuer,
            sans: facts.sans,
            serial: facts.serial,
            sha256: digest(&aws_lc_rs::digest::SHA256, leaf),
            sha1: digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, leaf),
            not_before: facts.not_before,
            not_after: facts.not_after,
            chain: chain.iter().map(|der| der.as_ref().into()).collect(),
            authorities,
        })
    }

    /// Whether an alternative name matches, by the rules of validation contexts.
    #[must_use]
    pub fn has_san(&self, matcher: &SanMatcher) -> bool {
        x509::parse(self.der()).is_ok_and(|leaf| san::has(&leaf, matcher))
    }

    /// DER of the leaf.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[], |leaf| leaf)
    }

    /// PEM of the leaf, URL-encoded: XFCC's `Cert`, `%DOWNSTREAM_PEER_CERT%`.
    #[must_use]
    pub fn url_encoded_pem(&self) -> String {
        let mut text = String::new();
        url_encoded_pem(self.der(), &mut text);
        text
    }

    /// SHA-1 of each certificate of the chain, as `sha1`.
    pub fn chain_sha1(&self) -> impl Iterator<Item = Box<str>> {
        let chain = self.chain.iter();
        chain.map(|der| digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, der))
    }

    /// SHA-256 of each certificate of the chain.
    pub fn chain_sha256(&self) -> impl Iterator<Item = Box<str>> {
        let chain = self.chain.iter();
        chain.map(|der| digest(&aws_lc_rs::digest::SHA256, der))
    }

    /// The serial number of each certificate of the chain that can be read.
    pub fn chain_serials(&self) -> impl Iterator<Item = Box<str>> {
        let facts = self.chain.iter().filter_map(|der| x509::read(der).ok());
        facts.map(|facts| facts.serial)
    }

    /// SHA-256 of the certificate that it was signed with, if the chain was verified.
    #[must_use]
    pub fn issuer_sha256(&self) -> Option<Box<str>> {
        let issuer = self.issuer_certificate()?;
        Some(digest(&aws_lc_rs::digest::SHA256, issuer))
    }

    #[must_use]
    pub fn issuer_serial(&self) -> Option<Box<str>> {
        let facts = x509::read(self.issuer_certificate()?).ok()?;
        Some(facts.serial)
    }

    /// The first certificate of that name among those sent and those trusted.
    fn issuer_certificate(&self) -> Option<&[u8]> {
        let trust = self.authorities.as_ref()?;
        let leaf = x509::parse(self.der()).ok()?;
        let domains = trust.spiffe.iter().flatten();
        let trusted = trust.trusted_ca.iter();
        let trusted = trusted.chain(domains.map(|domain| &domain.trusted_ca));
        let sent = self.chain.iter().skip(1).map(|der| &**der);
        sent.chain(trusted.flatten().map(Vec::as_slice))
            .find(|der| {
                x509::parse(der)
                    .is_ok_and(|authority| authority.subject().as_raw() == leaf.issuer().as_raw())
            })
    }

    /// PEM of the whole chain, URL-encoded: XFCC's `Chain`.
    #[must_use]
    pub fn url_encoded_chain(&self) -> String {
        let mut text = String::new();
        for der in &self.chain {
            url_encoded_pem(der, &mut text);
        }
        text
    }
}

fn digest(algorithm: &'static aws_lc_rs::digest::Algorithm, der: &[u8]) -> Box<str> {
    let digest = aws_lc_rs::digest::digest(algorithm, der);
    data_encoding::HEXLOWER.encode(digest.as_ref()).into()
}

/// RFC 7468, with the characters escaped that Envoy escapes: newline, space, `+`, `/`, `=`.
fn url_encoded_pem(der: &[u8], text: &mut String) {
    let body = data_encoding::BASE64.encode(der);
    text.push_str("-----BEGIN%20CERTIFICATE-----%0A");
    for (index, character) in body.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            text.push_str("%0A");
        }
        match character {
            '+' => text.push_str("%2B"),
            '/' => text.push_str("%2F"),
            '=' => text.push_str("%3D"),
            other => text.push(other),
        }
    }
    text.push_str("%0A-----END%20CERTIFICATE-----%0A");
}
