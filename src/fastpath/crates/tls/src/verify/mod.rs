//! Whether a peer's certificate is acceptable: Envoy's default validator and its SPIFFE validator,
//! with webpki for the chains (`source/common/tls/cert_validator` of Envoy has the rules).

mod chain;
mod crl;
mod policy;
pub(crate) mod san;

use std::sync::Arc;

use model::problem::Problem;
use model::resources::tls::Validation;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use self::policy::Policy;
use crate::error::{BadKeyUsage, ErrorClass, TlsError, VerifyFailure, chain_words};
use crate::peer::PeerCertificate;
use crate::peer_signature;
use crate::x509;

/// Whose certificates these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Clients {
        required: bool,
    },
    Servers {
        enforce_rsa_key_usage: bool,
        auto_sni_san: bool,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Verifier {
    /// `None`: no certificate is refused, and clients are not asked for one.
    policy: Option<Arc<Policy>>,
    /// `auto_san_validation`: one of these must be a SAN as well.
    san_override: Box<[Box<str>]>,
    of: Of,
    /// Subjects of the CAs, for the CertificateRequest.
    hints: Arc<[DistinguishedName]>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// # Errors
    /// A CA or CRL that cannot be read.
    pub(crate) fn new(
        context: Option<Arc<Validation>>,
        of: Of,
        provider: &CryptoProvider,
        path: &str,
    ) -> Result<Self, Problem> {
        let policy = match context {
            None => None,
            Some(context) => Policy::new(context, of, path)?.map(Arc::new),
        };
        let hints = match (&policy, of) {
            (Some(policy), Of::Clients { .. }) => policy.ca_subjects(),
            _ => Vec::new(),
        };
        Ok(Self {
            policy,
            san_override: Box::default(),
            of,
            hints: hints.into(),
            algorithms: provider.signature_verification_algorithms,
        })
    }

    /// The same, for a connection whose peer must have one of these names.
    pub(crate) fn with_sans(&self, sans: &[&str]) -> Self {
        Self {
            san_override: sans.iter().map(|san| Box::from(*san)).collect(),
            ..self.clone()
        }
    }

    /// Whether a server asks for a certificate.
    pub(crate) fn asks_clients(&self) -> bool {
        self.policy.is_some() || matches!(self.of, Of::Clients { required: true })
    }

    pub(crate) fn verifies_chains(&self) -> bool {
        self.policy
            .as_ref()
            .is_some_and(|policy| policy.verifies_chains())
    }

    /// The context whose CAs chains must lead to.
    pub(crate) fn authorities(&self) -> Option<Arc<Validation>> {
        let policy = self.policy.as_ref().filter(|p| p.verifies_chains());
        policy.map(|policy| Arc::clone(policy.context()))
    }

    /// Whether a peer that passes has passed something.
    pub(crate) fn has_opinion(&self) -> bool {
        self.policy.is_some() || !self.san_override.is_empty()
    }

    /// What is wrong with a peer that passed all the same (`ACCEPT_UNTRUSTED`).
    pub(crate) fn doubt(
        &self,
        chain: &[CertificateDer<'_>],
        server_name: Option<&str>,
    ) -> Option<ErrorClass> {
        self.policy.as_ref().filter(|p| p.accepts_untrusted())?;
        let (leaf, rest) = chain.split_first()?;
        let why = self.check(leaf, rest, server_name, UnixTime::now()).err()?;
        Some(TlsError::of_rustls(&why).class())
    }

    /// Whether a client that resumes a session would still pass (RFC 5246 §F.1.4). What it was
    /// checked against is the same, or there would be no session; but its certificate may have
    /// ended. Each resumption gives new tickets: without this one could go on for ever.
    ///
    /// # Errors
    /// It is not valid any more.
    pub(crate) fn check_resumed(
        &self,
        peer: &PeerCertificate,
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let policy = self.policy.as_ref().filter(|policy| policy.checks_dates());
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if policy.is_none() || (peer.not_before..=peer.not_after).contains(&now) {
            return Ok(());
        }
        let words = chain_words(&rustls::CertificateError::Expired);
        Err(TlsError::verify(&VerifyFailure::chain(words)))
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let parsed = x509::parse(leaf)
            .map_err(|_| Error::InvalidCertificate(rustls::CertificateError::BadEncoding))?;
        let result = match &self.policy {
            Some(policy) => policy
                .check_chain(leaf, &parsed, intermediates, now)
                .and_then(|()| policy.check_leaf(leaf, &parsed, server_name, &self.san_override)),
            None => san::check_override(&parsed, &self.san_override),
        };
        result.map_err(policy::Refusal::into_rustls)
    }

    fn accept_or_check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let result = self.check(leaf, intermediates, server_name, now);
        match &self.policy {
            Some(policy) if policy.accepts_untrusted() => Ok(()),
            _ => result,
        }
    }

    /// BoringSSL refuses a signature of a key that is not for signing (KeyUsage). In TLS 1.2 it
    /// lets RSA certificates of servers pass unless `enforce_rsa_key_usage`.
    fn check_usage(
        &self,
        leaf: &CertificateDer<'_>,
        scheme: SignatureScheme,
        tls12: bool,
    ) -> Result<(), Error> {
        let lenient = matches!(
            self.of,
            Of::Servers {
                enforce_rsa_key_usage: false,
                ..
            }
        );
        if tls12 && lenient && is_rsa(scheme) {
            return Ok(());
        }
        let parsed = x509::parse(leaf)
            .map_err(|_| Error::InvalidCertificate(rustls::CertificateError::BadEncoding))?;
        if x509::may_sign(&parsed) {
            Ok(())
        } else {
            Err(BadKeyUsage.into_rustls())
        }
    }

    fn tls12(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_usage(leaf, signature.scheme, true)?;
        let valid = verify_tls12_signature(message, leaf, signature, &self.algorithms)?;
        peer_signature::note(signature.scheme);
        Ok(valid)
    }

    fn tls13(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_usage(leaf, signature.scheme, false)?;
        let valid = verify_tls13_signature(message, leaf, signature, &self.algorithms)?;
        peer_signature::note(signature.scheme);
        Ok(valid)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let server_name = match server_name {
            ServerName::DnsName(name) => Some(name.as_ref()),
            // Stands for "no SNI".
            _ => None,
        };
        self.accept_or_check(leaf, intermediates, server_name, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        self.asks_clients()
    }

    fn client_auth_mandatory(&self) -> bool {
        matches!(self.of, Of::Clients { required: true })
            || self
                .policy
                .as_ref()
                .is_some_and(|policy| policy.needs_certificate())
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.accept_or_check(leaf, intermediates, None, now)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls12(message, leaf, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.tls13(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn is_rsa(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::RSA_PKCS1_SHA256
            | SignatureScheme::RSA_PKCS1_SHA384
            | SignatureScheme::RSA_PKCS1_SHA512
            | SignatureScheme::RSA_PSS_SHA256
            | SignatureScheme::RSA_PSS_SHA384
            | SignatureScheme::RSA_PSS_SHA512
    )
}
