//! The ClientHello finder; what is asserted is what Envoy 1.40's inspector did with these bytes.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)] // a test may panic

use proptest::prelude::*;
use proto::client_hello::{ClientHello, DEFAULT_BYTES, Finder, Found, Invalid, MAX_BYTES};

/// The parts of a ClientHello; the default is one that TLS 1.2 clients send.
#[derive(Clone)]
struct Hello {
    version: u16,
    session: Vec<u8>,
    suites: Vec<u8>,
    compressions: Vec<u8>,
    /// `None`: not even their length.
    extensions: Option<Vec<(u16, Vec<u8>)>>,
    trailing: Vec<u8>,
}

impl Default for Hello {
    fn default() -> Self {
        Self {
            version: 0x0303,
            session: Vec::new(),
            suites: vec![0x13, 0x01, 0xc0, 0x2f],
            compressions: vec![0],
            extensions: None,
            trailing: Vec::new(),
        }
    }
}

impl Hello {
    fn with(extensions: &[(u16, Vec<u8>)]) -> Self {
        Self {
            extensions: Some(extensions.to_vec()),
            ..Self::default()
        }
    }

    fn body(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([b'R'; 32]);
        body.extend(prefixed_u8(&self.session));
        body.extend(prefixed_u16(&self.suites));
        body.extend(prefixed_u8(&self.compressions));
        if let Some(extensions) = &self.extensions {
            let list: Vec<u8> = extensions
                .iter()
                .flat_map(|(kind, body)| [kind.to_be_bytes().to_vec(), prefixed_u16(body)].concat())
                .collect();
            body.extend(prefixed_u16(&list));
        }
        body.extend(&self.trailing);
        body
    }

    fn records(&self, size: usize) -> Vec<u8> {
        records(&message(1, &self.body()), size)
    }
}

fn prefixed_u8(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8][..], bytes].concat()
}

fn prefixed_u16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn records(message: &[u8], size: usize) -> Vec<u8> {
    message
        .chunks(size)
        .flat_map(|part| [&[22, 3, 1][..], &prefixed_u16(part)].concat())
        .collect()
}

fn sni(name: &[u8]) -> (u16, Vec<u8>) {
    (0, prefixed_u16(&[&[0][..], &prefixed_u16(name)].concat()))
}

fn alpn(names: &[&[u8]]) -> (u16, Vec<u8>) {
    let list: Vec<u8> = names.iter().flat_map(|n| prefixed_u8(n)).collect();
    (16, prefixed_u16(&list))
}

fn versions(list: &[u16]) -> (u16, Vec<u8>) {
    let list: Vec<u8> = list.iter().flat_map(|v| v.to_be_bytes()).collect();
    (43, prefixed_u8(&list))
}

/// The verdict in a word.
fn verdict(bytes: &[u8]) -> &'static str {
    verdict_within(bytes, DEFAULT_BYTES)
}

fn verdict_within(bytes: &[u8], limit: usize) -> &'static str {
    match Finder::default().look(bytes, limit) {
        Found::NeedMore => "more",
        Found::NotTls => "not tls",
        Found::TooLarge => "too large",
        Found::Message(message) => match ClientHello::parse(&message.body) {
            Ok(hello) if !hello.version_is_known() => "bad version",
            Ok(_) => "tls",
            Err(_) => "not tls",
        },
    }
}

#[track_caller]
fn check(bytes: &[u8], want: &str) {
    assert_eq!(verdict(bytes), want);
}

#[test]
fn structure() {
    let good = Hello::default();
    check(&good.records(16384), "tls");
    check(&Hello::with(&[]).records(16384), "tls");
    let changed = |change: fn(&mut Hello)| {
        let mut hello = Hello::with(&[sni(b"a")]);
        change(&mut hello);
        hello.records(16384)
    };
    check(&changed(|h| h.suites.clear()), "not tls");
    check(&changed(|h| h.suites.push(1)), "not tls");
    check(&changed(|h| h.compressions = vec![1]), "tls");
    check(&changed(|h| h.compressions.clear()), "not tls");
    check(&changed(|h| h.session = vec![1; 32]), "tls");
    check(&changed(|h| h.session = vec![1; 33]), "not tls");
    check(&changed(|h| h.trailing.push(0)), "not tls");
    check(&records(&message(2, &good.body()), 16384), "not tls");
}

#[test]
fn versions_of_the_message() {
    for (version, want) in [
        (0x0301, "tls"),
        (0x0303, "tls"),
        (0x0304, "tls"),
        (0x0300, "bad version"),
        (0x0200, "bad version"),
        (0x0305, "bad version"),
        (0x0400, "bad version"),
    ] {
        let hello = Hello {
            version,
            ..Hello::default()
        };
        check(&hello.records(16384), want);
    }
    check(&Hello::with(&[versions(&[0x0300])]).records(16384), "tls");
    check(&Hello::with(&[(43, vec![0])]).records(16384), "tls");
}

#[test]
fn versions_of_the_client() {
    let listed = |hello: &Hello| -> Vec<u16> {
        let body = hello.body();
        ClientHello::parse(&body).unwrap().versions().collect()
    };
    assert_eq!(listed(&Hello::default()), [0x0303]);
    let hello = Hello::with(&[versions(&[0x0a0a, 0x0304, 0x0303])]);
    assert_eq!(listed(&hello), [0x0304, 0x0303]);
}

#[test]
fn versions_of_the_records() {
    let hello = Hello::default().records(16384);
    for (version, want) in [
        ([3, 0], "tls"),
        ([3, 3], "tls"),
        ([3, 0x99], "tls"),
        ([2, 1], "not tls"),
    ] {
        let mut hello = hello.clone();
        hello[1..3].copy_from_slice(&version);
        check(&hello, want);
    }
}

#[test]
fn fragments() {
    let hello = Hello::with(&[sni(b"a.b")]);
    let whole = hello.body();
    for size in [1, 3, 4, 7, 16384] {
        let bytes = hello.records(size);
        let Found::Message(message) = Finder::default().look(&bytes, MAX_BYTES) else {
            panic!("{size}");
        };
        assert_eq!(&*message.body, whole);
        assert_eq!(message.consumed, bytes.len());
    }
    let empty = [22, 3, 1, 0, 0];
    let hello = hello.records(16384);
    check(&[&empty[..], &hello].concat(), "tls");
    check(&[&empty.repeat(32)[..], &hello].concat(), "tls");
    check(&[&empty.repeat(33)[..], &hello].concat(), "not tls");
}

#[test]
fn what_follows_is_not_looked_at() {
    let hello = message(1, &Hello::default().body());
    check(&records(&[&hello[..], b"more"].concat(), 16384), "tls");
    check(&[&records(&hello, 16384)[..], b"more"].concat(), "tls");
}

#[test]
fn sizes() {
    let padded = |n: usize| Hello::with(&[(999, vec![0; n])]).records(16384);
    check(&padded(15_800), "tls");
    check(&padded(16_335), "too large");
    check(&padded(20_000), "too large");
    check(b"\x16\x03\x01\0\x04\x01\0\x40\0", "more");
    check(b"\x16\x03\x01\0\x04\x01\0\x40\x01", "not tls");
    check(b"\x16\x03\x01\x41\x40\x01\0\0\x80", "more");
    check(b"\x16\x03\x01\x41\x41\x01\0\0\x80", "not tls");
    let hello = Hello::with(&[sni(b"a.b")]).records(16384);
    let found = Finder::default().look(&hello, hello.len() - 1);
    assert_eq!(found, Found::TooLarge);
    let found = Finder::default().look(&hello, hello.len());
    assert!(matches!(found, Found::Message(_)));
}

#[test]
fn longer_ones_where_that_is_asked_for() {
    let padded = |n: usize| Hello::with(&[(999, vec![0; n]), sni(b"a.b")]);
    for (n, size, want) in [
        (20_000, 16_384, "tls"),
        (65_000, 16_384, "tls"),
        (65_000, 1_000, "tls"),
        (65_000, 500, "too large"),
        (10_000, 1, "tls"),
        (11_000, 1, "too large"),
    ] {
        let bytes = padded(n).records(size);
        assert_eq!(verdict_within(&bytes, MAX_BYTES), want, "{n} in {size}");
        let enough = verdict_within(&bytes, bytes.len());
        assert_eq!(enough, "tls", "{n} in {size}");
    }
    let claims = |length: &[u8]| [&b"\x16\x03\x01\0\x04\x01"[..], length].concat();
    assert_eq!(verdict_within(&claims(b"\x01\0\0"), MAX_BYTES), "more");
    assert_eq!(verdict_within(&claims(b"\x01\0\x01"), MAX_BYTES), "not tls");
}

#[test]
fn what_trickles_in_is_put_together() {
    let hello = Hello::with(&[(999, vec![7; 60_000]), sni(b"a.b")]);
    let bytes = hello.records(999);
    let mut finder = Finder::default();
    for end in (0..bytes.len()).step_by(7) {
        assert_eq!(finder.look(&bytes[..end], MAX_BYTES), Found::NeedMore);
    }
    let more = [&bytes[..], b"what follows"].concat();
    let Found::Message(message) = finder.look(&more, MAX_BYTES) else {
        panic!("not found");
    };
    assert_eq!(&*message.body, hello.body());
    assert_eq!(message.consumed, bytes.len());
}

#[test]
fn other_protocols() {
    check(b"", "more");
    check(b"\x16", "more");
    check(b"\x16\x03\x01\0\x04", "more");
    check(b"\x16B", "not tls");
    check(b"G", "not tls");
    check(b"\x15\x03\x01\0\x02\x02\x28", "not tls");
    check(b"\x80\x2e\x01\x03\x01", "not tls");
}

#[test]
fn server_names() {
    let name = |name: &[u8]| {
        let body = Hello::with(&[sni(name)]).body();
        ClientHello::parse(&body).map(|hello| hello.server_name().map(<[u8]>::to_vec))
    };
    assert_eq!(name(b"A.b"), Ok(Some(b"A.b".to_vec())));
    assert_eq!(name(b"a b"), Ok(Some(b"a b".to_vec())));
    assert_eq!(name(&[b'a'; 255]), Ok(Some(vec![b'a'; 255])));
    for bad in [&b""[..], b"a\0b", &[b'a'; 256]] {
        assert_eq!(name(bad), Err(Invalid::ServerName));
    }
    for bad in [
        &b""[..],
        b"\0\x04\x01\0\x01a",
        b"\0\x04\0\0\x01ax",
        b"\0\x08\0\0\x01a\0\0\x01b",
    ] {
        let body = Hello::with(&[(0, bad.to_vec())]).body();
        assert_eq!(ClientHello::parse(&body), Err(Invalid::ServerName));
    }
    let body = Hello::default().body();
    assert_eq!(ClientHello::parse(&body).unwrap().server_name(), None);
}

#[test]
fn extensions_come_once() {
    let twice = [sni(b"a"), sni(b"b")];
    let body = Hello::with(&twice).body();
    assert_eq!(ClientHello::parse(&body), Err(Invalid::DuplicateExtension));
    let body = Hello::with(&[(999, vec![]), (1, vec![]), (999, vec![])]).body();
    assert_eq!(ClientHello::parse(&body), Err(Invalid::DuplicateExtension));
}

#[test]
fn application_protocols() {
    let protocols = |extension: (u16, Vec<u8>)| -> Vec<Vec<u8>> {
        let body = Hello::with(&[extension]).body();
        let hello = ClientHello::parse(&body).unwrap();
        hello.alpn().map(<[u8]>::to_vec).collect()
    };
    assert_eq!(
        protocols(alpn(&[b"h2", b"http/1.1"])),
        [&b"h2"[..], b"http/1.1"]
    );
    let none: [&[u8]; 0] = [];
    for malformed in [
        &b"\0\x05"[..],
        b"\0\0",
        b"\0\x01\0",
        b"\0\x03\x02h2x",
        b"\0\x04\x02h2\0",
    ] {
        assert_eq!(protocols((16, malformed.to_vec())), none, "{malformed:?}");
    }
}

/// As Envoy 1.40 logged them (`%TLS_JA3_FINGERPRINT%`, `%TLS_JA4_FINGERPRINT%`).
#[test]
fn fingerprints() {
    let hello = Hello {
        suites: vec![0x1a, 0x1a, 0x13, 0x01, 0xc0, 0x2f],
        ..Hello::with(&[
            (0x2a2a, vec![]),
            sni(b"a.b"),
            alpn(&[b"h2", b"http/1.1"]),
            (10, vec![0, 4, 0x3a, 0x3a, 0, 0x1d]),
            (11, vec![1, 0]),
            (13, vec![0, 4, 4, 3, 8, 4]),
            versions(&[0x4a4a, 0x0304, 0x0303]),
        ])
    };
    let body = hello.body();
    let hello = ClientHello::parse(&body).unwrap();
    assert_eq!(hello.ja3(), "a3d02e4785bd43ef80ee543a1dad5752");
    assert_eq!(hello.ja4(), "t13d0206h2_c1929292aa6b_fb71836bce29");
}

/// The JA4 documents' example of bytes that are no letters: 0xab 0xcd gives `ad`.
#[test]
fn ja4_of_odd_protocols() {
    for (protocol, want) in [
        (&b"h2"[..], "h2"),
        (b"x", "xx"),
        (b"\xab\xcd", "ad"),
        (b"h\xcd", "6d"),
        (b"", "00"),
    ] {
        let body = Hello::with(&[alpn(&[protocol])]).body();
        let ja4 = ClientHello::parse(&body).unwrap().ja4();
        assert_eq!(&ja4[8..10], want);
    }
    let body = Hello::default().body();
    let ja4 = ClientHello::parse(&body).unwrap().ja4();
    assert_eq!(&ja4[..11], "t12i020000_");
    assert!(ja4.ends_with("_000000000000"));
}

proptest! {
    /// Fed in pieces, the finder says the same, and never sooner than it could.
    #[test]
    fn cuts_do_not_matter(
        name in proptest::collection::vec(any::<u8>(), 0..40),
        size in 1_usize..60,
        change in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut bytes = Hello::with(&[sni(&name), alpn(&[b"h2"])]).records(size);
        if let Some((at, byte)) = change {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = verdict(&bytes);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let mut finder = Finder::default();
        for cut in cuts {
            if finder.look(&bytes[..cut], DEFAULT_BYTES) != Found::NeedMore {
                // Decided early: as for the whole.
                prop_assert_eq!(verdict(&bytes[..cut]), whole);
                return Ok(());
            }
        }
        let found = finder.look(&bytes, DEFAULT_BYTES);
        prop_assert_eq!(found, Finder::default().look(&bytes, DEFAULT_BYTES));
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let records = records(&message(1, &bytes), 16384);
        verdict(&bytes);
        verdict(&records);
        if let Ok(hello) = ClientHello::parse(&bytes) {
            prop_assert_eq!(hello.ja3().len(), 32);
            prop_assert!(hello.ja4().len() >= 36);
        }
    }
}
