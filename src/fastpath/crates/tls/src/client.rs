//! The TLS of one upstream transport socket.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use model::problem::Problem;
use model::resources::tls::UpstreamTls;
use rustls::ClientConfig;
use rustls::client::Resumption as RustlsResumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;

use crate::certificate;
use crate::error::TlsError;
use crate::info::LocalCertificate;
use crate::key_log::{KeyLog, LogFile};
use crate::provider;
use crate::resumption::Resumption;
use crate::secrets::{self, Secrets};
use crate::session::Session;
use crate::verify::{Of, Verifier};

const CONTEXT: &str = "common_tls_context";
/// Lists of names to verify that are remembered at once: `auto_san_validation` makes one of each
/// authority that is asked for.
const MAX_VARIANTS: usize = 256;

/// Built once per configuration and secret version, shared by the workers.
#[derive(Debug)]
pub struct ClientContext {
    base: Arc<Variant>,
    /// By the names to verify. Each has sessions of its own, so that none is resumed for a peer
    /// that was not asked for that name.
    variants: Mutex<HashMap<Names, Arc<Variant>>>,
    max_session_keys: usize,
    local: Option<Arc<LocalCertificate>>,
    key_log: Option<KeyLog>,
}

/// Names of which one must be a SAN.
type Names = Box<[Box<str>]>;

#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) verifier: Arc<Verifier>,
    config: Arc<ClientConfig>,
}

/// Stands for a pipe, which has no IP address.
const PIPE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What differs between the connections of one transport socket.
#[derive(Debug, Clone, Copy)]
pub struct ClientSession<'a> {
    /// After `sni`, `auto_host_sni` and `auto_sni`; `None` sends none.
    pub sni: Option<&'a str>,
    /// `auto_san_validation`: one of these must be a SAN (DNS, with Envoy's wildcards, URI, email
    /// or the text of an IP). Empty: the configuration's matchers alone decide.
    pub verify_san: &'a [&'a str],
    /// Instead of the configuration's ALPN.
    pub alpn: Option<&'a [&'a [u8]]>,
    /// `None`: a pipe.
    pub local: Option<IpAddr>,
    pub remote: Option<IpAddr>,
}

impl ClientContext {
    /// # Errors
    /// A certificate, key, CA or CRL that cannot be used, a key log that cannot be opened, or a
    /// secret that is not there; the path is relative to the `UpstreamTlsContext`.
    pub fn new(config: &UpstreamTls, secrets: &dyn Secrets) -> Result<Arc<Self>, Problem> {
        let common = &config.common;
        let provider = provider::provider(common);
        let path = format!("{CONTEXT}.validation_context");
        let validation = secrets::validation(common.validation.as_ref(), secrets, &path)?;
        let of = Of::Servers {
            enforce_rsa_key_usage: config.enforce_rsa_key_usage,
            auto_sni_san: config.auto_sni_san_validation,
        };
        let verifier = Arc::new(Verifier::new(validation, of, &provider, &path)?);
        if config.auto_sni_san_validation && !verifier.verifies_chains() {
            return Err(Problem {
                path: "auto_sni_san_validation".into(),
                reason: "needs a trusted_ca in the validation context".into(),
            });
        }
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&provider::versions(common)?)
            .map_err(|why| Problem {
                path: format!("{CONTEXT}.tls_params"),
                reason: why.to_string(),
            })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _);
        // Envoy takes one certificate upstream.
        let path = format!("{CONTEXT}.tls_certificates[0]");
        let identity = match common.certificates.first() {
            None => None,
            Some(source) => {
                let certificate = secrets::certificate(source, secrets, &path)?;
                Some(certificate::identity(&certificate, &provider, &path)?)
            }
        };
        let mut rustls = match &identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(
                Arc::clone(&identity.key),
            ))),
        };
        rustls.enable_secret_extraction = true;
        rustls.alpn_protocols = common.alpn.iter().map(|name| name.to_vec()).collect();
        let max_session_keys = usize::try_from(config.max_session_keys).unwrap_or(usize::MAX);
        rustls.resumption = resumption(max_session_keys);
        Ok(Arc::new(Self {
            base: Arc::new(Variant {
                verifier,
                config: Arc::new(rustls),
            }),
            variants: Mutex::default(),
            max_session_keys,
            local: identity.map(|identity| identity.local),
            key_log: common.key_log.as_ref().map(KeyLog::open).transpose()?,
        }))
    }

    /// A connection to make; `Session::start` gives the first bytes.
    ///
    /// # Errors
    /// An SNI that is no DNS name.
    pub fn session(&self, options: &ClientSession<'_>) -> Result<Session, TlsError> {
        let name = match options.sni {
            // rustls sends no SNI for an address, and it is the key of resumption: pipes of one
            // cluster share one, as hosts with one SNI do.
            None => ServerName::IpAddress(options.remote.unwrap_or(PIPE).into()),
            Some(sni) => ServerName::try_from(sni)
                .ok()
                .filter(|name| matches!(name, ServerName::DnsName(_)))
                .ok_or_else(|| TlsError::internal(&format!("the SNI {sni:?} is no DNS name")))?
                .to_owned(),
        };
        let variant = self.variant(options.verify_san);
        let log = self
            .key_log
            .as_ref()
            .and_then(|log| log.of(options.local, options.remote));
        let config = variant.config(log);
        let alpn = match options.alpn {
            Some(names) => names.iter().map(|name| name.to_vec()).collect(),
            None => config.alpn_protocols.clone(),
        };
        Session::client(config, name, alpn, variant, self.local.clone())
    }

    fn variant(&self, sans: &[&str]) -> Arc<Variant> {
        if sans.is_empty() {
            return Arc::clone(&self.base);
        }
        let key: Names = sans.iter().map(|san| Box::from(*san)).collect();
        let mut variants = self.variants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(variant) = variants.get(&key) {
            return Arc::clone(variant);
        }
        if variants.len() >= MAX_VARIANTS {
            // What is lost is that sessions can be resumed.
            variants.clear();
        }
        let verifier = Arc::new(self.base.verifier.with_sans(sans));
        let mut config = ClientConfig::clone(&self.base.config);
        config
            .dangerous()
            .set_certificate_verifier(Arc::clone(&verifier) as _);
        config.resumption = resumption(self.max_session_keys);
        let variant = Arc::new(Variant {
            verifier,
            config: Arc::new(config),
        });
        variants.insert(key, Arc::clone(&variant));
        variant
    }
}

impl Variant {
    fn config(&self, log: Option<Arc<LogFile>>) -> Arc<ClientConfig> {
        match log {
            None => Arc::clone(&self.config),
            Some(log) => {
                let mut config = ClientConfig::clone(&self.config);
                config.key_log = log;
                Arc::new(config)
            }
        }
    }
}

fn resumption(max_session_keys: usize) -> RustlsResumption {
    if max_session_keys == 0 {
        return RustlsResumption::disabled();
    }
    RustlsResumption::store(Arc::new(Resumption::new(max_session_keys)))
}
