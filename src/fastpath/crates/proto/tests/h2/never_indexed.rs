//! Fields that are never to be indexed (RFC 7541 §6.2.3): an intermediary says so again (§7.1.3).

use super::support::*;
use proto::h2::Connection;
use proto::h2::hpack::{Decoder, FieldSink, Name};
use proto::{BodyLength, HeaderMap, Known, Scheme};

/// A block of literals; those whose name is in `marked` are never to be indexed.
fn marked_block(fields: &[(&str, &str)], marked: &[&str]) -> Vec<u8> {
    let one = |field: &(&str, &str)| {
        let mut literal = block(&[*field]);
        if marked.contains(&field.0) {
            literal[0] = 0x10;
        }
        literal
    };
    fields.iter().flat_map(one).collect()
}

/// The fields that a block marks.
#[derive(Default)]
struct Marks(Vec<String>);

impl FieldSink for Marks {
    fn field(&mut self, _name: Name<'_>, _value: &[u8]) -> bool {
        true
    }

    fn never_indexed(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        let text = |s: &[u8]| String::from_utf8_lossy(s).into_owned();
        self.0
            .push(format!("{}: {}", text(name.as_bytes()), text(value)));
        true
    }
}

fn marks(sent: &[Sent], decoder: &mut Decoder) -> Vec<String> {
    let mut marks = Marks::default();
    for frame in sent.iter().filter(|frame| frame.kind == HEADERS) {
        decoder.decode(&frame.payload, &mut marks).unwrap();
    }
    marks.0
}

/// What a connection to an upstream makes of the request that a server has received.
fn forward(server: &mut Connection, change: impl Fn(&mut HeaderMap)) -> Vec<String> {
    let mut upstream = Peer::client();
    change(&mut server.request.headers);
    upstream
        .connection
        .send_request(
            &mut upstream.out,
            &server.request,
            Scheme::Http,
            BodyLength::None,
            true,
        )
        .unwrap();
    marks(&upstream.sent(), &mut Decoder::new(4096))
}

#[test]
fn a_request_keeps_its_marks() {
    let fields = [GET, &[("x-secret", "s"), ("accept", "a"), ("x-open", "o")]].concat();
    for (marked, expected) in [
        (&[][..], &[][..]),
        (&["x-secret"], &["x-secret: s"]),
        (&["accept", "x-secret"], &["x-secret: s", "accept: a"]),
        // Even those that the static table has.
        (&[":method", ":path"], &[":method: GET", ":path: /"]),
        (&[":authority"], &[":authority: a"]),
        (&[":scheme"], &[":scheme: http"]),
    ] {
        let mut p = Peer::server();
        let head = marked_block(&fields, marked);
        // The second time the first one's marks are forgotten, and nothing was indexed.
        for stream in [1, 3] {
            p.feed(&frame(HEADERS, END, stream, &head)).unwrap();
            assert_eq!(forward(&mut p.connection, |_| {}), expected, "{marked:?}");
        }
        p.feed(&get(5, END, &[("x-secret", "s")])).unwrap();
        assert!(forward(&mut p.connection, |_| {}).is_empty());
    }
}

#[test]
fn a_host_and_cookies_keep_theirs() {
    let without_authority = [&GET[..3], &[("host", "h"), ("cookie", "a=1"), ("x", "y")]].concat();
    let fields = [&without_authority[..], &[("cookie", "b=2")]].concat();
    let mut p = Peer::server();
    let head = marked_block(&fields, &["host"]);
    p.feed(&frame(HEADERS, END, 1, &head)).unwrap();
    assert_eq!(
        forward(&mut p.connection, |headers| {
            headers.remove(Known::Cookie);
        }),
        [":authority: h"]
    );
    // Long enough to be indexed if nobody objects.
    let long = [
        ("cookie", "name=0123456789abcdef0123456789abcdef"),
        ("x", "y"),
        ("cookie", "b=2"),
    ];
    let mut p = Peer::server();
    let mut head = marked_block(&[GET, &long[..2]].concat(), &["cookie"]);
    head.extend(block(&long[2..]));
    p.feed(&frame(HEADERS, END, 1, &head)).unwrap();
    assert_eq!(
        forward(&mut p.connection, |_| {}),
        ["cookie: name=0123456789abcdef0123456789abcdef; b=2"]
    );
}

#[test]
fn a_changed_field_keeps_its_mark() {
    let fields = [
        GET,
        &[("x-forwarded-for", "1.1.1.1"), ("x-a", "1"), ("x-a", "2")],
    ]
    .concat();
    let head = marked_block(&fields, &["x-forwarded-for", "x-a"]);
    let mut p = Peer::server();
    p.feed(&frame(HEADERS, END, 1, &head)).unwrap();
    let change = |headers: &mut HeaderMap| {
        headers.append_value(Known::XForwardedFor, b",", b"2.2.2.2");
        headers.set_name(b"x-a", b"a longer value");
        headers.push(b"x-b", b"3");
        let copy = headers.clone();
        *headers = copy;
        headers.retain(|_, name, _| name != b"accept");
    };
    assert_eq!(
        forward(&mut p.connection, change),
        ["x-forwarded-for: 1.1.1.1,2.2.2.2", "x-a: a longer value"]
    );
    // What is taken out and put in anew is ours.
    p.feed(&frame(HEADERS, END, 3, &head)).unwrap();
    let change = |headers: &mut HeaderMap| {
        headers.remove(Known::XForwardedFor);
        headers.push_known(Known::XForwardedFor, b"2.2.2.2");
        headers.set_name(b"x-a", b"0");
    };
    assert_eq!(forward(&mut p.connection, change), ["x-a: 0"]);
}

#[test]
fn responses_and_trailers_keep_theirs() {
    let mut upstream = Peer::client();
    let mut server = Peer::server();
    server.feed(&get(1, END, &[])).unwrap();
    upstream
        .connection
        .send_request(
            &mut upstream.out,
            &server.connection.request,
            Scheme::Http,
            BodyLength::None,
            true,
        )
        .unwrap();
    let head = marked_block(
        &[(":status", "200"), ("x-key", "k"), ("a", "b")],
        &["x-key"],
    );
    let end = marked_block(&[("x-sum", "s"), ("c", "d")], &["x-sum"]);
    let answer = [
        frame(HEADERS, END_HEADERS, 1, &head),
        frame(HEADERS, END, 1, &end),
    ];
    upstream.feed(&answer.concat()).unwrap();
    let headers = &upstream.connection.response.headers;
    let out = &mut server.out;
    let framing = BodyLength::Chunked;
    assert!(
        server
            .connection
            .send_response(out, 1, 200, headers, framing, false)
    );
    assert!(
        server
            .connection
            .send_trailers(out, 1, &upstream.connection.trailers)
    );
    assert_eq!(
        marks(&server.sent(), &mut Decoder::new(4096)),
        ["x-key: k", "x-sum: s"]
    );
}
