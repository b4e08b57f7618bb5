//! What the writers emit: exact bytes, and that it reads back the same.
#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used
)] // a test may panic

use proto::h1::{
    BodyLength, CRLF, HeadLimits, HeadReader, LAST_CHUNK, Method, RequestHead, RequestPolicy,
    ResponseHead, ResponseOptions, Version, reason_phrase, write_chunk_size, write_continue,
    write_request_head, write_response, write_response_head, write_trailers,
};
use proto::{HeaderMap, Known, strip_hop_by_hop};

fn request(raw: &str) -> RequestHead {
    let mut head = RequestHead::new();
    let read = HeadReader::new().read_request(
        raw.as_bytes(),
        &HeadLimits::default(),
        &RequestPolicy::default(),
        &mut head,
    );
    assert_eq!(read, Ok(Some(raw.len())), "{raw}");
    head
}

fn written(head: &RequestHead, framing: BodyLength) -> String {
    let mut out = Vec::new();
    assert!(write_request_head(&mut out, head, framing));
    String::from_utf8(out).unwrap()
}

fn map(lines: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        assert!(map.push(name.as_bytes(), value.as_bytes()));
    }
    map
}

#[test]
fn requests() {
    let head =
        request("GET http://b/p?q HTTP/1.1\r\nHOST: a\r\nX-A:  1 \r\nConnection: close\r\n\r\n");
    assert_eq!(
        written(&head, head.body),
        "GET /p?q HTTP/1.1\r\nhost: b\r\nx-a: 1\r\nconnection: close\r\n\r\n"
    );

    let mut head = request(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\nTransfer-Encodin: x\r\nVia: v\r\n\r\n",
    );
    assert_eq!(
        written(&head, head.body),
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encodin: x\r\nvia: v\r\ncontent-length: 5\r\n\r\n"
    );
    assert_eq!(
        written(&head, BodyLength::Chunked),
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encodin: x\r\nvia: v\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    head.headers.set(Known::ContentLength, b"5");
    assert_eq!(
        written(&head, BodyLength::Length(5)),
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encodin: x\r\nvia: v\r\n\r\n"
    );
    // A map that lies, or that a filter filled twice.
    head.headers.push_known(Known::ContentLength, b"5");
    head.headers.push_known(Known::TransferEncoding, b"gzip");
    let once = written(&head, BodyLength::Length(5));
    assert_eq!(once.matches("content-length").count(), 1);
    assert!(!once.contains("gzip"));
    let none = written(&head, BodyLength::None);
    assert!(
        none.ends_with("\r\ncontent-length: 0\r\n\r\n")
            && none.matches("content-length").count() == 1
    );
    assert!(written(&head, BodyLength::UntilClose).ends_with("transfer-encoding: chunked\r\n\r\n"));

    assert_eq!(
        written(
            &request("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
            BodyLength::None
        ),
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
    );
    assert_eq!(
        written(
            &request("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n"),
            BodyLength::None
        ),
        "OPTIONS * HTTP/1.1\r\nhost: b\r\n\r\n"
    );
    assert_eq!(
        written(
            &request("CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
            BodyLength::None
        ),
        "CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\n"
    );
}

#[test]
fn a_request_without_meaning_does_not_leave() {
    let refused = |head: &RequestHead| {
        let mut out = Vec::new();
        assert!(!write_request_head(&mut out, head, BodyLength::None) && out.is_empty());
    };
    refused(&RequestHead::new());
    let good = request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut head = good.clone();
    head.headers.remove(Known::Host);
    refused(&head);
    let mut head = good.clone();
    head.headers.push_known(Known::Host, b"b");
    refused(&head);
    let mut head = good.clone();
    head.headers.set(Known::Host, b"a b");
    refused(&head);
    let mut head = good.clone();
    assert!(head.set_path(b"*"));
    refused(&head);
    assert!(head.set_path(b""));
    refused(&head);
}

#[test]
fn hop_by_hop_and_back() {
    let mut head = request(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nX: y\r\n\r\n",
    );
    strip_hop_by_hop(&mut head.headers);
    head.headers
        .append_value(Known::XForwardedFor, b", ", b"10.0.0.1");
    assert_eq!(
        written(&head, head.body),
        "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nx: y\r\nx-forwarded-for: 10.0.0.1\r\n\r\n"
    );
}

#[test]
fn responses() {
    let headers = map(&[
        ("a", "1"),
        ("content-length", "5"),
        ("transfer-encoding", "x"),
        ("connection", "keep-alive"),
    ]);
    let base = ResponseOptions::default();
    let write = |status, framing, options| {
        let mut out = Vec::new();
        write_response(&mut out, status, &headers, framing, options);
        String::from_utf8(out).unwrap()
    };
    use BodyLength::{Chunked, Length, None, UntilClose};
    let keep = "a: 1\r\nconnection: keep-alive\r\n";
    assert_eq!(
        write(200, Length(5), base),
        "HTTP/1.1 200 OK\r\na: 1\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n"
    );
    assert_eq!(
        write(200, Length(6), base),
        format!("HTTP/1.1 200 OK\r\n{keep}content-length: 6\r\n\r\n")
    );
    assert_eq!(
        write(404, Chunked, base),
        format!("HTTP/1.1 404 Not Found\r\n{keep}transfer-encoding: chunked\r\n\r\n")
    );
    assert_eq!(
        write(200, None, base),
        format!("HTTP/1.1 200 OK\r\n{keep}content-length: 0\r\n\r\n")
    );
    assert_eq!(
        write(299, UntilClose, base),
        "HTTP/1.1 299 Unknown\r\na: 1\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        write(204, Length(5), base),
        format!("HTTP/1.1 204 No Content\r\n{keep}\r\n")
    );
    assert_eq!(
        write(101, None, base),
        format!("HTTP/1.1 101 Switching Protocols\r\n{keep}\r\n")
    );
    assert_eq!(
        write(304, None, base),
        "HTTP/1.1 304 Not Modified\r\na: 1\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n"
    );
    assert_eq!(
        write(0, None, base),
        format!("HTTP/1.1 500 Internal Server Error\r\n{keep}content-length: 0\r\n\r\n")
    );
    let head = ResponseOptions {
        request: Method::Head,
        ..base
    };
    assert_eq!(
        write(200, None, head),
        "HTTP/1.1 200 OK\r\na: 1\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n"
    );
    assert_eq!(write(200, UntilClose, head), write(200, None, head));
    let connect = ResponseOptions {
        request: Method::Connect,
        ..base
    };
    assert_eq!(
        write(200, Chunked, connect),
        format!("HTTP/1.1 200 OK\r\n{keep}\r\n")
    );
    assert_eq!(
        write(403, Length(5), connect),
        "HTTP/1.1 403 Forbidden\r\na: 1\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n"
    );
    let old = ResponseOptions {
        version: Version::Http10,
        close: true,
        ..base
    };
    assert_eq!(
        write(200, Length(5), old),
        "HTTP/1.0 200 OK\r\na: 1\r\ncontent-length: 5\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        write(
            200,
            Chunked,
            ResponseOptions {
                close: false,
                ..old
            }
        ),
        "HTTP/1.0 200 OK\r\na: 1\r\nconnection: close\r\n\r\n"
    );

    let mut head = ResponseHead::new();
    head.status = 503;
    assert!(head.set_reason(b"ours") && !head.set_reason(b"a\r\nb"));
    let mut out = Vec::new();
    write_response_head(&mut out, &head, Length(0), base);
    assert_eq!(
        out,
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
    );
    assert_eq!(reason_phrase(299), "Unknown");
}

#[test]
fn chunks() {
    let mut out = Vec::new();
    for len in [0, 1, 9, 10, 255, 4096, u64::MAX] {
        write_chunk_size(&mut out, len);
    }
    assert_eq!(out, b"1\r\n9\r\na\r\nff\r\n1000\r\nffffffffffffffff\r\n");
    assert_eq!((CRLF, LAST_CHUNK), (&b"\r\n"[..], &b"0\r\n\r\n"[..]));
    out.clear();
    write_trailers(
        &mut out,
        &map(&[
            ("x", "1"),
            ("content-length", "5"),
            ("host", "h"),
            ("grpc-status", "0"),
        ]),
    );
    assert_eq!(out, b"0\r\nx: 1\r\ngrpc-status: 0\r\n\r\n");
    out.clear();
    write_continue(&mut out);
    assert_eq!(out, b"HTTP/1.1 100 Continue\r\n\r\n");
}
