//! What the connection sends: heads, DATA by windows, trailers, resets.

use super::support::*;
use proto::h2::hpack::Decoder;
use proto::h2::{ErrorCode, Options};
use proto::{BodyLength, HeaderMap};

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        assert!(map.push(name.as_bytes(), value.as_bytes()));
    }
    map
}

fn server_with_request(method: &str) -> Peer {
    let mut p = Peer::server();
    let fields = [(":method", method), GET[1], GET[2], GET[3]];
    p.feed(&frame(HEADERS, END, 1, &block(&fields))).unwrap();
    p
}

#[test]
fn response_heads() {
    let headers = map(&[
        ("content-length", "77"),
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "x"),
        ("te", "trailers"),
        ("x", "1"),
    ]);
    let with = |status: u16, length: &str| match length {
        "" => format!(":status: {status}\nx: 1"),
        _ => format!(":status: {status}\nx: 1\ncontent-length: {length}"),
    };
    for (method, status, framing, text) in [
        ("GET", 200, BodyLength::Length(5), with(200, "5")),
        ("GET", 200, BodyLength::Chunked, with(200, "")),
        ("GET", 200, BodyLength::UntilClose, with(200, "")),
        ("GET", 200, BodyLength::None, with(200, "")),
        ("GET", 204, BodyLength::Length(5), with(204, "")),
        ("GET", 304, BodyLength::None, with(304, "77")),
        ("GET", 304, BodyLength::Length(5), with(304, "5")),
        ("HEAD", 200, BodyLength::None, with(200, "77")),
        ("HEAD", 200, BodyLength::Length(9), with(200, "9")),
        ("GET", 99, BodyLength::None, with(500, "")),
        ("GET", 1000, BodyLength::None, with(500, "")),
        ("GET", 101, BodyLength::None, with(500, "")),
    ] {
        let mut p = server_with_request(method);
        assert!(
            p.connection
                .send_response(&mut p.out, 1, status, &headers, framing, true)
        );
        let sent = p.sent();
        assert_eq!((sent.len(), sent[0].kind, sent[0].flags), (1, HEADERS, END));
        let found = decoded(&mut Decoder::new(4096), &sent[0].payload);
        assert_eq!(found, text, "{method} {status} {framing:?}");
        // The stream is over.
        assert_eq!(
            (p.connection.has_stream(1), p.connection.active_streams()),
            (false, 0)
        );
        assert!(
            !p.connection
                .send_response(&mut p.out, 1, status, &headers, framing, true)
        );
    }
}

#[test]
fn interim_responses_come_first() {
    let mut p = server_with_request("GET");
    let none = map(&[]);
    for bad in [99, 101, 200] {
        assert!(!p.connection.send_interim(&mut p.out, 1, bad, &none));
    }
    assert!(p.connection.send_interim(&mut p.out, 1, 100, &none));
    assert!(
        p.connection
            .send_interim(&mut p.out, 1, 103, &map(&[("link", "x")]))
    );
    assert_eq!(
        p.connection.data_head(1, 5, false),
        None,
        "no DATA before the head"
    );
    assert!(
        !p.connection
            .send_trailers(&mut p.out, 1, &map(&[("x", "1")]))
    );
    assert!(
        p.connection
            .send_response(&mut p.out, 1, 200, &none, BodyLength::Chunked, false)
    );
    assert!(!p.connection.send_interim(&mut p.out, 1, 103, &none));
    assert!(
        !p.connection
            .send_response(&mut p.out, 1, 200, &none, BodyLength::Chunked, false)
    );
    let mut decoder = Decoder::new(4096);
    let texts: Vec<String> = p
        .sent()
        .iter()
        .map(|f| {
            assert_eq!(f.flags, END_HEADERS);
            decoded(&mut decoder, &f.payload)
        })
        .collect();
    assert_eq!(
        texts,
        [":status: 100", ":status: 103\nlink: x", ":status: 200"]
    );
}

#[test]
fn trailers_end_the_stream() {
    let none = map(&[]);
    for (fields, kind, text) in [
        (
            &[
                ("grpc-status", "0"),
                ("connection", "x"),
                ("content-length", "1"),
            ][..],
            HEADERS,
            "grpc-status: 0",
        ),
        (&[("host", "x")], DATA, ""),
    ] {
        let mut p = server_with_request("GET");
        p.connection
            .send_response(&mut p.out, 1, 200, &none, BodyLength::Chunked, false);
        p.sent();
        assert!(p.connection.send_trailers(&mut p.out, 1, &map(fields)));
        let sent = p.sent();
        assert_eq!(
            (sent.len(), sent[0].kind, sent[0].flags & END_STREAM),
            (1, kind, END_STREAM)
        );
        if kind == HEADERS {
            assert!(sent[0].flags & END_HEADERS != 0);
            // The first block had `:status: 200` only, which is in the static table.
            assert_eq!(decoded(&mut Decoder::new(4096), &sent[0].payload), text);
        }
        assert!(!p.connection.send_trailers(&mut p.out, 1, &map(fields)));
        assert!(!p.connection.has_stream(1));
    }
}

#[test]
fn data_by_windows_and_frame_size() {
    let mut p = server_with_request("GET");
    p.feed(&settings(&[(4, 20_000)])).unwrap();
    p.connection
        .send_response(&mut p.out, 1, 200, &map(&[]), BodyLength::Chunked, false);
    p.sent();
    assert_eq!(p.connection.sendable(1), 20_000);
    let head = p.connection.data_head(1, 50_000, true).unwrap();
    assert_eq!((head.len, head.end), (16_384, false));
    assert_eq!(head.bytes, [0, 64, 0, 0, 0, 0, 0, 0, 1]);
    let head = p.connection.data_head(1, 50_000 - 16_384, true).unwrap();
    assert_eq!((head.len, head.end), (20_000 - 16_384, false));
    assert_eq!(
        (
            p.connection.data_head(1, 30_000, true),
            p.connection.sendable(1)
        ),
        (None, 0)
    );
    assert_eq!(p.connection.data_head(1, 0, false), None);
    // 45,535 are left on the connection: the stream's window is what it waits for.
    assert_eq!(p.feed(&window_update(0, 10)), Ok(vec![]));
    assert_eq!(p.feed(&window_update(1, 60_000)), Ok(vec![Seen::Window(1)]));
    assert_eq!(
        p.feed(&window_update(1, 1)),
        Ok(vec![]),
        "it has not tried since"
    );
    assert_eq!(p.connection.sendable(1), 45_545);
    let mut out = Vec::new();
    assert_eq!(
        p.connection.send_data(&mut out, 1, &[0; 60_000], true),
        45_545
    );
    assert_eq!(frames(&out).len(), 3);
    // Now it waits for the connection.
    assert_eq!(p.feed(&window_update(1, 1)), Ok(vec![]));
    assert_eq!(
        p.feed(&window_update(0, 100_000)),
        Ok(vec![Seen::Window(0)])
    );
    assert_eq!(p.feed(&window_update(0, 1)), Ok(vec![]));
    let head = p.connection.data_head(1, 60_000 - 45_545, true).unwrap();
    assert_eq!(
        (head.len, head.end, head.bytes[4]),
        (14_455, true, END_STREAM)
    );
    assert_eq!(
        (
            p.connection.data_head(1, 0, true),
            p.connection.has_stream(1)
        ),
        (None, false)
    );
}

#[test]
fn a_stream_that_waits_for_both_windows_is_told() {
    let mut p = Peer::server();
    p.feed(&[get(1, END, &[]), get(3, END, &[])].concat())
        .unwrap();
    p.feed(&settings(&[(4, 65_535 + 10)])).unwrap();
    for id in [1, 3] {
        p.connection
            .send_response(&mut p.out, id, 200, &map(&[]), BodyLength::Chunked, false);
    }
    p.feed(&settings(&[(4, 10)])).unwrap();
    p.sent();
    // 1 uses its own window up, and knows; 3 uses up the connection's exactly, and does not.
    assert_eq!(p.connection.send_data(&mut p.out, 1, &[0; 11], false), 10);
    p.feed(&window_update(3, 100_000)).unwrap();
    assert_eq!(
        p.connection.send_data(&mut p.out, 3, &[0; 65_525], false),
        65_525
    );
    assert_eq!(p.feed(&window_update(1, 5)), Ok(vec![]));
    assert_eq!(p.feed(&window_update(0, 5)), Ok(vec![Seen::Window(0)]));
    assert_eq!(p.connection.sendable(1), 5);
}

#[test]
fn a_window_below_zero_sends_nothing_but_the_end() {
    let mut p = server_with_request("GET");
    p.connection
        .send_response(&mut p.out, 1, 200, &map(&[]), BodyLength::Chunked, false);
    assert_eq!(
        p.connection.send_data(&mut p.out, 1, &[0; 60_000], false),
        60_000
    );
    p.feed(&settings(&[(4, 100)])).unwrap();
    assert_eq!(
        (p.connection.sendable(1), p.connection.data_head(1, 5, true)),
        (0, None)
    );
    assert_eq!(p.feed(&window_update(1, 59_900)), Ok(vec![]));
    assert_eq!(p.feed(&window_update(1, 1)), Ok(vec![Seen::Window(1)]));
    p.feed(&settings(&[(4, 0)])).unwrap();
    let head = p.connection.data_head(1, 0, true).unwrap();
    assert!(head.end && head.len == 0);
}

#[test]
fn larger_frames_if_the_peer_takes_them() {
    let mut p = server_with_request("GET");
    p.feed(&settings(&[(5, 40_000)])).unwrap();
    p.connection
        .send_response(&mut p.out, 1, 200, &map(&[]), BodyLength::Chunked, false);
    assert_eq!(p.connection.data_head(1, 60_000, true).unwrap().len, 40_000);
    // And ours.
    let options = Options {
        max_frame_size: 20_000,
        ..Options::default()
    };
    let mut p = Peer::server_with(options);
    let seen = p.feed(&[post(1, &[]), frame(DATA, 0, 1, &[0; 20_000])].concat());
    assert_eq!(seen.unwrap().len(), 2);
}

#[test]
fn resets_and_pings() {
    let mut p = server_with_request("GET");
    p.connection.reset(&mut p.out, 1, ErrorCode::INTERNAL_ERROR);
    p.connection.reset(&mut p.out, 1, ErrorCode::INTERNAL_ERROR);
    p.connection
        .reset(&mut p.out, 99, ErrorCode::INTERNAL_ERROR);
    p.connection.ping(&mut p.out, *b"12345678");
    assert_eq!(
        p.sent(),
        [
            Sent::rst(1, ErrorCode::INTERNAL_ERROR),
            Sent::of(PING, 0, 0, b"12345678")
        ]
    );
    let none = map(&[]);
    assert!(
        !p.connection
            .send_response(&mut p.out, 1, 200, &none, BodyLength::None, true)
    );
    assert!(!p.connection.send_trailers(&mut p.out, 1, &none));
    assert_eq!(p.connection.send_data(&mut p.out, 1, b"x", true), 0);
    assert!(p.out.is_empty());
}

#[test]
fn a_smaller_table_of_the_peer_is_obeyed() {
    let mut p = Peer::server();
    p.feed(&settings(&[(1, 0)])).unwrap();
    p.sent();
    let mut decoder = Decoder::new(4096);
    decoder.set_max_table_size(0);
    for id in [1, 3] {
        p.feed(&get(id, END, &[])).unwrap();
        let headers = map(&[("content-type", "text/x")]);
        p.connection
            .send_response(&mut p.out, id, 200, &headers, BodyLength::None, true);
        let sent = p.sent();
        decoded(&mut decoder, &sent[0].payload);
        assert_eq!(decoder.table_size(), 0);
    }
}

/// RFC 7541 §4.2: the least size in between is said, too, though it is back at once.
#[test]
fn a_table_that_was_small_for_a_moment_is_emptied() {
    let mut p = Peer::server();
    let headers = map(&[("content-type", "text/x")]);
    let mut decoder = Decoder::new(4096);
    let mut size = 0;
    for id in [1, 3] {
        p.feed(&get(id, END, &[])).unwrap();
        p.sent();
        let body = BodyLength::None;
        p.connection
            .send_response(&mut p.out, id, 200, &headers, body, true);
        decoded(&mut decoder, &p.sent()[0].payload);
        size = decoder.table_size();
        assert!(size > 0);
        assert_eq!(p.feed(&settings(&[(1, 0), (1, 4096)])), Ok(vec![]));
    }
    assert_eq!(decoder.table_size(), size, "one entry, not two");
}

#[test]
fn idle_connections_give_memory_back() {
    let mut p = server_with_request("GET");
    p.connection.reset(&mut p.out, 1, ErrorCode::CANCEL);
    p.connection.shrink();
    assert_eq!(p.feed(&get(3, END, &[])).unwrap().len(), 1);
    p.connection.shrink();
    assert!(p.connection.has_stream(3));
}
