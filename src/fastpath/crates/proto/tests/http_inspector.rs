//! The HTTP inspector; what is asserted is what Envoy 1.40's did with these bytes.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    clippy::panic
)] // a test may panic

use proptest::prelude::*;
use proto::http_inspector::{Found, Inspector, MAX_BYTES};

fn look(bytes: &[u8]) -> Found {
    Inspector::default().look(bytes)
}

#[test]
fn first_lines() {
    for (line, want) in [
        (&b"GET / HTTP/1.1\r\n"[..], Found::Http11),
        (b"GET / HTTP/1.1\n", Found::Http11),
        (b"FOO / HTTP/1.1\r\n", Found::Http11),
        (b"get / HTTP/1.1\r\n", Found::Http11),
        (b"GET  / HTTP/1.1\r\n", Found::Http11),
        (b"GET / HTTP/1.1 \r\n", Found::Http11),
        (b"GET / HTTP/1.1\t\r\n", Found::Http11),
        (b"GET / HTTP/1.1\r\r\n", Found::Http11),
        (b"GET / HTTP/1.1\x0b\r\n", Found::Http11),
        (b"GET\t/\tHTTP/1.1\r\n", Found::Http11),
        (b"GET\x0b/ HTTP/1.1\r\n", Found::Http11),
        (b"GET /\x00 HTTP/1.1\r\n", Found::Http11),
        (b"GET /\x01 HTTP/1.1\r\n", Found::Http11),
        (b"PRI * HTTP/1.1\r\n\r\n", Found::Http11),
        (b"GET / HTTP/1.0\r\n", Found::Http10),
        (b"GET / HTTP/0.9\r\n", Found::Http10),
        (b"GET / HTTP/1.2\r\n", Found::Http10),
        (b"GET / HTTP/2.0\r\n", Found::Http10),
        (b"GET / HTTP/3.1\r\n", Found::Http10),
        (b"GET /\r\n", Found::Http10),
        (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", Found::Http10),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Found::H2c),
        (b"GET\r\n", Found::None),
        (b"GET \r\n", Found::None),
        (b"X\n", Found::None),
        (b"A \n", Found::None),
        (b"GET / \x01\r\n", Found::None),
        (b"GET / / HTTP/1.1\r\n", Found::None),
        (b"GET / HTTP/1.1 x\r\n", Found::None),
        (b"GET x y z HTTP/1.1\r\n", Found::None),
        (b"GET HTTP/1.1\r\n", Found::Http10),
        (b"GET /\rx HTTP/1.1\r\n", Found::None),
        (b"GE\0T / HTTP/1.1\r\n", Found::None),
        (b"G@T / HTTP/1.1\r\n", Found::None),
        (b"GET /\x7f HTTP/1.1\r\n", Found::None),
        (b"GET /\xc3\xa9 HTTP/1.1\r\n", Found::None),
        (b"GET / http/1.1\r\n", Found::None),
        (b"GET / FOO/1.1\r\n", Found::None),
        (b"GET / HTTP/11\r\n", Found::None),
        (b"GET / HTTP/1\r\n", Found::None),
        (b"GET / HTTP/a.1\r\n", Found::None),
        (b"GET / HTTP/1.12\r\n", Found::None),
        (b"GET / HTTP/1.1x\r\n", Found::None),
        (b"GET * FOO\n", Found::None),
    ] {
        assert_eq!(look(line), want, "{}", line.escape_ascii());
    }
}

#[test]
fn before_the_end_of_the_line() {
    for (start, want) in [
        (&b""[..], Found::NeedMore),
        (b"G", Found::NeedMore),
        (b"GET / HT", Found::NeedMore),
        (b"GET /\xff", Found::NeedMore),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n", Found::NeedMore),
        (b"G@T", Found::None),
        (b"\x16\x03\x01", Found::None),
        (b"\x80abc", Found::None),
        (b" GET", Found::None),
        (b"\r\nGET", Found::None),
    ] {
        assert_eq!(look(start), want, "{}", start.escape_ascii());
    }
}

#[test]
fn long_lines() {
    let line = |length: usize| [b"GET /", &vec![b'x'; length][..]].concat();
    let ended = [&line(60_000)[..], b" HTTP/1.1\r\n"].concat();
    assert_eq!(look(&ended), Found::Http11);
    assert_eq!(look(&line(60_000)), Found::NeedMore);
    assert_eq!(look(&line(MAX_BYTES)), Found::TooLong);
    let ended = [&line(MAX_BYTES)[..], b" HTTP/1.1\r\n"].concat();
    assert_eq!(look(&ended), Found::TooLong);
}

proptest! {
    #[test]
    fn cuts_do_not_matter(
        line in "(GET|G@T|PRI|P|)[ \t\r\x01]?(/|\\*|/x y|\u{e9})[ ]?(HTTP/[0-3]\\.[019]|h|)(\r\n|\n|\r|)(\r\nSM\r\n\r\n)?",
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let bytes = line.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut inspector = Inspector::default();
        for cut in cuts {
            let found = inspector.look(&bytes[..cut]);
            if found != Found::NeedMore {
                prop_assert_eq!(found, look(bytes));
                return Ok(());
            }
        }
        prop_assert_eq!(inspector.look(bytes), look(bytes));
    }
}
