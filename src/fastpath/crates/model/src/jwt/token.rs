//! A token, taken apart. Nothing of it is to be trusted before `KeySet::verify` has said so.

use std::sync::Arc;

use super::{Status, decode};
use crate::matching::metadata::Structured;

/// Longer ones are not read: nobody's claims need more, and reading costs many times as much memory.
const MAX_LENGTH: usize = 64 * 1024;

#[derive(Debug)]
pub struct Token {
    pub header: Arc<Structured>,
    pub payload: Arc<Structured>,
    pub issuer: Box<str>,
    pub subject: Box<str>,
    pub audiences: Vec<Box<str>>,
    pub(super) algorithm: Algorithm,
    pub(super) key_id: Box<str>,
    /// Header and payload as they came, which is what was signed.
    pub(super) signed: Box<str>,
    pub(super) signature: Box<[u8]>,
    payload_at: usize,
    not_before: u64,
    /// 0: never, as in Envoy.
    expires: u64,
}

/// A token says it itself; whether a key takes it, the key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Es256,
    Es384,
    Es512,
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    EdDsa,
}

impl Algorithm {
    const ALL: [(&'static str, Self); 13] = [
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("ES512", Self::Es512),
        ("HS256", Self::Hs256),
        ("HS384", Self::Hs384),
        ("HS512", Self::Hs512),
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("EdDSA", Self::EdDsa),
    ];

    #[cfg(test)]
    pub(super) fn all() -> [(&'static str, Self); 13] {
        Self::ALL
    }

    /// `None`: nobody's, `none` among them.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(known, _)| *known == name).map(|(_, it)| it)
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, it)| *it == self).map_or("", |(name, _)| name)
    }
}

impl Token {
    /// Takes a token apart, in the order in which Envoy finds fault with it.
    pub fn parse(text: &str) -> Result<Self, Status> {
        if text.len() > MAX_LENGTH {
            return Err(Status::JwtBadFormat);
        }
        // Parts with nothing in them count for nothing, as in Envoy.
        let mut parts = text.split('.').filter(|part| !part.is_empty());
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Status::JwtBadFormat);
        };
        let head = decode(header).ok_or(Status::JwtHeaderBadBase64)?;
        let head = Structured::from_json(&head).ok_or(Status::JwtHeaderBadJson)?;
        let Some(Structured::Text(algorithm)) = head.get("alg") else {
            return Err(Status::JwtHeaderBadAlg);
        };
        let algorithm = Algorithm::named(algorithm).ok_or(Status::JwtHeaderNotImplementedAlg)?;
        let key_id = self::text(&head, "kid").ok_or(Status::JwtHeaderBadKid)?;
        let body = decode(payload).ok_or(Status::JwtPayloadBadBase64)?;
        let claims = Structured::from_json(&body).ok_or(Status::JwtPayloadBadJson)?;
        let issuer = self::text(&claims, "iss").ok_or(Status::JwtIssNotString)?;
        let subject = self::text(&claims, "sub").ok_or(Status::JwtSubNotString)?;
        seconds(
            &claims,
            "iat",
            Status::JwtIatNotInteger,
            Status::JwtIatOutOfRange,
        )?;
        let not_before = seconds(
            &claims,
            "nbf",
            Status::JwtNbfNotInteger,
            Status::JwtNbfOutOfRange,
        )?;
        let expires = seconds(
            &claims,
            "exp",
            Status::JwtExpNotInteger,
            Status::JwtExpOutOfRange,
        )?;
        self::text(&claims, "jti").ok_or(Status::JwtJtiNotString)?;
        let audiences = audiences(&claims).ok_or(Status::JwtAudNotString)?;
        Ok(Self {
            algorithm,
            key_id: key_id.into(),
            issuer: issuer.into(),
            subject: subject.into(),
            audiences,
            not_before,
            expires,
            signature: decode(signature)
                .ok_or(Status::JwtSignatureBadBase64)?
                .into(),
            signed: format!("{header}.{payload}").into(),
            payload_at: header.len().saturating_add(1),
            header: Arc::new(head),
            payload: Arc::new(claims),
        })
    }

    /// The payload as it came: base64url.
    #[must_use]
    pub fn encoded_payload(&self) -> &str {
        self.signed.get(self.payload_at..).unwrap_or_default()
    }

    /// When it ends, in seconds since 1970; `None`: never.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        Some(self.expires).filter(|at| *at != 0)
    }

    /// Whether it holds now.
    pub fn check_time(&self, now: u64, skew: u64) -> Result<(), Status> {
        if now.saturating_add(skew) < self.not_before {
            return Err(Status::JwtNotYetValid);
        }
        match self.expires() {
            Some(end) if now > end.saturating_add(skew) => Err(Status::JwtExpired),
            _ => Ok(()),
        }
    }
}

/// A text, empty if it is not there; `None`: it is something else.
fn text<'s>(fields: &'s Structured, name: &str) -> Option<&'s str> {
    match fields.get(name) {
        None => Some(""),
        Some(Structured::Text(text)) => Some(text),
        Some(_) => None,
    }
}

/// Whole seconds, 0 if it is not there.
fn seconds(
    claims: &Structured,
    name: &str,
    wrong_type: Status,
    out_of_range: Status,
) -> Result<u64, Status> {
    match claims.get(name) {
        None => Ok(0),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // In the range.
        Some(Structured::Number(number)) if (0.0..u64::MAX as f64).contains(number) => {
            Ok(*number as u64)
        }
        Some(Structured::Number(_)) => Err(out_of_range),
        Some(_) => Err(wrong_type),
    }
}

/// One text, or a list of them.
fn audiences(claims: &Structured) -> Option<Vec<Box<str>>> {
    match claims.get("aud") {
        None => Some(Vec::new()),
        Some(Structured::Text(one)) => Some(vec![one.clone()]),
        Some(Structured::List(list)) => {
            let each = |value: &Structured| match value {
                Structured::Text(one) => Some(one.clone()),
                _ => None,
            };
            list.iter().map(each).collect()
        }
        Some(_) => None,
    }
}
