//! Invariant: a server session takes any bytes without a panic, yields no plaintext of them, and
//! ends the same wherever they are cut.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use model::resources::tls::{
    Certificate, CommonTls, DownstreamTls, OcspPolicy, PrivateKey, Secret, SecretSource,
    SessionTickets, TlsVersion, Validation, ValidationSource,
};
use rcgen::{CertificateParams, KeyPair};
use tls::{Secrets, ServerContext};

struct None;

impl Secrets for None {
    fn secret(&self, _: &str) -> Option<&Arc<Secret>> {
        Option::None
    }
}

static CONTEXT: LazyLock<Arc<ServerContext>> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["a.test".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let der = certificate.der().to_vec();
    let config = DownstreamTls {
        common: CommonTls {
            min_version: TlsVersion::V1_2,
            max_version: TlsVersion::V1_3,
            cipher_suites: vec![],
            groups: vec![],
            alpn: vec![(*b"h2").into()],
            certificates: vec![SecretSource::Inline(Arc::new(Certificate {
                chain: vec![der.clone()],
                key: PrivateKey::Pkcs8(key.serialize_der()),
                ocsp_staple: Option::None,
                chain_file: Option::None,
                files: vec![],
            }))],
            validation: Some(ValidationSource::Inline(Arc::new(Validation {
                trusted_ca: Some(vec![der]),
                ..Validation::default()
            }))),
            key_log: Option::None,
        },
        require_client_certificate: false,
        session_tickets: SessionTickets::Default,
        session_timeout: Duration::from_secs(3600),
        stateless_only: false,
        full_scan_on_sni_mismatch: false,
        prefer_client_ciphers: false,
        ocsp_policy: OcspPolicy::default(),
    };
    ServerContext::new(&config, &None).unwrap()
});

/// Whether the session is over, having been given the bytes in these pieces.
fn over(raw: &[u8], cuts: &[usize]) -> bool {
    let mut session = CONTEXT.session(Option::None, Option::None);
    let (mut plain, mut out, mut done) = (Vec::new(), Vec::new(), 0);
    let mut ended = false;
    for cut in cuts.iter().copied().chain([raw.len()]) {
        let mut piece = raw[done..cut].to_vec();
        done = cut;
        match session.receive(&mut piece, &mut plain, &mut out) {
            Ok(received) => ended |= received.closed,
            Err(_) => ended = true,
        }
        if ended {
            break;
        }
    }
    assert!(plain.is_empty());
    ended
}

fuzz_target!(|input: &[u8]| {
    let [cut, raw @ ..] = input else { return };
    let whole = over(raw, &[]);
    assert_eq!(over(raw, &[usize::from(*cut).min(raw.len())]), whole);
    let every: Vec<usize> = (0..raw.len().min(300)).collect();
    assert_eq!(over(raw, &every), whole);
});
