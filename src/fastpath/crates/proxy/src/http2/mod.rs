//! HTTP/2 connections on both sides: one socket, many exchanges.
//!
//! Theory of operation. A connection stays in its slot while its events are handled, so that
//! whoever handles one can write to it. Each stream is a `Downstream` (we are the server) or an
//! `Upstream` (we are the client) of its own with a `carrier::StreamCarrier`; the rest of the
//! proxy knows no other difference. Frames are gathered in `out` and written once, at the end of
//! the turn. Received DATA is given back to the windows only when the other side has taken it,
//! which is the back-pressure.

pub mod carrier;
pub mod client;
mod connection;
pub mod server;
mod stats;

use model::resources::http::Http2Options;
use proto::h2::{ConnectionError, Event, Options, StreamId};

use crate::net::io::{Input, Scratch};
use crate::upstream::Upstream;
use crate::worker::slots::Key;
use crate::worker::{Kind, Readiness, Worker};
pub use connection::{Http2, Role};

/// Reads in one turn before the others get theirs.
const MAX_READS: usize = 8;
/// Requests of one connection in one turn: the others wait for all that comes of them.
const MAX_REQUESTS: usize = 64;
/// A request that needs a new connection to its host is worth so many that find one.
const CONNECT_COST: usize = 4;
/// A connection without streams for so long gives back what it keeps for them.
const IDLE_MS: u64 = 10_000;
/// Frames gathered beyond this are written at once.
const WRITE_AT: usize = 128 * 1024;

/// A step of the codec that was taken and not yet dealt with.
type Drawn = Option<Result<(usize, Event), ConnectionError>>;

impl Worker {
    /// Registers a connection whose socket is new to epoll.
    fn put_http2(&mut self, mut connection: Box<Http2>) {
        let key = connection.key;
        let (codec, out) = connection.codec_and_out();
        codec.start(out);
        self.http2.put(key, connection);
        self.wrote_http2(key);
        self.arm_http2(key);
    }

    /// Something was put into a connection's buffer: it is written at the end of the turn.
    pub fn wrote_http2(&mut self, key: Key) {
        let Some(c) = self.http2.get_mut(key) else {
            return;
        };
        if c.out.len() >= WRITE_AT && !c.write_out() {
            c.peer_closed = true;
            c.readable = true;
        }
        if !c.is_listed {
            c.is_listed = true;
            self.written_http2.push(key);
        }
    }

    /// The end of a turn: writes what was gathered, closes what is done.
    pub fn flush_http2(&mut self) {
        // A connection that closes may put more of them in.
        while let Some(key) = self.written_http2.pop() {
            let Some(mut c) = self.http2.take(key) else {
                continue;
            };
            c.is_listed = false;
            let (streams, held) = (c.streams.len(), c.held);
            self.count_http2_seen(&mut c, streams, held);
            self.http2.put(key, c);
            let Some(c) = self.http2.get_mut(key) else {
                continue;
            };
            if !c.out.is_empty() && !c.write_out() {
                self.close_http2(key, End::Broken);
                continue;
            }
            if matches!(c.role, Role::Client(_)) {
                self.offer_http2(key);
            }
            self.end_http2_if_done(key);
        }
    }

    pub fn http2_event(&mut self, key: Key, event: Readiness) {
        let Some(c) = self.http2.get_mut(key) else {
            return;
        };
        c.readable |= event.readable | event.closing;
        c.peer_closed |= event.closing;
        if event.writable && c.io.backlog() > 0 {
            if c.io.flush().is_err() {
                return self.close_http2(key, End::Broken);
            }
            c.codec.set_unsent(c.io.backlog());
            let limit = c.buffer_limit();
            if !c.is_stuck(limit / 2) {
                self.resume_streams(key);
            }
        }
        self.drive_http2(key);
    }

    /// Reads and handles frames; its turn comes again if there may be more.
    pub fn drive_http2(&mut self, key: Key) {
        if let Some(c) = self.http2.get_mut(key) {
            c.allowance = MAX_REQUESTS;
        }
        for _ in 0..MAX_READS {
            if !self.unpause(key) {
                return;
            }
            let waits = self
                .http2
                .get(key)
                .is_none_or(|c| !c.readable || c.is_unread());
            if waits {
                return;
            }
            let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
            let end = self.read_http2(key, &mut scratch);
            self.scratch = scratch;
            if let Some(end) = end {
                return self.close_http2(key, end);
            }
        }
        self.ready_http2.push(key);
    }

    /// Handles the frames that had to wait; false: they have to wait on, or the connection ended.
    fn unpause(&mut self, key: Key) -> bool {
        let Some(c) = self.http2.get_mut(key) else {
            return false;
        };
        if !c.is_paused {
            return true;
        }
        if c.is_unread() || c.allowance == 0 {
            return false;
        }
        c.is_paused = false;
        let held = std::mem::take(&mut c.inbuf);
        self.take_held(key, held) && self.http2.get(key).is_some_and(|c| !c.is_paused)
    }

    /// Handles frames and keeps what is left; false: the connection is closed.
    fn take_held(&mut self, key: Key, mut held: Vec<u8>) -> bool {
        let Some(used) = self.take_frames(key, &held) else {
            return false;
        };
        let Some(c) = self.http2.get_mut(key) else {
            return false;
        };
        if used <= held.len() / 2 {
            held.drain(..used);
            c.inbuf = held;
        } else {
            // Without the memory of those that are done.
            c.inbuf
                .extend_from_slice(held.get(used..).unwrap_or_default());
        }
        true
    }

    fn read_http2(&mut self, key: Key, scratch: &mut Scratch) -> Option<End> {
        let c = self.http2.get_mut(key)?;
        let held = c.inbuf.len();
        let bytes = match c.io.read_behind(&c.inbuf, scratch) {
            Input::Data { bytes, drained } => {
                if drained && !c.peer_closed {
                    c.readable = false;
                }
                bytes
            }
            Input::Empty => {
                c.readable = false;
                return None;
            }
            Input::Interrupted => return None,
            Input::Eof => return Some(End::PeerClosed),
            Input::Broken => return Some(End::Broken),
        };
        c.inbuf = Vec::new();
        let received = bytes.len().saturating_sub(held);
        if received > 0
            && let Role::Server(server) = &mut c.role
            && server.client.is_refused_now()
        {
            return Some(End::Done);
        }
        self.count_http2_received(key, received);
        let used = self.take_frames(key, bytes)?;
        let c = self.http2.get_mut(key)?;
        c.inbuf
            .extend_from_slice(bytes.get(used..).unwrap_or_default());
        None
    }

    /// Handles all whole frames, as long as the client takes what comes of them and its turn
    /// lasts; `None`: the connection is closed.
    fn take_frames(&mut self, key: Key, bytes: &[u8]) -> Option<usize> {
        let now = self.clock.now_ms();
        let mut used = 0_usize;
        // What came behind a head and was no body for it.
        let mut drawn: Drawn = None;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            let c = self.http2.get_mut(key)?;
            let must_wait = c.allowance == 0 || c.is_unread();
            if must_wait && !rest.is_empty() && drawn.is_none() {
                c.is_paused = true;
                if c.allowance == 0 {
                    self.ready_http2.push(key);
                }
                self.wrote_http2(key);
                return Some(used);
            }
            let step = drawn
                .take()
                .unwrap_or_else(|| c.codec.next(rest, now, &mut c.out));
            let (n, event) = match step {
                Ok(step) => step,
                Err(error) => {
                    self.close_http2(key, End::Fault(error));
                    return None;
                }
            };
            used = used.saturating_add(n);
            let mut data = match event {
                Event::NeedMore => {
                    self.wrote_http2(key);
                    return Some(used);
                }
                Event::Data { start, len, .. } => data_in(rest, start, len),
                _ => &[],
            };
            let mut event = event;
            if let Event::Request { stream, end } | Event::Response { stream, end } = &mut event
                && !*end
            {
                // A body right behind its head goes on with it, in one write.
                let behind = rest.get(n..).unwrap_or_default();
                match c.codec.next_body(behind, *stream, now, &mut c.out) {
                    Some(Ok((
                        n,
                        Event::Data {
                            start,
                            len,
                            end: last,
                            ..
                        },
                    ))) => {
                        used = used.saturating_add(n);
                        data = data_in(behind, start, len);
                        *end = last;
                    }
                    other => drawn = other,
                }
            }
            let is_server = matches!(c.role, Role::Server(_));
            let at = |c: &Http2, stream| c.streams.get(&stream).copied();
            match event {
                Event::NeedMore => {}
                Event::Pong { .. } => self.http2_pong(key),
                Event::Request { stream, end } => {
                    let before = self.connects;
                    self.begun_http2 = self.begun_http2.saturating_add(1);
                    self.http2_request(key, stream, data, end);
                    let begun = self.connects.wrapping_sub(before);
                    let cost = CONNECT_COST.saturating_mul(begun).max(1);
                    let c = self.http2.get_mut(key)?;
                    c.allowance = c.allowance.saturating_sub(cost);
                }
                Event::Response { stream, end } => match at(c, stream) {
                    Some(at) => self.http2_response(key, at, data, end),
                    None => c.consumed(stream, data.len()),
                },
                Event::Data {
                    stream, len, end, ..
                } => match at(c, stream) {
                    Some(at) => {
                        let mut gathered = std::mem::take(&mut self.gathered);
                        let mut end = end;
                        if !end && self.leaves_by_socket(at, is_server) {
                            let behind = bytes.get(used..).unwrap_or_default();
                            let (n, last, other) =
                                self.gather(key, stream, data, behind, now, &mut gathered);
                            used = used.saturating_add(n);
                            end = last;
                            drawn = other;
                        }
                        let data = if gathered.is_empty() { data } else { &gathered };
                        if is_server {
                            self.http2_request_data(at, data, end);
                        } else {
                            self.http2_response_data(at, data, end);
                        }
                        gathered.clear();
                        self.gathered = gathered;
                    }
                    None => c.consumed(stream, len),
                },
                Event::Trailers { stream } => {
                    if let Some(at) = at(c, stream) {
                        if is_server {
                            self.http2_request_trailers(key, at);
                        } else {
                            self.http2_response_trailers(key, at);
                        }
                    }
                }
                Event::Reset { stream, code } => {
                    if let Some(at) = c.streams.remove(&stream) {
                        if is_server {
                            self.http2_request_reset(at, code);
                        } else {
                            self.http2_response_reset(at, code);
                        }
                    }
                }
                Event::StreamError { stream, fault } => {
                    self.count_http2_fault(key, fault);
                    let at = self
                        .http2
                        .get_mut(key)
                        .and_then(|c| c.streams.remove(&stream));
                    match at {
                        Some(at) if is_server => self.http2_request_fault(at, fault),
                        Some(at) => self.http2_response_fault(at),
                        None if is_server => self.http2_head_fault(key, fault),
                        None => {}
                    }
                }
                Event::Window { stream: 0 } | Event::Settings => {
                    self.resume_streams(key);
                    if !is_server {
                        self.offer_http2(key);
                    }
                }
                Event::Window { stream } => {
                    if let Some(at) = at(c, stream) {
                        self.resume_exchange(at, is_server);
                    }
                }
                Event::Goaway { last, .. } => self.http2_goaway(key, last),
            }
        }
    }

    /// Whether what comes for this exchange goes on over HTTP/1: a write for each part of it.
    fn leaves_by_socket(&self, at: Key, is_server: bool) -> bool {
        let other = if is_server {
            let d = self.downstreams.get(at);
            let key = d.and_then(|d| d.stream.as_ref()?.upstream.key());
            key.and_then(|key| self.upstreams.get(key))
                .map(|u| &u.carrier)
        } else {
            let key = self.upstreams.get(at).and_then(Upstream::downstream);
            key.and_then(|key| self.downstreams.get(key))
                .map(|d| &d.carrier)
        };
        other.is_some_and(|carrier| !carrier.is_stream())
    }

    /// Puts the frames of data that lie right behind one of the same stream together with it, if
    /// there are any, so that all leave in one write. Returns the bytes they took, whether they
    /// end the stream, and what came instead of another one.
    fn gather(
        &mut self,
        key: Key,
        stream: StreamId,
        first: &[u8],
        behind: &[u8],
        now: u64,
        gathered: &mut Vec<u8>,
    ) -> (usize, bool, Drawn) {
        let mut used = 0_usize;
        let Some(c) = self.http2.get_mut(key) else {
            return (0, false, None);
        };
        loop {
            let rest = behind.get(used..).unwrap_or_default();
            match c.codec.next_body(rest, stream, now, &mut c.out) {
                Some(Ok((
                    n,
                    Event::Data {
                        start, len, end, ..
                    },
                ))) => {
                    if gathered.is_empty() {
                        gathered.extend_from_slice(first);
                    }
                    gathered.extend_from_slice(data_in(rest, start, len));
                    used = used.saturating_add(n);
                    if end {
                        return (used, true, None);
                    }
                }
                other => return (used, false, other),
            }
        }
    }

    /// Whatever waited for room in the connection may go on.
    fn resume_streams(&mut self, key: Key) {
        let Some(c) = self.http2.get_mut(key) else {
            return;
        };
        let is_server = matches!(c.role, Role::Server(_));
        let mut streams: Vec<Key> = c.streams.values().copied().collect();
        // Each time another one comes first: it may take all the room there is.
        c.resumed = c.resumed.wrapping_add(1);
        if let Some(first) = c.resumed.checked_rem(streams.len()) {
            streams.rotate_left(first);
        }
        for at in streams {
            self.resume_exchange(at, is_server);
        }
    }

    fn resume_exchange(&mut self, at: Key, is_server: bool) {
        if is_server {
            self.resume_http2_response(at);
        } else {
            self.resume_http2_request(at);
        }
    }

    /// Closes a connection that was told to and has no streams left, or is out of use.
    fn end_http2_if_done(&mut self, key: Key) {
        let Some(c) = self.http2.get_mut(key) else {
            return;
        };
        let is_silent = c.io.backlog() == 0 && !c.is_paused;
        if let Role::Server(server) = &c.role
            && server.waits_for_stragglers(c)
        {
            return;
        }
        if c.streams.is_empty() && c.codec.is_closing() && is_silent {
            self.close_http2(key, End::Done);
        }
    }

    /// Ends a connection with all that is on it.
    pub fn close_http2(&mut self, key: Key, end: End) {
        let Some(c) = self.http2.get_mut(key) else {
            return;
        };
        if !matches!(end, End::Broken) {
            c.write_out();
        }
        let Some(mut c) = self.http2.free(key) else {
            return;
        };
        self.count_http2_seen(&mut c, 0, 0);
        let is_server = matches!(c.role, Role::Server(_));
        if is_server {
            self.http2_server_closed(&mut c, end);
        } else {
            let streams: Vec<Key> = c.streams.drain().map(|(_, at)| at).collect();
            self.http2_client_closed(&c, end, &streams);
        }
        if matches!(end, End::Fault(_)) || (is_server && matches!(end, End::Done)) {
            // What the peer still sends must not reset the connection under our GOAWAY or under
            // the end of our last response.
            self.linger_http2(c.io, c.role);
        }
    }

    pub fn http2_timer(&mut self, key: Key) {
        let now = self.clock.now_ms();
        let Some(c) = self.http2.get_mut(key) else {
            return;
        };
        if c.streams.is_empty() && now >= c.idle_since_ms.saturating_add(IDLE_MS) {
            c.streams.shrink_to_fit();
            c.codec.shrink();
        }
        let is_server = matches!(c.role, Role::Server(_));
        let over = if is_server {
            self.http2_server_timer(key, now)
        } else {
            self.http2_client_timer(key, now)
        };
        match over {
            Some(end) => self.close_http2(key, end),
            None => self.arm_http2(key),
        }
    }

    pub fn arm_http2(&mut self, key: Key) {
        let now = self.clock.now_ms();
        let deadline = match self.http2.get(key) {
            Some(c) => match &c.role {
                Role::Server(server) => server.deadline(c),
                Role::Client(client) => client.deadline(c),
            },
            None => return,
        };
        let token = crate::worker::token(Kind::Http2, key);
        self.timers.arm(token, now, deadline);
    }
}

fn data_in(bytes: &[u8], start: usize, len: usize) -> &[u8] {
    bytes
        .get(start..start.saturating_add(len))
        .unwrap_or_default()
}

/// The codec's options that a configuration chooses on either side.
fn options(http2: &Http2Options) -> Options {
    Options {
        max_concurrent_streams: http2.max_concurrent_streams,
        initial_stream_window: http2.initial_stream_window_size,
        initial_connection_window: http2.initial_connection_window_size,
        header_table_size: http2.hpack_table_size,
        allow_connect: http2.allow_connect,
        stream_error_on_invalid_message: http2.stream_error_on_invalid_http_message,
        max_outbound_frames: http2.max_outbound_frames,
        max_outbound_control_frames: http2.max_outbound_control_frames,
        max_consecutive_empty_frames: http2.max_consecutive_inbound_frames_with_empty_payload,
        max_priority_per_stream: http2.max_inbound_priority_frames_per_stream,
        max_window_update_per_data: http2.max_inbound_window_update_frames_per_data_frame_sent,
        ..Options::default()
    }
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was asked to, and has no streams.
    Done,
    /// Idle, drained, or too old.
    Timeout,
    PeerClosed,
    Broken,
    Fault(proto::h2::ConnectionError),
}
