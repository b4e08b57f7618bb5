//! What comes besides data after a handshake.

#[path = "../../tests/support/mod.rs"]
mod support;

use model::resources::tls::TlsVersion;

use self::support::{Ca, Pair, Side, client, downstream, established, server, upstream};
use super::record::Content;
use super::traffic::{RECORDS_PER_KEY, Traffic};
use super::{Session, State};
use crate::error::TlsError;

fn pair(version: TlsVersion) -> Pair {
    let ca = Ca::new("ca");
    let mut up = upstream();
    up.common.max_version = version;
    established(
        &client(&up),
        &server(&downstream(&[&ca.leaf(&["a.test"])])),
        None,
    )
}

fn traffic(session: &mut Session) -> &mut Traffic {
    match &mut session.state {
        State::Traffic(traffic) => traffic,
        _ => panic!("no traffic"),
    }
}

/// A record of the client's.
fn record(pair: &mut Pair, content: Content, text: &[u8]) {
    let out = &mut pair.to_server;
    traffic(&mut pair.client)
        .send
        .seal(content, text.len(), |out| out.extend_from_slice(text), out)
        .unwrap();
}

fn server_error(pair: &mut Pair) -> TlsError {
    let (side, error) = pair.run().unwrap_err();
    assert_eq!(side, Side::Server);
    assert!(pair.server.send(&[b"x"], &mut Vec::new()).is_err());
    error
}

#[test]
fn key_updates() {
    let mut pair = pair(TlsVersion::V1_3);
    for request in [false, true] {
        traffic(&mut pair.client)
            .update_send_key(request, &mut pair.to_server)
            .unwrap();
        assert_eq!(traffic(&mut pair.client).send.sequence(), 0);
        let before = traffic(&mut pair.server).send.sequence();
        pair.run().unwrap();
        assert_eq!(traffic(&mut pair.server).send.sequence(), before);
        pair.talk(1000);
        // If it was asked to, it changed its key before it spoke.
        let want = if request { 1 } else { before + 1 };
        assert_eq!(traffic(&mut pair.server).send.sequence(), want);
        traffic(&mut pair.server)
            .update_send_key(request, &mut pair.to_client)
            .unwrap();
        pair.talk(1000);
    }
}

/// One that asks for keys again and again, and reads nothing, gets one answer in the end.
#[test]
fn answers_to_key_updates_do_not_pile_up() {
    let mut pair = pair(TlsVersion::V1_3);
    for _ in 0..100 {
        let out = &mut pair.to_server;
        traffic(&mut pair.client)
            .update_send_key(true, out)
            .unwrap();
        pair.client.send(&[b"x"], &mut pair.to_server).unwrap();
        let mut cipher = std::mem::take(&mut pair.to_server);
        let (mut plain, mut answer) = (Vec::new(), Vec::new());
        pair.server
            .receive(&mut cipher, &mut plain, &mut answer)
            .unwrap();
        assert_eq!((&plain[..], answer.len()), (&b"x"[..], 0));
    }
    pair.talk(10);
    assert_eq!(traffic(&mut pair.server).send.sequence(), 1);
}

#[test]
fn keys_are_renewed_in_time() {
    for (version, renewed) in [(TlsVersion::V1_3, true), (TlsVersion::V1_2, false)] {
        let mut pair = pair(version);
        traffic(&mut pair.client)
            .send
            .set_sequence(RECORDS_PER_KEY - 1);
        traffic(&mut pair.server)
            .receive
            .set_sequence(RECORDS_PER_KEY - 1);
        pair.talk(100);
        pair.talk(100);
        let sequence = traffic(&mut pair.server).receive.sequence();
        assert_eq!(sequence, if renewed { 1 } else { RECORDS_PER_KEY + 1 });
    }
}

#[test]
fn floods_are_cut() {
    for (content, text, reason) in [
        (Content::Data, &[][..], "TOO_MANY_EMPTY_FRAGMENTS"),
        // user_canceled
        (Content::Alert, &[1, 90], "TOO_MANY_WARNING_ALERTS"),
    ] {
        for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            let mut pair = pair(version);
            for _ in 0..33 {
                record(&mut pair, content, text);
            }
            let error = server_error(&mut pair);
            assert!(error.reason().contains(reason), "{error}");
        }
    }
    let mut pair = pair(TlsVersion::V1_3);
    for _ in 0..33 {
        traffic(&mut pair.client)
            .update_send_key(true, &mut pair.to_server)
            .unwrap();
    }
    let error = server_error(&mut pair);
    assert!(error.reason().contains("TOO_MANY_KEY_UPDATES"), "{error}");
}

/// In records of a byte each, of which BoringSSL takes any number: memory has an end.
#[test]
fn a_client_hello_without_end_is_cut() {
    let ca = Ca::new("ca");
    let mut session = server(&downstream(&[&ca.leaf(&["a.test"])])).session(None, None);
    let message = [&[1, 0, 0xff, 0xff][..], &[3; 0xffff]].concat();
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    let mut taken = 0;
    let error = loop {
        let byte = message[taken];
        let result = session.receive(&mut [22, 3, 1, 0, 1, byte], &mut plain, &mut out);
        match result {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(error.reason().contains("EXCESSIVE_MESSAGE_SIZE"), "{error}");
    assert!(taken > 16_384 && taken < 17_500, "{taken}");
    assert_eq!(out, [21, 3, 3, 0, 2, 2, 47]);
}

#[test]
fn messages_that_have_no_place() {
    use TlsVersion::{V1_2, V1_3};
    for (version, content, text, reason) in [
        // A second ClientHello.
        (
            V1_2,
            Content::Handshake,
            &[1, 0, 0, 0][..],
            "NO_RENEGOTIATION",
        ),
        (
            V1_3,
            Content::Handshake,
            &[1, 0, 0, 0],
            "UNEXPECTED_MESSAGE",
        ),
        (V1_3, Content::Handshake, &[], "UNEXPECTED_RECORD"),
        // A ticket for a server.
        (
            V1_3,
            Content::Handshake,
            &[4, 0, 0, 0],
            "UNEXPECTED_MESSAGE",
        ),
        (V1_3, Content::Handshake, &[24, 0, 0, 1, 2], "DECODE_ERROR"),
        // A new key in the middle of a record.
        (
            V1_3,
            Content::Handshake,
            &[24, 0, 0, 1, 0, 24],
            "EXCESS_HANDSHAKE_DATA",
        ),
        (V1_2, Content::ChangeCipherSpec, &[1], "UNEXPECTED_RECORD"),
        (V1_3, Content::ChangeCipherSpec, &[1], "UNEXPECTED_RECORD"),
        (V1_2, Content::Alert, &[2], "BAD_ALERT"),
        (
            V1_3,
            Content::Alert,
            &[2, 40],
            "SSLV3_ALERT_HANDSHAKE_FAILURE",
        ),
        (V1_2, Content::Alert, &[2, 48], "TLSV1_ALERT_UNKNOWN_CA"),
    ] {
        let mut pair = pair(version);
        record(&mut pair, content, text);
        let error = server_error(&mut pair);
        assert!(
            error.reason().contains(reason),
            "{version:?} {content:?}: {error}"
        );
    }
}

#[test]
fn a_message_in_pieces() {
    let mut split = pair(TlsVersion::V1_3);
    record(&mut split, Content::Handshake, &[24, 0]);
    record(&mut split, Content::Data, b"between");
    let error = server_error(&mut split);
    assert!(error.reason().contains("EXCESS_HANDSHAKE_DATA"), "{error}");
    let mut whole = pair(TlsVersion::V1_3);
    for byte in [24, 0, 0, 1, 0] {
        record(&mut whole, Content::Handshake, &[byte]);
    }
    whole.run().unwrap();
    assert_eq!(traffic(&mut whole.server).receive.sequence(), 0);
    // A message that never ends is bounded.
    let mut endless = pair(TlsVersion::V1_3);
    record(&mut endless, Content::Handshake, &[4, 0xff, 0xff, 0xff]);
    for _ in 0..10 {
        record(&mut endless, Content::Handshake, &[0; 16_000]);
    }
    let error = server_error(&mut endless);
    assert!(error.reason().contains("EXCESSIVE_MESSAGE_SIZE"), "{error}");
}

#[test]
fn an_idle_session_holds_no_buffer() {
    let mut pair = pair(TlsVersion::V1_3);
    pair.client.send(&[b"hello"], &mut pair.to_server).unwrap();
    let mut rest = pair.to_server.split_off(7);
    pair.run().unwrap();
    assert!(pair.server_plain.is_empty());
    assert_eq!(traffic(&mut pair.server).partial.len(), 7);
    pair.to_server.append(&mut rest);
    pair.run().unwrap();
    assert_eq!(pair.server_plain, b"hello");
    assert_eq!(traffic(&mut pair.server).partial.capacity(), 0);
}

#[test]
fn a_record_that_is_too_long() {
    let mut pair = pair(TlsVersion::V1_3);
    pair.to_server = vec![23, 3, 3, 0xff, 0xff, 0];
    let error = server_error(&mut pair);
    assert!(error.reason().contains("DATA_LENGTH_TOO_LONG"), "{error}");
}
