//! What carries an exchange on either side: a socket of its own, or a stream of an HTTP/2
//! connection that it shares.

use proto::HeaderMap;
use proto::h2::StreamId;

use crate::net::io::Io;
use crate::worker::Worker;
use crate::worker::slots::Key;

/// What is read for a stream whose windows are closed.
const READ_CLOSED: usize = 512;

#[derive(Debug)]
pub enum Carrier {
    Socket(Io),
    Stream(StreamCarrier),
}

impl Carrier {
    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// The socket, if it has one of its own.
    pub fn io_mut(&mut self) -> Option<&mut Io> {
        match self {
            Self::Socket(io) => Some(io),
            Self::Stream(_) => None,
        }
    }

    pub fn io(&self) -> Option<&Io> {
        match self {
            Self::Socket(io) => Some(io),
            Self::Stream(_) => None,
        }
    }

    /// Bytes that the peer has not taken yet; of a stream, those that its windows keep here.
    pub fn backlog(&self) -> usize {
        match self {
            Self::Socket(io) => io.backlog(),
            Self::Stream(stream) => stream.held.len(),
        }
    }
}

/// One stream of an HTTP/2 connection.
#[derive(Debug)]
pub struct StreamCarrier {
    /// The connection, in `Worker::http2`.
    pub connection: Key,
    /// 0: not opened yet.
    pub id: StreamId,
    /// DATA that the peer's windows have no room for.
    held: Vec<u8>,
    /// What follows it.
    after: After,
    /// Bytes of received DATA that were not given back to the windows: they wait here, or for the
    /// other side to take them.
    pub owed: usize,
    /// Bytes of the body that came when nobody wanted them any more.
    pub discarded: usize,
    /// The peer has ended its side.
    pub ended: bool,
    /// We have.
    pub finished: bool,
    /// Nobody is told when it closes: the peer reset it, or its connection is gone.
    pub gone: bool,
}

#[derive(Debug)]
enum After {
    More,
    End,
    Trailers(Box<HeaderMap>),
}

impl StreamCarrier {
    pub fn new(connection: Key, id: StreamId) -> Self {
        Self {
            connection,
            id,
            held: Vec::new(),
            after: After::More,
            owed: 0,
            discarded: 0,
            ended: false,
            finished: false,
            gone: false,
        }
    }

    fn is_held(&self) -> bool {
        !self.held.is_empty() || !matches!(self.after, After::More)
    }
}

impl Worker {
    /// Whether whoever sends to this peer must wait. `limit`: of bytes that wait for its socket.
    ///
    /// A stream has no buffer of its own: what its windows keep here is the rest of one read, and
    /// nothing more is read for it before that has left. So all streams of a connection together
    /// hold its limit and at most a read each, which `room_for` keeps small.
    pub fn is_full(&self, carrier: &Carrier, limit: usize) -> bool {
        match carrier {
            Carrier::Socket(io) => io.backlog() >= limit,
            Carrier::Stream(stream) => self.is_stream_full(stream, limit),
        }
    }

    /// `is_full` of a stream.
    pub fn is_stream_full(&self, stream: &StreamCarrier, limit: usize) -> bool {
        let connection = self.http2.get(stream.connection);
        stream.is_held() || connection.is_some_and(|c| c.is_stuck(limit))
    }

    /// Bytes to read at once for this peer: what its windows would let through.
    pub fn room_for(&self, carrier: &Carrier) -> usize {
        let Carrier::Stream(stream) = carrier else {
            return usize::MAX;
        };
        let connection = self.http2.get(stream.connection);
        // Nobody takes as much as there is.
        let open = connection.map_or(usize::MAX, |c| c.codec.sendable(stream.id));
        // Heads and ends need no window.
        open.max(READ_CLOSED)
    }

    /// Sends a part of the body; what the windows have no room for is held.
    pub fn send_on_stream(&mut self, carrier: &mut StreamCarrier, data: &[u8], end: bool) {
        let Some(connection) = self.http2.get_mut(carrier.connection) else {
            return;
        };
        if carrier.is_held() {
            connection.note_held(0, data.len());
            carrier.held.extend_from_slice(data);
            if end {
                carrier.after = After::End;
            }
            return self.wrote_http2(carrier.connection);
        }
        let taken = connection.send_data(carrier.id, data, end);
        let key = carrier.connection;
        if taken < data.len() {
            carrier
                .held
                .extend_from_slice(data.get(taken..).unwrap_or_default());
            connection.note_held(0, carrier.held.len());
            carrier.after = if end { After::End } else { After::More };
        } else {
            carrier.finished |= end;
        }
        self.wrote_http2(key);
    }

    /// Ends our side, with trailers if there are any.
    pub fn end_on_stream(&mut self, carrier: &mut StreamCarrier, trailers: Option<&HeaderMap>) {
        if !carrier.held.is_empty() {
            carrier.after = match trailers {
                Some(trailers) => After::Trailers(Box::new(trailers.clone())),
                None => After::End,
            };
            return;
        }
        let Some(connection) = self.http2.get_mut(carrier.connection) else {
            return;
        };
        match trailers {
            Some(trailers) => connection.send_trailers(carrier.id, trailers),
            None => {
                connection.send_data(carrier.id, b"", true);
            }
        }
        carrier.finished = true;
        self.wrote_http2(carrier.connection);
    }

    /// The windows have opened, or the connection has written: sends what was held.
    pub fn resume_stream(&mut self, carrier: &mut StreamCarrier) {
        let Some(connection) = self.http2.get_mut(carrier.connection) else {
            return;
        };
        if !carrier.held.is_empty() {
            let end = matches!(carrier.after, After::End);
            let taken = connection.send_data(carrier.id, &carrier.held, end);
            connection.note_held(taken, 0);
            if taken < carrier.held.len() {
                carrier.held.drain(..taken);
            } else {
                carrier.held = Vec::new();
                carrier.finished |= end;
                if let After::Trailers(trailers) =
                    std::mem::replace(&mut carrier.after, After::More)
                {
                    connection.send_trailers(carrier.id, &trailers);
                    carrier.finished = true;
                }
            }
        }
        self.wrote_http2(carrier.connection);
    }

    /// Received DATA was handed on: the peer may send as much again.
    pub fn consumed_of_stream(&mut self, carrier: &mut StreamCarrier, n: usize) {
        if n == 0 {
            return;
        }
        carrier.owed = carrier.owed.saturating_sub(n);
        if let Some(connection) = self.http2.get_mut(carrier.connection) {
            connection.consumed(carrier.id, n);
            self.wrote_http2(carrier.connection);
        }
    }

    /// The exchange is over. What is left of the stream is cut.
    pub fn close_stream(&mut self, carrier: &mut StreamCarrier) {
        if carrier.id == 0 {
            return;
        }
        let Some(connection) = self.http2.get_mut(carrier.connection) else {
            return;
        };
        connection.note_held(std::mem::take(&mut carrier.held).len(), 0);
        if !std::mem::replace(&mut carrier.gone, true) {
            let owed = std::mem::take(&mut carrier.owed);
            connection.close_stream(carrier.id, carrier.finished, carrier.ended, owed);
        }
        if connection.stream_count() == 0 {
            connection.idle_since_ms = self.clock.now_ms();
            self.arm_http2(carrier.connection);
        }
        self.wrote_http2(carrier.connection);
    }
}
