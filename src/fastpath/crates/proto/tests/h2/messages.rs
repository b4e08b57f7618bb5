//! Heads and trailers: what is malformed, and what becomes of the rest (RFC 9113 §8).

use super::support::*;
use proto::h2::hpack::Decoder;
use proto::h2::{Options, StreamFault as Sf};
use proto::{BodyLength, Method, Scheme, Underscores, Version};

fn request(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END, 1, &block(fields))
}

#[test]
fn malformed_requests() {
    let with = |more: &[(&'static str, &'static str)]| [GET, more].concat();
    let replaced = |name: &str, value: &'static str| -> Vec<(&'static str, &'static str)> {
        GET.iter()
            .map(|(n, v)| (*n, if *n == name { value } else { *v }))
            .collect()
    };
    let without = |name: &str| -> Vec<(&'static str, &'static str)> {
        GET.iter().filter(|(n, _)| *n != name).copied().collect()
    };
    let connect = [(":method", "CONNECT"), (":authority", "a:1")];
    let table: Vec<(Vec<(&str, &str)>, Sf)> = vec![
        // Field names and values (§8.2.1).
        (with(&[("X-Upper", "1")]), Sf::FieldName),
        (with(&[("x y", "1")]), Sf::FieldName),
        (with(&[("x:y", "1")]), Sf::FieldName),
        (with(&[("", "1")]), Sf::FieldName),
        (with(&[("x\0", "1")]), Sf::FieldName),
        (with(&[("x\u{e9}", "1")]), Sf::FieldName),
        (with(&[("content_length", "1")]), Sf::FieldName),
        (with(&[("transfer_encoding", "chunked")]), Sf::FieldName),
        (with(&[("x", "a\r\nb: c")]), Sf::FieldValue),
        (with(&[("x", "a\nb")]), Sf::FieldValue),
        (with(&[("x", "a\0")]), Sf::FieldValue),
        (with(&[("x", " a")]), Sf::FieldValue),
        (with(&[("x", "a\t")]), Sf::FieldValue),
        (with(&[("cookie", "a\r")]), Sf::FieldValue),
        // Connection-specific fields (§8.2.2).
        (with(&[("connection", "close")]), Sf::ConnectionField),
        (with(&[("keep-alive", "1")]), Sf::ConnectionField),
        (with(&[("proxy-connection", "close")]), Sf::ConnectionField),
        (
            with(&[("transfer-encoding", "chunked")]),
            Sf::ConnectionField,
        ),
        (with(&[("upgrade", "h2c")]), Sf::ConnectionField),
        (with(&[("te", "gzip")]), Sf::ConnectionField),
        (with(&[("te", "trailers, gzip")]), Sf::ConnectionField),
        // Pseudo-headers (§8.3).
        (with(&[(":method", "GET")]), Sf::PseudoField),
        (with(&[(":path", "/")]), Sf::PseudoField),
        (with(&[(":authority", "a")]), Sf::PseudoField),
        (with(&[(":status", "200")]), Sf::PseudoField),
        (with(&[(":unknown", "x")]), Sf::PseudoField),
        (with(&[(":", "x")]), Sf::PseudoField),
        (with(&[(":protocol", "websocket")]), Sf::PseudoField),
        ([&[("x", "1")], GET].concat(), Sf::PseudoField),
        (
            [&GET[..3], &[("x", "1")], &GET[3..]].concat(),
            Sf::PseudoField,
        ),
        (without(":method"), Sf::MissingPseudoField),
        (without(":scheme"), Sf::MissingPseudoField),
        (without(":path"), Sf::MissingPseudoField),
        (without(":authority"), Sf::MissingPseudoField),
        (replaced(":method", ""), Sf::PseudoValue),
        (replaced(":method", "G T"), Sf::PseudoValue),
        (replaced(":scheme", "ftp"), Sf::PseudoValue),
        (replaced(":scheme", ""), Sf::PseudoValue),
        (replaced(":path", ""), Sf::PseudoValue),
        (replaced(":path", "x"), Sf::PathForm),
        (replaced(":path", "*"), Sf::PathForm),
        (replaced(":path", "/a b"), Sf::PseudoValue),
        (replaced(":path", "/#"), Sf::PseudoValue),
        (replaced(":path", "/\r\nx: y"), Sf::PseudoValue),
        (replaced(":path", "http://a/"), Sf::PathForm),
        (replaced(":authority", ""), Sf::Authority),
        (replaced(":authority", "u@h"), Sf::Authority),
        (replaced(":authority", "a b"), Sf::Authority),
        (with(&[("host", "b")]), Sf::Authority),
        (with(&[("host", "a"), ("host", "a")]), Sf::Authority),
        (
            [&without(":authority")[..], &[("host", "u@h")]].concat(),
            Sf::Authority,
        ),
        // CONNECT (§8.5).
        ([&connect[..], &[(":path", "/")]].concat(), Sf::PseudoField),
        (
            [&connect[..], &[(":scheme", "http")]].concat(),
            Sf::PseudoField,
        ),
        (connect[..1].to_vec(), Sf::MissingPseudoField),
        (
            [&connect[..1], &[("host", "a:1")]].concat(),
            Sf::MissingPseudoField,
        ),
        // content-length (§8.1.1).
        (with(&[("content-length", "1")]), Sf::BodyLength),
        (with(&[("content-length", "x")]), Sf::ContentLength),
        (with(&[("content-length", "-1")]), Sf::ContentLength),
        (
            with(&[("content-length", "0"), ("content-length", "0")]),
            Sf::ContentLength,
        ),
        (
            with(&[("content-length", "18446744073709551616")]),
            Sf::ContentLength,
        ),
    ];
    for (fields, fault) in table {
        let mut p = Peer::server();
        p.faults(&request(&fields), 1, fault);
        assert_eq!(p.connection.stats.rx_messaging_error, 1, "{fields:?}");
        assert!(fault.is_malformed());
        // Envoy's way, if it is wanted.
        let options = Options {
            stream_error_on_invalid_message: false,
            ..Options::default()
        };
        let mut p = Peer::server_with(options);
        p.fails(
            &request(&fields),
            proto::h2::ConnectionError::InvalidMessage { stream: 1, fault },
            0,
        );
    }
}

#[test]
fn malformed_fields_in_the_table_are_no_better() {
    // With incremental indexing, then by index.
    for (name, value, fault) in [
        ("X", "1", Sf::FieldName),
        ("x", " 1", Sf::FieldValue),
        ("te", "gzip", Sf::ConnectionField),
        (":x", "1", Sf::PseudoField),
    ] {
        let mut p = Peer::server();
        let mut literal = block(&[(name, value)]);
        literal[0] = 0x40;
        let first = frame(HEADERS, END, 1, &[block(GET), literal].concat());
        p.faults(&first, 1, fault);
        let second = frame(HEADERS, END, 3, &[block(GET), vec![0x80 | 62]].concat());
        p.faults(&second, 3, fault);
    }
}

#[test]
fn requests_as_the_rest_of_the_mesh_sees_them() {
    let mut p = Peer::server();
    let fields = [
        (":path", "/p?q"),
        (":method", "POST"),
        (":authority", "Shop:80"),
        (":scheme", "HTTPS"),
        ("cookie", "a=1"),
        ("x", ""),
        ("cookie", "b=2"),
        ("host", "shop:80"),
        ("te", "Trailers"),
        ("content-length", "0"),
        ("expect", "100-Continue"),
        ("cookie", "c=3"),
    ];
    let seen = p.feed(&request(&fields)).unwrap();
    let text = "POST /p?q\nhost: Shop:80\nx: \nte: Trailers\ncontent-length: 0\n\
                expect: 100-Continue\ncookie: a=1; b=2; c=3";
    assert_eq!(seen, [Seen::Request(1, true, text.into())]);
    let head = &p.connection.request;
    assert_eq!((head.version, head.kind), (Version::Http2, Method::Post));
    assert_eq!(
        (head.scheme, head.body),
        (Some(Scheme::Https), BodyLength::Length(0))
    );
    assert!(head.keep_alive && head.expect_continue && !head.upgrade);
    assert_eq!((head.target(), head.protocol()), (&b"/p?q"[..], &b""[..]));
    assert!(p.connection.head_bytes > 100);

    for (crumbs, cookie) in [
        (&["", "a=1", "", "b=2"][..], "\ncookie: a=1; ; b=2"),
        (&["", ""], ""),
    ] {
        let mut p = Peer::server();
        let crumbs: Vec<_> = crumbs.iter().map(|crumb| ("cookie", *crumb)).collect();
        let seen = p.feed(&request(&[GET, &crumbs].concat())).unwrap();
        let text = format!("GET /\nhost: a{cookie}");
        assert_eq!(seen, [Seen::Request(1, true, text)]);
    }

    for (fields, flags, body) in [
        (&[][..], END, BodyLength::None),
        (&[], END_HEADERS, BodyLength::Chunked),
        (
            &[("content-length", "5")],
            END_HEADERS,
            BodyLength::Length(5),
        ),
    ] {
        let mut p = Peer::server();
        p.feed(&get(1, flags, fields)).unwrap();
        assert_eq!(p.connection.request.body, body);
    }
    // Only `host`: it is the authority, and first.
    let fields = [&GET[..3], &[("x", "1"), ("host", "b")]].concat();
    let seen = p.feed(&frame(HEADERS, END, 3, &block(&fields))).unwrap();
    assert_eq!(
        seen,
        [Seen::Request(3, true, "GET /\nhost: b\nx: 1".into())]
    );
    let star = [
        (":method", "OPTIONS"),
        (":scheme", "http"),
        (":path", "*"),
        (":authority", "a"),
    ];
    let seen = p.feed(&frame(HEADERS, END, 5, &block(&star))).unwrap();
    assert_eq!(seen, [Seen::Request(5, true, "OPTIONS *\nhost: a".into())]);
}

#[test]
fn connect_and_extended_connect() {
    let mut p = Peer::server();
    let connect = [
        (":method", "CONNECT"),
        (":authority", "a:1"),
        ("content-length", "0"),
    ];
    let seen = p
        .feed(&frame(HEADERS, END_HEADERS, 1, &block(&connect)))
        .unwrap();
    assert_eq!(
        seen,
        [Seen::Request(1, false, "CONNECT \nhost: a:1".into())]
    );
    assert_eq!(p.feed(&frame(DATA, 0, 1, b"tunnel")).unwrap().len(), 1);

    let extended = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/chat"),
        (":authority", "a"),
    ];
    let bytes = frame(HEADERS, END_HEADERS, 3, &block(&extended));
    p.faults(&bytes, 3, Sf::PseudoField);
    let options = Options {
        allow_connect: true,
        ..Options::default()
    };
    let mut p = Peer::server_with(options.clone());
    let seen = p
        .feed(&frame(HEADERS, END_HEADERS, 1, &block(&extended)))
        .unwrap();
    assert_eq!(
        seen,
        [Seen::Request(1, false, "CONNECT /chat\nhost: a".into())]
    );
    assert_eq!(p.connection.request.protocol(), b"websocket");
    assert_eq!(p.connection.request.kind, Method::Connect);
    for missing in [2, 3] {
        let mut fields = extended.to_vec();
        fields.remove(missing);
        let mut p = Peer::server_with(options.clone());
        p.faults(&request(&fields), 1, Sf::MissingPseudoField);
    }
    let mut p = Peer::server_with(options);
    let get = [GET, &[(":protocol", "websocket")]].concat();
    p.faults(&request(&get), 1, Sf::PseudoField);
}

#[test]
fn content_length_and_data() {
    for (length, data, fault) in [
        ("3", vec![frame(DATA, END_STREAM, 1, b"abc")], None),
        (
            "3",
            vec![frame(DATA, 0, 1, b"abc"), frame(DATA, END_STREAM, 1, b"")],
            None,
        ),
        (
            "3",
            vec![frame(DATA, END_STREAM, 1, b"ab")],
            Some(Sf::BodyLength),
        ),
        ("3", vec![frame(DATA, 0, 1, b"abcd")], Some(Sf::BodyLength)),
        (
            "3",
            vec![frame(DATA, 0, 1, b"ab"), frame(DATA, 0, 1, b"cd")],
            Some(Sf::BodyLength),
        ),
        (
            "0",
            vec![frame(DATA, END_STREAM, 1, b"x")],
            Some(Sf::BodyLength),
        ),
        (
            "3",
            vec![frame(DATA, 0, 1, b"ab"), frame(HEADERS, END, 1, b"")],
            Some(Sf::BodyLength),
        ),
        (
            "2",
            vec![frame(DATA, 0, 1, b"ab"), frame(HEADERS, END, 1, b"")],
            None,
        ),
    ] {
        let mut p = Peer::server();
        p.feed(&post(1, &[("content-length", length)])).unwrap();
        match fault {
            Some(fault) => p.faults(&data.concat(), 1, fault),
            None => {
                let seen = p.feed(&data.concat()).unwrap();
                assert!(
                    !seen.iter().any(|s| matches!(s, Seen::StreamError(..))),
                    "{seen:?}"
                );
            }
        }
    }
}

#[test]
fn trailers() {
    let mut p = Peer::server();
    p.feed(&post(1, &[])).unwrap();
    let fields = [
        ("x-sum", "1"),
        ("host", "evil"),
        ("content-length", "9"),
        ("cookie", "a"),
    ];
    let seen = p.feed(&frame(HEADERS, END, 1, &block(&fields))).unwrap();
    assert_eq!(seen, [Seen::Trailers(1, "x-sum: 1".into())]);
    assert_eq!(p.connection.stats.trailers, 1);
    for (fields, fault) in [
        ([("connection", "close")], Sf::ConnectionField),
        ([("X", "1")], Sf::FieldName),
        ([(":method", "GET")], Sf::PseudoField),
    ] {
        let mut p = Peer::server();
        p.feed(&post(1, &[])).unwrap();
        p.faults(&frame(HEADERS, END, 1, &block(&fields)), 1, fault);
    }
}

#[test]
fn limits_of_heads() {
    let options = Options {
        max_header_bytes: 300,
        max_headers: 8,
        max_header_field_bytes: 200,
        ..Options::default()
    };
    let long = "v".repeat(190);
    let value = "v".repeat(160);
    let fields: Vec<Vec<(&str, &str)>> = vec![
        vec![("x-long-name", &long)],
        vec![("a", &value), ("b", &value)],
        vec![("x", ""); 5],
        vec![("cookie", &value[..100]); 4],
        // A crumb is a field.
        vec![("cookie", ""); 5],
    ];
    for more in &fields {
        let mut p = Peer::server_with(options.clone());
        let fault = if more[0].1.is_empty() {
            Sf::TooManyHeaders
        } else {
            Sf::HeaderOverflow
        };
        p.faults(&get(1, END, more), 1, fault);
        let stats = &p.connection.stats;
        let counted = (stats.header_overflow, stats.header_list_size_too_large);
        let expected = if fault == Sf::TooManyHeaders {
            (1, 0)
        } else {
            (0, 1)
        };
        assert_eq!(counted, expected);
        // In trailers, too.
        if more.len() > 1 && !more[0].1.is_empty() {
            p.feed(&post(3, &[])).unwrap();
            p.faults(&frame(HEADERS, END, 3, &block(more)), 3, Sf::HeaderOverflow);
        }
    }
    let mut p = Peer::server_with(options);
    p.feed(&get(1, END, &[("cookie", "a"); 4])).unwrap();
    let cookie = ["a"; 4].join("; ");
    assert_eq!(
        p.connection.request.headers.get(proto::Known::Cookie),
        Some(cookie.as_bytes())
    );
    // The table is right after all of that.
    let mut indexed = block(&[("x-in-table", "1")]);
    indexed[0] = 0x40;
    p.feed(&frame(HEADERS, END, 3, &[block(GET), indexed].concat()))
        .unwrap();
    let seen = p
        .feed(&frame(
            HEADERS,
            END,
            5,
            &[block(GET), vec![0x80 | 62]].concat(),
        ))
        .unwrap();
    assert_eq!(
        seen,
        [Seen::Request(
            5,
            true,
            "GET /\nhost: a\nx-in-table: 1".into()
        )]
    );
}

#[test]
fn a_field_beyond_64_kib_ends_the_connection() {
    let mut p = Peer::server();
    let long = "v".repeat(65_537);
    let whole = block(&[GET, &[("x", &long)]].concat());
    let mut bytes = frame(HEADERS, END_STREAM, 1, &whole[..16_384]);
    let parts: Vec<&[u8]> = whole[16_384..].chunks(16_384).collect();
    for (i, part) in parts.iter().enumerate() {
        let flags = if i + 1 == parts.len() { END_HEADERS } else { 0 };
        bytes.extend(frame(CONTINUATION, flags, 1, part));
    }
    p.fails(&bytes, proto::h2::ConnectionError::Compression, 0);
    assert_eq!(p.connection.stats.header_overflow, 1);
}

#[test]
fn underscores_by_policy() {
    let fields = [("x_y", "1"), ("z", "2")];
    for (underscores, text) in [
        (Underscores::Allow, "GET /\nhost: a\nx_y: 1\nz: 2"),
        (Underscores::Drop, "GET /\nhost: a\nz: 2"),
    ] {
        let mut p = Peer::server_with(Options {
            underscores,
            ..Options::default()
        });
        let seen = p.feed(&get(1, END, &fields)).unwrap();
        assert_eq!(seen, [Seen::Request(1, true, text.into())]);
        let dropped = u32::from(underscores == Underscores::Drop);
        assert_eq!(p.connection.stats.dropped_headers_with_underscores, dropped);
    }
    let mut p = Peer::server_with(Options {
        underscores: Underscores::Reject,
        ..Options::default()
    });
    p.faults(&get(1, END, &fields), 1, Sf::Underscore);
    assert_eq!(
        p.connection
            .stats
            .requests_rejected_with_underscores_in_headers,
        1
    );
}

#[test]
fn blocks_in_continuations() {
    let mut p = Peer::server();
    let whole = block(&[GET, &[("x-long", &"v".repeat(3000))]].concat());
    let mut bytes = frame(HEADERS, END_STREAM, 1, &whole[..10]);
    bytes.extend(frame(CONTINUATION, 0, 1, &whole[10..11]));
    bytes.extend(frame(CONTINUATION, END_HEADERS, 1, &whole[11..]));
    let mut seen = Vec::new();
    for byte in &bytes {
        seen.extend(p.feed(&[*byte]).unwrap());
    }
    assert!(matches!(seen[..], [Seen::Request(1, true, _)]));
    assert_eq!(p.connection.head_bytes as usize, bytes.len());
}

#[test]
fn huge_heads_are_split_and_joined() {
    let mut p = Peer::client_with(Options::default(), &[]);
    let mut head = proto::h1::RequestHead::new();
    assert!(head.set_method(b"GET") && head.set_path(b"/") && head.set_authority(b"a"));
    for i in 0..50 {
        let name = format!("x-{i}");
        assert!(
            head.headers
                .push(name.as_bytes(), "{}".repeat(500).as_bytes())
        );
    }
    let body = BodyLength::None;
    p.connection
        .send_request(&mut p.out, &head, Scheme::Http, body, true)
        .unwrap();
    let raw = p.out.clone();
    let sent = p.sent();
    assert!(sent.len() > 2 && sent[0].kind == HEADERS && sent[0].flags == END_STREAM);
    let (last, rest) = sent.split_last().unwrap();
    assert!(
        rest.iter()
            .all(|f| f.payload.len() == 16_384 && f.flags & END_HEADERS == 0)
    );
    assert_eq!((last.kind, last.flags), (CONTINUATION, END_HEADERS));
    let joined: Vec<u8> = sent.iter().flat_map(|f| f.payload.clone()).collect();
    let text = decoded(&mut Decoder::new(4096), &joined);
    assert_eq!(text.lines().count(), 54);
    let mut server = Peer::server();
    assert!(matches!(
        server.feed(&raw).unwrap()[..],
        [Seen::Request(1, true, _)]
    ));
    assert_eq!(server.connection.request.headers, head.headers);
}
