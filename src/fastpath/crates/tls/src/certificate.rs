//! A certificate of ours with its key, ready to present.

use std::sync::Arc;

use model::problem::Problem;
use model::resources::tls::{Certificate, OcspStaple, PrivateKey};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::info::LocalCertificate;
use crate::x509;

/// The kinds of key that a client may be able to verify, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyKind {
    P256,
    P384,
    P521,
    /// RSA, and what else there may be.
    Other,
}

#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) kind: KeyKind,
    pub(crate) local: Arc<LocalCertificate>,
    pub(crate) must_staple: bool,
    pub(crate) staple: Option<OcspStaple>,
    /// Names that choose it, lower-case: its DNS SANs, or else its common name.
    pub(crate) names: Box<[Box<str>]>,
}

/// # Errors
/// No certificate, one that cannot be read, a key that cannot be used or is another one's.
pub(crate) fn identity(
    certificate: &Certificate,
    provider: &CryptoProvider,
    path: &str,
) -> Result<Identity, Problem> {
    let problem = |reason: String| Problem {
        path: path.into(),
        reason,
    };
    let chain: Vec<CertificateDer<'static>> = certificate
        .chain
        .iter()
        .map(|der| CertificateDer::from(der.clone()))
        .collect();
    let leaf = chain
        .first()
        .ok_or_else(|| problem("certificate_chain holds no certificate".into()))?;
    let facts = x509::read(leaf)
        .map_err(|why| problem(format!("the certificate cannot be read: {why}")))?;
    let names = if facts.has_san_extension {
        facts
            .sans
            .dns
            .iter()
            .map(|name| name.to_ascii_lowercase().into())
            .collect()
    } else {
        facts
            .common_name
            .iter()
            .map(|name| name.to_ascii_lowercase().into())
            .collect()
    };
    let local = LocalCertificate {
        subject: facts.subject,
        sans: facts.sans,
    };
    let kind = facts.key;
    let mut key =
        CertifiedKey::from_der(chain, private_key(&certificate.key), provider).map_err(|why| {
            problem(format!(
                "certificate_chain and private_key cannot be used: {why}"
            ))
        })?;
    let staple = certificate.ocsp_staple.clone();
    key.ocsp = staple.as_ref().map(|staple| staple.response.clone());
    Ok(Identity {
        key: Arc::new(key),
        kind,
        local: Arc::new(local),
        must_staple: facts.must_staple,
        staple,
        names,
    })
}

fn private_key(key: &PrivateKey) -> PrivateKeyDer<'static> {
    match key {
        PrivateKey::Pkcs8(der) => PrivateKeyDer::Pkcs8(der.clone().into()),
        PrivateKey::Pkcs1(der) => PrivateKeyDer::Pkcs1(der.clone().into()),
        PrivateKey::Sec1(der) => PrivateKeyDer::Sec1(der.clone().into()),
    }
}
