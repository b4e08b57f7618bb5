//! Frames by type and state of the stream (RFC 9113 §5.1, §6).

use super::support::*;
use proto::h2::{ConnectionError as Ce, ErrorCode, Event, Options, StreamFault as Sf};

#[test]
fn preface_and_first_settings() {
    let mut p = Peer::fresh_server(Options::default());
    for part in PREFACE.chunks(5) {
        assert_eq!(p.feed(part), Ok(vec![]));
    }
    assert_eq!(p.feed(&settings(&[(3, 7)])), Ok(vec![Seen::Settings]));
    assert_eq!(p.sent(), [Sent::of(SETTINGS, ACK, 0, &[])]);

    for bad in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nXX",
        b"X",
    ] {
        let mut p = Peer::fresh_server(Options::default());
        p.fails(bad, Ce::Preface, 0);
    }
    for first in [
        frame(PING, 0, 0, &[0; 8]),
        frame(SETTINGS, ACK, 0, &[]),
        get(1, END, &[]),
        frame(0x77, 0, 0, &[]),
    ] {
        let mut p = Peer::fresh_server(Options::default());
        p.fails(&[PREFACE, &first].concat(), Ce::FirstFrame, 0);
    }
}

#[test]
fn our_first_frames() {
    let mut server = proto::h2::Connection::server(Options::default());
    let mut out = Vec::new();
    server.start(&mut out);
    let sent = frames(&out);
    assert_eq!(sent[0].kind, SETTINGS);
    let expected = settings(&[(1, 4096), (3, 1024), (4, 16 << 20)]);
    assert_eq!(sent[0].payload, expected[9..]);
    assert_eq!(sent[1], Sent::window_update(0, (24 << 20) - 65_535));
    let mut client = proto::h2::Connection::client(Options::default());
    out.clear();
    client.start(&mut out);
    let sent = frames(out.strip_prefix(PREFACE).unwrap());
    let expected = settings(&[(1, 4096), (2, 0), (4, 16 << 20)]);
    assert_eq!(sent[0].payload, expected[9..]);
}

/// (bytes, error) on a server where stream 1 is open, 3 half closed by the client, 5 reset by the
/// client, 7 finished by both, and 9 reset by the server.
#[test]
fn connection_errors() {
    let table: &[(Vec<u8>, Ce)] = &[
        // Frame sizes.
        (frame(DATA, 0, 1, &[0; 16_385]), Ce::FrameSize),
        (frame(HEADERS, END, 11, &[0; 16_385]), Ce::FrameSize),
        (frame(0x42, 0, 0, &[0; 16_385]), Ce::FrameSize),
        (frame(PING, 0, 0, &[0; 7]), Ce::FrameSize),
        (frame(PING, 0, 0, &[0; 9]), Ce::FrameSize),
        (frame(RST_STREAM, 0, 1, &[0; 3]), Ce::FrameSize),
        (frame(WINDOW_UPDATE, 0, 0, &[0; 5]), Ce::FrameSize),
        (frame(WINDOW_UPDATE, 0, 1, &[0; 3]), Ce::FrameSize),
        (frame(SETTINGS, 0, 0, &[0; 7]), Ce::FrameSize),
        (frame(SETTINGS, ACK, 0, &[0; 6]), Ce::FrameSize),
        (frame(GOAWAY, 0, 0, &[0; 7]), Ce::FrameSize),
        (frame(PRIORITY, 0, 11, &[0; 4]), Ce::FrameSize),
        (frame(DATA, PADDED, 1, &[]), Ce::FrameSize),
        (frame(HEADERS, END | PADDED, 11, &[]), Ce::FrameSize),
        (
            frame(HEADERS, END | WITH_PRIORITY, 11, &[0; 4]),
            Ce::FrameSize,
        ),
        // Padding.
        (frame(DATA, PADDED, 1, &[1]), Ce::Padding),
        (frame(DATA, PADDED, 1, &[5, 0, 0, 0, 0]), Ce::Padding),
        (frame(HEADERS, END | PADDED, 11, &[2, 0]), Ce::Padding),
        // Stream 0, and not.
        (frame(DATA, 0, 0, b"x"), Ce::StreamZero),
        (get(0, END, &[]), Ce::StreamZero),
        (frame(PRIORITY, 0, 0, &[0; 5]), Ce::StreamZero),
        (rst(0, ErrorCode::CANCEL), Ce::StreamZero),
        (frame(SETTINGS, 0, 1, &[]), Ce::StreamZero),
        (frame(PING, 0, 1, &[0; 8]), Ce::StreamZero),
        (frame(GOAWAY, 0, 1, &[0; 8]), Ce::StreamZero),
        // Idle streams.
        (frame(DATA, 0, 11, b"x"), Ce::IdleStream),
        (frame(DATA, 0, 2, b"x"), Ce::IdleStream),
        (rst(11, ErrorCode::CANCEL), Ce::IdleStream),
        (window_update(11, 1), Ce::IdleStream),
        // Ids.
        (get(2, END, &[]), Ce::StreamId),
        (get(12, END, &[]), Ce::StreamId),
        // Closed streams.
        (frame(DATA, 0, 5, b"x"), Ce::ClosedStream),
        (frame(DATA, 0, 7, b"x"), Ce::ClosedStream),
        (get(5, END, &[]), Ce::ClosedStream),
        (get(7, END, &[]), Ce::ClosedStream),
        // CONTINUATION.
        (
            frame(CONTINUATION, END_HEADERS, 1, b""),
            Ce::UnexpectedContinuation,
        ),
        (
            [frame(HEADERS, 1, 11, b""), frame(DATA, 0, 1, b"x")].concat(),
            Ce::ContinuationExpected,
        ),
        (
            [frame(HEADERS, 1, 11, b""), frame(CONTINUATION, 4, 1, b"x")].concat(),
            Ce::ContinuationExpected,
        ),
        (
            [frame(HEADERS, 1, 11, b""), frame(0x99, 4, 11, b"x")].concat(),
            Ce::ContinuationExpected,
        ),
        // Others.
        (
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            Ce::PushPromise,
        ),
        (frame(HEADERS, END, 11, &[0x80]), Ce::Compression),
        (window_update(0, 0), Ce::ZeroIncrement),
        (window_update(0, 0x7fff_ffff), Ce::WindowOverflow),
        (settings(&[(2, 2)]), Ce::Setting),
        (settings(&[(5, 1)]), Ce::Setting),
        (settings(&[(4, 1 << 31)]), Ce::WindowOverflow),
        (
            frame(PRIORITY, 0, 11, &[0, 0, 0, 11, 0]),
            Ce::SelfDependency,
        ),
    ];
    for (bytes, error) in table {
        states().fails(bytes, *error, 9);
        // The same however it is cut.
        let mut p = states();
        let mut result = Ok(vec![]);
        for byte in bytes {
            result = p.feed(&[*byte]);
            if result.is_err() {
                break;
            }
        }
        assert_eq!(result, Err(*error), "{bytes:?}");
    }
}

fn states() -> Peer {
    let mut p = Peer::server();
    let bytes = [
        post(1, &[]),
        get(3, END, &[]),
        post(5, &[]),
        rst(5, ErrorCode::CANCEL),
        get(7, END, &[]),
        post(9, &[]),
    ];
    assert_eq!(p.feed(&bytes.concat()).unwrap().len(), 6);
    let none = proto::HeaderMap::new();
    let body = proto::BodyLength::None;
    assert!(
        p.connection
            .send_response(&mut p.out, 7, 200, &none, body, true)
    );
    p.connection.reset(&mut p.out, 9, ErrorCode::CANCEL);
    assert_eq!(p.connection.active_streams(), 2);
    p.sent();
    p
}

#[test]
fn stream_errors() {
    let table: &[(Vec<u8>, u32, Sf)] = &[
        (frame(DATA, 0, 3, b"x"), 3, Sf::StreamClosed),
        (get(3, END, &[]), 3, Sf::StreamClosed),
        (window_update(1, 0), 1, Sf::ZeroIncrement),
        (window_update(1, 0x7fff_ffff), 1, Sf::WindowOverflow),
        (frame(PRIORITY, 0, 1, &[0; 6]), 1, Sf::FrameSize),
        (
            frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 0]),
            1,
            Sf::SelfDependency,
        ),
        (
            frame(
                HEADERS,
                END | WITH_PRIORITY,
                11,
                &[&[0, 0, 0, 11, 0][..], &block(GET)].concat(),
            ),
            11,
            Sf::SelfDependency,
        ),
        (
            frame(HEADERS, END_HEADERS, 1, &block(&[("a", "b")])),
            1,
            Sf::Sequence,
        ),
        (
            frame(HEADERS, END, 1, &block(&[(":path", "/")])),
            1,
            Sf::PseudoField,
        ),
    ];
    for (bytes, stream, fault) in table {
        let mut p = states();
        p.faults(bytes, *stream, *fault);
        assert_eq!(p.connection.stats.tx_reset, 2, "ours on 9, and this one");
    }
}

#[test]
fn frames_in_flight_after_our_reset_are_ignored() {
    let mut p = states();
    p.connection.stats = Default::default();
    let bytes = [
        frame(DATA, 0, 9, &[0; 100]),
        window_update(9, 1),
        frame(PRIORITY, 0, 9, &[0, 0, 0, 1, 0]),
        frame(HEADERS, END, 9, &block(&[("x-trailer", "1")])),
    ];
    assert_eq!(p.feed(&bytes.concat()), Ok(vec![]));
    assert_eq!(p.sent(), []);
    assert_eq!(p.connection.stats.headers_cb_no_stream, 1);
    // It ended the stream; from now on it must be quiet.
    p.fails(&frame(DATA, 0, 9, b"x"), Ce::ClosedStream, 9);
    // RST_STREAM is a way to be quiet, too, and no event: the stream is gone.
    let mut p = states();
    assert_eq!(p.feed(&rst(9, ErrorCode::CANCEL)), Ok(vec![]));
    p.fails(&get(9, END, &[]), Ce::ClosedStream, 9);
}

#[test]
fn harmless_frames() {
    let mut p = states();
    let bytes = [
        frame(0x77, 0xff, 1, b"who knows"),
        frame(0x77, 0xff, 1, b""),
        window_update(3, 5),
        window_update(5, 5),
        window_update(7, 5),
        rst(7, ErrorCode::CANCEL),
        frame(PRIORITY, 0, 101, &[0; 5]),
        frame(PRIORITY, 0, 7, &[0; 5]),
        settings(&[(0x77, 1)]),
        settings(&[(3, 1)]),
        frame(PING, 0xfe, 0, b"12345678"),
        frame(PING, ACK, 0, b"87654321"),
    ];
    assert_eq!(
        p.feed(&bytes.concat()),
        Ok(vec![Seen::Settings, Seen::Pong(*b"87654321")])
    );
    assert_eq!(
        p.sent(),
        [
            Sent::of(SETTINGS, ACK, 0, &[]),
            Sent::of(SETTINGS, ACK, 0, &[]),
            Sent::of(PING, ACK, 0, b"12345678")
        ]
    );
    assert_eq!(p.connection.active_streams(), 2);
}

#[test]
fn data_comes_in_pieces_without_padding() {
    let mut p = Peer::server();
    assert_eq!(p.feed(&post(1, &[])).unwrap().len(), 1);
    let padded = frame(DATA, PADDED | END_STREAM, 1, b"\x03hello\0\0\0");
    let mut body = Vec::new();
    let mut ends = 0;
    for byte in padded {
        for seen in p.feed(&[byte]).unwrap() {
            let Seen::Data(1, data, end) = seen else {
                panic!("{seen:?}")
            };
            body.extend(data);
            ends += u32::from(end);
        }
    }
    assert_eq!((&body[..], ends), (&b"hello"[..], 1));
    let whole = [
        post(3, &[]),
        frame(DATA, 0, 3, b"a"),
        frame(DATA, END_STREAM, 3, b""),
    ];
    let seen = p.feed(&whole.concat()).unwrap();
    assert_eq!(
        seen[1..],
        [
            Seen::Data(3, b"a".to_vec(), false),
            Seen::Data(3, vec![], true)
        ]
    );
}

#[test]
fn a_body_right_behind_its_head() {
    let padded = frame(DATA, PADDED, 1, b"\0x");
    let other = [frame(DATA, 0, 1, b""), get(3, END_STREAM, &[])].concat();
    for behind in [
        &[][..],
        &frame(DATA, 0, 1, b"x")[..9],
        &frame(DATA, 0, 3, b"x"),
        &window_update(1, 1),
        &padded,
        &other,
    ] {
        let mut p = Peer::server();
        assert_eq!(p.feed(&post(1, &[])).unwrap().len(), 1);
        let (now, out) = (p.now_ms, &mut p.out);
        assert_eq!(p.connection.next_body(behind, 1, now, out), None);
        // Nothing was taken.
        assert!(p.feed(behind).is_ok() || behind[8] == 3);
    }
    let body = |p: &mut Peer, bytes: &[u8]| {
        let (now, out) = (p.now_ms, &mut p.out);
        p.connection.next_body(bytes, 1, now, out)
    };
    let data = |start, len, end| {
        let stream = 1;
        let event = Event::Data {
            stream,
            start,
            len,
            end,
        };
        Some(Ok((start + len, event)))
    };
    let mut p = Peer::server();
    p.feed(&post(1, &[("content-length", "3")])).unwrap();
    assert_eq!(
        body(&mut p, &frame(DATA, 0, 1, b"ab")[..10]),
        data(9, 1, false)
    );
    // In the middle of a frame `next` goes on.
    assert_eq!(body(&mut p, b"b"), None);
    assert_eq!(p.feed(b"b").unwrap(), [Seen::Data(1, b"b".to_vec(), false)]);
    assert_eq!(
        body(&mut p, &frame(DATA, END_STREAM, 1, b"c")),
        data(9, 1, true)
    );
    let mut p = Peer::server();
    p.feed(&post(1, &[("content-length", "0")])).unwrap();
    assert_eq!(
        body(&mut p, &frame(DATA, 0, 1, b"c")),
        Some(Ok((
            9,
            Event::StreamError {
                stream: 1,
                fault: Sf::BodyLength
            }
        )))
    );
}

#[test]
fn windows_of_the_peer() {
    let options = Options {
        initial_stream_window: 1000,
        initial_connection_window: 65_535,
        ..Options::default()
    };
    // Before it knows ours, the peer may use 65,535 (RFC 9113 §6.9.2).
    let mut p = Peer::fresh_server(options.clone());
    p.consume = false;
    let bytes = [
        PREFACE,
        &settings(&[]),
        &post(1, &[]),
        &frame(DATA, 0, 1, &[0; 2000]),
    ];
    p.feed(&bytes.concat()).unwrap();
    p.feed(&frame(SETTINGS, ACK, 0, &[])).unwrap();
    p.faults(&frame(DATA, 0, 1, b"x"), 1, Sf::FlowControl);

    let mut p = Peer::server_with(options);
    p.consume = false;
    p.feed(&[post(1, &[]), frame(DATA, 0, 1, &[0; 1000])].concat())
        .unwrap();
    assert_eq!(p.sent(), []);
    p.connection.consumed(&mut p.out, 1, 499);
    assert_eq!(p.sent(), []);
    p.connection.consumed(&mut p.out, 1, 1);
    assert_eq!(p.sent(), [Sent::window_update(1, 500)]);
    p.connection.consumed(&mut p.out, 1, 10_000);
    assert_eq!(
        p.sent(),
        [Sent::window_update(1, 500)],
        "no more than was given"
    );
    p.feed(&frame(DATA, 0, 1, &[0; 1000])).unwrap();
    p.faults(&frame(DATA, 0, 1, b"x"), 1, Sf::FlowControl);
    // It counts on the connection, whatever became of the stream; 2001 is too little to be told.
    let mut left = 65_535 - 2001;
    let mut id = 3;
    while left > 0 {
        let n = left.min(1000);
        p.feed(&[post(id, &[]), frame(DATA, 0, id, &vec![0; n])].concat())
            .unwrap();
        left -= n;
        id += 2;
    }
    p.feed(&post(id, &[])).unwrap();
    p.fails(&frame(DATA, 0, id, b"x"), Ce::FlowControl, id);
}

#[test]
fn padding_is_given_back_at_once_and_reset_streams_give_all_back() {
    let options = Options {
        initial_stream_window: 1 << 20,
        initial_connection_window: 100_000,
        ..Options::default()
    };
    let mut p = Peer::server_with(options);
    p.consume = false;
    p.feed(&post(1, &[])).unwrap();
    let padded = frame(DATA, PADDED, 1, &[&[255][..], b"x", &[0; 255]].concat());
    for _ in 0..194 {
        p.feed(&padded).unwrap();
    }
    assert_eq!(p.sent(), []);
    for _ in 0..2 {
        p.feed(&padded).unwrap();
    }
    assert_eq!(
        p.sent(),
        [Sent::window_update(0, 196 * 256 - 256 + 256)],
        "half of the window"
    );
    // 196 bytes are with the owner, who resets the stream.
    p.feed(&frame(DATA, 0, 1, &[0; 16_384])).unwrap();
    p.feed(&frame(DATA, 0, 1, &[0; 16_384])).unwrap();
    p.feed(&frame(DATA, 0, 1, &[0; 16_384])).unwrap();
    p.feed(&frame(DATA, 0, 1, &[0; 800])).unwrap();
    assert_eq!(p.sent(), []);
    p.connection.reset(&mut p.out, 1, ErrorCode::CANCEL);
    let sent = p.sent();
    assert_eq!(sent[0], Sent::window_update(0, 3 * 16_384 + 800 + 196));
    assert_eq!(sent[1], Sent::rst(1, ErrorCode::CANCEL));
    p.connection.consumed(&mut p.out, 1, 1000);
    assert_eq!(p.sent(), []);
}

#[test]
fn reset_within_a_frame_of_data() {
    let mut p = Peer::server();
    p.consume = false;
    let data = frame(DATA, END_STREAM, 1, &[7; 100]);
    p.feed(&[&post(1, &[])[..], &data[..50]].concat()).unwrap();
    p.connection.reset(&mut p.out, 1, ErrorCode::CANCEL);
    assert_eq!(p.feed(&data[50..]), Ok(vec![]));
    let seen = p.feed(&get(3, END, &[])).unwrap();
    assert!(matches!(seen[..], [Seen::Request(3, true, _)]));
}

#[test]
fn initial_window_changes_all_streams() {
    let mut p = Peer::server();
    p.feed(&[get(1, END, &[]), get(3, END, &[])].concat())
        .unwrap();
    assert_eq!(p.connection.sendable(1), 65_535);
    p.feed(&settings(&[(4, 10), (4, 5), (4, 100)])).unwrap();
    assert_eq!(
        (p.connection.sendable(1), p.connection.sendable(3)),
        (100, 100)
    );
    p.feed(&window_update(3, 0x7fff_ffff - 100)).unwrap();
    p.fails(&settings(&[(4, 101)]), Ce::WindowOverflow, 3);
}

#[test]
fn streams_above_the_limit_are_refused() {
    let options = Options {
        max_concurrent_streams: 2,
        ..Options::default()
    };
    let mut p = Peer::server_with(options);
    p.feed(&[post(1, &[]), get(3, END, &[])].concat()).unwrap();
    p.faults(&get(5, END, &[]), 5, Sf::Refused);
    assert_eq!(p.connection.stats.stream_refused_errors, 1);
    p.feed(&rst(1, ErrorCode::CANCEL)).unwrap();
    assert!(matches!(
        p.feed(&get(7, END, &[])).unwrap()[..],
        [Seen::Request(7, true, _)]
    ));
}

#[test]
fn streams_whose_data_nobody_consumes_do_not_pile_up() {
    let options = Options {
        max_concurrent_streams: 2,
        ..Options::default()
    };
    let mut p = Peer::server_with(options);
    p.consume = false;
    let none = proto::HeaderMap::new();
    for id in (1..9).step_by(2) {
        p.feed(&[post(id, &[]), frame(DATA, END_STREAM, id, b"x")].concat())
            .unwrap();
        let body = proto::BodyLength::None;
        assert!(
            p.connection
                .send_response(&mut p.out, id, 200, &none, body, true)
        );
        assert_eq!(p.connection.active_streams(), 0);
    }
    p.faults(&get(9, END, &[]), 9, Sf::Refused);
    for id in (1..9).step_by(2) {
        assert!(p.connection.has_stream(id));
        p.connection.consumed(&mut p.out, id, 1);
        assert!(!p.connection.has_stream(id));
    }
    assert!(matches!(
        p.feed(&get(11, END, &[])).unwrap()[..],
        [Seen::Request(11, true, _)]
    ));
}

#[test]
fn goaway_both_ways() {
    let mut p = Peer::server();
    p.feed(&post(1, &[])).unwrap();
    p.connection.shutdown_notice(&mut p.out);
    assert_eq!(p.sent(), [Sent::goaway(0x7fff_ffff, ErrorCode::NO_ERROR)]);
    // What was on its way is taken.
    assert_eq!(p.feed(&get(3, END, &[])).unwrap().len(), 1);
    p.connection.goaway(&mut p.out, ErrorCode::NO_ERROR);
    assert_eq!(p.sent(), [Sent::goaway(3, ErrorCode::NO_ERROR)]);
    // What comes now is not, but the block is decoded and its DATA accounted for.
    let late = [post(5, &[]), frame(DATA, END_STREAM, 5, b"x")];
    assert_eq!(p.feed(&late.concat()), Ok(vec![]));
    assert_eq!(
        p.feed(&frame(DATA, END_STREAM, 1, b"x")).unwrap(),
        [Seen::Data(1, b"x".to_vec(), true)]
    );
    let stats = p.connection.stats;
    assert_eq!((stats.goaway_sent, stats.goaway_graceful_sent), (1, 1));
    let payload = [&[0, 0, 0, 9, 0, 0, 0, 2][..], b"debug"].concat();
    assert_eq!(
        p.feed(&frame(GOAWAY, 0, 0, &payload)).unwrap(),
        [Seen::Goaway(9, ErrorCode::INTERNAL_ERROR)]
    );
    assert!(p.connection.has_stream(1));
}

#[test]
fn ids_come_to_an_end() {
    let mut p = Peer::server();
    assert_eq!(p.feed(&get(0x7fff_ffff, END, &[])).unwrap().len(), 1);
    p.fails(&get(1, END, &[]), Ce::StreamId, 0x7fff_ffff);
}
