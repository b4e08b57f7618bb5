//! Whether a private key is one that can sign handshakes, and belongs to a certificate.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
    OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
};
use x509_parser::prelude::SubjectPublicKeyInfo;
use x509_parser::public_key::PublicKey;

use crate::resources::tls::PrivateKey;

/// Kinds of keys that certificates may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

/// Why a certificate's key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// A kind or a curve that TLS does not sign with.
    Kind,
    /// RSA below 2048 bits.
    Short,
}

/// The kind of a certificate's key.
pub(super) fn kind(spki: &SubjectPublicKeyInfo<'_>) -> Result<Kind, Unusable> {
    let algorithm = &spki.algorithm.algorithm;
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        return match spki.parsed() {
            Ok(PublicKey::RSA(key)) if key.key_size() >= 2048 => Ok(Kind::Rsa),
            Ok(PublicKey::RSA(_)) => Err(Unusable::Short),
            _ => Err(Unusable::Kind),
        };
    }
    if *algorithm == OID_SIG_ED25519 {
        return Ok(Kind::Ed25519);
    }
    let curve = spki.algorithm.parameters.as_ref();
    let curve = curve.and_then(|parameters| parameters.as_oid().ok());
    match curve {
        Some(curve) if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY => {
            if curve == OID_EC_P256 {
                Ok(Kind::P256)
            } else if curve == OID_NIST_EC_P384 {
                Ok(Kind::P384)
            } else if curve == OID_NIST_EC_P521 {
                Ok(Kind::P521)
            } else {
                Err(Unusable::Kind)
            }
        }
        _ => Err(Unusable::Kind),
    }
}

/// Whether `key` is the private half of the certificate's key; the reason if not.
pub(super) fn check(
    key: &PrivateKey,
    kind: Kind,
    spki: &SubjectPublicKeyInfo<'_>,
) -> Result<(), &'static str> {
    const MISMATCH: &str = "it is not the key of the certificate (KEY_VALUES_MISMATCH)";
    let public = public_half(key, kind)
        .ok_or("it is no key of the certificate's type (KEY_TYPE_MISMATCH)")?;
    if public == *spki.subject_public_key.data {
        Ok(())
    } else {
        Err(MISMATCH)
    }
}

/// The public half of a key of a kind, as certificates write it.
fn public_half(key: &PrivateKey, kind: Kind) -> Option<Vec<u8>> {
    match kind {
        Kind::Rsa => {
            let pair = match key {
                PrivateKey::Pkcs8(der) => RsaKeyPair::from_pkcs8(der),
                PrivateKey::Pkcs1(der) => RsaKeyPair::from_der(der),
                PrivateKey::Sec1(_) => return None,
            };
            Some(pair.ok()?.public_key().as_ref().to_vec())
        }
        Kind::P256 => ecdsa(key, &ECDSA_P256_SHA256_ASN1_SIGNING),
        Kind::P384 => ecdsa(key, &ECDSA_P384_SHA384_ASN1_SIGNING),
        Kind::P521 => ecdsa(key, &ECDSA_P521_SHA512_ASN1_SIGNING),
        Kind::Ed25519 => match key {
            PrivateKey::Pkcs8(der) => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
                Some(pair.public_key().as_ref().to_vec())
            }
            PrivateKey::Pkcs1(_) | PrivateKey::Sec1(_) => None,
        },
    }
}

fn ecdsa(key: &PrivateKey, algorithm: &'static EcdsaSigningAlgorithm) -> Option<Vec<u8>> {
    let (PrivateKey::Pkcs8(der) | PrivateKey::Sec1(der)) = key else {
        return None;
    };
    let pair = EcdsaKeyPair::from_private_key_der(algorithm, der).ok()?;
    Some(pair.public_key().as_ref().to_vec())
}
