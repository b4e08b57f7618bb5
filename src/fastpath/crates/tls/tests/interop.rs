//! Our records against rustls' own, which knows nothing of them.

#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)] // Tests.

mod support;

use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex};

use model::resources::tls::{Certificate, CipherSuite, OcspStaple, TlsVersion};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, Connection, DigitallySignedStruct, ServerConfig,
    ServerConnection, SignatureScheme,
};
use support::{Ca, accept, client, connect, downstream, server, upstream};
use tls::Session;

/// Takes every certificate and keeps the OCSP response.
#[derive(Debug, Default)]
struct Anything {
    staple: Mutex<Vec<u8>>,
}

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        staple: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.staple.lock().unwrap() = staple.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

fn rustls_client(verifier: &Arc<Anything>) -> Connection {
    let config = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .dangerous()
    .with_custom_certificate_verifier(Arc::clone(verifier) as _)
    .with_no_client_auth();
    let name = "a.test".try_into().unwrap();
    ClientConnection::new(Arc::new(config), name)
        .unwrap()
        .into()
}

fn rustls_server(certificate: &Certificate) -> Connection {
    let chain = certificate
        .chain
        .iter()
        .map(|der| der.clone().into())
        .collect();
    let model::resources::tls::PrivateKey::Pkcs8(key) = &certificate.key else {
        unreachable!("the support makes PKCS#8")
    };
    let config = ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(chain, PrivateKeyDer::Pkcs8(key.clone().into()))
    .unwrap();
    ServerConnection::new(Arc::new(config)).unwrap().into()
}

/// One of ours and one of theirs.
struct Mixed {
    ours: Session,
    theirs: Connection,
    to_theirs: Vec<u8>,
    ours_plain: Vec<u8>,
    theirs_plain: Vec<u8>,
    ours_closed: bool,
}

impl Mixed {
    fn new(ours: Session, theirs: Connection) -> Self {
        Self {
            ours,
            theirs,
            to_theirs: Vec::new(),
            ours_plain: Vec::new(),
            theirs_plain: Vec::new(),
            ours_closed: false,
        }
    }

    fn run(&mut self) {
        while self.theirs.wants_write() || !self.to_theirs.is_empty() {
            let mut wire = Vec::new();
            while self.theirs.wants_write() {
                self.theirs.write_tls(&mut wire).unwrap();
            }
            let received = self
                .ours
                .receive(&mut wire, &mut self.ours_plain, &mut self.to_theirs)
                .unwrap();
            self.ours_closed |= received.closed;
            let wire = std::mem::take(&mut self.to_theirs);
            let mut rest = wire.as_slice();
            while !rest.is_empty() {
                self.theirs.read_tls(&mut rest).unwrap();
                let state = self.theirs.process_new_packets().unwrap();
                let mut plain = vec![0; state.plaintext_bytes_to_read()];
                self.theirs.reader().read_exact(&mut plain).unwrap();
                self.theirs_plain.extend(plain);
            }
        }
    }

    fn talk(&mut self) {
        let text = vec![7; 40_000];
        self.ours_plain.clear();
        self.theirs_plain.clear();
        self.ours.send(&[&text], &mut self.to_theirs).unwrap();
        let mut sent = 0;
        while sent < text.len() {
            sent += self
                .theirs
                .writer()
                .write(text.get(sent..).unwrap())
                .unwrap();
            self.run();
        }
        assert_eq!(self.ours_plain, text);
        assert_eq!(self.theirs_plain, text);
    }

    fn all(mut self, version: TlsVersion) {
        self.ours.start(&mut self.to_theirs).unwrap();
        self.run();
        self.talk();
        if version == TlsVersion::V1_3 {
            self.theirs.refresh_traffic_keys().unwrap();
            self.talk();
        }
        self.theirs.send_close_notify();
        self.run();
        assert!(self.ours_closed);
        self.ours.close(&mut self.to_theirs);
        let wire = std::mem::take(&mut self.to_theirs);
        self.theirs.read_tls(&mut wire.as_slice()).unwrap();
        assert!(self.theirs.process_new_packets().unwrap().peer_has_closed());
    }
}

#[test]
fn every_cipher_both_ways() {
    let ca = Ca::new("ca");
    let leaf = ca.leaf(&["a.test"]);
    for (version, suites) in [
        (TlsVersion::V1_3, vec![]),
        (TlsVersion::V1_2, vec![CipherSuite::EcdheEcdsaAes128Gcm]),
        (TlsVersion::V1_2, vec![CipherSuite::EcdheEcdsaAes256Gcm]),
        (TlsVersion::V1_2, vec![CipherSuite::EcdheEcdsaChacha20]),
    ] {
        let mut down = downstream(&[&leaf]);
        down.common.max_version = version;
        down.common.cipher_suites.clone_from(&suites);
        let theirs = rustls_client(&Arc::default());
        Mixed::new(accept(&server(&down)), theirs).all(version);

        let mut up = upstream();
        up.common.max_version = version;
        up.common.cipher_suites = suites;
        let theirs = rustls_server(&leaf);
        Mixed::new(connect(&client(&up), Some("a.test")), theirs).all(version);
    }
}

#[test]
fn an_ocsp_response_is_stapled() {
    let ca = Ca::new("ca");
    let key = rcgen::KeyPair::generate().unwrap();
    let mut leaf = ca.sign(&["a.test"], &key, |_| {});
    leaf.ocsp_staple = Some(OcspStaple {
        response: b"a response".to_vec(),
        this_update: 0,
        next_update: Some(i64::MAX),
    });
    let context = server(&downstream(&[&Arc::new(leaf)]));
    let verifier = Arc::new(Anything::default());
    let mut mixed = Mixed::new(accept(&context), rustls_client(&verifier));
    mixed.run();
    assert_eq!(*verifier.staple.lock().unwrap(), b"a response");
}

#[test]
fn an_ocsp_response_that_has_expired_is_not() {
    let ca = Ca::new("ca");
    let key = rcgen::KeyPair::generate().unwrap();
    let mut leaf = ca.sign(&["a.test"], &key, |_| {});
    leaf.ocsp_staple = Some(OcspStaple {
        response: b"a response".to_vec(),
        this_update: 0,
        next_update: Some(1),
    });
    let leaf = Arc::new(leaf);
    let context = server(&downstream(&[&leaf]));
    let verifier = Arc::new(Anything::default());
    let mut mixed = Mixed::new(accept(&context), rustls_client(&verifier));
    mixed.run();
    assert_eq!(*verifier.staple.lock().unwrap(), b"");
}
