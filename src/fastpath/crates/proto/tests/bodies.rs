//! Bodies from tables: what must be refused, what must be taken, at every split point.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used
)] // a test may panic

use proto::HeaderMap;
use proto::h1::{BodyDecoder, BodyError, BodyEvent, BodyLength, BodyLimits, HeadError};

/// Data, trailers and what was left over.
type Decoded = Result<(Vec<u8>, HeaderMap, usize), BodyError>;

/// Feeds the bytes up to each cut, keeping what was not consumed, as a connection does.
fn decode(length: BodyLength, raw: &[u8], cuts: &[usize], limits: &BodyLimits) -> Decoded {
    let mut decoder = BodyDecoder::new(length);
    let (mut data, mut trailers, mut done, mut announced) =
        (Vec::new(), HeaderMap::new(), 0, false);
    for cut in cuts.iter().copied().chain([raw.len()]) {
        loop {
            let buf = &raw[done..cut];
            let (consumed, event) = decoder.next(buf, Some(&mut trailers), limits)?;
            assert!(consumed <= buf.len());
            done += consumed;
            match event {
                BodyEvent::Data { start, len } => {
                    assert!(len > 0 && start + len <= consumed);
                    data.extend_from_slice(&buf[start..start + len]);
                }
                BodyEvent::Trailers => {
                    assert!(!announced && decoder.is_done());
                    announced = true;
                }
                BodyEvent::End => {
                    assert!(decoder.is_done());
                    assert_eq!(announced, !trailers.is_empty());
                    return Ok((data, trailers, raw.len() - done));
                }
                BodyEvent::NeedMore => {
                    assert!(!decoder.is_done());
                    break;
                }
            }
        }
    }
    assert_eq!(
        decoder.eof(),
        if length == BodyLength::UntilClose {
            Ok(())
        } else {
            Err(BodyError::Truncated)
        }
    );
    if length == BodyLength::UntilClose {
        Ok((data, trailers, 0))
    } else {
        Err(BodyError::Truncated)
    }
}

fn at_every_split(length: BodyLength, raw: &[u8]) -> Decoded {
    let limits = BodyLimits::default();
    let whole = decode(length, raw, &[], &limits);
    let left = |d: &Decoded| {
        d.as_ref()
            .map(|(data, trailers, _)| (data.clone(), trailers.clone()))
            .map_err(|e| *e)
    };
    for cut in 0..raw.len() {
        let split = decode(length, raw, &[cut], &limits);
        assert_eq!(
            left(&split),
            left(&whole),
            "cut at {cut}: {}",
            String::from_utf8_lossy(raw)
        );
    }
    let cuts: Vec<usize> = (0..raw.len()).collect();
    assert_eq!(left(&decode(length, raw, &cuts, &limits)), left(&whole));
    whole
}

#[test]
fn chunked_is_taken() {
    let cases: &[(&str, &str, &str)] = &[
        ("0\r\n\r\n", "", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
        (
            "5\r\nhello\r\n1\r\n \r\n6\r\nworld!\r\n0\r\n\r\n",
            "hello world!",
            "",
        ),
        (
            "A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n",
            "01234567890123456789",
            "",
        ),
        ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello", ""),
        ("5;a\r\nhello\r\n0;b\r\n\r\n", "hello", ""),
        (
            "5;a=b;c=\"d;\\\" \t\u{e9}\"\r\nhello\r\n0;x=y\r\n\r\n",
            "hello",
            "",
        ),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""),
        (
            "1\r\na\r\n0\r\nX-Sum: 1\r\nGrpc-Status: 0\r\n\r\n",
            "a",
            "x-sum: 1\r\ngrpc-status: 0\r\n",
        ),
        // Dropped: what must not come after the body
        (
            "0\r\nConnection: close\r\nTrailer: x\r\nAuthorization: x\r\nX-Forwarded-For: x\r\n\r\n",
            "",
            "",
        ),
        ("0\r\nCookie: a\r\nA: b\r\nTE: x\r\n\r\n", "", "a: b\r\n"),
    ];
    for (raw, data, trailers) in cases {
        let (got, map, left) = at_every_split(BodyLength::Chunked, raw.as_bytes()).unwrap();
        let mut text = Vec::new();
        map.write_to(&mut text);
        assert_eq!(
            (got.as_slice(), text.as_slice(), left),
            (data.as_bytes(), trailers.as_bytes(), 0),
            "{raw}"
        );
        let next = format!("{raw}GET / HTTP/1.1\r\n");
        assert_eq!(
            at_every_split(BodyLength::Chunked, next.as_bytes())
                .unwrap()
                .2,
            16,
            "{raw}"
        );
    }
}

#[test]
fn chunked_is_refused() {
    use BodyError as E;
    let cases: &[(&str, BodyError)] = &[
        ("\r\n", E::ChunkSize),
        ("x\r\n", E::ChunkSize),
        ("0x5\r\nhello\r\n", E::ChunkSize),
        ("-5\r\nhello\r\n", E::ChunkSize),
        ("+5\r\nhello\r\n", E::ChunkSize),
        (" 5\r\nhello\r\n", E::ChunkSize),
        ("5 \r\nhello\r\n", E::ChunkSize),
        ("5\t\r\nhello\r\n", E::ChunkSize),
        ("5 ;a\r\nhello\r\n", E::ChunkSize),
        ("5_0\r\nhello\r\n", E::ChunkSize),
        ("5,5\r\nhello\r\n", E::ChunkSize),
        ("5.\r\nhello\r\n", E::ChunkSize),
        ("5\0\r\nhello\r\n", E::ChunkSize),
        ("5g\r\nhello\r\n", E::ChunkSize),
        ("\u{ff15}\r\nhello\r\n", E::ChunkSize),
        (";a\r\nhello\r\n", E::ChunkSize),
        ("5\nhello\r\n0\r\n\r\n", E::ChunkSize),
        ("5\r\rhello\r\n", E::ChunkSize),
        ("5\rhello\r\n", E::ChunkSize),
        ("00000000000000005\r\nhello\r\n", E::ChunkTooLarge),
        ("10000000000000000\r\n", E::ChunkTooLarge),
        ("fffffffffffffffff\r\n", E::ChunkTooLarge),
        ("5;\r\nhello\r\n", E::ChunkExtension),
        ("5;a=\r\nhello\r\n", E::ChunkExtension),
        ("5;=b\r\nhello\r\n", E::ChunkExtension),
        ("5; a\r\nhello\r\n", E::ChunkExtension),
        ("5;a =b\r\nhello\r\n", E::ChunkExtension),
        ("5;a\nhello\r\n", E::ChunkExtension),
        ("5;a=\"b\r\nhello\r\n", E::ChunkExtension),
        ("5;a=\"b\nc\"\r\nhello\r\n", E::ChunkExtension),
        ("5;a=\"b\"c\r\nhello\r\n", E::ChunkExtension),
        ("5;a=b\"\r\nhello\r\n", E::ChunkExtension),
        ("5;a\0\r\nhello\r\n", E::ChunkExtension),
        ("5;a\rX\r\nhello\r\n", E::ChunkSize),
        ("5\r\nhelloX\r\n0\r\n\r\n", E::ChunkEnd),
        ("5\r\nhello\n0\r\n\r\n", E::ChunkEnd),
        ("5\r\nhello\rX0\r\n\r\n", E::ChunkEnd),
        ("5\r\nhello0\r\n\r\n", E::ChunkEnd),
        ("4\r\nhello\r\n0\r\n\r\n", E::ChunkEnd),
        (
            "0\r\nX : a\r\n\r\n",
            E::Trailer(HeadError::SpaceBeforeColon),
        ),
        ("0\r\n: a\r\n\r\n", E::Trailer(HeadError::EmptyFieldName)),
        ("0\r\nX\r\n\r\n", E::Trailer(HeadError::FieldName)),
        ("0\r\nX: a\r\n b\r\n\r\n", E::Trailer(HeadError::ObsFold)),
        ("0\r\nX: a\n\r\n", E::Trailer(HeadError::BareLf)),
        ("0\r\nX: a\rb\r\n\r\n", E::Trailer(HeadError::BareCr)),
        ("0\r\nX: \0\r\n\r\n", E::Trailer(HeadError::FieldValue)),
        ("0\r\n\n", E::Trailer(HeadError::BareLf)),
        (
            "0\r\nGET / HTTP/1.1\r\n\r\n",
            E::Trailer(HeadError::SpaceBeforeColon),
        ),
        ("0\r\nContent-Length: 5\r\n\r\n", E::ForbiddenTrailer),
        (
            "0\r\nTransfer-Encoding: chunked\r\n\r\n",
            E::ForbiddenTrailer,
        ),
        ("0\r\nHost: a\r\n\r\n", E::ForbiddenTrailer),
        (
            "0\r\ntransfer_encoding: chunked\r\n\r\n",
            E::ForbiddenTrailer,
        ),
        // Not complete
        ("", E::Truncated),
        ("5", E::Truncated),
        ("5\r\nhell", E::Truncated),
        ("5\r\nhello\r\n", E::Truncated),
        ("0\r\n", E::Truncated),
        ("0\r\nX: a\r\n", E::Truncated),
        ("ffffffffffffffff\r\nhello", E::Truncated),
    ];
    for (raw, error) in cases {
        assert_eq!(
            at_every_split(BodyLength::Chunked, raw.as_bytes()),
            Err(*error),
            "{raw}"
        );
        assert!(
            !error.to_string().is_empty()
                && error.status() == 400
                && error.details().starts_with("http1.")
        );
    }
}

#[test]
fn by_length_and_until_close() {
    assert_eq!(
        at_every_split(BodyLength::None, b"next"),
        Ok((vec![], HeaderMap::new(), 4))
    );
    assert_eq!(
        at_every_split(BodyLength::Length(0), b"next"),
        Ok((vec![], HeaderMap::new(), 4))
    );
    assert_eq!(
        at_every_split(BodyLength::Length(3), b"abcnext"),
        Ok((b"abc".to_vec(), HeaderMap::new(), 4))
    );
    assert_eq!(
        at_every_split(BodyLength::Length(9), b"abc"),
        Err(BodyError::Truncated)
    );
    assert_eq!(
        at_every_split(BodyLength::UntilClose, b"abc"),
        Ok((b"abc".to_vec(), HeaderMap::new(), 0))
    );
    let mut decoder = BodyDecoder::new(BodyLength::Length(u64::MAX));
    assert_eq!(decoder.remaining(), Some(u64::MAX));
    let limits = BodyLimits::default();
    assert_eq!(
        decoder.next(b"abc", None, &limits),
        Ok((3, BodyEvent::Data { start: 0, len: 3 }))
    );
    assert_eq!(decoder.remaining(), Some(u64::MAX - 3));
    let mut decoder = BodyDecoder::new(BodyLength::Length(3));
    assert_eq!(
        decoder.next(b"abcd", None, &limits),
        Ok((3, BodyEvent::Data { start: 0, len: 3 }))
    );
    assert!(decoder.is_done());
    assert_eq!(BodyDecoder::new(BodyLength::Chunked).remaining(), None);
}

/// Go's CVE-2023-39326: the framing must not cost more than the data.
#[test]
fn bounds() {
    let tight = BodyLimits {
        max_chunk_line: 10,
        max_chunk_extensions: 25,
        max_trailer_bytes: 20,
        max_trailers: 2,
    };
    let run = |raw: &str| {
        let whole = decode(BodyLength::Chunked, raw.as_bytes(), &[], &tight);
        let cuts: Vec<usize> = (0..raw.len()).collect();
        assert_eq!(
            decode(BodyLength::Chunked, raw.as_bytes(), &cuts, &tight),
            whole,
            "{raw}"
        );
        whole.map(|(data, _, _)| data.len())
    };
    assert_eq!(run("1;aaaaaaa\r\nx\r\n0\r\n\r\n"), Ok(1));
    assert_eq!(
        run("1;aaaaaaaaaaaaaa\r\nx\r\n0\r\n\r\n"),
        Err(BodyError::ChunkLineTooLong)
    );
    let chunk = "1;aaaaa\r\nx\r\n";
    assert_eq!(run(&format!("{}0\r\n\r\n", chunk.repeat(4))), Ok(4));
    assert_eq!(
        run(&format!("{}0\r\n\r\n", chunk.repeat(5))),
        Err(BodyError::ChunkLineTooLong)
    );
    assert_eq!(run("0\r\na: 1\r\nb: 2\r\n\r\n"), Ok(0));
    assert_eq!(
        run("0\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n"),
        Err(BodyError::TooManyTrailers)
    );
    assert_eq!(
        run("0\r\na: 123456789012345678\r\n\r\n"),
        Err(BodyError::TrailersTooLarge)
    );
    assert_eq!(
        run(&format!("0\r\n{}", "a".repeat(30))),
        Err(BodyError::TrailersTooLarge)
    );
    assert_eq!(BodyError::TrailersTooLarge.status(), 431);
}

#[test]
fn trailers_may_be_left_out() {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked);
    let raw = b"0\r\nX: 1\r\n\r\nnext";
    assert_eq!(
        decoder.next(raw, None, &BodyLimits::default()),
        Ok((11, BodyEvent::End))
    );
    assert_eq!(
        decoder.next(&raw[11..], None, &BodyLimits::default()),
        Ok((0, BodyEvent::End))
    );
}
