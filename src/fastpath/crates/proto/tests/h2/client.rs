//! The client's role: streams it opens, responses it takes.

use super::support::*;
use proto::h1::RequestHead;
use proto::h2::hpack::Decoder;
use proto::h2::{ConnectionError as Ce, ErrorCode, Options, Refused, StreamFault as Sf};
use proto::{BodyLength, Method, Scheme, Version};

fn head(method: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::new();
    assert!(head.set_method(method.as_bytes()) && head.set_path(b"/p"));
    assert!(head.set_authority(b"a:1"));
    for (name, value) in fields {
        assert!(head.headers.push(name.as_bytes(), value.as_bytes()));
    }
    head
}

fn open(p: &mut Peer, method: &str, end: bool) -> u32 {
    let head = head(method, &[]);
    p.connection
        .send_request(&mut p.out, &head, Scheme::Http, BodyLength::None, end)
        .unwrap()
}

fn response(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

#[test]
fn request_heads() {
    let more = [
        ("te", "gzip, trailers"),
        ("connection", "x"),
        ("upgrade", "x"),
        ("http2-settings", "x"),
        ("content-length", "3"),
        ("x", "1"),
    ];
    let mut websocket = head("CONNECT", &[("x", "1")]);
    assert!(websocket.set_protocol(b"websocket"));
    for (head, scheme, framing, text) in [
        (
            head("POST", &more),
            Scheme::Https,
            BodyLength::Chunked,
            ":method: POST\n:scheme: https\n:path: /p\n:authority: a:1\nx: 1\nte: trailers",
        ),
        (
            head("POST", &more),
            Scheme::Http,
            BodyLength::Length(7),
            ":method: POST\n:scheme: http\n:path: /p\n:authority: a:1\nx: 1\ncontent-length: 7\nte: trailers",
        ),
        (
            head("CONNECT", &[("content-length", "0")]),
            Scheme::Http,
            BodyLength::Length(0),
            ":method: CONNECT\n:authority: a:1",
        ),
        (
            websocket,
            Scheme::Http,
            BodyLength::None,
            ":method: CONNECT\n:scheme: http\n:path: /p\n:authority: a:1\n:protocol: websocket\nx: 1",
        ),
    ] {
        let mut p = Peer::client();
        let id = p
            .connection
            .send_request(&mut p.out, &head, scheme, framing, false);
        assert_eq!(id, Ok(1));
        let sent = p.sent();
        assert_eq!(
            (sent[0].kind, sent[0].flags, sent[0].stream),
            (HEADERS, END_HEADERS, 1)
        );
        assert_eq!(decoded(&mut Decoder::new(4096), &sent[0].payload), text);
    }
}

#[test]
fn heads_that_cannot_be_sent() {
    let mut p = Peer::client();
    let mut no_host = head("GET", &[]);
    no_host.headers.remove(proto::Known::Host);
    let mut two_hosts = head("GET", &[]);
    two_hosts.headers.push(b"host", b"b");
    let mut no_path = RequestHead::new();
    assert!(no_path.set_method(b"GET") && no_path.set_authority(b"a"));
    let mut star = head("GET", &[]);
    assert!(star.set_path(b"*"));
    for head in [RequestHead::new(), no_host, two_hosts, no_path, star] {
        let id = p
            .connection
            .send_request(&mut p.out, &head, Scheme::Http, BodyLength::None, true);
        assert_eq!(id, Err(Refused::Head));
    }
    assert!(p.out.is_empty());
    let mut server = Peer::server();
    let refused = server.connection.send_request(
        &mut server.out,
        &head("GET", &[]),
        Scheme::Http,
        BodyLength::None,
        true,
    );
    assert_eq!(refused, Err(Refused::Closing));
}

#[test]
fn limits_of_the_peer() {
    let mut p = Peer::client_with(Options::default(), &[(3, 2)]);
    assert_eq!(p.connection.can_open(), 2);
    assert_eq!(
        (open(&mut p, "GET", true), open(&mut p, "GET", true)),
        (1, 3)
    );
    let third = p.connection.send_request(
        &mut p.out,
        &head("GET", &[]),
        Scheme::Http,
        BodyLength::None,
        true,
    );
    assert_eq!((third, p.connection.can_open()), (Err(Refused::Limit), 0));
    p.feed(&response(1, END_STREAM, &[(":status", "200")]))
        .unwrap();
    assert_eq!((p.connection.can_open(), open(&mut p, "GET", true)), (1, 5));
    // The limit may fall below what is open.
    p.feed(&settings(&[(3, 0)])).unwrap();
    assert_eq!(
        (p.connection.can_open(), p.connection.active_streams()),
        (0, 2)
    );

    let mut fresh = proto::h2::Connection::client(Options::default());
    fresh.start(&mut Vec::new());
    assert_eq!((fresh.can_open(), fresh.is_greeted()), (100, false));
}

#[test]
fn responses_as_the_rest_of_the_mesh_sees_them() {
    let mut p = Peer::client();
    let id = open(&mut p, "GET", true);
    let bytes = [
        response(id, 0, &[(":status", "100")]),
        response(id, 0, &[(":status", "103"), ("link", "x")]),
        response(
            id,
            0,
            &[
                (":status", "200"),
                ("content-length", "2"),
                ("set-cookie", "a"),
                ("set-cookie", "b"),
            ],
        ),
        frame(DATA, 0, id, b"ok"),
        frame(HEADERS, END, id, &block(&[("grpc-status", "0")])),
    ];
    let text = "200\ncontent-length: 2\nset-cookie: a\nset-cookie: b";
    assert_eq!(
        p.feed(&bytes.concat()).unwrap(),
        [
            Seen::Response(id, false, "100\n".into()),
            Seen::Response(id, false, "103\nlink: x".into()),
            Seen::Response(id, false, text.into()),
            Seen::Data(id, b"ok".to_vec(), false),
            Seen::Trailers(id, "grpc-status: 0".into()),
        ]
    );
    let head = &p.connection.response;
    assert_eq!(
        (head.version, head.body),
        (Version::Http2, BodyLength::Length(2))
    );
    assert!(head.keep_alive && !head.tunnel && !head.switching && !head.is_interim());
    assert_eq!(p.connection.active_streams(), 0);
}

#[test]
fn bodies_of_responses() {
    let ok = (":status", "200");
    let length = ("content-length", "5");
    for (method, fields, end, body) in [
        ("GET", vec![ok], true, BodyLength::None),
        ("GET", vec![ok], false, BodyLength::Chunked),
        ("GET", vec![ok, length], false, BodyLength::Length(5)),
        ("HEAD", vec![ok, length], true, BodyLength::None),
        (
            "GET",
            vec![(":status", "304"), length],
            true,
            BodyLength::None,
        ),
        ("GET", vec![(":status", "204")], true, BodyLength::None),
        ("CONNECT", vec![ok, length], false, BodyLength::None),
    ] {
        let mut p = Peer::client();
        let id = open(&mut p, method, false);
        let flags = u8::from(end);
        p.feed(&response(id, flags, &fields)).unwrap();
        let head = &p.connection.response;
        assert_eq!(head.body, body, "{method} {fields:?}");
        assert_eq!(head.tunnel, method == "CONNECT");
        let kept = head.headers.contains(proto::Known::ContentLength);
        assert_eq!(kept, fields.contains(&length) && method != "CONNECT");
    }
}

#[test]
fn malformed_responses() {
    let ok = (":status", "200");
    let x = frame(DATA, 0, 1, b"x");
    let table: Vec<(&str, Vec<Vec<u8>>, Sf)> = vec![
        ("GET", vec![response(1, 0, &[])], Sf::MissingPseudoField),
        (
            "GET",
            vec![response(1, 0, &[(":status", "20")])],
            Sf::PseudoValue,
        ),
        (
            "GET",
            vec![response(1, 0, &[(":status", "2000")])],
            Sf::PseudoValue,
        ),
        (
            "GET",
            vec![response(1, 0, &[(":status", "099")])],
            Sf::PseudoValue,
        ),
        (
            "GET",
            vec![response(1, 0, &[(":status", "+20")])],
            Sf::PseudoValue,
        ),
        (
            "GET",
            vec![response(1, 0, &[(":status", "101")])],
            Sf::PseudoValue,
        ),
        ("GET", vec![response(1, 0, &[ok, ok])], Sf::PseudoField),
        (
            "GET",
            vec![response(1, 0, &[(":path", "/")])],
            Sf::PseudoField,
        ),
        (
            "GET",
            vec![response(1, 0, &[("x", "1"), ok])],
            Sf::PseudoField,
        ),
        (
            "GET",
            vec![response(1, 0, &[ok, ("connection", "close")])],
            Sf::ConnectionField,
        ),
        (
            "GET",
            vec![response(1, 0, &[ok, ("transfer-encoding", "chunked")])],
            Sf::ConnectionField,
        ),
        (
            "GET",
            vec![response(1, 0, &[ok, ("x", "a\nb")])],
            Sf::FieldValue,
        ),
        (
            "GET",
            vec![response(1, END_STREAM, &[(":status", "100")])],
            Sf::Sequence,
        ),
        (
            "GET",
            vec![response(1, 0, &[(":status", "100")]), x.clone()],
            Sf::UnexpectedData,
        ),
        ("GET", vec![x.clone()], Sf::UnexpectedData),
        (
            "GET",
            vec![response(1, END_STREAM, &[ok, ("content-length", "1")])],
            Sf::BodyLength,
        ),
        (
            "GET",
            vec![response(
                1,
                0,
                &[ok, ("content-length", "2"), ("content-length", "2")],
            )],
            Sf::ContentLength,
        ),
        (
            "GET",
            vec![response(
                1,
                0,
                &[(":status", "204"), ("content-length", "1")],
            )],
            Sf::BodyLength,
        ),
        (
            "GET",
            vec![response(1, 0, &[(":status", "204")]), x.clone()],
            Sf::BodyLength,
        ),
        (
            "GET",
            vec![response(1, 0, &[(":status", "304")]), x.clone()],
            Sf::BodyLength,
        ),
        (
            "HEAD",
            vec![response(1, 0, &[ok]), x.clone()],
            Sf::BodyLength,
        ),
        (
            "GET",
            vec![response(1, 0, &[ok]), response(1, 0, &[ok])],
            Sf::PseudoField,
        ),
        (
            "GET",
            vec![response(1, 0, &[ok]), response(1, 0, &[("x", "1")])],
            Sf::Sequence,
        ),
    ];
    for (method, bytes, fault) in table {
        let mut p = Peer::client();
        open(&mut p, method, false);
        p.sent();
        p.faults(&bytes.concat(), 1, fault);
    }
}

#[test]
fn connection_errors_of_a_client() {
    for (bytes, error) in [
        (response(3, 0, &[(":status", "200")]), Ce::IdleStream),
        (response(2, 0, &[(":status", "200")]), Ce::IdleStream),
        (
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            Ce::PushPromise,
        ),
        (settings(&[(2, 1)]), Ce::Setting),
        (frame(DATA, 0, 3, b"x"), Ce::IdleStream),
        (window_update(2, 1), Ce::IdleStream),
    ] {
        let mut p = Peer::client();
        open(&mut p, "GET", true);
        p.fails(&bytes, error, 0);
    }
}

#[test]
fn goaway_says_what_was_not_processed() {
    let mut p = Peer::client();
    for _ in 0..5 {
        open(&mut p, "GET", true);
    }
    let goaway = |last: u32| frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
    assert_eq!(
        p.feed(&goaway(0x7fff_ffff)).unwrap(),
        [Seen::Goaway(0x7fff_ffff, ErrorCode::NO_ERROR)]
    );
    assert_eq!(
        (p.connection.active_streams(), p.connection.can_open()),
        (5, 0)
    );
    assert_eq!(
        p.feed(&goaway(5)).unwrap(),
        [Seen::Goaway(5, ErrorCode::NO_ERROR)]
    );
    assert_eq!(p.connection.active_streams(), 3);
    assert!(p.connection.has_stream(5) && !p.connection.has_stream(7));
    let refused = p.connection.send_request(
        &mut p.out,
        &head("GET", &[]),
        Scheme::Http,
        BodyLength::None,
        true,
    );
    assert_eq!(refused, Err(Refused::Closing));
    // Those that were taken come to their end.
    let seen = p
        .feed(&response(5, END_STREAM, &[(":status", "200")]))
        .unwrap();
    assert!(matches!(seen[..], [Seen::Response(5, true, _)]));
    // It cannot take its word back.
    assert_eq!(p.feed(&[goaway(9), goaway(5)].concat()), Ok(vec![]));
}

#[test]
fn resets_of_a_server_are_not_counted_as_floods() {
    let mut p = Peer::client();
    for _ in 0..3000 {
        let id = open(&mut p, "GET", true);
        assert_eq!(
            p.feed(&rst(id, ErrorCode::REFUSED_STREAM)).unwrap(),
            [Seen::Reset(id, ErrorCode::REFUSED_STREAM)]
        );
        p.sent();
    }
}

#[test]
fn late_frames_of_the_server_after_our_reset() {
    let mut p = Peer::client();
    let id = open(&mut p, "GET", true);
    p.connection.reset(&mut p.out, id, ErrorCode::CANCEL);
    let bytes = [
        response(id, 0, &[(":status", "200")]),
        frame(DATA, 0, id, b"late"),
        window_update(id, 1),
        frame(HEADERS, END, id, &block(&[("x", "1")])),
    ];
    assert_eq!(p.feed(&bytes.concat()), Ok(vec![]));
    assert_eq!(p.connection.active_streams(), 0);
}

#[test]
fn extended_connect_is_known_from_the_settings() {
    assert!(!Peer::client().connection.peer_allows_connect());
    assert!(
        Peer::client_with(Options::default(), &[(8, 1)])
            .connection
            .peer_allows_connect()
    );
    let mut p = Peer::client();
    let id = open(&mut p, "CONNECT", false);
    p.feed(&response(id, 0, &[(":status", "200")])).unwrap();
    assert!(p.connection.response.tunnel);
    assert_eq!(Method::Connect, Method::of(b"CONNECT"));
    assert_eq!(p.connection.send_data(&mut p.out, id, b"up", false), 2);
    assert_eq!(
        p.feed(&frame(DATA, END_STREAM, id, b"down")).unwrap().len(),
        1
    );
}
