//! TLS contexts, certificates and validation, compiled from
//! `envoy.extensions.transport_sockets.tls.v3`. What speaks TLS is made of these in crate `tls`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::route::StringMatcher;

/// `DownstreamTlsContext`.
#[derive(Debug)]
pub struct DownstreamTls {
    pub common: CommonTls,
    pub require_client_certificate: bool,
    pub session_tickets: SessionTickets,
    /// Default 2 h, BoringSSL's.
    pub session_timeout: Duration,
    /// `disable_stateful_session_resumption`.
    pub stateless_only: bool,
    /// `full_scan_certs_on_sni_mismatch`: false (default) takes the first certificate.
    pub full_scan_on_sni_mismatch: bool,
    /// `prefer_client_ciphers`: the order is ours otherwise.
    pub prefer_client_ciphers: bool,
    pub ocsp_policy: OcspPolicy,
}

/// `UpstreamTlsContext`.
#[derive(Debug)]
pub struct UpstreamTls {
    pub common: CommonTls,
    pub sni: Option<Arc<str>>,
    /// `auto_host_sni`: the endpoint's hostname.
    pub auto_host_sni: bool,
    /// `auto_sni_san_validation`: the certificate must have the SNI as a SAN.
    pub auto_sni_san_validation: bool,
    /// Sessions kept for resumption, default 1; 0 turns it off.
    pub max_session_keys: u32,
    /// `enforce_rsa_key_usage`.
    pub enforce_rsa_key_usage: bool,
    /// Hash of the message's bytes: pools of one transport do not serve another.
    pub hash: u64,
}

/// `CommonTlsContext`. Secrets that come by name are looked up in `Snapshot::secrets`.
#[derive(Debug)]
pub struct CommonTls {
    /// Downstream 1.2 to 1.3 by default; upstream 1.2 to 1.2, as in Envoy.
    pub min_version: TlsVersion,
    pub max_version: TlsVersion,
    /// TLS 1.2 suites by their OpenSSL or IANA name in order; empty: our defaults.
    pub cipher_suites: Vec<CipherSuite>,
    /// `ecdh_curves` in order; empty: our defaults.
    pub groups: Vec<Group>,
    /// In order of preference.
    pub alpn: Vec<Box<[u8]>>,
    pub certificates: Vec<SecretSource<Certificate>>,
    /// `None`: the peer's certificate is not looked at.
    pub validation: Option<ValidationSource>,
    pub key_log: Option<KeyLog>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

/// TLS 1.2 suites that we have (RFC 5289, RFC 7905).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CipherSuite {
    EcdheEcdsaAes128Gcm,
    EcdheRsaAes128Gcm,
    EcdheEcdsaAes256Gcm,
    EcdheRsaAes256Gcm,
    EcdheEcdsaChacha20,
    EcdheRsaChacha20,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    X25519,
    P256,
    P384,
    X25519MlKem768,
}

/// A secret that is here, or the name it goes by.
#[derive(Debug)]
pub enum SecretSource<T> {
    Inline(Arc<T>),
    /// SDS, or a static secret of the bootstrap.
    Named(Arc<str>),
}

impl<T> SecretSource<T> {
    /// The name of a secret that is not here.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Inline(_) => None,
            Self::Named(name) => Some(name),
        }
    }
}

impl ValidationSource {
    /// As `SecretSource::name`.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Inline(_) => None,
            Self::Named(name) | Self::Combined { name, .. } => Some(name),
        }
    }
}

impl SessionTickets {
    /// As `SecretSource::name`.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::Keys(source) => source.name(),
            Self::Default | Self::Off => None,
        }
    }
}

impl CommonTls {
    /// The names of all secrets that are not here.
    pub fn secret_names(&self) -> impl Iterator<Item = &Arc<str>> {
        let certificates = self.certificates.iter().filter_map(SecretSource::name);
        let validation = self.validation.iter().filter_map(ValidationSource::name);
        certificates.chain(validation)
    }
}

/// `TlsCertificate`.
pub struct Certificate {
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8, PKCS#1 or SEC1 DER.
    pub key: PrivateKey,
    pub ocsp_staple: Option<OcspStaple>,
    /// The file of the chain, if it came from one, for `/certs`.
    pub chain_file: Option<PathBuf>,
    /// All files it came from.
    pub files: Vec<PathBuf>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("chain", &self.chain.len())
            .finish_non_exhaustive()
    }
}

/// An OCSP response for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspStaple {
    /// DER of the `OCSPResponse`.
    pub response: Vec<u8>,
    /// `thisUpdate`, in seconds since 1970.
    pub this_update: i64,
    /// `nextUpdate`, in seconds since 1970. Without one it counts as expired, as in Envoy.
    pub next_update: Option<i64>,
}

/// `ocsp_staple_policy`: what is done for clients that ask for a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OcspPolicy {
    /// Stapled if it holds; else nothing is.
    #[default]
    Lenient,
    /// As `Lenient` without a response; the handshake fails with one that has expired.
    Strict,
    /// The handshake fails unless there is one that holds.
    Must,
}

/// Never shown.
pub enum PrivateKey {
    Pkcs8(Vec<u8>),
    Pkcs1(Vec<u8>),
    Sec1(Vec<u8>),
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What the peer's certificate must be.
#[derive(Debug)]
pub enum ValidationSource {
    Inline(Arc<Validation>),
    Named(Arc<str>),
    /// `combined_validation_context`: what is here and what comes by name; both hold.
    Combined {
        default: Arc<Validation>,
        name: Arc<str>,
    },
}

/// `CertificateValidationContext`.
#[derive(Default, Clone)]
pub struct Validation {
    /// `trusted_ca`, DER; `None`: the chain is not verified, only what is below.
    pub trusted_ca: Option<Vec<Vec<u8>>>,
    /// Bundles by trust domain (`envoy.tls.cert_validator.spiffe`); then `trusted_ca` is not used.
    pub spiffe: Option<Vec<TrustDomain>>,
    /// SHA-256 of the DER SubjectPublicKeyInfo; empty: any.
    pub spki_hashes: Vec<[u8; 32]>,
    /// SHA-256 of the DER certificate; empty: any. One of either list suffices.
    pub certificate_hashes: Vec<[u8; 32]>,
    /// One of them must match; empty: any.
    pub sans: Vec<SanMatcher>,
    /// DER.
    pub crls: Vec<Vec<u8>>,
    pub only_verify_leaf_crl: bool,
    pub allow_expired: bool,
    /// `trust_chain_verification: ACCEPT_UNTRUSTED`: the peer passes, marked as not validated.
    pub accept_untrusted: bool,
    /// `max_verify_depth`.
    pub max_verify_depth: Option<u32>,
    /// The file of `trusted_ca`, if it came from one, for `/certs`.
    pub trusted_ca_file: Option<PathBuf>,
    /// All files it came from.
    pub files: Vec<PathBuf>,
}

/// Certificates and revocation lists by their number, hashes in hexadecimal.
impl fmt::Debug for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |hashes: &[[u8; 32]]| -> Vec<String> {
            let hex = |hash: &[u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect();
            hashes.iter().map(hex).collect()
        };
        f.debug_struct("Validation")
            .field("trusted_ca", &self.trusted_ca.as_ref().map(Vec::len))
            .field("spiffe", &self.spiffe)
            .field("spki_hashes", &hex(&self.spki_hashes))
            .field("certificate_hashes", &hex(&self.certificate_hashes))
            .field("sans", &self.sans)
            .field("crls", &self.crls.len())
            .field("only_verify_leaf_crl", &self.only_verify_leaf_crl)
            .field("allow_expired", &self.allow_expired)
            .field("accept_untrusted", &self.accept_untrusted)
            .field("max_verify_depth", &self.max_verify_depth)
            .field("files", &self.files)
            .finish()
    }
}

impl Validation {
    /// `combined_validation_context`: this one with what `over` (which came by name) says on top,
    /// as protobuf merges: single values replace, lists grow.
    #[must_use]
    pub fn merged(&self, over: &Self) -> Self {
        fn both<T: Clone>(a: &[T], b: &[T]) -> Vec<T> {
            a.iter().chain(b).cloned().collect()
        }
        Self {
            trusted_ca: over
                .trusted_ca
                .as_ref()
                .or(self.trusted_ca.as_ref())
                .cloned(),
            trusted_ca_file: match &over.trusted_ca {
                Some(_) => over.trusted_ca_file.clone(),
                None => self.trusted_ca_file.clone(),
            },
            spiffe: over.spiffe.as_ref().or(self.spiffe.as_ref()).cloned(),
            spki_hashes: both(&self.spki_hashes, &over.spki_hashes),
            certificate_hashes: both(&self.certificate_hashes, &over.certificate_hashes),
            sans: both(&self.sans, &over.sans),
            crls: if over.crls.is_empty() {
                self.crls.clone()
            } else {
                over.crls.clone()
            },
            only_verify_leaf_crl: self.only_verify_leaf_crl || over.only_verify_leaf_crl,
            allow_expired: self.allow_expired || over.allow_expired,
            accept_untrusted: self.accept_untrusted || over.accept_untrusted,
            max_verify_depth: over.max_verify_depth.or(self.max_verify_depth),
            files: both(&self.files, &over.files),
        }
    }

    /// What asks for a chain of trust where there is none, in Envoy's words: such a context must
    /// not be used. Contexts that come by name are to be asked once they are complete.
    #[must_use]
    pub fn contradiction(&self) -> Option<&'static str> {
        if self.trusted_ca.is_some() || self.spiffe.is_some() {
            None
        } else if !self.sans.is_empty() {
            Some(
                "SAN-based verification of peer certificates without trusted CA is insecure and not allowed",
            )
        } else if !self.crls.is_empty() {
            Some("Failed to load CRL without trusted CA")
        } else if self.allow_expired {
            Some("Certificate validity period is always ignored without trusted CA")
        } else {
            None
        }
    }
}

#[derive(Clone)]
pub struct TrustDomain {
    pub name: Box<str>,
    pub trusted_ca: Vec<Vec<u8>>,
    /// The file it came from, if any.
    pub file: Option<PathBuf>,
}

impl fmt::Debug for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        write!(f, "{name} ({} certificates)", self.trusted_ca.len())
    }
}

/// `SubjectAltNameMatcher`.
#[derive(Debug, Clone)]
pub struct SanMatcher {
    pub kind: SanType,
    pub matcher: StringMatcher,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SanType {
    Email,
    Dns,
    Uri,
    Ip,
    /// Object identifier in dotted form.
    Other(Box<str>),
}

#[derive(Debug)]
pub enum SessionTickets {
    /// Keys of our own, rotated; shared by the workers.
    Default,
    Off,
    /// `session_ticket_keys`, 80 bytes each; the first encrypts.
    Keys(SecretSource<TicketKeys>),
}

/// Never shown.
pub struct TicketKeys(pub Vec<[u8; 80]>);

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// `TlsKeyLog`: which connections, and where to.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyLog {
    pub path: PathBuf,
    pub local: Vec<super::hcm::Cidr>,
    pub remote: Vec<super::hcm::Cidr>,
}

/// `envoy.extensions.transport_sockets.tls.v3.Secret`, compiled.
#[derive(Debug)]
pub struct Secret {
    pub name: Arc<str>,
    pub value: SecretValue,
    /// Directories: a move into one of them is a reason to read the secret's files again.
    pub watched: Vec<PathBuf>,
    /// Hash of the resource and of the files it names.
    pub hash: u64,
}

#[derive(Debug)]
pub enum SecretValue {
    Certificate(Arc<Certificate>),
    Validation(Arc<Validation>),
    TicketKeys(Arc<TicketKeys>),
}
