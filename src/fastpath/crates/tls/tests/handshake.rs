//! Handshakes and records: versions, suites, groups, certificates, ALPN, cuts, closing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // Tests.
#![allow(clippy::arithmetic_side_effects)]

mod support;

use std::sync::Arc;

use model::resources::tls::{CipherSuite, Group, KeyLog, TlsVersion};
use support::{
    Ca, LOOPBACK, Pair, Side, accept, client, common, connect, downstream, established, inline,
    options, refused, server, trust, upstream,
};
use tls::{ClientSession, ErrorClass, Session, Version};

use CipherSuite as S;

#[test]
fn versions_suites_and_key_kinds() {
    let ca = Ca::new("ca");
    let ecdsa = ca.leaf(&["a.test"]);
    let rsa = ca.rsa_leaf(&["a.test"]);
    for (certificate, version, suite, name) in [
        (&ecdsa, TlsVersion::V1_3, None, "TLS_AES_128_GCM_SHA256"),
        (&rsa, TlsVersion::V1_3, None, "TLS_AES_128_GCM_SHA256"),
        (
            &ecdsa,
            TlsVersion::V1_2,
            None,
            "ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
        (&rsa, TlsVersion::V1_2, None, "ECDHE-RSA-AES128-GCM-SHA256"),
        (
            &ecdsa,
            TlsVersion::V1_2,
            Some(S::EcdheEcdsaAes256Gcm),
            "ECDHE-ECDSA-AES256-GCM-SHA384",
        ),
        (
            &rsa,
            TlsVersion::V1_2,
            Some(S::EcdheRsaAes256Gcm),
            "ECDHE-RSA-AES256-GCM-SHA384",
        ),
        (
            &ecdsa,
            TlsVersion::V1_2,
            Some(S::EcdheEcdsaChacha20),
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
        (
            &rsa,
            TlsVersion::V1_2,
            Some(S::EcdheRsaChacha20),
            "ECDHE-RSA-CHACHA20-POLY1305",
        ),
    ] {
        let mut down = downstream(&[certificate]);
        down.common.max_version = version;
        down.common.cipher_suites.extend(suite);
        let mut up = upstream();
        up.common.validation = inline(trust(&ca));
        let mut pair = established(&client(&up), &server(&down), Some("a.test"));
        for info in [pair.client.info(), pair.server.info()] {
            assert_eq!(info.cipher, Some(name));
            assert_eq!(info.group, Some("X25519"));
            assert_eq!(info.server_name.as_deref(), Some("a.test"));
            assert_eq!(info.alpn, None);
            assert!(!info.resumed);
            let want = match version {
                TlsVersion::V1_2 => Version::V1_2,
                TlsVersion::V1_3 => Version::V1_3,
            };
            assert_eq!(info.version, Some(want));
        }
        assert!(pair.client_received.handshake_done && pair.server_received.handshake_done);
        for len in [0, 1, 1000, 16_384, 16_385, 100_000] {
            pair.talk(len);
        }
    }
}

#[test]
fn orders_of_suites() {
    let ca = Ca::new("ca");
    let certificate = ca.leaf(&["a.test"]);
    let mut down = downstream(&[&certificate]);
    down.common.max_version = TlsVersion::V1_2;
    down.common.cipher_suites = vec![S::EcdheEcdsaAes256Gcm, S::EcdheEcdsaAes128Gcm];
    let mut up = upstream();
    up.common.cipher_suites = vec![S::EcdheEcdsaAes128Gcm, S::EcdheEcdsaAes256Gcm];
    let ours = established(&client(&up), &server(&down), None);
    assert_eq!(
        ours.server.info().cipher,
        Some("ECDHE-ECDSA-AES256-GCM-SHA384")
    );
    down.prefer_client_ciphers = true;
    let theirs = established(&client(&up), &server(&down), None);
    assert_eq!(
        theirs.server.info().cipher,
        Some("ECDHE-ECDSA-AES128-GCM-SHA256")
    );
}

#[test]
fn groups() {
    let ca = Ca::new("ca");
    let certificate = ca.leaf(&["a.test"]);
    for (theirs, ours, want) in [
        (vec![], vec![], "X25519"),
        (vec![Group::P256], vec![], "P-256"),
        (vec![Group::P384], vec![Group::P256, Group::P384], "P-384"),
        // A first key share that the server does not take: HelloRetryRequest.
        (vec![Group::X25519, Group::P256], vec![Group::P256], "P-256"),
        (
            vec![Group::X25519MlKem768, Group::X25519],
            vec![Group::X25519MlKem768, Group::X25519],
            "X25519MLKEM768",
        ),
        // Not by default.
        (vec![Group::X25519MlKem768, Group::X25519], vec![], "X25519"),
    ] {
        let mut down = downstream(&[&certificate]);
        down.common.groups = ours;
        let mut up = upstream();
        up.common.groups = theirs;
        let pair = established(&client(&up), &server(&down), None);
        assert_eq!(pair.server.info().group, Some(want));
        assert_eq!(pair.client.info().group, Some(want));
    }
}

#[test]
fn nothing_in_common() {
    let ca = Ca::new("ca");
    let mut down = downstream(&[&ca.leaf(&["a.test"])]);
    down.common.min_version = TlsVersion::V1_3;
    let mut up = upstream();
    up.common.max_version = TlsVersion::V1_2;
    let (side, error) = refused(&client(&up), &server(&down), None);
    assert_eq!(
        (side, error.class()),
        (Side::Server, ErrorClass::Connection)
    );
    assert_eq!(
        error.reason(),
        "TLS_error:|268435696:SSL routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL:TLS_error_end"
    );
    let mut down = downstream(&[&ca.leaf(&["a.test"])]);
    down.common.max_version = TlsVersion::V1_2;
    down.common.cipher_suites = vec![S::EcdheRsaAes128Gcm];
    let (_, error) = refused(&client(&upstream()), &server(&down), None);
    assert!(error.reason().contains("NO_SHARED_CIPHER"), "{error}");
}

#[test]
fn alpn_by_our_order_and_none_without_overlap() {
    let ca = Ca::new("ca");
    let mut down = downstream(&[&ca.leaf(&["a.test"])]);
    down.common.alpn = vec![(*b"h2").into(), (*b"http/1.1").into()];
    let server = server(&down);
    let mut up = upstream();
    up.common.alpn = vec![(*b"http/1.1").into(), (*b"h2").into()];
    let client = client(&up);
    let pair = established(&client, &server, None);
    assert_eq!(pair.server.info().alpn.as_deref(), Some(&b"h2"[..]));
    assert_eq!(pair.client.info().alpn.as_deref(), Some(&b"h2"[..]));
    for (offer, want) in [
        (&[&b"http/1.1"[..]][..], Some(&b"http/1.1"[..])),
        (&[&b"istio"[..], b"http/1.1"], Some(b"http/1.1")),
        (&[b"istio"], None),
        (&[], None),
    ] {
        let session = client
            .session(&ClientSession {
                alpn: Some(offer),
                ..options(None)
            })
            .unwrap();
        let mut pair = Pair::new(session, accept(&server)).start();
        pair.run().unwrap();
        assert_eq!(pair.server.info().alpn.as_deref(), want);
        assert_eq!(pair.client.info().alpn.as_deref(), want);
        pair.talk(10);
    }
}

#[test]
fn certificate_by_name_and_kind() {
    let ca = Ca::new("ca");
    let first = ca.leaf(&["first.test"]);
    let exact_name = ca.leaf(&["www.a.test"]);
    let wildcard = ca.leaf(&["*.a.test"]);
    let rsa_only = ca.rsa_leaf(&["rsa.test"]);
    let both_rsa = ca.rsa_leaf(&["both.test"]);
    let both_ecdsa = ca.leaf(&["both.test"]);
    let all = [
        &first,
        &exact_name,
        &wildcard,
        &rsa_only,
        &both_rsa,
        &both_ecdsa,
    ];
    let down = downstream(&all);
    let context = server(&down);
    let modern = client(&upstream());
    let mut up = upstream();
    up.common.max_version = TlsVersion::V1_2;
    up.common.cipher_suites = vec![S::EcdheRsaAes128Gcm];
    let rsa_client = client(&up);
    for (client, sni, want) in [
        (&modern, Some("first.test"), &first),
        (&modern, Some("www.a.test"), &exact_name),
        (&modern, Some("WWW.a.test"), &exact_name),
        (&modern, Some("api.a.test"), &wildcard),
        (&modern, Some("x.api.a.test"), &first),
        (&modern, Some("a.test"), &first),
        (&modern, Some("rsa.test"), &rsa_only),
        (&modern, Some("both.test"), &both_ecdsa),
        (&rsa_client, Some("both.test"), &both_rsa),
        (&modern, Some("unknown.test"), &first),
        (&modern, None, &first),
        (&rsa_client, None, &rsa_only),
    ] {
        let pair = established(client, &context, sni);
        let peer = pair.client.info().peer.as_ref().unwrap();
        assert_eq!(peer.der(), want.chain[0], "{sni:?}");
        let local = pair.server.info().local.as_ref().unwrap();
        assert_eq!(local.sans, peer.sans);
    }
    // A name that nobody has: the first certificate, although this client cannot verify it.
    let (_, error) = refused(&rsa_client, &context, Some("unknown.test"));
    assert!(error.reason().contains("NO_SHARED_CIPHER"), "{error}");
    let mut down = downstream(&all);
    down.full_scan_on_sni_mismatch = true;
    let pair = established(&rsa_client, &server(&down), Some("unknown.test"));
    assert_eq!(
        pair.client.info().peer.as_ref().unwrap().der(),
        rsa_only.chain[0]
    );
}

#[test]
fn any_cut_of_the_stream() {
    let ca = Ca::new("ca");
    let certificate = ca.leaf(&["a.test"]);
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        for cut in [1, 2, 3, 5, 7, 64, 1000] {
            let mut down = downstream(&[&certificate]);
            down.common.max_version = version;
            down.common.validation = inline(trust(&ca));
            down.require_client_certificate = true;
            let mut up = upstream();
            up.common.validation = inline(trust(&ca));
            up.common.certificates = downstream(&[&certificate]).common.certificates;
            let (client, server) = (client(&up), server(&down));
            let mut pair = Pair::new(connect(&client, Some("a.test")), accept(&server)).start();
            pair.cut = cut;
            pair.run().unwrap();
            pair.talk(20_000);
            assert!(pair.server.info().peer.is_some());
        }
    }
}

#[test]
fn data_in_the_read_that_ends_the_handshake() {
    let ca = Ca::new("ca");
    let (client, server) = (
        client(&upstream()),
        server(&downstream(&[&ca.leaf(&["a.test"])])),
    );
    let mut pair = Pair::new(connect(&client, None), accept(&server)).start();
    // The server's flight, then the client's Finished together with its first request.
    let mut plain = Vec::new();
    pair.server
        .receive(&mut pair.to_server, &mut plain, &mut pair.to_client)
        .unwrap();
    pair.to_server.clear();
    pair.client
        .receive(&mut pair.to_client, &mut plain, &mut pair.to_server)
        .unwrap();
    pair.to_client.clear();
    pair.client.send(&[b"GET /"], &mut pair.to_server).unwrap();
    let received = pair
        .server
        .receive(&mut pair.to_server, &mut plain, &mut pair.to_client)
        .unwrap();
    assert!(received.handshake_done);
    assert_eq!(plain, b"GET /");
}

#[test]
fn closing() {
    let ca = Ca::new("ca");
    let server = server(&downstream(&[&ca.leaf(&["a.test"])]));
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let mut up = upstream();
        up.common.max_version = version;
        let mut pair = established(&client(&up), &server, None);
        pair.client.send(&[b"bye"], &mut pair.to_server).unwrap();
        pair.client.close(&mut pair.to_server);
        let len = pair.to_server.len();
        pair.client.close(&mut pair.to_server);
        assert_eq!(pair.to_server.len(), len, "close_notify once");
        assert!(pair.client.send(&[b"more"], &mut pair.to_server).is_err());
        pair.run().unwrap();
        assert_eq!(pair.server_plain, b"bye");
        assert!(pair.server_received.closed);
        // The other direction is still open.
        pair.server.send(&[b"late"], &mut pair.to_client).unwrap();
        pair.run().unwrap();
        assert_eq!(pair.client_plain, b"late");
        assert!(!pair.client_received.closed);
    }
}

#[test]
fn forged_records_are_refused_with_an_alert() {
    let ca = Ca::new("ca");
    let server = server(&downstream(&[&ca.leaf(&["a.test"])]));
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let mut up = upstream();
        up.common.max_version = version;
        let client = client(&up);
        let mut record = Vec::new();
        established(&client, &server, None)
            .client
            .send(&[b"hello"], &mut record)
            .unwrap();
        for at in 0..record.len() {
            let mut pair = established(&client, &server, None);
            pair.client.send(&[b"hello"], &mut pair.to_server).unwrap();
            pair.to_server[at] ^= 0x40;
            match pair.run() {
                Ok(()) => assert!(pair.server_plain.is_empty(), "byte {at}"),
                Err((side, error)) => {
                    assert_eq!(side, Side::Server);
                    assert_eq!(error.class(), ErrorClass::Connection);
                    let client = pair.client.send(&[b"x"], &mut Vec::new());
                    assert!(client.is_err(), "the client has seen an alert: byte {at}");
                }
            }
            assert!(pair.server_plain.is_empty());
        }
    }
}

#[test]
fn no_tls_at_all() {
    let ca = Ca::new("ca");
    let server = server(&downstream(&[&ca.leaf(&["a.test"])]));
    for (bytes, want) in [
        (
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            "268435612:SSL routines:OPENSSL_internal:HTTP_REQUEST",
        ),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", "HTTPS_PROXY_REQUEST"),
        (b"\x00\x01\x02\x03\x04\x05\x06\x07", "WRONG_VERSION_NUMBER"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "DECODE_ERROR"),
    ] {
        let error = accept(&server)
            .receive(&mut bytes.to_vec(), &mut Vec::new(), &mut Vec::new())
            .unwrap_err();
        assert_eq!(error.class(), ErrorClass::Connection);
        assert!(error.reason().contains(want), "{error}");
    }
}

#[test]
fn sessions_before_and_after_their_time() {
    let ca = Ca::new("ca");
    let server = server(&downstream(&[&ca.leaf(&["a.test"])]));
    let mut session: Session = accept(&server);
    assert!(session.is_handshaking());
    assert!(session.send(&[b"early"], &mut Vec::new()).is_err());
    let mut out = Vec::new();
    session.close(&mut out);
    assert!(out.is_empty());
    session
        .receive(&mut b"GET / ".to_vec(), &mut Vec::new(), &mut out)
        .unwrap_err();
    assert!(!session.is_handshaking());
    session
        .receive(&mut [1], &mut Vec::new(), &mut out)
        .unwrap_err();
}

#[test]
fn key_log_of_chosen_connections() {
    let ca = Ca::new("ca");
    let path = std::env::temp_dir().join(format!("tls-key-log-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let loopback = model::resources::hcm::Cidr {
        address: LOOPBACK.unwrap(),
        prefix_len: 32,
    };
    let mut down = downstream(&[&ca.leaf(&["a.test"])]);
    down.common.key_log = Some(KeyLog {
        path: path.clone(),
        local: vec![],
        remote: vec![loopback],
    });
    let server = server(&down);
    let client = client(&upstream());
    for other in [Some([10, 0, 0, 1].into()), None] {
        let other = server.session(LOOPBACK, other);
        Pair::new(connect(&client, None), other)
            .start()
            .run()
            .unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    established(&client, &server, None);
    let text = std::fs::read_to_string(&path).unwrap();
    let labels: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(labels.contains(&"CLIENT_TRAFFIC_SECRET_0"), "{labels:?}");
    assert!(text.lines().all(|line| line.split(' ').count() == 3));
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn problems_of_configurations() {
    let ca = Ca::new("ca");
    let problem = |down: &model::resources::tls::DownstreamTls| {
        tls::ServerContext::new(down, &support::Named::default())
            .unwrap_err()
            .to_string()
    };
    let none = problem(&downstream(&[]));
    assert!(
        none.starts_with("common_tls_context.tls_certificates: "),
        "{none}"
    );
    let leaf = ca.leaf(&["a.test"]);
    let other = ca.leaf(&["a.test"]);
    let mixed = Arc::new(model::resources::tls::Certificate {
        chain: leaf.chain.clone(),
        key: match &other.key {
            model::resources::tls::PrivateKey::Pkcs8(der) => {
                model::resources::tls::PrivateKey::Pkcs8(der.clone())
            }
            _ => unreachable!(),
        },
        ocsp_staple: None,
        chain_file: None,
        files: vec![],
    });
    let mixed = problem(&downstream(&[&leaf, &mixed]));
    assert!(
        mixed.starts_with("common_tls_context.tls_certificates[1]: "),
        "{mixed}"
    );
    let mut down = downstream(&[&leaf]);
    down.common.certificates = vec![model::resources::tls::SecretSource::Named("absent".into())];
    let absent = problem(&down);
    assert!(absent.contains("\"absent\""), "{absent}");
    let mut down = downstream(&[&leaf]);
    down.common = model::resources::tls::CommonTls {
        certificates: downstream(&[&leaf]).common.certificates,
        min_version: TlsVersion::V1_3,
        max_version: TlsVersion::V1_2,
        ..common()
    };
    assert!(problem(&down).contains("tls_params"));
    let mut up = upstream();
    up.auto_sni_san_validation = true;
    up.common.validation = inline(model::resources::tls::Validation {
        spki_hashes: vec![[0; 32]],
        ..Default::default()
    });
    let why = tls::ClientContext::new(&up, &support::Named::default()).unwrap_err();
    assert_eq!(why.path, "auto_sni_san_validation");
}

/// Wherever a byte of a handshake is changed, it ends or goes on, and nobody panics.
#[test]
fn any_byte_of_a_handshake_changed() {
    let ca = Ca::new("ca");
    let leaf = ca.leaf(&["a.test"]);
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let mut down = downstream(&[&leaf]);
        down.common.validation = inline(trust(&ca));
        down.require_client_certificate = true;
        let mut up = upstream();
        up.common.max_version = version;
        up.max_session_keys = 0;
        up.common.validation = inline(trust(&ca));
        up.common.certificates = downstream(&[&leaf]).common.certificates;
        let (client, server) = (client(&up), server(&down));
        for flight in 0..4 {
            let mut at = 0;
            while with_a_change(&client, &server, flight, at) {
                at += 5;
            }
        }
    }
}

/// Changes byte `at` of the given flight (counted from the ClientHello); false when it is shorter.
fn with_a_change(
    client: &Arc<tls::ClientContext>,
    server: &Arc<tls::ServerContext>,
    flight: usize,
    at: usize,
) -> bool {
    let mut pair = Pair::new(connect(client, Some("a.test")), accept(server)).start();
    let mut changed = false;
    let mut plain = Vec::new();
    for turn in 0..6 {
        let to_server = turn % 2 == 0;
        let (session, from, to) = if to_server {
            (&mut pair.server, &mut pair.to_server, &mut pair.to_client)
        } else {
            (&mut pair.client, &mut pair.to_client, &mut pair.to_server)
        };
        let mut wire = std::mem::take(from);
        if turn == flight
            && let Some(byte) = wire.get_mut(at)
        {
            *byte ^= 0x55;
            changed = true;
        }
        // After an error too: the alert goes out, and whatever comes is refused.
        let _ = session.receive(&mut wire, &mut plain, to);
    }
    assert!(plain.is_empty());
    changed
}
