//! The one TLS that everybody is asked for, so that all peers do equal work: version 1.3,
//! TLS_AES_128_GCM_SHA256, X25519. A peer that agrees to less has no handshake.

use std::path::Path;
use std::sync::Arc;

use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore};

/// A DNS name of the server's certificate (bench/certificates.py).
const SERVER_NAME: &str = "bench.test";

#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// Trusts the certificates of the PEM file `authority`; offers one ALPN protocol. Connections
    /// are not resumed.
    pub fn new(authority: &str, alpn: &str) -> Result<Self, String> {
        Self::resuming(authority, alpn, Resumption::disabled())
    }

    pub fn resuming(authority: &str, alpn: &str, resumption: Resumption) -> Result<Self, String> {
        let provider = CryptoProvider {
            cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![kx_group::X25519],
            ..default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots(authority)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        config.resumption = resumption;
        let name = ServerName::try_from(SERVER_NAME).map_err(|error| error.to_string())?;
        Ok(Self { config: Arc::new(config), name })
    }

    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    pub fn name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    pub fn connection(&self) -> Result<ClientConnection, rustls::Error> {
        ClientConnection::new(self.config(), self.name())
    }

    /// Did the peer take the protocol that was offered?
    pub fn agreed(&self, connection: &ClientConnection) -> bool {
        let offered = self.config.alpn_protocols.first().map(Vec::as_slice);
        connection.alpn_protocol() == offered
    }
}

fn roots(authority: &str) -> Result<RootCertStore, String> {
    let told = |error: &dyn std::fmt::Display| format!("--ca {authority}: {error}");
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(Path::new(authority)).map_err(|e| told(&e))? {
        roots.add(certificate.map_err(|e| told(&e))?).map_err(|e| told(&e))?;
    }
    Ok(roots)
}
