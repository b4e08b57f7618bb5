//! `TlsCertificate` and `TlsSessionTicketKeys`: read, parsed, and found to fit together.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as pb;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::key::{self, Unusable};
use super::{ocsp, pem};
use crate::compile::data_source;
use crate::problem::Problems;
use crate::resources::tls::{Certificate, OcspStaple, PrivateKey, TicketKeys};

/// Bytes of a session ticket key: a name, an AES and an HMAC key.
const TICKET_KEY: usize = 80;

/// Whether nothing is in it that would be shown to a peer.
pub(super) fn is_empty(message: &pb::TlsCertificate) -> bool {
    message.certificate_chain.is_none()
        && message.private_key.is_none()
        && message.ocsp_staple.is_none()
}

pub(super) fn compile(
    message: &pb::TlsCertificate,
    problems: &mut Problems,
) -> Option<Certificate> {
    if is_empty(message) {
        problems.report("Server TlsCertificates must have a certificate specified");
        return None;
    }
    let key = given(message.private_key.as_ref());
    let chain = given(message.certificate_chain.as_ref());
    if chain.is_none() {
        let reason = "Failed to load incomplete certificate: certificate chain not set";
        problems.report_at("certificate_chain", reason);
    }
    if key.is_none() {
        problems.report_at("private_key", "Failed to load incomplete private key");
    }
    let (chain, key) = (chain?, key?);
    let place = place(chain);
    let chain_der = problems.within("certificate_chain", |p| read_chain(chain, &place, p));
    let key_der = problems.within("private_key", |p| read_key(key, p));
    let (chain_der, key_der) = (chain_der?, key_der?);
    let leaf = X509Certificate::from_der(chain_der.first()?).ok()?.1;
    let staple = message.ocsp_staple.as_ref();
    let ocsp_staple = match staple {
        Some(staple) => problems.within("ocsp_staple", |p| read_staple(staple, &leaf, p))?,
        None => None,
    };
    let kind = match key::kind(leaf.public_key()) {
        Ok(kind) => kind,
        Err(why) => {
            problems.report_at("certificate_chain", unusable(&place, why));
            return None;
        }
    };
    if let Err(cause) = key::check(&key_der, kind, leaf.public_key()) {
        problems.report_at("private_key", bad_key(key, cause));
        return None;
    }
    Some(Certificate {
        key: key_der,
        ocsp_staple,
        chain_file: files([chain]).pop(),
        files: files_of(message),
        chain: chain_der,
    })
}

/// The files that it names, that of the chain first.
pub(super) fn files_of(message: &pb::TlsCertificate) -> Vec<PathBuf> {
    let sources = [
        &message.certificate_chain,
        &message.private_key,
        &message.ocsp_staple,
    ];
    files(sources.into_iter().flatten())
}

fn unusable(place: &str, why: Unusable) -> String {
    match why {
        Unusable::Short => format!(
            "Failed to load certificate chain from {place}, only RSA certificates with 2048-bit or larger keys are supported"
        ),
        Unusable::Kind => format!(
            "Failed to load certificate chain from {place}: keys are RSA, ECDSA on P-256, P-384 or P-521, or Ed25519"
        ),
    }
}

fn read_chain(source: &DataSource, place: &str, problems: &mut Problems) -> Option<Vec<Vec<u8>>> {
    let text = data_source::read(source, problems)?;
    let chain = pem::certificates(&text).filter(|chain| are_certificates(chain));
    if chain.is_none() {
        problems.report(format!("Failed to load certificate chain from {place}"));
    }
    chain
}

/// One certificate at least, and all of them readable.
pub(super) fn are_certificates(chain: &[Vec<u8>]) -> bool {
    !chain.is_empty()
        && chain
            .iter()
            .all(|der| X509Certificate::from_der(der).is_ok_and(|(rest, _)| rest.is_empty()))
}

fn read_key(source: &DataSource, problems: &mut Problems) -> Option<PrivateKey> {
    let text = data_source::read(source, problems)?;
    match pem::private_key(&text) {
        Ok(key) => Some(key),
        Err(cause) => {
            problems.report(bad_key(source, cause));
            None
        }
    }
}

fn bad_key(source: &DataSource, cause: &str) -> String {
    let place = place(source);
    format!("Failed to load private key from {place}, Cause: {cause}")
}

/// `Some(None)`: an empty one, which is none.
fn read_staple(
    source: &DataSource,
    leaf: &X509Certificate<'_>,
    problems: &mut Problems,
) -> Option<Option<OcspStaple>> {
    if matches!(source.specifier, Some(Specifier::InlineString(_))) {
        problems.report("OCSP staple cannot be provided via inline_string");
        return None;
    }
    let staple = data_source::read(source, problems)?;
    if staple.is_empty() {
        return Some(None);
    }
    match ocsp::read(&staple, leaf.raw_serial()) {
        Ok(staple) => Some(Some(staple)),
        Err(reason) => {
            problems.report(reason);
            None
        }
    }
}

pub(super) fn ticket_keys(
    message: &pb::TlsSessionTicketKeys,
    problems: &mut Problems,
) -> Option<TicketKeys> {
    let before = problems.count();
    let mut keys = Vec::with_capacity(message.keys.len());
    for (index, source) in message.keys.iter().enumerate() {
        let key = problems.within_item("keys", index, |p| {
            let bytes = data_source::read(source, p)?;
            let key = <[u8; TICKET_KEY]>::try_from(bytes.as_slice());
            if key.is_err() {
                p.report(format!(
                    "Incorrect TLS session ticket key length. Length {}, expected length {TICKET_KEY}.",
                    bytes.len()
                ));
            }
            key.ok()
        });
        keys.extend(key);
    }
    (problems.count() == before).then_some(TicketKeys(keys))
}

/// A source that says anything; an empty inline one does not, as in Envoy.
fn given(source: Option<&DataSource>) -> Option<&DataSource> {
    source.filter(|source| match source.specifier.as_ref() {
        Some(Specifier::InlineString(text)) => !text.is_empty(),
        Some(Specifier::InlineBytes(bytes)) => !bytes.is_empty(),
        Some(Specifier::Filename(_) | Specifier::EnvironmentVariable(_)) => true,
        None => false,
    })
}

/// What Envoy calls the place something was read from.
pub(super) fn place(source: &DataSource) -> String {
    match source.specifier.as_ref() {
        Some(Specifier::Filename(path)) => path.clone(),
        _ => "<inline>".to_owned(),
    }
}

/// The files among the sources, each once.
pub(super) fn files<'m>(sources: impl IntoIterator<Item = &'m DataSource>) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for source in sources {
        if let Some(Specifier::Filename(path)) = source.specifier.as_ref() {
            let path = PathBuf::from(path);
            if !files.contains(&path) {
                files.push(path);
            }
        }
    }
    files
}

/// Adds what the certificate is made of.
pub(super) fn hash(certificate: &Certificate, hasher: &mut impl Hasher) {
    certificate.chain.hash(hasher);
    let staple = certificate.ocsp_staple.as_ref();
    staple.map(|staple| &staple.response).hash(hasher);
    let (PrivateKey::Pkcs8(der) | PrivateKey::Pkcs1(der) | PrivateKey::Sec1(der)) =
        &certificate.key;
    der.hash(hasher);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Certificates come from files that others wrote.
        #[test]
        fn any_certificate_is_answered(
            changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)
        ) {
            let text = include_bytes!("../../../tests/golden/pki/rsa.crt");
            let mut der = pem::certificates(text).unwrap_or_default().remove(0);
            for (at, byte) in changes {
                let at = at.checked_rem(der.len()).unwrap_or_default();
                if let Some(changed) = der.get_mut(at) {
                    *changed = byte;
                }
            }
            if let Ok((_, certificate)) = X509Certificate::from_der(&der) {
                let _ = key::kind(certificate.public_key());
            }
            let _ = (are_certificates(std::slice::from_ref(&der)), ocsp::read(&der, &[1]));
        }
    }
}
