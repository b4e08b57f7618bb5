//! One HTTP/2 connection, of either role: its socket, its codec, and where its streams are.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use proto::HeaderMap;
use proto::h2::{Connection, ErrorCode, StreamId};

use super::MAX_REQUESTS;
use super::{client, server};
use crate::net::io::Io;
use crate::telemetry::stats::ClusterCounter;
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;

/// Bytes that may wait for a socket, whatever the limit: its own buffer, which is full then, is
/// what keeps the wire busy.
const MAX_STUCK: usize = 128 * 1024;

/// Above this, `out` gives its memory back when it is empty.
const KEEP_OUT: usize = 4 * 1024;

#[derive(Debug)]
pub struct Http2 {
    pub key: Key,
    /// Of the process; 0 if we are the server.
    pub id: u64,
    pub io: Io,
    pub codec: Connection,
    /// Frames to be written at the end of the turn.
    pub(super) out: Vec<u8>,
    /// A frame that is not whole yet; or, if `is_paused`, frames.
    pub(super) inbuf: Vec<u8>,
    /// A client's frames wait: for it to read what we have for it, or for its next turn.
    pub(super) is_paused: bool,
    /// Requests it may make in this turn.
    pub(super) allowance: usize,
    pub(super) readable: bool,
    pub(super) peer_closed: bool,
    /// Times that all streams were resumed.
    pub(super) resumed: usize,
    /// In `Worker::written_http2`.
    pub(super) is_listed: bool,
    pub role: Role,
    /// Where each stream's exchange is: `Worker::downstreams` or `upstreams`, by role.
    pub(super) streams: HashMap<StreamId, Key, BuildHasherDefault<StreamHasher>>,
    pub opened_ms: u64,
    pub idle_since_ms: u64,
    /// Closes once its streams have ended, at the latest then.
    pub(super) close_deadline: u64,
    /// In `streams_active`.
    pub(super) counted_streams: usize,
    /// Bytes that the windows of its streams keep here, and those in `pending_send_bytes`.
    pub(super) held: usize,
    pub(super) counted_held: usize,
}

#[derive(Debug)]
pub enum Role {
    Server(server::Server),
    Client(client::Client),
}

/// Stream ids are small and odd: one multiplication spreads them.
#[derive(Debug, Default)]
pub struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, n: u32) {
        self.0 = (self.0 ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Http2 {
    pub(super) fn new(key: Key, io: Io, codec: Connection, role: Role, now_ms: u64) -> Self {
        Self {
            key,
            id: 0,
            io,
            codec,
            out: Vec::new(),
            inbuf: Vec::new(),
            is_paused: false,
            allowance: MAX_REQUESTS,
            readable: false,
            peer_closed: false,
            resumed: 0,
            is_listed: false,
            role,
            streams: HashMap::default(),
            opened_ms: now_ms,
            idle_since_ms: now_ms,
            close_deadline: NEVER,
            counted_streams: 0,
            held: 0,
            counted_held: 0,
        }
    }

    /// So many bytes wait for the socket that nothing more is taken for it.
    pub fn is_stuck(&self, limit: usize) -> bool {
        let backlog = self.io.backlog();
        backlog > 0 && backlog >= limit.min(MAX_STUCK)
    }

    pub(super) fn buffer_limit(&self) -> usize {
        match &self.role {
            Role::Server(server) => server.client.buffer_limit(),
            Role::Client(client) => client.buffer_limit(),
        }
    }

    /// A client that does not read gets nothing done. A server is always heard: it may wait for
    /// us to read before it does, and what it sends has its windows.
    pub(super) fn is_unread(&self) -> bool {
        match &self.role {
            Role::Server(server) => self.is_stuck(server.client.buffer_limit()),
            Role::Client(_) => false,
        }
    }

    pub fn send_data(&mut self, stream: StreamId, data: &[u8], end: bool) -> usize {
        self.codec.send_data(&mut self.out, stream, data, end)
    }

    pub fn send_trailers(&mut self, stream: StreamId, trailers: &HeaderMap) {
        self.codec.send_trailers(&mut self.out, stream, trailers);
    }

    pub fn consumed(&mut self, stream: StreamId, n: usize) {
        self.codec.consumed(&mut self.out, stream, n);
    }

    /// The codec with the buffer that its calls write to.
    pub fn codec_and_out(&mut self) -> (&mut Connection, &mut Vec<u8>) {
        (&mut self.codec, &mut self.out)
    }

    pub fn add_stream(&mut self, stream: StreamId, key: Key) {
        self.streams.insert(stream, key);
    }

    /// The windows of a stream keep more bytes here, or fewer.
    pub fn note_held(&mut self, before: usize, after: usize) {
        self.held = self.held.saturating_add(after).saturating_sub(before);
    }

    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// Forgets a stream and resets it unless both sides have ended it.
    pub fn close_stream(&mut self, stream: StreamId, finished: bool, ended: bool, owed: usize) {
        self.streams.remove(&stream);
        if owed > 0 {
            self.codec.consumed(&mut self.out, stream, owed);
        }
        if finished && ended {
            return;
        }
        let code = match (&self.role, finished) {
            (Role::Client(_), _) => ErrorCode::CANCEL,
            // The answer is whole: no need to send the rest of the request (RFC 9113 §8.1).
            (Role::Server(_), true) => ErrorCode::NO_ERROR,
            (Role::Server(_), false) => ErrorCode::INTERNAL_ERROR,
        };
        self.codec.reset(&mut self.out, stream, code);
    }

    pub(super) fn write_out(&mut self) -> bool {
        match &self.role {
            Role::Client(client) => {
                let bytes = self.out.len() as u64;
                let stats = client.cluster.stats();
                stats.add(ClusterCounter::UpstreamCxTxBytesTotal, bytes);
            }
            Role::Server(server) => server.client.count_sent(self.out.len()),
        }
        let written = self.io.write(&self.out, b"").is_ok();
        if self.out.capacity() > KEEP_OUT {
            self.out = Vec::new();
        } else {
            self.out.clear();
        }
        self.codec.set_unsent(self.io.backlog());
        written
    }
}
