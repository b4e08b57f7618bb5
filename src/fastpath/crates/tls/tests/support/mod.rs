//! What the tests of this crate share: a CA, contexts, and a wire between two sessions.
#![allow(dead_code)] // Each test binary uses a part of it.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)] // Tests.
#![allow(clippy::cast_possible_truncation)]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use model::resources::route::{StringMatcher, StringPattern};
use model::resources::tls::{
    Certificate, CommonTls, DownstreamTls, OcspPolicy, PrivateKey, SanMatcher, SanType, Secret,
    SecretSource, SessionTickets, TlsVersion, UpstreamTls, Validation, ValidationSource,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize,
};
use tls::{ClientContext, ClientSession, Received, Secrets, ServerContext, Session, TlsError};

pub struct Ca {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Ca {
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    pub fn with(name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = ca_params(name);
        edit(&mut params);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Self {
            issuer: CertifiedIssuer::signed_by(ca_params(name), key, &self.issuer).unwrap(),
        }
    }

    pub fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// A P-256 leaf with these DNS names.
    pub fn leaf(&self, names: &[&str]) -> Arc<Certificate> {
        self.leaf_with(names, |_| {})
    }

    pub fn leaf_with(
        &self,
        names: &[&str],
        edit: impl FnOnce(&mut CertificateParams),
    ) -> Arc<Certificate> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        Arc::new(self.sign(names, &key, edit))
    }

    pub fn rsa_leaf(&self, names: &[&str]) -> Arc<Certificate> {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        Arc::new(self.sign(names, &key, |_| {}))
    }

    pub fn sign(
        &self,
        names: &[&str],
        key: &KeyPair,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "leaf");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        edit(&mut params);
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        Certificate {
            chain: vec![leaf.der().to_vec()],
            key: PrivateKey::Pkcs8(key.serialize_der()),
            ocsp_staple: None,
            chain_file: None,
            files: Vec::new(),
        }
    }
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub fn common() -> CommonTls {
    CommonTls {
        min_version: TlsVersion::V1_2,
        max_version: TlsVersion::V1_3,
        cipher_suites: Vec::new(),
        groups: Vec::new(),
        alpn: Vec::new(),
        certificates: Vec::new(),
        validation: None,
        key_log: None,
    }
}

pub fn downstream(certificates: &[&Arc<Certificate>]) -> DownstreamTls {
    DownstreamTls {
        common: CommonTls {
            certificates: certificates
                .iter()
                .map(|certificate| SecretSource::Inline(Arc::clone(certificate)))
                .collect(),
            ..common()
        },
        require_client_certificate: false,
        session_tickets: SessionTickets::Default,
        session_timeout: Duration::from_secs(3600),
        stateless_only: false,
        full_scan_on_sni_mismatch: false,
        prefer_client_ciphers: false,
        ocsp_policy: OcspPolicy::Lenient,
    }
}

pub fn upstream() -> UpstreamTls {
    UpstreamTls {
        common: common(),
        sni: None,
        auto_host_sni: false,
        auto_sni_san_validation: false,
        max_session_keys: 1,
        enforce_rsa_key_usage: false,
        hash: 0,
    }
}

/// Trusts this CA.
pub fn trust(ca: &Ca) -> Validation {
    Validation {
        trusted_ca: Some(vec![ca.der()]),
        ..Validation::default()
    }
}

pub fn inline(validation: Validation) -> Option<ValidationSource> {
    Some(ValidationSource::Inline(Arc::new(validation)))
}

pub fn exact(kind: SanType, text: &str) -> SanMatcher {
    SanMatcher {
        kind,
        matcher: StringMatcher {
            pattern: StringPattern::Exact(text.as_bytes().into()),
            ignore_case: false,
        },
    }
}

/// Secrets by name.
#[derive(Default)]
pub struct Named(pub HashMap<String, Arc<Secret>>);

impl Secrets for Named {
    fn secret(&self, name: &str) -> Option<&Arc<Secret>> {
        self.0.get(name)
    }
}

pub fn server(config: &DownstreamTls) -> Arc<ServerContext> {
    ServerContext::new(config, &Named::default()).unwrap()
}

pub fn client(config: &UpstreamTls) -> Arc<ClientContext> {
    ClientContext::new(config, &Named::default()).unwrap()
}

pub const LOOPBACK: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

pub fn options(sni: Option<&str>) -> ClientSession<'_> {
    ClientSession {
        sni,
        verify_san: &[],
        alpn: None,
        local: LOOPBACK,
        remote: LOOPBACK,
    }
}

pub fn connect(client: &Arc<ClientContext>, sni: Option<&str>) -> Session {
    client.session(&options(sni)).unwrap()
}

pub fn accept(server: &Arc<ServerContext>) -> Session {
    server.session(LOOPBACK, LOOPBACK)
}

/// Two sessions and what is under way between them.
pub struct Pair {
    pub client: Session,
    pub server: Session,
    pub client_plain: Vec<u8>,
    pub server_plain: Vec<u8>,
    pub to_server: Vec<u8>,
    pub to_client: Vec<u8>,
    pub client_received: Received,
    pub server_received: Received,
    /// Bytes handed over at once.
    pub cut: usize,
}

impl Pair {
    pub fn new(client: Session, server: Session) -> Self {
        Self {
            client,
            server,
            client_plain: Vec::new(),
            server_plain: Vec::new(),
            to_server: Vec::new(),
            to_client: Vec::new(),
            client_received: Received::default(),
            server_received: Received::default(),
            cut: usize::MAX,
        }
    }

    pub fn start(mut self) -> Self {
        self.client.start(&mut self.to_server).unwrap();
        self
    }

    /// Moves bytes until there are none; the first error, with its side.
    pub fn run(&mut self) -> Result<(), (Side, TlsError)> {
        let mut failed = None;
        while !self.to_server.is_empty() || !self.to_client.is_empty() {
            for mut piece in cut(&mut self.to_server, self.cut) {
                let result =
                    self.server
                        .receive(&mut piece, &mut self.server_plain, &mut self.to_client);
                match result {
                    Ok(received) => merge(&mut self.server_received, received),
                    Err(error) => {
                        failed.get_or_insert((Side::Server, error));
                        break;
                    }
                }
            }
            for mut piece in cut(&mut self.to_client, self.cut) {
                let result =
                    self.client
                        .receive(&mut piece, &mut self.client_plain, &mut self.to_server);
                match result {
                    Ok(received) => merge(&mut self.client_received, received),
                    Err(error) => {
                        failed.get_or_insert((Side::Client, error));
                        break;
                    }
                }
            }
            if failed.is_some() {
                // Alerts have been delivered by one more turn at most.
                self.to_server.clear();
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Data both ways.
    pub fn talk(&mut self, len: usize) {
        let up: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let down: Vec<u8> = up.iter().map(|byte| byte ^ 0xff).collect();
        self.client_plain.clear();
        self.server_plain.clear();
        let (head, body) = up.split_at(len / 3);
        self.client
            .send(&[head, &[], body], &mut self.to_server)
            .unwrap();
        self.server.send(&[&down], &mut self.to_client).unwrap();
        self.run().unwrap();
        assert_eq!(self.server_plain, up);
        assert_eq!(self.client_plain, down);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

fn cut(bytes: &mut Vec<u8>, len: usize) -> Vec<Vec<u8>> {
    let bytes = std::mem::take(bytes);
    bytes
        .chunks(len.min(bytes.len().max(1)))
        .map(<[u8]>::to_vec)
        .collect()
}

fn merge(into: &mut Received, new: Received) {
    into.handshake_done |= new.handshake_done;
    into.closed |= new.closed;
}

/// A finished handshake.
pub fn established(
    client: &Arc<ClientContext>,
    server: &Arc<ServerContext>,
    sni: Option<&str>,
) -> Pair {
    let mut pair = Pair::new(connect(client, sni), accept(server)).start();
    pair.run().unwrap();
    pair
}

/// The error of a handshake that does not pass.
pub fn refused(
    client: &Arc<ClientContext>,
    server: &Arc<ServerContext>,
    sni: Option<&str>,
) -> (Side, TlsError) {
    let mut pair = Pair::new(connect(client, sni), accept(server)).start();
    pair.run().unwrap_err()
}
