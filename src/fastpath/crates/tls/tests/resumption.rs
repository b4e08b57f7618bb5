//! Sessions are resumed where Envoy would, and nowhere else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // Tests.

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::resources::tls::{
    Certificate, DownstreamTls, SecretSource, SessionTickets, TicketKeys, TlsVersion, UpstreamTls,
};
use support::{
    Ca, Pair, accept, client, connect, downstream, inline, options, server, trust, upstream,
};
use tls::{ClientContext, ClientSession, ServerContext};

const VERSIONS: [TlsVersion; 2] = [TlsVersion::V1_2, TlsVersion::V1_3];

/// A finished handshake and a word: tickets come with what the server says first.
fn established(
    client: &Arc<ClientContext>,
    server: &Arc<ServerContext>,
    sni: Option<&str>,
) -> Pair {
    let mut pair = support::established(client, server, sni);
    pair.talk(1);
    pair
}

/// Whether the second of two connections resumes the first.
fn resumes(
    client: &Arc<ClientContext>,
    first: (&Arc<ServerContext>, Option<&str>),
    second: (&Arc<ServerContext>, Option<&str>),
) -> bool {
    let pair = established(client, first.0, first.1);
    assert!(!pair.server.info().resumed && !pair.client.info().resumed);
    let mut pair = established(client, second.0, second.1);
    assert_eq!(pair.server.info().resumed, pair.client.info().resumed);
    pair.talk(1000);
    pair.client.info().resumed
}

fn up(version: TlsVersion) -> UpstreamTls {
    let mut up = upstream();
    up.common.max_version = version;
    up
}

fn keys(keys: &[u8]) -> SessionTickets {
    let keys = keys.iter().map(|key| [*key; 80]).collect();
    SessionTickets::Keys(SecretSource::Inline(Arc::new(TicketKeys(keys))))
}

#[test]
fn tickets_by_default() {
    let ca = Ca::new("ca");
    let server = server(&downstream(&[&ca.leaf(&["a.test"])]));
    for version in VERSIONS {
        for sni in [None, Some("a.test")] {
            let client = client(&up(version));
            assert!(
                resumes(&client, (&server, sni), (&server, sni)),
                "{version:?}"
            );
        }
    }
}

#[test]
fn never_under_another_name() {
    let ca = Ca::new("ca");
    let server = server(&downstream(&[&ca.leaf(&["a.test"])]));
    for version in VERSIONS {
        let client = client(&up(version));
        let (a, b) = (Some("a.test"), Some("b.test"));
        assert!(!resumes(&client, (&server, a), (&server, b)), "{version:?}");
        assert!(established(&client, &server, b).client.info().resumed);
        // What was kept for the first name is still there, and good once.
        assert!(established(&client, &server, a).client.info().resumed);
    }
}

#[test]
fn turned_off() {
    let ca = Ca::new("ca");
    let leaf = ca.leaf(&["a.test"]);
    let with = |edit: fn(&mut DownstreamTls)| {
        let mut down = downstream(&[&leaf]);
        edit(&mut down);
        server(&down)
    };
    let both = with(|down| {
        down.session_tickets = SessionTickets::Off;
        down.stateless_only = true;
    });
    for version in VERSIONS {
        assert!(!resumes(
            &client(&up(version)),
            (&both, None),
            (&both, None)
        ));
        let mut none = up(version);
        none.max_session_keys = 0;
        let server = server(&downstream(&[&leaf]));
        assert!(!resumes(&client(&none), (&server, None), (&server, None)));
    }
    // Identifiers are TLS 1.2's only.
    let ids = with(|down| down.session_tickets = SessionTickets::Off);
    let client12 = client(&up(TlsVersion::V1_2));
    let first = established(&client12, &ids, None);
    let id = first.server.info().session_id.clone().unwrap();
    assert_eq!(first.client.info().session_id.as_ref(), Some(&id));
    assert_eq!(id.len(), 64);
    let second = established(&client12, &ids, None);
    assert!(second.client.info().resumed);
    assert_eq!(second.server.info().session_id.as_ref(), Some(&id));
    assert!(!resumes(
        &client(&up(TlsVersion::V1_3)),
        (&ids, None),
        (&ids, None)
    ));
}

#[test]
fn given_keys_are_shared_by_proxies() {
    let ca = Ca::new("ca");
    let leaf = ca.leaf(&["a.test"]);
    let with = |certificate: &Arc<Certificate>, tickets| {
        let mut down = downstream(&[certificate]);
        down.session_tickets = tickets;
        server(&down)
    };
    let one = with(&leaf, keys(&[1]));
    for version in VERSIONS {
        let two = with(&leaf, keys(&[2, 1]));
        assert!(resumes(&client(&up(version)), (&one, None), (&two, None)));
        let stranger = with(&leaf, keys(&[3]));
        assert!(!resumes(
            &client(&up(version)),
            (&one, None),
            (&stranger, None)
        ));
        // Own keys are one context's.
        let own = with(&leaf, SessionTickets::Default);
        let other = with(&leaf, SessionTickets::Default);
        assert!(!resumes(
            &client(&up(version)),
            (&own, None),
            (&other, None)
        ));
        // A renewed certificate of the same names.
        let renewed = with(&ca.leaf(&["a.test"]), keys(&[1]));
        assert!(resumes(
            &client(&up(version)),
            (&one, None),
            (&renewed, None)
        ));
        let named = with(&ca.leaf(&["b.test"]), keys(&[1]));
        assert!(!resumes(
            &client(&up(version)),
            (&one, None),
            (&named, None)
        ));
    }
}

#[test]
fn client_certificates() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let leaf = ca.leaf(&["a.test"]);
    let mutual = |trusted: &[&Ca]| {
        let mut down = downstream(&[&leaf]);
        down.session_tickets = keys(&[1]);
        down.require_client_certificate = true;
        let mut validation = trust(&ca);
        validation.trusted_ca = Some(trusted.iter().map(|ca| ca.der()).collect());
        down.common.validation = inline(validation);
        server(&down)
    };
    for version in VERSIONS {
        let mut up = up(version);
        up.common.certificates = downstream(&[&ca.leaf(&["client.test"])])
            .common
            .certificates;
        up.common.validation = inline(trust(&ca));
        let client = client(&up);
        let server = mutual(&[&ca]);
        let first = established(&client, &server, None);
        let second = established(&client, &server, None);
        assert!(second.server.info().resumed);
        for side in [&second.server, &second.client] {
            assert!(side.info().peer.as_ref().unwrap().validated);
        }
        let facts = |pair: &Pair| pair.server.info().peer.as_ref().unwrap().sha256.clone();
        assert_eq!(facts(&first), facts(&second));
        // The same keys, another bundle: everything is verified again.
        let changed = mutual(&[&ca, &other]);
        assert!(!established(&client, &changed, None).server.info().resumed);
        let changed = mutual(&[&other]);
        let mut pair = Pair::new(connect(&client, None), accept(&changed)).start();
        pair.run().unwrap_err();
    }
}

#[test]
fn a_session_is_not_resumed_for_other_names_to_verify() {
    let ca = Ca::new("ca");
    let server = server(&downstream(&[&ca.leaf(&["a.test"])]));
    for version in VERSIONS {
        let mut up = up(version);
        up.common.validation = inline(trust(&ca));
        let client = client(&up);
        let with = |sans: &[&str]| {
            let session = client
                .session(&ClientSession {
                    verify_san: sans,
                    ..options(Some("x.test"))
                })
                .unwrap();
            let mut pair = Pair::new(session, accept(&server)).start();
            pair.run().ok()?;
            pair.talk(1);
            Some(pair.client.info().resumed)
        };
        assert_eq!(with(&[]), Some(false));
        assert_eq!(with(&["a.test"]), Some(false));
        assert_eq!(with(&["a.test"]), Some(true));
        assert_eq!(with(&["b.test"]), None);
        assert_eq!(with(&[]), Some(true));
    }
}

#[test]
fn tickets_come_with_what_is_said_first() {
    let ca = Ca::new("ca");
    let server = server(&downstream(&[&ca.leaf(&["a.test"])]));
    let client = client(&up(TlsVersion::V1_3));
    let resumed = || {
        let pair = support::established(&client, &server, None);
        assert!(pair.to_client.is_empty());
        pair.client.info().resumed
    };
    assert!(!resumed());
    assert!(!resumed(), "nothing was said");
    // A goodbye is a word, too.
    let mut pair = support::established(&client, &server, None);
    let mut bye = Vec::new();
    pair.server.close(&mut bye);
    let first = bye.len();
    pair.to_client = bye;
    pair.run().unwrap();
    assert!(pair.client_received.closed);
    assert!(resumed());
    // And so is an alert.
    let mut pair = support::established(&client, &server, None);
    let mut out = Vec::new();
    let garbage = &mut [
        23, 3, 3, 0, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let plain = &mut Vec::new();
    pair.server.receive(garbage, plain, &mut out).unwrap_err();
    assert_eq!(out.len(), first);
    pair.to_client = out;
    let (_, error) = pair.run().unwrap_err();
    assert!(error.to_string().contains("BAD_RECORD_MAC"), "{error}");
    assert!(resumed());
}

#[test]
fn as_many_keys_as_configured() {
    let ca = Ca::new("ca");
    let server = server(&downstream(&[&ca.leaf(&["a.test"])]));
    for (most, want) in [(1, vec![true, false]), (2, vec![true, true])] {
        let mut up = up(TlsVersion::V1_3);
        up.max_session_keys = most;
        let client = client(&up);
        // Two tickets come with each handshake.
        established(&client, &server, None);
        let mut pairs: Vec<Pair> = (0..2)
            .map(|_| Pair::new(connect(&client, None), accept(&server)).start())
            .collect();
        let resumed: Vec<bool> = pairs
            .iter_mut()
            .map(|pair| {
                pair.run().unwrap();
                pair.client.info().resumed
            })
            .collect();
        assert_eq!(resumed, want);
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// Waits for the end of the certificate's last second.
#[test]
fn never_with_a_client_certificate_that_has_expired() {
    let ca = Ca::new("ca");
    let end = since_1970().as_secs() + 1;
    let short = ca.leaf_with(&["a.test"], |params| {
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
    });
    let mut down = downstream(&[&ca.leaf(&["a.test"])]);
    down.require_client_certificate = true;
    down.common.validation = inline(trust(&ca));
    let server = server(&down);
    let clients = VERSIONS.map(|version| {
        let mut up = up(version);
        up.common
            .certificates
            .push(SecretSource::Inline(Arc::clone(&short)));
        let client = client(&up);
        assert!(!established(&client, &server, None).client.info().resumed);
        client
    });
    while since_1970().as_secs() <= end {
        std::thread::park_timeout(Duration::from_millis(50));
    }
    for client in &clients {
        let (_, error) = support::refused(client, &server, None);
        assert_eq!(error.class(), tls::ErrorClass::VerifyChain);
        let expired = "certificate has expired";
        assert!(error.reason().contains(expired), "{}", error.reason());
    }
}
