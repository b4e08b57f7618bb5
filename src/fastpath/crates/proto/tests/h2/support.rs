//! A peer made of raw frames, and what a connection makes of them.

use proto::h2::hpack::{Decoder, FieldSink, Name};
use proto::h2::{Connection, ConnectionError, ErrorCode, Event, Options, StreamFault};
use proto::{HeaderMap, h1};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 32;
/// END_STREAM and END_HEADERS.
pub const END: u8 = 5;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

pub fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = entries
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

pub fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

pub fn rst(stream: u32, code: ErrorCode) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.0.to_be_bytes())
}

/// Literals without indexing, without Huffman.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fn string(out: &mut Vec<u8>, s: &str) {
        if s.len() < 127 {
            out.push(s.len() as u8);
        } else {
            out.push(127);
            let mut rest = s.len() - 127;
            while rest >= 128 {
                out.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            out.push(rest as u8);
        }
        out.extend(s.as_bytes());
    }
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        string(&mut out, name);
        string(&mut out, value);
    }
    out
}

pub const GET: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "a"),
];

/// HEADERS with GET and more fields.
pub fn get(stream: u32, flags: u8, more: &[(&str, &str)]) -> Vec<u8> {
    frame(
        HEADERS,
        flags | END_HEADERS,
        stream,
        &block(&[GET, more].concat()),
    )
}

pub fn post(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    get(stream, 0, more)
}

/// An event with all that belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Request(u32, bool, String),
    Response(u32, bool, String),
    Data(u32, Vec<u8>, bool),
    Trailers(u32, String),
    Reset(u32, ErrorCode),
    StreamError(u32, StreamFault),
    Window(u32),
    Settings,
    Pong([u8; 8]),
    Goaway(u32, ErrorCode),
}

pub fn text(headers: &HeaderMap) -> String {
    let line = |(n, v): (&[u8], &[u8])| {
        format!(
            "{}: {}",
            String::from_utf8_lossy(n),
            String::from_utf8_lossy(v)
        )
    };
    headers.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub fn request_text(head: &h1::RequestHead) -> String {
    let part = |s: &[u8]| String::from_utf8_lossy(s).into_owned();
    format!(
        "{} {}\n{}",
        part(head.method()),
        part(head.path()),
        text(&head.headers)
    )
}

/// Takes all events out of `buf`; consumes DATA at once if told so. What is left over, then.
pub fn drain(
    connection: &mut Connection,
    buf: &[u8],
    now_ms: u64,
    out: &mut Vec<u8>,
    consume: bool,
    seen: &mut Vec<Seen>,
) -> Result<usize, ConnectionError> {
    let mut at = 0;
    loop {
        let (n, event) = connection.next(&buf[at..], now_ms, out)?;
        let rest = &buf[at..];
        assert!(n <= rest.len());
        at += n;
        seen.push(match event {
            Event::NeedMore => return Ok(at),
            Event::Request { stream, end } => {
                Seen::Request(stream, end, request_text(&connection.request))
            }
            Event::Response { stream, end } => {
                let head = &connection.response;
                Seen::Response(
                    stream,
                    end,
                    format!("{}\n{}", head.status, text(&head.headers)),
                )
            }
            Event::Data {
                stream,
                start,
                len,
                end,
            } => {
                assert!(start + len <= n && (len > 0 || end));
                if consume {
                    connection.consumed(out, stream, len);
                }
                Seen::Data(stream, rest[start..start + len].to_vec(), end)
            }
            Event::Trailers { stream } => Seen::Trailers(stream, text(&connection.trailers)),
            Event::Reset { stream, code } => Seen::Reset(stream, code),
            Event::StreamError { stream, fault } => Seen::StreamError(stream, fault),
            Event::Window { stream } => Seen::Window(stream),
            Event::Settings => Seen::Settings,
            Event::Pong { payload } => Seen::Pong(payload),
            Event::Goaway { last, code } => Seen::Goaway(last, code),
        });
    }
}

/// A frame of the connection's.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Sent {
    pub fn of(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Sent {
        Sent {
            kind,
            flags,
            stream,
            payload: payload.to_vec(),
        }
    }

    pub fn rst(stream: u32, code: ErrorCode) -> Sent {
        Sent::of(RST_STREAM, 0, stream, &code.0.to_be_bytes())
    }

    pub fn goaway(last: u32, code: ErrorCode) -> Sent {
        let payload = [last.to_be_bytes(), code.0.to_be_bytes()].concat();
        Sent::of(GOAWAY, 0, 0, &payload)
    }

    pub fn window_update(stream: u32, by: u32) -> Sent {
        Sent::of(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
    }
}

pub fn frames(mut out: &[u8]) -> Vec<Sent> {
    let mut found = Vec::new();
    while !out.is_empty() {
        let len = u32::from_be_bytes([0, out[0], out[1], out[2]]) as usize;
        let stream = u32::from_be_bytes([out[5], out[6], out[7], out[8]]);
        found.push(Sent::of(out[3], out[4], stream, &out[9..9 + len]));
        out = &out[9 + len..];
    }
    found
}

#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl FieldSink for Fields {
    fn field(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        let text = |s: &[u8]| String::from_utf8_lossy(s).into_owned();
        self.0.push((text(name.as_bytes()), text(value)));
        true
    }
}

/// The fields in a header block.
pub fn decoded(decoder: &mut Decoder, block: &[u8]) -> String {
    let mut fields = Fields::default();
    decoder.decode(block, &mut fields).unwrap();
    let lines: Vec<String> = fields.0.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    lines.join("\n")
}

/// A connection under test; its peer are the frames of the test.
pub struct Peer {
    pub connection: Connection,
    pub out: Vec<u8>,
    pub seen: Vec<Seen>,
    pub now_ms: u64,
    pub consume: bool,
    left: Vec<u8>,
}

impl Peer {
    fn new(connection: Connection) -> Peer {
        Peer {
            connection,
            out: Vec::new(),
            seen: Vec::new(),
            now_ms: 1_000_000,
            consume: true,
            left: Vec::new(),
        }
    }

    /// A server before anything was received.
    pub fn fresh_server(options: Options) -> Peer {
        let mut peer = Peer::new(Connection::server(options));
        peer.connection.start(&mut peer.out);
        peer.sent();
        peer
    }

    /// A server that has exchanged SETTINGS.
    pub fn server_with(options: Options) -> Peer {
        let mut peer = Peer::fresh_server(options);
        peer.feed(PREFACE).unwrap();
        peer.greet(&[]);
        peer
    }

    pub fn server() -> Peer {
        Peer::server_with(Options::default())
    }

    /// A client whose server has these settings.
    pub fn client_with(options: Options, entries: &[(u16, u32)]) -> Peer {
        let mut peer = Peer::new(Connection::client(options));
        peer.connection.start(&mut peer.out);
        let out = std::mem::take(&mut peer.out);
        frames(out.strip_prefix(PREFACE).unwrap());
        peer.greet(entries);
        peer
    }

    pub fn client() -> Peer {
        Peer::client_with(Options::default(), &[])
    }

    fn greet(&mut self, entries: &[(u16, u32)]) {
        let theirs = [settings(entries), frame(SETTINGS, ACK, 0, &[])].concat();
        assert_eq!(self.feed(&theirs).unwrap(), [Seen::Settings]);
        assert_eq!(self.sent(), [Sent::of(SETTINGS, ACK, 0, &[])]);
    }

    /// What these bytes cause. What is not whole is kept.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Seen>, ConnectionError> {
        self.left.extend(bytes);
        let left = std::mem::take(&mut self.left);
        let n = drain(
            &mut self.connection,
            &left,
            self.now_ms,
            &mut self.out,
            self.consume,
            &mut self.seen,
        )?;
        self.left = left[n..].to_vec();
        Ok(std::mem::take(&mut self.seen))
    }

    /// What was sent since the last call.
    pub fn sent(&mut self) -> Vec<Sent> {
        let found = frames(&self.out);
        self.out.clear();
        self.connection.set_unsent(0);
        found
    }

    /// These bytes reset `stream` (and the connection goes on).
    pub fn faults(&mut self, bytes: &[u8], stream: u32, fault: StreamFault) {
        let seen = self.feed(bytes).unwrap();
        assert_eq!(seen.last(), Some(&Seen::StreamError(stream, fault)));
        assert_eq!(self.sent().last(), Some(&Sent::rst(stream, fault.code())));
        assert!(!self.connection.has_stream(stream));
        let ping = frame(PING, 0, 0, b"alive?!?");
        assert_eq!(self.feed(&ping), Ok(vec![]));
        assert_eq!(self.sent(), [Sent::of(PING, ACK, 0, b"alive?!?")]);
    }

    /// These bytes end the connection with a GOAWAY that names `last`.
    pub fn fails(&mut self, bytes: &[u8], error: ConnectionError, last: u32) {
        assert_eq!(self.feed(bytes), Err(error));
        assert_eq!(
            self.sent().last(),
            Some(&Sent::goaway(last, error.code())),
            "{error}"
        );
        // And it stays so.
        assert_eq!(self.connection.next(b"", 0, &mut self.out), Err(error));
        assert!(self.out.is_empty() && self.connection.is_closing());
    }
}
