//! What TLS costs on one core: `cargo run --release -p tls --example tls_bench`.
//!
//! Full and resumed handshakes (P-256, TLS 1.3) by the time spent in the server, records of 1 KiB
//! each way, and the memory of an idle server session; with rustls' own two record paths beside
//! ours.
//!
//! `tls_bench handshakes 200` does as many full handshakes and nothing else. The instructions of
//! their server's side, which other work on the machine does not move:
//! `valgrind --tool=callgrind --toggle-collect='*serve_once*' tls_bench handshakes 200`.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::print_stdout
)] // A benchmark.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::{ClientConnection, UnbufferedClientConnection};
use rustls::server::{ServerConnection, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{ClientConfig, ServerConfig};
use support::{
    Ca, Pair, accept, client, connect, downstream, established, inline, server, trust, upstream,
};
use tls::{ClientContext, ServerContext};

type Failure = Box<dyn std::error::Error>;

const RECORD: [u8; 1024] = [7; 1024];
const KINDS: [&str; 4] = ["tls", "tls, mutual", "rustls unbuffered", "rustls buffered"];

fn main() -> Result<(), Failure> {
    let ca = Ca::new("ca");
    let leaf = ca.leaf(&["a.test"]);
    let server_context = server(&downstream(&[&leaf]));
    let mut up = upstream();
    up.common.max_version = model::resources::tls::TlsVersion::V1_3;
    up.common.validation = inline(trust(&ca));
    up.max_session_keys = 0;
    let fresh = client(&up);
    up.max_session_keys = 8;
    let resuming = client(&up);
    let mut mutual = downstream(&[&leaf]);
    mutual.require_client_certificate = true;
    mutual.common.validation = inline(trust(&ca));
    let mutual = server(&mutual);
    up.max_session_keys = 0;
    up.common.certificates = downstream(&[&leaf]).common.certificates;
    let with_certificate = client(&up);

    if let Some(kind) = std::env::args().nth(1) {
        let (client, server) = configs(&leaf)?;
        match kind.as_str() {
            "handshakes" => {
                let times = std::env::args()
                    .nth(2)
                    .map_or(Ok(1), |n| n.parse::<u32>())?;
                for _ in 0..times {
                    one_handshake(&fresh, &server_context);
                }
            }
            "tls, mutual" => memory(&kind, || accepted(&with_certificate, &mutual)),
            "rustls unbuffered" => memory(&kind, || {
                rustls_pair(&client, &server).ok().map(|pair| pair.1)
            }),
            "rustls buffered" => memory(&kind, || {
                buffered_pair(&client, &server).ok().map(|pair| pair.1)
            }),
            _ => memory(&kind, || accepted(&fresh, &server_context)),
        }
        return Ok(());
    }
    handshakes("full", &fresh, &server_context);
    handshakes("resumed", &resuming, &server_context);
    handshakes("full, mutual", &with_certificate, &mutual);
    ours(&fresh, &server_context);
    let (client_config, server_config) = configs(&leaf)?;
    unbuffered(&client_config, &server_config)?;
    buffered(&client_config, &server_config)?;
    for kind in KINDS {
        // Each in a process of its own: memory that another measurement left would be taken first.
        Command::new(std::env::current_exe()?).arg(kind).status()?;
    }
    Ok(())
}

/// The quickest of many short rounds: other work on the machine makes no round quicker.
const ROUNDS: usize = 300;

fn handshakes(name: &str, client: &Arc<ClientContext>, server: &Arc<ServerContext>) {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let mut spent = Duration::ZERO;
        for _ in 0..5 {
            spent += one_handshake(client, server);
        }
        best = best.min(spent / 5);
    }
    println!(
        "handshake, {name}: {:.0} per core-second ({best:?})",
        1.0 / best.as_secs_f64()
    );
}

/// The time that the server's side of one took.
fn one_handshake(client: &Arc<ClientContext>, server: &Arc<ServerContext>) -> Duration {
    let mut spent = Duration::ZERO;
    let mut pair = Pair::new(connect(client, Some("a.test")), accept(server)).start();
    let mut plain = Vec::new();
    while !pair.to_server.is_empty() {
        let begun = Instant::now();
        serve_once(&mut pair);
        spent += begun.elapsed();
        pair.to_server.clear();
        pair.client
            .receive(&mut pair.to_client, &mut plain, &mut pair.to_server)
            .expect("the client's handshake");
        pair.to_client.clear();
    }
    assert!(!pair.server.is_handshaking());
    // Its tickets come with it.
    pair.talk(1);
    spent
}

/// Whole, so that tools can count it apart.
#[inline(never)]
fn serve_once(pair: &mut Pair) {
    pair.server
        .receive(&mut pair.to_server, &mut Vec::new(), &mut pair.to_client)
        .expect("the server's handshake");
}

/// Nanoseconds for one call.
fn measure(mut call: impl FnMut()) -> f64 {
    (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..300 {
                call();
            }
            begun.elapsed().as_secs_f64() / 300.0 * 1e9
        })
        .fold(f64::MAX, f64::min)
}

fn report(name: &str, seal: f64, open: f64) {
    println!("1 KiB record, {name}: send {seal:.0} ns, receive {open:.0} ns");
}

fn ours(client: &Arc<ClientContext>, server: &Arc<ServerContext>) {
    let mut pair = established(client, server, None);
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    let seal = measure(|| {
        wire.clear();
        pair.client.send(&[&RECORD], &mut wire).expect("sending");
    });
    let mut pair = established(client, server, None);
    let both = measure(|| {
        wire.clear();
        plain.clear();
        pair.client.send(&[&RECORD], &mut wire).expect("sending");
        pair.server
            .receive(&mut wire, &mut plain, &mut Vec::new())
            .expect("receiving");
        black_box(&plain);
    });
    report("tls", seal, both - seal);
}

fn configs(
    leaf: &model::resources::tls::Certificate,
) -> Result<(Arc<ClientConfig>, Arc<ServerConfig>), Failure> {
    let provider = Arc::new(rustls::crypto::CryptoProvider {
        cipher_suites: vec![rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..rustls::crypto::aws_lc_rs::default_provider()
    });
    let mut roots = rustls::RootCertStore::empty();
    let chain: Vec<_> = leaf.chain.iter().map(|der| der.clone().into()).collect();
    let model::resources::tls::PrivateKey::Pkcs8(key) = &leaf.key else {
        return Err("a key of another form".into());
    };
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.clone().into());
    let ca = Ca::new("unused");
    roots.add(ca.der().into())?;
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client
        .dangerous()
        .set_certificate_verifier(Arc::new(Anything));
    Ok((Arc::new(client), Arc::new(server)))
}

fn unbuffered(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<(), Failure> {
    let (mut client, mut server) = rustls_pair(client, server)?;
    let mut wire = vec![0; 2048];
    let mut len = 0;
    let mut plain = Vec::new();
    let mut seal = |client: &mut UnbufferedClientConnection, wire: &mut [u8]| {
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
            client.process_tls_records(&mut []).state
        {
            len = traffic.encrypt(&RECORD, wire).unwrap_or_default();
        }
        len
    };
    let (mut other, _) = rustls_pair_again()?;
    let sealing = measure(|| {
        seal(&mut other, &mut wire);
    });
    let both = measure(|| {
        let len = seal(&mut client, &mut wire);
        plain.clear();
        let status = server.process_tls_records(wire.get_mut(..len).unwrap_or_default());
        if let Ok(ConnectionState::ReadTraffic(mut traffic)) = status.state {
            while let Some(Ok(record)) = traffic.next_record() {
                plain.extend_from_slice(record.payload);
            }
        }
        assert_eq!(plain.len(), RECORD.len());
    });
    report("rustls unbuffered", sealing, both - sealing);
    return Ok(());

    fn rustls_pair_again()
    -> Result<(UnbufferedClientConnection, UnbufferedServerConnection), Failure> {
        let ca = Ca::new("ca");
        let (client, server) = configs(&ca.leaf(&["a.test"]))?;
        rustls_pair(&client, &server)
    }
}

fn buffered(client: &Arc<ClientConfig>, server: &Arc<ServerConfig>) -> Result<(), Failure> {
    let (mut client_one, mut server_one) = buffered_pair(client, server)?;
    let (mut client_two, _server) = buffered_pair(client, server)?;
    let mut wire = Vec::new();
    let mut plain = vec![0; 2048];
    let seal = |client: &mut ClientConnection, wire: &mut Vec<u8>| {
        wire.clear();
        client.writer().write_all(&RECORD).expect("writing");
        client.write_tls(wire).expect("sending");
    };
    let sealing = measure(|| seal(&mut client_two, &mut wire));
    let both = measure(|| {
        seal(&mut client_one, &mut wire);
        server_one
            .read_tls(&mut wire.as_slice())
            .expect("receiving");
        server_one.process_new_packets().expect("decrypting");
        let len = server_one.reader().read(&mut plain).expect("reading");
        assert_eq!(len, RECORD.len());
    });
    report("rustls buffered", sealing, both - sealing);
    Ok(())
}

fn buffered_pair(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), Failure> {
    let mut client = ClientConnection::new(Arc::clone(client), "a.test".try_into()?)?;
    let mut server = ServerConnection::new(Arc::clone(server))?;
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() {
        wire.clear();
        client.write_tls(&mut wire)?;
        server.read_tls(&mut wire.as_slice())?;
        server.process_new_packets()?;
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire)?;
        }
        let mut rest = wire.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest)?;
            client.process_new_packets()?;
        }
    }
    Ok((client, server))
}

fn rustls_pair(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<(UnbufferedClientConnection, UnbufferedServerConnection), Failure> {
    let mut client = UnbufferedClientConnection::new(Arc::clone(client), "a.test".try_into()?)?;
    let mut server = UnbufferedServerConnection::new(Arc::clone(server))?;
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let (discard, _) = step(client.process_tls_records(&mut to_client), &mut to_server)?;
        to_client.drain(..discard);
        let (discard, _) = step(server.process_tls_records(&mut to_server), &mut to_client)?;
        to_server.drain(..discard);
    }
    Ok((client, server))
}

fn step<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    out: &mut Vec<u8>,
) -> Result<(usize, ()), Failure> {
    match status.state? {
        ConnectionState::EncodeTlsData(mut data) => {
            let size = match data.encode(&mut []) {
                Err(EncodeError::InsufficientSize(size)) => size.required_size,
                _ => 0,
            };
            let start = out.len();
            out.resize(start + size, 0);
            data.encode(out.get_mut(start..).unwrap_or_default())?;
        }
        ConnectionState::TransmitTlsData(data) => data.done(),
        _ => {}
    }
    Ok((status.discard, ()))
}

fn accepted(client: &Arc<ClientContext>, server: &Arc<ServerContext>) -> tls::Session {
    let mut pair = established(client, server, Some("a.test"));
    pair.talk(200);
    pair.server
}

/// Resident memory of sessions that stay.
fn memory<T>(name: &str, mut make: impl FnMut() -> T) {
    drop(make());
    let before = resident();
    let kept: Vec<T> = (0..4000).map(|_| make()).collect();
    let each = resident().saturating_sub(before) / kept.len();
    println!("idle server session, {name}: {each} bytes resident");
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or_default() * 4096
}

/// Of the comparison only: no certificate is refused.
#[derive(Debug)]
struct Anything;

impl rustls::client::danger::ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
