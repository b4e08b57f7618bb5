//! A key set, and what its keys say of a token.
//!
//! A key verifies the algorithms of its own kind and nothing else, whatever a token says: an RSA
//! key is never taken for a secret, nor a curve for another one.

use std::fmt;
use std::sync::OnceLock;

use aws_lc_rs::hmac;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::{Algorithm, Status, Token, decode};
use crate::matching::metadata::Structured;

const ED25519_KEY: usize = 32;
const ED25519_SIGNATURE: usize = 64;
const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";

/// JWKS.
#[derive(Debug)]
pub struct KeySet(Vec<Key>);

/// JWK.
#[derive(Debug)]
struct Key {
    /// `kid`; empty: any.
    id: Box<str>,
    /// `alg`; empty: all of its kind.
    algorithm: Box<str>,
    material: Material,
}

enum Material {
    Rsa(Box<RsaKey>),
    Ec(Algorithm, ParsedPublicKey),
    Ed25519(ParsedPublicKey),
    Secret(Box<[u8]>),
}

/// Of a kind and a length each has a parsed key, which is made when a token first asks for it:
/// issuers use one or two of the six.
struct RsaKey {
    components: PublicKeyComponents<Box<[u8]>>,
    parsed: [OnceLock<Option<ParsedPublicKey>>; 6],
}

impl fmt::Debug for Material {
    /// Secrets are not for dumps.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Rsa(_) => "RSA",
            Self::Ec(..) => "EC",
            Self::Ed25519(_) => "OKP",
            Self::Secret(_) => "oct",
        })
    }
}

impl KeySet {
    /// Reads a set, of which one key must be right; or, as Envoy takes it, certificates by key ids.
    pub fn parse(text: &[u8]) -> Result<Self, Status> {
        let set = Structured::from_json(text).ok_or(Status::JwksParseError)?;
        let keys = match set.get("keys") {
            None => return Self::of_certificates(&set),
            Some(Structured::List(keys)) => keys,
            Some(_) => return Err(Status::JwksBadKeys),
        };
        let mut found = Vec::new();
        let mut wrong = None;
        for key in keys {
            if !matches!(key, Structured::Struct(_)) {
                continue;
            }
            match Key::parse(key) {
                Ok(key) => found.push(key),
                Err(status) => wrong = wrong.or(Some(status)),
            }
        }
        if found.is_empty() {
            return Err(wrong.unwrap_or(Status::JwksNoValidKeys));
        }
        Ok(Self(found))
    }

    fn of_certificates(set: &Structured) -> Result<Self, Status> {
        const START: &str = "-----BEGIN CERTIFICATE-----\n";
        const END: &str = "\n-----END CERTIFICATE-----\n";
        let Structured::Struct(fields) = set else {
            return Err(Status::JwksNoKeys);
        };
        let each = |(id, value): &(Box<str>, Structured)| match value {
            Structured::Text(pem)
                if !id.is_empty() && pem.starts_with(START) && pem.ends_with(END) =>
            {
                Some((id.clone(), pem.clone()))
            }
            _ => None,
        };
        let named: Option<Vec<(Box<str>, Box<str>)>> = fields.iter().map(each).collect();
        let named = named.filter(|named| !named.is_empty());
        let keys = named.ok_or(Status::JwksNoKeys)?.into_iter();
        let keys = keys.map(|(id, pem)| {
            Ok(Key {
                id,
                algorithm: "".into(),
                material: Material::Rsa(of_certificate(&pem)?.into()),
            })
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Whether a key of the set has signed the token.
    pub fn verify(&self, token: &Token) -> Result<(), Status> {
        let mut is_there = false;
        for key in &self.0 {
            let other_id = !token.key_id.is_empty() && !key.id.is_empty() && key.id != token.key_id;
            let other_algorithm =
                !key.algorithm.is_empty() && *key.algorithm != *token.algorithm.name();
            if other_id || other_algorithm {
                continue;
            }
            is_there = true;
            if key.material.verify(token)? {
                return Ok(());
            }
        }
        Err(if is_there {
            Status::JwtVerificationFail
        } else {
            Status::JwksKidAlgMismatch
        })
    }
}

impl Key {
    fn parse(key: &Structured) -> Result<Self, Status> {
        let kind = required(key, "kty", Status::JwksMissingKty, Status::JwksBadKty)?;
        let optional = |name| match key.get(name) {
            Some(Structured::Text(text)) => &**text,
            _ => "",
        };
        let algorithm = optional("alg");
        let material = match kind {
            "RSA" => Material::Rsa(rsa(key, algorithm)?.into()),
            "EC" => ec(key, algorithm)?,
            "oct" => secret(key, algorithm)?,
            "OKP" => ed25519(key, algorithm)?,
            _ => return Err(Status::JwksNotImplementedKty),
        };
        Ok(Self {
            id: optional("kid").into(),
            algorithm: algorithm.into(),
            material,
        })
    }
}

impl Material {
    fn verify(&self, token: &Token) -> Result<bool, Status> {
        let (signed, signature) = (token.signed.as_bytes(), &*token.signature);
        Ok(match self {
            Self::Rsa(key) => key.verify(token),
            Self::Ec(algorithm, key) => {
                *algorithm == token.algorithm && key.verify_sig(signed, signature).is_ok()
            }
            Self::Ed25519(key) if token.algorithm == Algorithm::EdDsa => {
                if signature.len() != ED25519_SIGNATURE {
                    return Err(Status::JwtEd25519SignatureWrongLength);
                }
                key.verify_sig(signed, signature).is_ok()
            }
            Self::Ed25519(_) => false,
            Self::Secret(secret) => {
                let of = match token.algorithm {
                    Algorithm::Hs256 => hmac::HMAC_SHA256,
                    Algorithm::Hs384 => hmac::HMAC_SHA384,
                    Algorithm::Hs512 => hmac::HMAC_SHA512,
                    _ => return Ok(false),
                };
                // In constant time.
                hmac::verify(&hmac::Key::new(of, secret), signed, signature).is_ok()
            }
        })
    }
}

impl RsaKey {
    fn new(modulus: &[u8], exponent: &[u8]) -> Result<Self, Status> {
        let key = Self {
            components: PublicKeyComponents {
                n: modulus.into(),
                e: exponent.into(),
            },
            parsed: Default::default(),
        };
        // RFC 7518 §3.3: of 2048 bits or more. The exponents are those that are in use.
        let bits = modulus.len().saturating_mul(8);
        let is_used = matches!(exponent, [3] | [1, 0, 1]);
        let is_odd = modulus.last().is_some_and(|last| last & 1 == 1);
        if !is_used || !is_odd || !(2048..=8192).contains(&bits) {
            return Err(Status::JwksRsaParseError);
        }
        let parsed = key.parsed(0, &signature::RSA_PKCS1_2048_8192_SHA256);
        parsed.ok_or(Status::JwksRsaParseError)?;
        Ok(key)
    }

    fn verify(&self, token: &Token) -> bool {
        let (at, of): (usize, &'static RsaParameters) = match token.algorithm {
            Algorithm::Rs256 => (0, &signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => (1, &signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => (2, &signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => (3, &signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => (4, &signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => (5, &signature::RSA_PSS_2048_8192_SHA512),
            _ => return false,
        };
        let key = self.parsed(at, of);
        key.is_some_and(|key| {
            key.verify_sig(token.signed.as_bytes(), &token.signature)
                .is_ok()
        })
    }

    fn parsed(&self, at: usize, of: &'static RsaParameters) -> Option<&ParsedPublicKey> {
        let parse = || self.components.to_parsed_public_key(of).ok();
        self.parsed.get(at)?.get_or_init(parse).as_ref()
    }
}

fn rsa(key: &Structured, algorithm: &str) -> Result<RsaKey, Status> {
    if !algorithm.is_empty() && !algorithm.starts_with("RS") && !algorithm.starts_with("PS") {
        return Err(Status::JwksRsaKeyBadAlg);
    }
    let n = required(key, "n", Status::JwksRsaKeyMissingN, Status::JwksRsaKeyBadN)?;
    let e = required(key, "e", Status::JwksRsaKeyMissingE, Status::JwksRsaKeyBadE)?;
    let number = |text| decode(text).ok_or(Status::JwksRsaParseError);
    let (modulus, exponent) = (number(n)?, number(e)?);
    RsaKey::new(without_zeroes(&modulus), without_zeroes(&exponent))
}

fn ec(key: &Structured, algorithm: &str) -> Result<Material, Status> {
    if !algorithm.is_empty() && !algorithm.starts_with("ES") {
        return Err(Status::JwksEcKeyBadAlg);
    }
    let curve = match key.get("crv") {
        None => "",
        Some(Structured::Text(curve)) => curve,
        Some(_) => return Err(Status::JwksEcKeyBadCrv),
    };
    let of_curve = |name| match name {
        "P-256" => Some(Algorithm::Es256),
        "P-384" => Some(Algorithm::Es384),
        "P-521" => Some(Algorithm::Es512),
        _ => None,
    };
    let named = Algorithm::named(algorithm);
    let algorithm = match (algorithm, curve) {
        ("", "") => Algorithm::Es256,
        ("", curve) => of_curve(curve).ok_or(Status::JwksEcKeyAlgOrCrvUnsupported)?,
        (_, "") => named.ok_or(Status::JwksEcKeyAlgOrCrvUnsupported)?,
        (_, curve) => named
            .filter(|it| of_curve(curve) == Some(*it))
            .ok_or(Status::JwksEcKeyAlgNotCompatibleWithCrv)?,
    };
    let (length, of): (usize, &'static dyn signature::VerificationAlgorithm) = match algorithm {
        Algorithm::Es256 => (32, &signature::ECDSA_P256_SHA256_FIXED),
        Algorithm::Es384 => (48, &signature::ECDSA_P384_SHA384_FIXED),
        Algorithm::Es512 => (66, &signature::ECDSA_P521_SHA512_FIXED),
        _ => return Err(Status::JwksEcKeyAlgOrCrvUnsupported),
    };
    let x = required(key, "x", Status::JwksEcKeyMissingX, Status::JwksEcKeyBadX)?;
    let y = required(key, "y", Status::JwksEcKeyMissingY, Status::JwksEcKeyBadY)?;
    // SEC 1 §2.3.3: 4, and both coordinates in full length.
    let mut point = vec![4];
    for coordinate in [x, y] {
        let number = decode(coordinate).ok_or(Status::JwksEcXorYBadBase64)?;
        let number = without_zeroes(&number);
        let zeroes = length.checked_sub(number.len());
        let zeroes = zeroes.ok_or(Status::JwksEcParseError)?;
        point.resize(point.len().saturating_add(zeroes), 0);
        point.extend_from_slice(number);
    }
    let parsed = ParsedPublicKey::new(of, point).map_err(|_| Status::JwksEcParseError)?;
    Ok(Material::Ec(algorithm, parsed))
}

fn secret(key: &Structured, algorithm: &str) -> Result<Material, Status> {
    if !matches!(algorithm, "" | "HS256" | "HS384" | "HS512") {
        return Err(Status::JwksHmacKeyBadAlg);
    }
    let k = required(
        key,
        "k",
        Status::JwksHmacKeyMissingK,
        Status::JwksHmacKeyBadK,
    )?;
    match decode(k) {
        Some(secret) if !secret.is_empty() => Ok(Material::Secret(secret.into())),
        _ => Err(Status::JwksOctBadBase64),
    }
}

fn ed25519(key: &Structured, algorithm: &str) -> Result<Material, Status> {
    if !matches!(algorithm, "" | "EdDSA") {
        return Err(Status::JwksOkpKeyBadAlg);
    }
    let curve = required(
        key,
        "crv",
        Status::JwksOkpKeyMissingCrv,
        Status::JwksOkpKeyBadCrv,
    )?;
    if curve != "Ed25519" {
        return Err(Status::JwksOkpKeyCrvUnsupported);
    }
    let x = required(key, "x", Status::JwksOkpKeyMissingX, Status::JwksOkpKeyBadX)?;
    let x = decode(x).ok_or(Status::JwksOkpXBadBase64)?;
    if x.len() != ED25519_KEY {
        return Err(Status::JwksOkpXWrongLength);
    }
    let parsed = ParsedPublicKey::new(&signature::ED25519, x);
    let parsed = parsed.map_err(|_| Status::JwksOkpXBadBase64)?;
    Ok(Material::Ed25519(parsed))
}

/// The RSA key of a certificate.
fn of_certificate(pem: &str) -> Result<RsaKey, Status> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes());
    let der = der.map_err(|_| Status::JwksX509ParseError)?;
    let parsed = x509_parser::parse_x509_certificate(&der);
    let (_, certificate) = parsed.map_err(|_| Status::JwksX509ParseError)?;
    let public = certificate.public_key();
    match public.parsed() {
        Ok(x509_parser::public_key::PublicKey::RSA(key))
            if public.algorithm.algorithm.to_id_string() == RSA_ENCRYPTION =>
        {
            RsaKey::new(without_zeroes(key.modulus), without_zeroes(key.exponent))
        }
        _ => Err(Status::JwksX509GetPubkeyError),
    }
}

fn required<'k>(
    key: &'k Structured,
    name: &str,
    missing: Status,
    wrong: Status,
) -> Result<&'k str, Status> {
    match key.get(name) {
        None => Err(missing),
        Some(Structured::Text(text)) => Ok(text),
        Some(_) => Err(wrong),
    }
}

fn without_zeroes(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0);
    number
        .get(first.unwrap_or(number.len())..)
        .unwrap_or_default()
}
