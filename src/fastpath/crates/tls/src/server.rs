//! The TLS of one filter chain.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use model::problem::Problem;
use model::resources::tls::{DownstreamTls, SessionTickets, Validation};
use proto::client_hello::ClientHello;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, ProducesTickets, StoresServerSessions};

use crate::certificate::{self, Identity};
use crate::choose::Chooser;
use crate::info::LocalCertificate;
use crate::key_log::{KeyLog, LogFile};
use crate::ocsp::{self, Ocsp};
use crate::provider;
use crate::secrets::{self, Secrets};
use crate::session::Session;
use crate::stateful::Sessions;
use crate::tickets::{self, Tickets};
use crate::verify::{Of, Verifier};

const CONTEXT: &str = "common_tls_context";
/// As BoringSSL: a client that opens two connections at once has one for each.
const TLS13_TICKETS: usize = 2;

/// Built once per configuration and secret version, shared by the workers.
#[derive(Debug)]
pub struct ServerContext {
    choices: Vec<Choice>,
    chooser: Chooser,
    alpn: Vec<Box<[u8]>>,
    verifier: Arc<Verifier>,
    key_log: Option<KeyLog>,
}

/// One certificate.
#[derive(Debug)]
struct Choice {
    local: Arc<LocalCertificate>,
    ocsp: ocsp::Rule,
    /// With our ALPN.
    config: Arc<ServerConfig>,
    /// For clients with which we have no protocol in common: rustls would refuse them, Envoy goes
    /// on without one.
    without_alpn: Arc<ServerConfig>,
}

/// What a ClientHello settled.
pub(crate) struct Chosen {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) local: Arc<LocalCertificate>,
    /// If the client asked for a response.
    pub(crate) ocsp: Option<Ocsp>,
}

impl ServerContext {
    /// # Errors
    /// A certificate, key, CA, CRL or set of ticket keys that cannot be used, a key log that
    /// cannot be opened, or a secret that is not there; the path is relative to the
    /// `DownstreamTlsContext`.
    pub fn new(config: &DownstreamTls, secrets: &dyn Secrets) -> Result<Arc<Self>, Problem> {
        let common = &config.common;
        let provider = provider::provider(common);
        let identities = identities(config, secrets, &provider)?;
        let path = format!("{CONTEXT}.validation_context");
        let validation = secrets::validation(common.validation.as_ref(), secrets, &path)?;
        let required = config.require_client_certificate;
        let identity = session_identity(&identities, validation.as_deref(), required);
        let of = Of::Clients { required };
        let verifier = Arc::new(Verifier::new(validation, of, &provider, &path)?);
        let resumption = Resumption::new(config, secrets, identity)?;
        let versions = provider::versions(common)?;
        let mut choices = Vec::new();
        for identity in &identities {
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&versions)
                .map_err(|why| problem("common_tls_context.tls_params", &why))?
                .with_client_cert_verifier(Arc::clone(&verifier) as _);
            let path = format!("{CONTEXT}.tls_certificates[{}]", choices.len());
            let staple = identity.staple.as_ref();
            let ocsp = ocsp::Rule::new(config.ocsp_policy, staple, identity.must_staple, &path)?;
            let resolver = ocsp::Resolver::new(ocsp, Arc::clone(&identity.key));
            let mut rustls = builder.with_cert_resolver(Arc::new(resolver));
            rustls.enable_secret_extraction = true;
            rustls.ignore_client_order = !config.prefer_client_ciphers;
            resumption.apply(&mut rustls);
            let without_alpn = Arc::new(rustls.clone());
            rustls.alpn_protocols = common.alpn.iter().map(|name| name.to_vec()).collect();
            choices.push(Choice {
                local: Arc::clone(&identity.local),
                ocsp,
                config: Arc::new(rustls),
                without_alpn,
            });
        }
        Ok(Arc::new(Self {
            chooser: Chooser::new(&identities, config.full_scan_on_sni_mismatch),
            choices,
            alpn: common.alpn.clone(),
            verifier,
            key_log: common.key_log.as_ref().map(KeyLog::open).transpose()?,
        }))
    }

    /// A connection that was accepted. The addresses (`None`: a pipe) choose whether its keys are
    /// logged.
    #[must_use]
    pub fn session(self: &Arc<Self>, local: Option<IpAddr>, remote: Option<IpAddr>) -> Session {
        let key_log = self.key_log.as_ref().and_then(|log| log.of(local, remote));
        Session::server(Arc::clone(self), key_log)
    }

    /// `None` for a hello that cannot be read: rustls is to say why.
    pub(crate) fn choose(
        &self,
        hello: Option<&ClientHello<'_>>,
        key_log: Option<Arc<LogFile>>,
    ) -> Option<Chosen> {
        let index = hello.map_or(0, |hello| self.chooser.choose(hello));
        let choice = self.choices.get(index)?;
        // Without ALPN in the hello either will do.
        let nothing_in_common = hello.is_some_and(|hello| {
            let ours = |name: &[u8]| self.alpn.iter().any(|ours| **ours == *name);
            !hello.alpn().any(ours)
        });
        let config = if nothing_in_common {
            &choice.without_alpn
        } else {
            &choice.config
        };
        let config = match key_log {
            None => Arc::clone(config),
            Some(log) => {
                let mut config = ServerConfig::clone(config);
                config.key_log = log;
                Arc::new(config)
            }
        };
        let asks = hello.is_some_and(ClientHello::asks_for_ocsp);
        Some(Chosen {
            config,
            ocsp: asks.then(|| choice.ocsp.apply(ocsp::now())),
            local: Arc::clone(&choice.local),
        })
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}

fn identities(
    config: &DownstreamTls,
    secrets: &dyn Secrets,
    provider: &CryptoProvider,
) -> Result<Vec<Identity>, Problem> {
    let mut identities = Vec::new();
    for (index, source) in config.common.certificates.iter().enumerate() {
        let path = format!("{CONTEXT}.tls_certificates[{index}]");
        let certificate = secrets::certificate(source, secrets, &path)?;
        identities.push(certificate::identity(&certificate, provider, &path)?);
    }
    if identities.is_empty() {
        return Err(Problem {
            path: format!("{CONTEXT}.tls_certificates"),
            reason: "a server needs at least one certificate".into(),
        });
    }
    Ok(identities)
}

/// How sessions are resumed.
struct Resumption {
    ticketer: Arc<dyn ProducesTickets>,
    storage: Arc<dyn StoresServerSessions>,
    tls13_tickets: usize,
}

impl Resumption {
    fn new(
        config: &DownstreamTls,
        secrets: &dyn Secrets,
        identity: tickets::Identity,
    ) -> Result<Self, Problem> {
        let lifetime = config.session_timeout;
        let ticketer: Arc<dyn ProducesTickets> = match &config.session_tickets {
            SessionTickets::Off => Arc::new(tickets::Off),
            SessionTickets::Default => Arc::new(Tickets::own(identity, lifetime)),
            SessionTickets::Keys(source) => {
                let path = "session_ticket_keys";
                let keys = secrets::ticket_keys(source, secrets, path)?;
                let tickets = Tickets::given(&keys, identity, lifetime);
                Arc::new(tickets.ok_or_else(|| Problem {
                    path: path.into(),
                    reason: "holds no key".into(),
                })?)
            }
        };
        Ok(Self {
            tls13_tickets: if ticketer.enabled() { TLS13_TICKETS } else { 0 },
            ticketer,
            storage: if config.stateless_only {
                Arc::new(NoServerSessionStorage {})
            } else {
                Arc::new(Sessions::new(lifetime))
            },
        })
    }

    fn apply(&self, config: &mut ServerConfig) {
        config.ticketer = Arc::clone(&self.ticketer);
        config.session_storage = Arc::clone(&self.storage);
        config.send_tls13_tickets = self.tls13_tickets;
    }
}

/// What a session was established under, as Envoy's session id context: the names of our
/// certificates, and all that clients' certificates were checked against.
fn session_identity(
    identities: &[Identity],
    validation: Option<&Validation>,
    required: bool,
) -> tickets::Identity {
    let mut hash = Context::new(&SHA256);
    let mut add = |bytes: &[u8]| {
        // The length keeps fields apart.
        hash.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    for identity in identities {
        add(identity.local.subject.as_bytes());
        let sans = &identity.local.sans;
        for name in sans.dns.iter().chain(&sans.uri).chain(&sans.ip) {
            add(name.as_bytes());
        }
    }
    add(&[u8::from(required)]);
    if let Some(validation) = validation {
        add_validation(validation, &mut add);
    }
    // SHA-256 is 32 bytes.
    hash.finish().as_ref().try_into().unwrap_or_default()
}

fn add_validation(context: &Validation, add: &mut dyn FnMut(&[u8])) {
    for der in context.trusted_ca.iter().flatten().chain(&context.crls) {
        add(der);
    }
    for domain in context.spiffe.iter().flatten() {
        add(domain.name.as_bytes());
        for der in &domain.trusted_ca {
            add(der);
        }
    }
    for pin in context
        .spki_hashes
        .iter()
        .chain(&context.certificate_hashes)
    {
        add(pin);
    }
    for matcher in &context.sans {
        // Patterns have no other form than this one.
        add(format!("{matcher:?}").as_bytes());
    }
    let depth = context.max_verify_depth.map_or(-1, i64::from);
    let flags = [
        context.only_verify_leaf_crl,
        context.allow_expired,
        context.accept_untrusted,
    ];
    add(format!("{depth} {flags:?} {}", context.spki_hashes.len()).as_bytes());
}

fn problem(path: &str, why: &rustls::Error) -> Problem {
    Problem {
        path: path.into(),
        reason: why.to_string(),
    }
}
