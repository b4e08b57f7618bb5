//! One test per attack: each is cut, counted, and with the right code.

use super::support::*;
use proto::h2::{ConnectionError as Ce, ErrorCode, Options, StreamFault as Sf};

/// Feeds `bytes(i)` until the connection fails; how many it took.
fn until_cut(p: &mut Peer, limit: usize, mut bytes: impl FnMut(usize) -> Vec<u8>) -> (usize, Ce) {
    for i in 0..limit {
        if let Err(error) = p.feed(&bytes(i)) {
            let sent = p.sent();
            assert_eq!(sent.last().unwrap().kind, GOAWAY);
            assert_eq!(
                sent.last().unwrap().payload[4..],
                error.code().0.to_be_bytes()
            );
            return (i + 1, error);
        }
    }
    panic!("not cut after {limit}");
}

fn id(i: usize) -> u32 {
    2 * i as u32 + 1
}

/// CVE-2019-9512.
#[test]
fn ping_flood() {
    let mut p = Peer::server();
    let (n, error) = until_cut(&mut p, 2000, |_| frame(PING, 0, 0, &[0; 8]));
    assert_eq!((n, error), (1001, Ce::OutboundControlFlood));
    assert_eq!(error.code(), ErrorCode::ENHANCE_YOUR_CALM);
    assert_eq!(p.connection.stats.outbound_control_flood, 1);
    // In one read as well.
    let mut p = Peer::server();
    let all = frame(PING, 0, 0, &[0; 8]).repeat(2000);
    assert_eq!(p.feed(&all), Err(Ce::OutboundControlFlood));
    assert!(p.out.len() < 20_000);
    // Who reads the answers may ask on.
    let mut p = Peer::server();
    for _ in 0..10_000 {
        p.feed(&frame(PING, 0, 0, &[0; 8])).unwrap();
        p.sent();
    }
}

/// CVE-2019-9515, CVE-2020-11080.
#[test]
fn settings_flood() {
    let mut p = Peer::server();
    let (n, error) = until_cut(&mut p, 2000, |_| settings(&[(4, 1)]));
    assert_eq!((n, error), (1001, Ce::OutboundControlFlood));
}

/// Each of them would change all streams.
#[test]
fn window_settings_flood() {
    let mut p = Peer::server();
    p.feed(&post(1, &[])).unwrap();
    let (n, error) = until_cut(&mut p, 1000, |i| settings(&[(4, i as u32)]));
    assert_eq!((n, error), (8, Ce::WindowUpdateFlood));
    // Saying the same again changes nothing, and is no event.
    let mut p = Peer::server();
    p.feed(&[post(1, &[]), settings(&[(4, 7)])].concat())
        .unwrap();
    for _ in 0..1000 {
        assert_eq!(p.feed(&settings(&[(4, 7)])), Ok(vec![]));
        p.sent();
    }
}

/// CVE-2019-9514: requests that we must reset.
#[test]
fn reset_flood_of_ours() {
    let mut p = Peer::server();
    let (n, error) = until_cut(&mut p, 2000, |i| get(id(i), END, &[("te", "gzip")]));
    assert_eq!((n, error), (250, Ce::PrematureResets));
    assert_eq!(p.connection.stats.too_many_premature_resets, 1);
    assert_eq!(p.connection.stats.rx_messaging_error, 250);
}

/// CVE-2023-44487, in one burst: Envoy's premature resets.
#[test]
fn rapid_reset() {
    let mut p = Peer::server();
    let (n, error) = until_cut(&mut p, 2000, |i| {
        [get(id(i), END, &[]), rst(id(i), ErrorCode::CANCEL)].concat()
    });
    assert_eq!((n, error), (250, Ce::PrematureResets));
}

/// The same with responses in between, so that it is not premature: the bucket.
#[test]
fn reset_bucket() {
    let mut p = Peer::server();
    let none = proto::HeaderMap::new();
    let mut n = 0;
    let error = loop {
        p.feed(&post(id(n), &[])).unwrap();
        let body = proto::BodyLength::Chunked;
        assert!(
            p.connection
                .send_response(&mut p.out, id(n), 200, &none, body, false)
        );
        if let Err(error) = p.feed(&rst(id(n), ErrorCode::CANCEL)) {
            break error;
        }
        p.sent();
        n += 1;
    };
    assert_eq!((n, error), (1000, Ce::ResetFlood));
    assert_eq!(p.connection.stats.reset_flood, 1);
    // At a pace that is allowed it goes on forever.
    let mut p = Peer::server();
    for i in 0..5000 {
        p.now_ms += 31;
        p.feed(&post(id(i), &[])).unwrap();
        let body = proto::BodyLength::Chunked;
        p.connection
            .send_response(&mut p.out, id(i), 200, &none, body, false);
        p.feed(&rst(id(i), ErrorCode::CANCEL)).unwrap();
        p.sent();
    }
}

/// CVE-2025-8671: the client does not reset, it makes us.
#[test]
fn made_you_reset() {
    type Trick = fn(u32) -> Vec<u8>;
    let tricks: [(Trick, Sf); 5] = [
        (|id| window_update(id, 0), Sf::ZeroIncrement),
        (|id| window_update(id, 0x7fff_ffff), Sf::WindowOverflow),
        (|id| frame(PRIORITY, 0, id, &[0; 3]), Sf::FrameSize),
        (|id| frame(DATA, 0, id, b"x"), Sf::StreamClosed),
        (|id| frame(HEADERS, END, id, b""), Sf::StreamClosed),
    ];
    for (trick, fault) in tricks {
        let mut p = Peer::server();
        p.feed(&get(1, END, &[])).unwrap();
        p.faults(&trick(1), 1, fault);
        let mut n = 1;
        let error = loop {
            p.sent();
            match p.feed(&[get(id(n), END, &[]), trick(id(n))].concat()) {
                Ok(_) => n += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((n, error), (249, Ce::PrematureResets), "{fault}");
    }
}

/// Streams above our limit, again and again.
#[test]
fn refused_streams() {
    let mut p = Peer::server_with(Options {
        max_concurrent_streams: 1,
        ..Options::default()
    });
    p.feed(&post(1, &[])).unwrap();
    let (n, error) = until_cut(&mut p, 3000, |i| get(id(i + 1), END, &[]));
    // The control frames that wait, and the bucket, have the same limit.
    assert_eq!((n, error), (1001, Ce::ResetFlood));
    assert_eq!(p.connection.stats.stream_refused_errors, 1001);
}

/// CVE-2024-30255.
#[test]
fn continuation_flood() {
    let mut p = Peer::server();
    p.feed(&frame(HEADERS, END_STREAM, 1, &block(GET))).unwrap();
    let more = block(&[("x", "1")]);
    let (n, error) = until_cut(&mut p, 100, |_| frame(CONTINUATION, 0, 1, &more));
    assert_eq!((n, error), (9, Ce::ContinuationFlood));
    assert_eq!(p.connection.stats.too_many_header_frames, 1);
}

/// CVE-2019-9518.
#[test]
fn empty_frames() {
    let empties: [&dyn Fn() -> Vec<u8>; 4] = [
        &|| frame(DATA, 0, 1, b""),
        &|| frame(DATA, PADDED, 1, b"\x02\0\0"),
        &|| frame(HEADERS, 0, 3, b""),
        &|| frame(CONTINUATION, 0, 3, b""),
    ];
    for (i, empty) in empties.iter().enumerate() {
        let mut p = Peer::server();
        p.feed(&post(1, &[])).unwrap();
        if i == 2 {
            // HEADERS cannot follow itself without END_HEADERS.
            p.feed(&empty()).unwrap();
            p.fails(&frame(CONTINUATION, 0, 3, b""), Ce::EmptyFramesFlood, 1);
            continue;
        }
        if i == 3 {
            p.feed(&frame(HEADERS, 0, 3, &block(GET))).unwrap();
        }
        assert_eq!(
            until_cut(&mut p, 10, |_| empty()),
            (2, Ce::EmptyFramesFlood)
        );
        assert_eq!(p.connection.stats.inbound_empty_frames_flood, 1);
    }
}

/// CVE-2019-9513.
#[test]
fn priority_flood() {
    let mut p = Peer::server();
    p.feed(&post(1, &[])).unwrap();
    let (n, error) = until_cut(&mut p, 1000, |_| frame(PRIORITY, 0, 1, &[0; 5]));
    assert_eq!((n, error), (201, Ce::PriorityFlood));
    assert_eq!(p.connection.stats.inbound_priority_frames_flood, 1);
}

/// CVE-2019-9511.
#[test]
fn window_update_flood() {
    let mut p = Peer::server();
    p.feed(&post(1, &[])).unwrap();
    let (n, error) = until_cut(&mut p, 1000, |_| window_update(0, 1));
    assert_eq!((n, error), (8, Ce::WindowUpdateFlood));
    assert_eq!(p.connection.stats.inbound_window_update_frames_flood, 1);
    // DATA earns more.
    let mut p = Peer::server();
    p.feed(&get(1, END, &[])).unwrap();
    let none = proto::HeaderMap::new();
    let body = proto::BodyLength::Chunked;
    p.connection
        .send_response(&mut p.out, 1, 200, &none, body, false);
    p.connection.send_data(&mut p.out, 1, b"x", false);
    let (n, error) = until_cut(&mut p, 1000, |_| window_update(1, 1));
    assert_eq!((n, error), (28, Ce::WindowUpdateFlood));
}

/// CVE-2019-9517: much is asked for, and the peer does not read.
#[test]
fn outbound_flood() {
    let mut p = Peer::server();
    let none = proto::HeaderMap::new();
    let mut n = 0;
    let error = loop {
        if let Err(error) = p.feed(&get(id(n), END, &[])) {
            break error;
        }
        let body = proto::BodyLength::None;
        p.connection
            .send_response(&mut p.out, id(n), 200, &none, body, true);
        n += 1;
    };
    assert_eq!((n, error), (10_001, Ce::OutboundFlood));
    assert_eq!(p.connection.stats.outbound_flood, 1);
}

/// A block of 16 KiB that stands for 64 MiB of fields.
#[test]
fn hpack_bomb() {
    let mut p = Peer::server();
    let mut literal = block(&[("x", &"v".repeat(4000))]);
    literal[0] = 0x40;
    let bomb = [literal, vec![0x80 | 62; 12_000]].concat();
    let bytes = frame(HEADERS, END, 1, &[block(GET), bomb].concat());
    p.faults(&bytes, 1, Sf::HeaderOverflow);
    assert!(p.connection.request.headers.capacity() < 300_000);
    // In trailers, and on a stream that is not there any more.
    p.feed(&[post(3, &[]), post(5, &[])].concat()).unwrap();
    p.faults(
        &frame(HEADERS, END, 3, &[0x80 | 62; 16_000]),
        3,
        Sf::HeaderOverflow,
    );
    p.connection.reset(&mut p.out, 5, ErrorCode::CANCEL);
    assert_eq!(
        p.feed(&frame(HEADERS, END, 5, &[0x80 | 62; 16_000])),
        Ok(vec![])
    );
}

/// DATA that nobody asked for on streams that are over.
#[test]
fn data_on_streams_long_gone() {
    let mut p = Peer::server();
    let none = proto::HeaderMap::new();
    for i in 0..100 {
        p.feed(&get(id(i), END, &[])).unwrap();
        let body = proto::BodyLength::None;
        p.connection
            .send_response(&mut p.out, id(i), 200, &none, body, true);
    }
    p.sent();
    // The oldest are not remembered: reset, counted, and cut in the end.
    assert_eq!(p.feed(&frame(DATA, 0, 1, b"x")), Ok(vec![]));
    assert_eq!(p.sent(), [Sent::rst(1, ErrorCode::STREAM_CLOSED)]);
    let mut n = 1;
    while p.feed(&frame(DATA, 0, 1, b"x")).is_ok() {
        p.sent();
        n += 1;
    }
    assert_eq!(n, 1000);
}

/// Tiny windows, many streams: nothing grows but what the peer reads.
#[test]
fn tiny_windows() {
    let mut p = Peer::server();
    p.feed(&settings(&[(4, 1)])).unwrap();
    let none = proto::HeaderMap::new();
    for i in 0..1024 {
        p.feed(&get(id(i), END, &[])).unwrap();
        let body = proto::BodyLength::Chunked;
        p.connection
            .send_response(&mut p.out, id(i), 200, &none, body, false);
        assert_eq!(
            p.connection.send_data(&mut p.out, id(i), &[0; 1000], true),
            1
        );
        p.sent();
    }
    assert_eq!(p.connection.active_streams(), 1024);
    p.faults(&get(id(1024), END, &[]), id(1024), Sf::Refused);
    // SETTINGS move all windows at once, and only to the last value that a frame names.
    let many: Vec<(u16, u32)> = (0..2000).map(|i| (4, i)).collect();
    p.feed(&settings(&many)).unwrap();
    assert_eq!(p.connection.sendable(1), 1998);
}

/// A request of a few bytes whose head is long, again and again (CVE-2016-6581 below the limit of
/// a single head).
#[test]
fn open_heads_are_bounded_together() {
    let options = Options {
        max_open_head_bytes: 1000,
        ..Options::default()
    };
    let mut p = Peer::server_with(options);
    let long = "v".repeat(400);
    let fields = [("x", long.as_str())];
    // One head goes whatever it takes.
    let longer = "v".repeat(2000);
    p.feed(&get(1, END, &[("x", longer.as_str())])).unwrap();
    p.faults(&get(3, END, &[]), 3, Sf::Refused);
    p.feed(&rst(1, ErrorCode::CANCEL)).unwrap();
    p.feed(&[get(5, END, &fields), get(7, END, &fields)].concat())
        .unwrap();
    p.faults(&get(9, END, &fields), 9, Sf::Refused);
    // An answer makes room as well.
    let none = proto::HeaderMap::new();
    let body = proto::BodyLength::None;
    assert!(
        p.connection
            .send_response(&mut p.out, 5, 200, &none, body, true)
    );
    p.feed(&get(11, END, &fields)).unwrap();
    assert_eq!(p.connection.active_streams(), 2);
}
