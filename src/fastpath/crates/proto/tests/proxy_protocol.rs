//! PROXY protocol; what is asserted is what Envoy 1.40 did with these bytes, but for the families
//! that it refuses and the sum that it does not look at.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)] // a test may panic

use std::net::SocketAddr;

use proptest::prelude::*;
use proto::proxy_protocol::{
    Addresses, Header, Invalid, MAX_V2, Parsed, Signature, Skipped, Tlv, V2_SIGNATURE, Version,
    parse, signature, write_v1, write_v2, write_v2_local,
};

const IP4: &[u8] = &[1, 1, 1, 1, 10, 0, 0, 1, 0, 5, 0, 6];

#[track_caller]
fn header(bytes: &[u8]) -> Header<'_> {
    match parse(bytes) {
        Parsed::Header(header) => header,
        other => panic!("{other:?}"),
    }
}

fn ip(source: &str, destination: &str) -> Addresses<'static> {
    Addresses::Ip {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
    }
}

fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16).to_be_bytes();
    [V2_SIGNATURE, &[version_command, family], &length, body].concat()
}

#[test]
fn v1_lines() {
    let four = ip("1.1.1.1:5", "10.0.0.1:6");
    for (line, want) in [
        ("PROXY TCP4 1.1.1.1 10.0.0.1 5 6\r\n", four),
        ("PROXY TCP4 1.1.1.1 10.0.0.1 5 6 \r\n", four),
        ("PROXY TCP4 1.1.1.1 10.0.0.1 5 6\t\r\n", four),
        ("PROXY TCP4 1.1.1.1 10.0.0.1 5 +6\r\n", four),
        ("PROXY TCP4 1.1.1.1 10.0.0.1 5 06\r\n", four),
        ("PROXY TCP6 ::1 ::2 5 6\r\n", ip("[::1]:5", "[::2]:6")),
        ("PROXY UNKNOWN\r\n", Addresses::Local),
        ("PROXY UNKNOWN ffff::1 x y z w\r\n", Addresses::Local),
    ] {
        let bytes = [line.as_bytes(), b"X"].concat();
        let header = header(&bytes);
        assert_eq!(header.addresses, want, "{line}");
        assert_eq!(header.consumed, line.len());
        assert_eq!(header.version, Version::V1);
    }
    for line in [
        "PROXY TCP4 1.1.1.1 10.0.0.1 5 6\nX\r\n",
        "PROXY TCP4  1.1.1.1 10.0.0.1 5 6\r\n",
        "PROXY TCP4 1.1.1.1 10.0.0.1 5 6 7\r\n",
        "PROXY TCP4 1.1.1.1 10.0.0.1 5\r\n",
        "PROXY TCP4 1.1.1.1 10.0.0.1 5 65536\r\n",
        "PROXY TCP4 1.1.1.1 10.0.0.1 5 -6\r\n",
        "PROXY TCP4 ::1 10.0.0.1 5 6\r\n",
        "PROXY TCP6 1.1.1.1 ::1 5 6\r\n",
        "PROXY TCP4 1.1.1.01 10.0.0.1 5 6\r\n",
        "PROXY UDP4 1.1.1.1 10.0.0.1 5 6\r\n",
        "PROXY \r\n",
    ] {
        let invalid = Parsed::Invalid(Version::V1, Invalid::Line);
        assert_eq!(parse(line.as_bytes()), invalid, "{line}");
    }
}

#[test]
fn v1_lengths() {
    let line = |length: usize| format!("PROXY UNKNOWN {:x<1$}\r\n", "", length - 16).into_bytes();
    assert_eq!(header(&line(107)).consumed, 107);
    assert_eq!(header(&line(108)).consumed, 108);
    let too_long = Parsed::Invalid(Version::V1, Invalid::TooLong);
    assert_eq!(parse(&line(109)), too_long);
    assert_eq!(parse(&line(109)[..107]), Parsed::NeedMore);
    assert_eq!(parse(&line(109)[..108]), too_long);
}

#[test]
fn no_header() {
    for bytes in [
        &b"GET /"[..],
        b"proxy TCP4",
        b"PROXY\r\n",
        b"\r\n\r\n\r",
        b"\x16",
    ] {
        assert_eq!(parse(bytes), Parsed::Absent);
    }
    for bytes in [&b""[..], b"P", b"PROXY", b"\r", &V2_SIGNATURE[..11]] {
        assert_eq!(parse(bytes), Parsed::NeedMore);
    }
}

#[test]
fn signatures() {
    for (bytes, want) in [
        (&b""[..], Signature::NeedMore),
        (b"PROXY", Signature::NeedMore),
        (b"PROXY ", Signature::Of(Version::V1)),
        (b"PROXY x", Signature::Of(Version::V1)),
        (b"PROXYx", Signature::Absent),
        (b"\r\n\r\n\0", Signature::NeedMore),
        (V2_SIGNATURE, Signature::Of(Version::V2)),
        (b"\r\n\r\n\0\r\nQUIT\r", Signature::Absent),
    ] {
        assert_eq!(signature(bytes), want, "{}", bytes.escape_ascii());
    }
}

#[test]
fn v2_addresses() {
    let four = ip("1.1.1.1:5", "10.0.0.1:6");
    let six = [&[0; 15][..], &[1], &[0; 15], &[2], &[0, 5, 0, 6]].concat();
    let mut unix = [0; 216];
    unix[..2].copy_from_slice(b"/a");
    unix[108..].copy_from_slice(&[b'b'; 108]);
    let paths = Addresses::Unix {
        source: b"/a",
        destination: &[b'b'; 108],
    };
    for (bytes, want) in [
        (v2(0x21, 0x11, IP4), four),
        (v2(0x21, 0x12, IP4), four),
        (v2(0x21, 0x21, &six), ip("[::1]:5", "[::2]:6")),
        (v2(0x21, 0x31, &unix), paths),
        (v2(0x21, 0x00, IP4), Addresses::Unspecified),
        (v2(0x21, 0x10, IP4), Addresses::Unspecified),
        (v2(0x20, 0x00, b""), Addresses::Local),
        (v2(0x20, 0xff, b"\x04\0\xff"), Addresses::Local),
    ] {
        let header = header(&bytes);
        assert_eq!(header.addresses, want);
        assert_eq!(header.consumed, bytes.len());
        assert_eq!(header.tlvs.iter().count(), 0);
    }
}

#[test]
fn v2_that_breaks_the_rules() {
    let tlvs = |tlvs: &[u8]| v2(0x21, 0x11, &[IP4, tlvs].concat());
    for (bytes, why) in [
        (v2(0x11, 0x11, IP4), Invalid::Version),
        (v2(0x22, 0x11, IP4), Invalid::Command),
        (v2(0x21, 0x13, IP4), Invalid::Family),
        (v2(0x21, 0x41, IP4), Invalid::Family),
        (v2(0x21, 0x11, &IP4[1..]), Invalid::Length),
        (v2(0x21, 0x21, &[0; 35]), Invalid::Length),
        (v2(0x21, 0x31, &[0; 215]), Invalid::Length),
        (tlvs(b"\x04"), Invalid::Tlv),
        (tlvs(b"\x04\0"), Invalid::Tlv),
        (tlvs(b"\x04\0\x05a"), Invalid::Tlv),
        (tlvs(b"\x04\0\x01a\xff\xff\xff"), Invalid::Tlv),
        (tlvs(b"\x03\0\x04abcd"), Invalid::Checksum),
        (tlvs(b"\x03\0\x01a"), Invalid::Checksum),
    ] {
        assert_eq!(parse(&bytes), Parsed::Invalid(Version::V2, why));
    }
    // What is there is judged before the rest is.
    let start = &v2(0x21, 0x41, IP4)[..16];
    assert_eq!(parse(start), Parsed::Invalid(Version::V2, Invalid::Family));
    let start = &v2(0x11, 0x11, IP4)[..13];
    assert_eq!(parse(start), Parsed::Invalid(Version::V2, Invalid::Version));
}

#[test]
fn v2_tlvs() {
    let big = vec![b'x'; 65_535 - 12 - 3 - 4 - 3];
    let list = [
        &b"\x01\0\x01a\x04\0\0\x01"[..],
        &((big.len() as u16).to_be_bytes()),
        &big,
    ];
    let bytes = v2(0x21, 0x11, &[&[IP4][..], &list].concat().concat());
    assert_eq!(bytes.len(), MAX_V2);
    let found: Vec<Tlv<'_>> = header(&bytes).tlvs.iter().collect();
    let tlv = |kind, value| Tlv { kind, value };
    assert_eq!(found, [tlv(1, b"a"), tlv(4, b""), tlv(1, &big)]);
}

/// RFC 3720's polynomial, over the header with zeros for the sum.
#[test]
fn v2_sums() {
    let with = |sum: [u8; 4]| {
        let tlvs = [b"\x04\0\x01a\x03\0\x04", &sum[..], b"\x05\0\x01b"].concat();
        v2(0x21, 0x11, &[IP4, &tlvs].concat())
    };
    let mut crc = u32::MAX;
    for byte in with([0; 4]) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    let good = with((!crc).to_be_bytes());
    assert_eq!(header(&good).tlvs.iter().count(), 3);
    let bad = Parsed::Invalid(Version::V2, Invalid::Checksum);
    assert_eq!(parse(&with(crc.to_be_bytes())), bad);
}

#[test]
fn writing() {
    let address = |text: &str| -> SocketAddr { text.parse().unwrap() };
    let mut out = Vec::new();
    write_v1(address("1.1.1.1:5"), address("10.0.0.1:6"), &mut out);
    assert_eq!(out, b"PROXY TCP4 1.1.1.1 10.0.0.1 5 6\r\n");
    out.clear();
    write_v1(address("1.1.1.1:5"), address("[::2]:6"), &mut out);
    assert_eq!(out, b"PROXY TCP6 ::ffff:1.1.1.1 ::2 5 6\r\n");
    out.clear();
    write_v2_local(&mut out);
    assert_eq!(header(&out).addresses, Addresses::Local);
}

/// CVE-2026-47692: a TLV that the length has no room for must not be on the wire.
#[test]
fn tlvs_without_room_are_left_out() {
    let (source, destination) = ("1.1.1.1:5".parse().unwrap(), "10.0.0.1:6".parse().unwrap());
    let (huge, rest) = (vec![b'x'; 65_535 - 12 - 3], [b'y'; 100]);
    let tlvs = [&huge[..], &rest, b""].map(|value| Tlv { kind: 9, value });
    let mut out = Vec::new();
    assert_eq!(write_v2(source, destination, tlvs, &mut out), Skipped(2));
    assert_eq!(out.len(), MAX_V2);
    assert_eq!(header(&out).tlvs.iter().count(), 1);
    let too_long = vec![0; 65_536];
    let tlv = Tlv {
        kind: 9,
        value: &too_long,
    };
    out.clear();
    assert_eq!(write_v2(source, destination, [tlv], &mut out), Skipped(1));
    assert_eq!(header(&out).consumed, 28);
}

fn some_address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        source in some_address(),
        destination in some_address(),
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..4),
    ) {
        let tlvs: Vec<_> = values.iter().map(|value| Tlv { kind: 0xe0, value }).collect();
        let mut out = Vec::new();
        prop_assert_eq!(write_v2(source, destination, tlvs.iter().copied(), &mut out), Skipped(0));
        let length = out.len();
        out.extend(b"more");
        let header = header(&out);
        prop_assert_eq!(header.consumed, length);
        prop_assert_eq!(header.tlvs.iter().collect::<Vec<_>>(), tlvs);
        if source.is_ipv4() == destination.is_ipv4() {
            prop_assert_eq!(header.addresses, Addresses::Ip { source, destination });
            let mut line = Vec::new();
            write_v1(source, destination, &mut line);
            prop_assert_eq!(parse(&line), Parsed::Header(Header {
                version: Version::V1,
                addresses: Addresses::Ip { source, destination },
                tlvs: Default::default(),
                consumed: line.len(),
            }));
        }
        for cut in 0..length {
            prop_assert_eq!(parse(&out[..cut]), Parsed::NeedMore);
        }
    }

    /// A verdict on a part is the verdict on the whole.
    #[test]
    fn cuts_do_not_matter(
        text in "PROX(Y|y) (TCP4|TCP6|UNKNOWN|X) (1\\.1\\.1\\.1|::1) (2\\.2\\.2\\.2|::2) [0-9]{1,6} 6(\r\n|\n|\r)X",
        tail in proptest::collection::vec(any::<u8>(), 0..60),
        binary in any::<bool>(),
    ) {
        let bytes = if binary { [V2_SIGNATURE, &tail].concat() } else { text.into_bytes() };
        let whole = parse(&bytes);
        for cut in 0..bytes.len() {
            let part = parse(&bytes[..cut]);
            prop_assert!(part == Parsed::NeedMore || part == whole);
        }
    }
}
