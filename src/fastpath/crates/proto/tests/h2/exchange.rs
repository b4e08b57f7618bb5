//! A client and a server of ours talk, in any order and with any cuts: all bodies arrive, windows
//! hold, and both end with nothing open.

use std::collections::BTreeMap;

use super::support::*;
use proptest::prelude::*;
use proto::h1::RequestHead;
use proto::h2::{Connection, ErrorCode, Options};
use proto::{BodyLength, HeaderMap, Scheme};

/// Cheap random numbers from a seed of proptest's.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }
}

/// A message being sent.
#[derive(Clone, Debug)]
struct Outgoing {
    sent: usize,
    len: usize,
    trailers: bool,
    done: bool,
}

/// A message being received.
#[derive(Clone, Debug, Default)]
struct Incoming {
    got: usize,
    unconsumed: usize,
    trailers: bool,
    done: bool,
}

struct Side {
    connection: Connection,
    /// On its way to the other side.
    wire: Vec<u8>,
    sending: BTreeMap<u32, Outgoing>,
    receiving: BTreeMap<u32, Incoming>,
    reset: Vec<u32>,
}

fn byte(stream: u32, at: usize) -> u8 {
    (stream as usize * 31 + at * 7) as u8
}

impl Side {
    fn new(mut connection: Connection) -> Side {
        let mut wire = Vec::new();
        connection.start(&mut wire);
        Side {
            connection,
            wire,
            sending: BTreeMap::new(),
            receiving: BTreeMap::new(),
            reset: Vec::new(),
        }
    }

    fn outgoing(dice: &mut Dice, window: usize) -> Outgoing {
        Outgoing {
            sent: 0,
            // A few round trips, not thousands.
            len: [0, 1, 100, 3000, 40_000][dice.roll(5)].min(window.saturating_mul(10)),
            trailers: dice.roll(3) == 0,
            done: false,
        }
    }

    fn framing(message: &Outgoing, dice: &mut Dice) -> BodyLength {
        if dice.roll(2) == 0 {
            BodyLength::Length(message.len as u64)
        } else {
            BodyLength::Chunked
        }
    }

    fn send_some(&mut self, stream: u32, dice: &mut Dice) {
        let Some(m) = self.sending.get_mut(&stream).filter(|m| !m.done) else {
            return;
        };
        let n = dice.roll(m.len - m.sent + 1);
        let data: Vec<u8> = (m.sent..m.sent + n).map(|at| byte(stream, at)).collect();
        let end = m.sent + n == m.len && !m.trailers;
        let windows = self.connection.sendable(stream);
        let taken = self
            .connection
            .send_data(&mut self.wire, stream, &data, end);
        assert_eq!(taken, n.min(windows));
        m.sent += taken;
        m.done = end && taken == n;
        if m.sent == m.len && m.trailers {
            let mut trailers = HeaderMap::new();
            assert!(trailers.push(b"x-sum", stream.to_string().as_bytes()));
            m.done = self
                .connection
                .send_trailers(&mut self.wire, stream, &trailers);
            assert!(m.done);
        }
    }

    fn consume_some(&mut self, stream: u32, dice: &mut Dice) {
        if let Some(m) = self.receiving.get_mut(&stream) {
            let n = dice.roll(m.unconsumed + 1);
            m.unconsumed -= n;
            self.connection.consumed(&mut self.wire, stream, n);
        }
    }

    /// Part of what the other side sent arrives; `left` is what was not whole before.
    fn take(&mut self, wire: &mut Vec<u8>, left: &mut Vec<u8>, dice: &mut Dice) -> Vec<Seen> {
        let n = [1, 9, 100, usize::MAX][dice.roll(4)].min(wire.len());
        left.extend(wire.drain(..n));
        let mut seen = Vec::new();
        let used = drain(
            &mut self.connection,
            left,
            0,
            &mut self.wire,
            false,
            &mut seen,
        )
        .unwrap();
        left.drain(..used);
        assert!(left.len() <= 9 + 16_384);
        for event in &seen {
            match event {
                Seen::Data(stream, data, end) => {
                    assert!(!self.reset.contains(stream));
                    let m = self.receiving.entry(*stream).or_default();
                    for b in data {
                        assert_eq!(*b, byte(*stream, m.got));
                        m.got += 1;
                    }
                    m.unconsumed += data.len();
                    m.done |= end;
                }
                Seen::Trailers(stream, text) => {
                    assert!(!self.reset.contains(stream));
                    let m = self.receiving.entry(*stream).or_default();
                    assert_eq!(*text, format!("x-sum: {stream}"));
                    (m.done, m.trailers) = (true, true);
                }
                Seen::Reset(stream, _) => self.forget(*stream),
                Seen::Request(stream, end, _) | Seen::Response(stream, end, _) => {
                    self.receiving.entry(*stream).or_default().done |= end;
                }
                Seen::Window(_) | Seen::Settings => {}
                other => panic!("{other:?}"),
            }
        }
        seen
    }

    fn forget(&mut self, stream: u32) {
        self.sending.remove(&stream);
        self.receiving.remove(&stream);
        self.reset.push(stream);
    }

    fn pick(&self, dice: &mut Dice) -> Option<u32> {
        let ids: Vec<u32> = self
            .sending
            .keys()
            .chain(self.receiving.keys())
            .copied()
            .collect();
        (!ids.is_empty()).then(|| ids[dice.roll(ids.len())])
    }

    fn idle(&self) -> bool {
        self.sending.values().all(|m| m.done)
            && self.receiving.values().all(|m| m.done && m.unconsumed == 0)
    }
}

fn options(dice: &mut Dice) -> Options {
    Options {
        initial_stream_window: [1, 50, 1000, 65_535, 1 << 20][dice.roll(5)],
        initial_connection_window: [65_535, 1 << 20][dice.roll(2)],
        header_table_size: [0, 100, 4096, 10_000][dice.roll(4)],
        max_concurrent_streams: 50,
        // Tiny windows need many frames for few bytes; the test is not about that.
        max_window_update_per_data: 1000,
        ..Options::default()
    }
}

fn talk(seed: u64, count: usize, resets: bool) {
    let mut dice = Dice(seed | 1);
    let (ours, theirs) = (options(&mut dice), options(&mut dice));
    let window = ours.initial_stream_window.min(theirs.initial_stream_window) as usize;
    let mut client = Side::new(Connection::client(ours));
    let mut server = Side::new(Connection::server(theirs));
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    let mut opened = 0;
    let mut messages = BTreeMap::new();
    for round in 0.. {
        assert!(round < 1_000_000, "no progress");
        client.connection.set_unsent(0);
        server.connection.set_unsent(0);
        match dice.roll(7) {
            0 if opened < count && client.connection.can_open() > 0 => {
                let mut head = RequestHead::new();
                assert!(
                    head.set_method(b"POST") && head.set_path(b"/") && head.set_authority(b"a")
                );
                assert!(
                    head.headers
                        .push(b"x-number", opened.to_string().as_bytes())
                );
                let message = Side::outgoing(&mut dice, window);
                let framing = Side::framing(&message, &mut dice);
                let end = message.len == 0 && !message.trailers && dice.roll(2) == 0;
                let stream = client
                    .connection
                    .send_request(&mut client.wire, &head, Scheme::Http, framing, end)
                    .unwrap();
                opened += 1;
                messages.insert((stream, true), message.clone());
                let done = end;
                client.sending.insert(stream, Outgoing { done, ..message });
            }
            1 | 2 => {
                let side = if dice.roll(2) == 0 {
                    &mut client
                } else {
                    &mut server
                };
                if let Some(stream) = side.pick(&mut dice) {
                    side.send_some(stream, &mut dice);
                }
            }
            3 => {
                let side = if dice.roll(2) == 0 {
                    &mut client
                } else {
                    &mut server
                };
                if let Some(stream) = side.pick(&mut dice) {
                    side.consume_some(stream, &mut dice);
                }
            }
            4 => {
                for event in server.take(&mut client.wire, &mut to_server, &mut dice) {
                    let Seen::Request(stream, ..) = event else {
                        continue;
                    };
                    let message = Side::outgoing(&mut dice, window);
                    let framing = Side::framing(&message, &mut dice);
                    let end = message.len == 0 && !message.trailers;
                    let none = HeaderMap::new();
                    let out = &mut server.wire;
                    if server
                        .connection
                        .send_response(out, stream, 200, &none, framing, end)
                    {
                        messages.insert((stream, false), message.clone());
                        let done = end;
                        server.sending.insert(stream, Outgoing { done, ..message });
                    }
                }
            }
            5 => {
                client.take(&mut server.wire, &mut to_client, &mut dice);
            }
            6 if resets && dice.roll(20) == 0 => {
                let side = if dice.roll(2) == 0 {
                    &mut client
                } else {
                    &mut server
                };
                if let Some(stream) = side.pick(&mut dice)
                    && side.connection.has_stream(stream)
                {
                    side.connection
                        .reset(&mut side.wire, stream, ErrorCode::CANCEL);
                    side.forget(stream);
                }
            }
            _ => {}
        }
        let quiet = client.wire.is_empty() && server.wire.is_empty();
        if opened == count && quiet && client.idle() && server.idle() {
            break;
        }
    }
    assert!(to_server.is_empty() && to_client.is_empty());
    assert_eq!(client.connection.active_streams(), 0);
    assert_eq!(server.connection.active_streams(), 0);
    for ((stream, from_client), message) in messages {
        let side = if from_client { &server } else { &client };
        let lost = client.reset.contains(&stream) || server.reset.contains(&stream);
        match side.receiving.get(&stream) {
            Some(m) if !lost => {
                assert_eq!((m.got, m.trailers), (message.len, message.trailers));
            }
            _ => assert!(lost, "{stream}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives(seed: u64, count in 1usize..30) {
        talk(seed, count, false);
    }

    #[test]
    fn and_resets_harm_nobody_else(seed: u64, count in 1usize..30) {
        talk(seed, count, true);
    }

    /// Any bytes, any cuts: no panic, and the same events.
    #[test]
    fn cuts_change_nothing(
        kinds in proptest::collection::vec((0u8..11, any::<u8>(), 0u32..8, proptest::collection::vec(any::<u8>(), 0..40)), 0..30),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..10),
    ) {
        let mut bytes = [PREFACE, &settings(&[])].concat();
        bytes.extend(get(1, 0, &[]));
        bytes.extend(get(3, END_STREAM, &[]));
        for (kind, flags, stream, payload) in kinds {
            bytes.extend(frame(kind, flags, stream, &payload));
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len())).collect();
        cuts.sort_unstable();
        let every: Vec<usize> = (0..bytes.len()).collect();
        let whole = events(&bytes, &[]);
        prop_assert_eq!(&events(&bytes, &cuts), &whole);
        prop_assert_eq!(&events(&bytes, &every), &whole);
    }
}

/// All events, the pieces of DATA joined, what was sent, and how it ended.
fn events(bytes: &[u8], cuts: &[usize]) -> (Vec<Seen>, Vec<u8>, String) {
    let mut connection = Connection::server(Options::default());
    let (mut seen, mut out, mut done) = (Vec::new(), Vec::new(), 0);
    let mut result = Ok(0);
    for cut in cuts.iter().copied().chain([bytes.len()]) {
        result = drain(
            &mut connection,
            &bytes[done..cut.max(done)],
            0,
            &mut out,
            true,
            &mut seen,
        );
        match result {
            Ok(n) => done += n,
            Err(_) => break,
        }
    }
    let mut joined: Vec<Seen> = Vec::new();
    for event in seen {
        match (joined.last_mut(), event) {
            (Some(Seen::Data(a, data, end)), Seen::Data(b, more, ends)) if *a == b && !*end => {
                data.extend(more);
                *end = ends;
            }
            (_, event) => joined.push(event),
        }
    }
    (joined, out, format!("{:?}", result.map(|_| done)))
}
