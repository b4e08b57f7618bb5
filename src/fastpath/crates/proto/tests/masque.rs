//! Capsules and targets of UDP in HTTP; what is asserted is what Envoy 1.40 did with these bytes,
//! but for targets that are no host or no port, which it takes.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used
)] // a test may panic

use proptest::prelude::*;
use proto::masque::{CapsuleError, CapsuleReader, MAX_UDP_PAYLOAD, udp_authority, write_datagram};

type Read = (Vec<Vec<u8>>, Result<(), CapsuleError>);

/// All datagrams of a stream that comes in these parts and then ends.
fn read<'b>(parts: impl IntoIterator<Item = &'b [u8]>) -> Read {
    let (mut reader, mut found) = (CapsuleReader::default(), Vec::new());
    for part in parts {
        let mut rest = part;
        loop {
            match reader.next(rest) {
                Ok((n, payload)) => {
                    found.extend(payload.map(<[u8]>::to_vec));
                    assert!(payload.is_some() || n == rest.len());
                    if payload.is_none() {
                        break;
                    }
                    rest = &rest[n..];
                }
                Err(error) => return (found, Err(error)),
            }
        }
    }
    (found, reader.finish())
}

fn datagram(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_datagram(&mut out, payload);
    out
}

/// A capsule of this type whose value has this length.
fn capsule(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = 0x8000_0000 | u32::try_from(value.len()).unwrap();
    [&[kind][..], &length.to_be_bytes(), value].concat()
}

#[test]
fn datagrams_in_capsules() {
    assert_eq!(datagram(b"hello"), b"\x00\x06\x00hello");
    assert_eq!(datagram(&[7; 1500])[..4], [0, 0x45, 0xdd, 0]);
    let ok = |all: &[&[u8]]| (all.iter().map(|d| d.to_vec()).collect(), Ok(()));
    for (bytes, want) in [
        (&b""[..], ok(&[])),
        (b"\x00\x06\x00hello", ok(&[b"hello"])),
        (b"\x00\x01\x00\x00\x03\x00ok", ok(&[b"", b"ok"])),
        // Longer forms of the same numbers.
        (b"\x40\x00\x80\x00\x00\x04\x40\x00ok", ok(&[b"ok"])),
        // Another context, another type, one that no document knows.
        (b"\x00\x02\x01x\x00\x02\x00z", ok(&[b"z"])),
        (b"\x05\x02\x00y\x00\x02\x00z", ok(&[b"z"])),
        (b"\x05\x00\x00\x02\x00z", ok(&[b"z"])),
        (
            b"\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x02\x00z",
            ok(&[b"z"]),
        ),
        (b"\x00\x00", (vec![], Err(CapsuleError::Context))),
        (b"\x00\x01\x40", (vec![], Err(CapsuleError::Context))),
        (b"\x00", (vec![], Err(CapsuleError::Truncated))),
        (b"\x00\x05\x00a", (vec![], Err(CapsuleError::Truncated))),
        (b"\x05\x05\x00a", (vec![], Err(CapsuleError::Truncated))),
    ] {
        assert_eq!(read([bytes]), want, "{bytes:?}");
        assert_eq!(read(bytes.chunks(1)), want, "{bytes:?} byte by byte");
        for cut in 0..bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(read([a, b]), want, "{bytes:?} cut at {cut}");
        }
    }
}

#[test]
fn capsules_that_are_too_long() {
    let whole = [0xaa; MAX_UDP_PAYLOAD];
    let none: &[&[u8]] = &[];
    for (capsule, want) in [
        (datagram(&whole), &[&whole[..]][..]),
        // No datagram can carry it, whatever its context is.
        (capsule(0, &[0; MAX_UDP_PAYLOAD + 9]), none),
        (capsule(9, &[0; 1024 * 1024 - 5]), none),
    ] {
        let stream = [&capsule[..], b"\x00\x02\x00z"].concat();
        let want: Vec<&[u8]> = want.iter().copied().chain([&b"z"[..]]).collect();
        for parts in [stream.len(), 1000] {
            let (found, end) = read(stream.chunks(parts));
            assert_eq!((found.len(), end), (want.len(), Ok(())));
            assert!(found.iter().zip(&want).all(|(a, b)| a == b));
        }
    }
    for kind in [0, 9] {
        let longer = capsule(kind, &[0; 1024 * 1024 - 4]);
        assert_eq!(read([&longer[..5]]), (vec![], Err(CapsuleError::TooLong)));
    }
}

/// What nobody wants is not held, and a datagram is given back.
#[test]
fn memory_is_bounded() {
    let mut reader = CapsuleReader::default();
    let skipped = capsule(9, &[0; 1024 * 1024 - 5]);
    for part in skipped.chunks(1024) {
        assert_eq!(reader.next(part), Ok((part.len(), None)));
    }
    assert_eq!(reader.next(b"\x00\x02\x00z"), Ok((4, Some(&b"z"[..]))));
    assert_eq!(reader.finish(), Ok(()));
}

#[test]
fn authorities_of_paths() {
    for (path, want) in [
        ("target.test/53/", "target.test:53"),
        ("192.0.2.1/443/", "192.0.2.1:443"),
        ("2001%3Adb8%3a%3A1/53/", "[2001:db8::1]:53"),
        ("2001:db8::1/53/", "[2001:db8::1]:53"),
        ("a/%35%33/", "a:53"),
        ("*/53/", "*:53"),
        ("A/53/", "A:53"),
    ] {
        let path = format!("/.well-known/masque/udp/{path}");
        let found = udp_authority(path.as_bytes());
        assert_eq!(found.as_deref(), Some(want.as_bytes()), "{path}");
    }
    for path in [
        "/",
        "/masque/udp/a/53/",
        "/.well-known/masque/udp/",
        "/.well-known/masque/udp//53/",
        "/.well-known/masque/udp/a//",
        "/.well-known/masque/udp/a/53",
        "/.well-known/masque/udp/a/53/x",
        "/.well-known/masque/udp/a/53/?x=y",
        "/.well-known/masque/udp/a/b/53/",
        "/.well-known/masque/udp/../../a/53/",
        // A zone, and what is encoded twice or not at all.
        "/.well-known/masque/udp/fe80::a%25ee1/80/",
        "/.well-known/masque/udp/fe80%253A%253A1/53/",
        "/.well-known/masque/udp/a%zz/53/",
        "/.well-known/masque/udp/a%2/53/",
        // Envoy takes these.
        "/.well-known/masque/udp/a%2Fb/53/",
        "/.well-known/masque/udp/a%00b/53/",
        "/.well-known/masque/udp/a%20b/53/",
        "/.well-known/masque/udp/a?/53/",
        "/.well-known/masque/udp/a:1/53/",
        "/.well-known/masque/udp/[::1]/53/",
        "/.well-known/masque/udp/u@a/53/",
        "/.well-known/masque/udp/a/http/",
        "/.well-known/masque/udp/a/0/",
        "/.well-known/masque/udp/a/99999/",
        "/.well-known/masque/udp/a/+53/",
    ] {
        assert_eq!(udp_authority(path.as_bytes()), None, "{path}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        cut in 1_usize..50,
    ) {
        let mut stream = Vec::new();
        for payload in &payloads {
            write_datagram(&mut stream, payload);
        }
        prop_assert_eq!(read(stream.chunks(cut)), (payloads, Ok(())));
    }

    #[test]
    fn cuts_change_nothing(stream in prop::collection::vec(any::<u8>(), 0..300), cut in 1_usize..50) {
        prop_assert_eq!(read(stream.chunks(cut)), read([&stream[..]]));
    }
}
