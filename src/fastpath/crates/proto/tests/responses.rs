//! Response heads from tables.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used
)] // a test may panic

use proto::Known;
use proto::h1::{BodyLength, HeadError, HeadLimits, HeadReader, Method, ResponseHead, Version};

fn read(raw: &[u8], request: Method) -> (Result<Option<usize>, HeadError>, ResponseHead) {
    let limits = HeadLimits::default();
    let mut head = ResponseHead::new();
    let whole = HeadReader::new().read_response(raw, &limits, request, &mut head);
    for cut in 0..raw.len() {
        let mut split = ResponseHead::new();
        let mut reader = HeadReader::new();
        let outcome = match reader.read_response(&raw[..cut], &limits, request, &mut split) {
            Ok(None) => reader.read_response(raw, &limits, request, &mut split),
            early => early,
        };
        assert_eq!(
            outcome,
            whole,
            "cut at {cut}: {}",
            String::from_utf8_lossy(raw)
        );
        assert_eq!(split.headers, head.headers);
    }
    let mut reader = HeadReader::new();
    let (mut outcome, mut split) = (Ok(None), ResponseHead::new());
    for cut in 0..=raw.len() {
        outcome = reader.read_response(&raw[..cut], &limits, request, &mut split);
        if outcome != Ok(None) {
            break;
        }
    }
    assert_eq!(
        outcome,
        whole,
        "byte by byte: {}",
        String::from_utf8_lossy(raw)
    );
    (whole, head)
}

#[test]
fn takes() {
    use BodyLength::{Chunked, Length, None, UntilClose};
    let cases: &[(&str, Method, u16, BodyLength, bool)] = &[
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            Method::Get,
            200,
            Length(5),
            true,
        ),
        (
            "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
            Method::Get,
            200,
            Length(0),
            true,
        ),
        (
            "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
            Method::Get,
            200,
            Length(0),
            true,
        ),
        (
            "HTTP/1.1 404 Not \u{e9} Found\t!\r\nContent-Length: 0\r\n\r\n",
            Method::Get,
            404,
            Length(0),
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Method::Get,
            200,
            Chunked,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\n",
            Method::Get,
            200,
            UntilClose,
            false,
        ),
        (
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n",
            Method::Get,
            200,
            Length(1),
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
            Method::Get,
            200,
            Length(1),
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n",
            Method::Get,
            200,
            Length(1),
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            Method::Head,
            200,
            None,
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            Method::Head,
            200,
            None,
            true,
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            Method::Get,
            304,
            None,
            true,
        ),
        (
            "HTTP/1.1 204 No Content\r\n\r\n",
            Method::Get,
            204,
            None,
            true,
        ),
        (
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            Method::Get,
            204,
            None,
            true,
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\n",
            Method::Post,
            100,
            None,
            true,
        ),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
            Method::Get,
            103,
            None,
            true,
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            Method::Get,
            101,
            None,
            true,
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", Method::Connect, 200, None, true),
        (
            "HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n",
            Method::Connect,
            407,
            Length(5),
            true,
        ),
        (
            "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
            Method::Get,
            999,
            Length(0),
            true,
        ),
    ];
    for (raw, request, status, body, keep_alive) in cases {
        let (outcome, head) = read(raw.as_bytes(), *request);
        assert_eq!(outcome, Ok(Some(raw.len())), "{raw}");
        assert_eq!(
            (head.status, head.body, head.keep_alive),
            (*status, *body, *keep_alive),
            "{raw}"
        );
        assert_eq!(head.switching, *status == 101);
        assert_eq!(head.tunnel, *request == Method::Connect && *status == 200);
        assert_eq!(head.is_interim(), [100, 103].contains(status));
        if *status == 204 {
            assert!(!head.headers.contains(Known::ContentLength));
        }
    }
    let (_, head) = read(
        b"HTTP/1.0 404 Nope \r\nContent-Length: 0\r\n\r\n",
        Method::Get,
    );
    assert_eq!(
        (head.version, head.reason()),
        (Version::Http10, &b"Nope"[..])
    );
}

#[test]
fn refuses() {
    use HeadError as E;
    let cases: &[(&str, HeadError)] = &[
        ("HTTP/1.1 20 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1 2000 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1 +20 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1 2x0 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1  200 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1 200OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1\t200 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1\r\n\r\n", E::StatusLine),
        ("HTTP/2.0 200 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.2 200 OK\r\n\r\n", E::StatusLine),
        ("http/1.1 200 OK\r\n\r\n", E::StatusLine),
        ("ICY 200 OK\r\n\r\n", E::StatusLine),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", E::StatusLine),
        (" HTTP/1.1 200 OK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1 200 O\0K\r\n\r\n", E::StatusLine),
        ("HTTP/1.1 200 O\rK\r\n\r\n", E::StatusLine),
        ("HTTP/1.1 200 OK\n\r\n", E::BareLf),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            E::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            E::ContentLength,
        ),
        (
            "HTTP/1.1 304 OK\r\nContent-Length: x\r\n\r\n",
            E::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            E::LengthAndTransferEncoding,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            E::TransferEncoding,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
            E::TransferEncoding,
        ),
        (
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            E::TransferEncodingNotAllowed,
        ),
        (
            "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            E::TransferEncodingNotAllowed,
        ),
        (
            "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n",
            E::ContentLengthNotAllowed,
        ),
        (
            "HTTP/1.1 100 Go\r\nContent-Length: 5\r\n\r\n",
            E::ContentLengthNotAllowed,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent_Length: 5\r\n\r\n",
            E::FramingLookalike,
        ),
        ("HTTP/1.1 200 OK\r\nX : 5\r\n\r\n", E::SpaceBeforeColon),
        ("HTTP/1.1 200 OK\r\nX: 5\r\n y\r\n\r\n", E::ObsFold),
        ("HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", E::FieldValue),
        ("HTTP/1.1 200 OK\r\nX\r\n\r\n", E::FieldName),
    ];
    for (raw, error) in cases {
        assert_eq!(read(raw.as_bytes(), Method::Get).0, Err(*error), "{raw}");
    }
}
