//! The client's side: a connection that speaks HTTP/1.1 with us.
//!
//! Theory of operation. A connection has at most one stream (requests that were pipelined behind
//! it stay unread). `drive` reads while somebody wants bytes: the head reader when there is no
//! stream, the upstream when a body is under way; otherwise the bytes stay in the kernel, which is
//! the back-pressure. A read fills the worker's scratch buffer; only what is left over (half a
//! head, a body whose upstream is not connected yet) is copied into `inbuf`.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use proto::h1::{HeadLimits, HeadReader};
use rustix::io::Errno;
use rustix::net::{RecvFlags, Shutdown};

use super::deadlines::{head_deadline, millis, next_deadline};
use super::stream::{Stream, Upstreaming};
use crate::net::out_buffer::OutBuffer;
use crate::net::socket;
use crate::telemetry::stats::{HcmCounter, HcmGauge, ListenerCounter, ListenerGauge};
use crate::worker::config::ListenerRuntime;
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;
use crate::worker::{Kind, Readiness, Worker};

/// Reads in one turn before the others get theirs.
const MAX_READS: usize = 8;

#[derive(Debug)]
pub struct Downstream {
    pub key: Key,
    pub io: Io,
    pub peer: SocketAddr,
    pub local: SocketAddr,
    pub id: u64,
    pub listener: Rc<ListenerRuntime>,
    pub http: Rc<HttpRuntime>,
    /// Bytes that nobody could take yet.
    pub inbuf: Vec<u8>,
    reader: HeadReader,
    /// The stream whose head is incomplete.
    pub(super) reading: Option<Box<Stream>>,
    pub stream: Option<Box<Stream>>,
    pub readable: bool,
    pub peer_closed: bool,
    pub closing: Closing,
    /// The client does not know yet that we close: it may be sending, and a close would reset the
    /// connection under our last response.
    pub linger: bool,
    /// The next response is the last.
    pub draining: bool,
    pub requests: u64,
    pub(super) opened_ms: u64,
    pub(super) idle_since_ms: u64,
    pub(super) head_started_ms: u64,
    /// While lingering, or while drained and idle.
    pub(super) close_deadline: u64,
    /// End of its listener's drain time: closed whatever it does.
    pub(super) drain_end: u64,
    pub armed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    No,
    /// The last response is being written.
    AfterFlush,
    /// Our side is shut; what the client still sends is thrown away until it closes, so that it
    /// gets our last bytes instead of a reset (RFC 9112 §9.6).
    Lingering,
}

/// Whether a connection goes on after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alive {
    Yes,
    No,
}

impl Downstream {
    /// The buffer limit above which the other side is not read.
    pub fn buffer_limit(&self) -> usize {
        self.listener.config.per_connection_buffer_limit_bytes
    }

    pub fn is_draining(&self, worker: &Worker) -> bool {
        self.draining
            || self.http.draining.get()
            || worker
                .shared
                .is_draining(self.listener.config.drain_modify_only)
    }

    /// The response to come is the last; the client does not know yet.
    pub fn close_after_response(&mut self) {
        if self.closing == Closing::No {
            self.closing = Closing::AfterFlush;
            self.linger = true;
        }
    }

    fn wants_bytes(&self) -> bool {
        match (&self.stream, self.closing) {
            (_, Closing::Lingering) => true,
            (Some(stream), _) => stream.wants_body(),
            (None, Closing::AfterFlush) => false,
            (None, Closing::No) => self.io.backlog() < self.buffer_limit(),
        }
    }
}

impl Worker {
    /// Takes over an accepted connection.
    pub fn open_downstream(
        &mut self,
        fd: OwnedFd,
        peer: SocketAddr,
        listener: Rc<ListenerRuntime>,
    ) {
        let key = self.downstreams.reserve();
        if self.register(Kind::Downstream, key, &fd).is_err() {
            self.downstreams.free(key);
            return;
        }
        let bound = listener.config.address;
        let local = if bound.ip().is_unspecified() || bound.port() == 0 {
            socket::local_address(&fd).unwrap_or(bound)
        } else {
            bound
        };
        listener.stats().inc(ListenerCounter::DownstreamCxTotal);
        listener
            .stats()
            .gauge_inc(ListenerGauge::DownstreamCxActive);
        let stats = listener.http_stats();
        stats.inc(HcmCounter::DownstreamCxTotal);
        stats.inc(HcmCounter::DownstreamCxHttp1Total);
        stats.gauge_inc(HcmGauge::DownstreamCxActive);
        stats.gauge_inc(HcmGauge::DownstreamCxHttp1Active);
        self.shared
            .active_connections
            .fetch_add(1, Ordering::Relaxed);
        let now = self.clock.now_ms();
        let mut d = Box::new(Downstream {
            key,
            fd,
            peer,
            local,
            id: self
                .shared
                .next_connection_id
                .fetch_add(1, Ordering::Relaxed),
            listener,
            inbuf: Vec::new(),
            out: OutBuffer::default(),
            reader: HeadReader::default(),
            reading: None,
            stream: None,
            // The first event says when there is something to read.
            readable: false,
            peer_closed: false,
            closing: Closing::No,
            linger: false,
            draining: false,
            requests: 0,
            opened_ms: now,
            idle_since_ms: now,
            head_started_ms: NEVER,
            close_deadline: NEVER,
            drain_end: NEVER,
            armed: NEVER,
        });
        let deadline = next_deadline(&d);
        self.arm_downstream(&mut d, deadline);
        self.downstreams.put(key, d);
    }

    pub fn downstream_event(&mut self, key: Key, event: Readiness) {
        let Some(mut d) = self.downstreams.take(key) else {
            return;
        };
        if event.writable && d.io.backlog() > 0 && d.io.flush().is_err() {
            self.close_downstream(d, true);
            return;
        }
        d.readable |= event.readable | event.closing;
        d.peer_closed |= event.closing;
        self.resume_response(&d);
        let alive = self.drive(&mut d);
        self.settle(d, alive);
    }

    /// A look at a connection without an event: its stream ended, or its upstream took bytes.
    pub fn downstream_ready(&mut self, key: Key) {
        let Some(mut d) = self.downstreams.take(key) else {
            return;
        };
        self.unblock_upload(&mut d);
        let alive = self.drive(&mut d);
        self.settle(d, alive);
    }

    /// Reads the upstream again once the client has taken what it had to wait for.
    fn resume_response(&mut self, d: &Downstream) {
        if let Some(key) = d.stream.as_ref().and_then(|s| s.upstream.key())
            && d.io.backlog() < d.buffer_limit() / 2
            && self.upstreams.get(key).is_some_and(|u| u.readable)
        {
            self.ready_upstreams.push(key);
        }
    }

    /// Puts the connection back after a step, or closes it.
    pub fn settle(&mut self, mut d: Box<Downstream>, alive: Alive) {
        if alive == Alive::No {
            self.close_downstream(d, true);
            return;
        }
        let is_flushed = d.stream.is_none() && d.io.backlog() == 0;
        if d.closing == Closing::AfterFlush
            && is_flushed
            && (d.peer_closed || !self.begin_linger(&mut d))
        {
            self.close_downstream(d, false);
            return;
        }
        self.downstreams.put(d.key, d);
    }

    /// Shuts our side; false if there is nothing to wait for.
    fn begin_linger(&mut self, d: &mut Downstream) -> bool {
        let Some(delay) = d.client.http.hcm.delayed_close_timeout else {
            return false;
        };
        if !d.linger {
            return false;
        }
        if !d.io.shutdown() {
            return false;
        }
        d.inbuf = Vec::new();
        d.closing = Closing::Lingering;
        d.close_deadline = self.clock.now_ms().saturating_add(millis(delay));
        let deadline = d.close_deadline;
        self.arm_downstream(d, deadline);
        if d.readable {
            self.ready_downstreams.push(d.key);
        }
        true
    }

    /// Reads and handles what the client sent, as far as somebody wants it.
    pub fn drive(&mut self, d: &mut Downstream) -> Alive {
        if !d.inbuf.is_empty() && d.wants_bytes() && d.closing != Closing::Lingering {
            let mut held = std::mem::take(&mut d.inbuf);
            let used = match self.consume(d, &held) {
                Ok(used) => used,
                Err(()) => return Alive::No,
            };
            keep_rest(d, &mut held, used);
        }
        for _ in 0..MAX_READS {
            if !d.readable || !d.wants_bytes() {
                break;
            }
            let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
            let result = self.read_once(d, &mut scratch);
            self.scratch = scratch;
            match result {
                Step::Again => {}
                Step::Stop => break,
                Step::Closed => return Alive::No,
            }
        }
        if d.peer_closed && d.stream.as_ref().is_some_and(|s| s.request_complete) {
            // As in Envoy, a client that shuts its side gives its request up.
            return Alive::No;
        }
        if d.readable && d.wants_bytes() {
            self.ready_downstreams.push(d.key);
        }
        Alive::Yes
    }

    fn read_once(&mut self, d: &mut Downstream, scratch: &mut [u8]) -> Step {
        let room = scratch.len();
        let n = match rustix::net::recv(&d.fd, &mut *scratch, RecvFlags::empty()) {
            Ok((0, _)) => {
                d.client.http.stats()
                    .inc(HcmCounter::DownstreamCxDestroyRemote);
                return Step::Closed;
            }
            Ok((n, _)) => n,
            Err(Errno::AGAIN) => {
                d.readable = false;
                return Step::Stop;
            }
            Err(Errno::INTR) => return Step::Again,
            Err(_) => return Step::Closed,
        };
        // A short read took all there was: what comes later brings an event (epoll(7)). Only the
        // end of the stream may lie behind it already.
        if n < room && !d.peer_closed {
            d.readable = false;
        }
        d.client.http.stats()
            .add(HcmCounter::DownstreamCxRxBytesTotal, n as u64);
        if d.closing == Closing::Lingering {
            return Step::Again;
        }
        let Some(data) = scratch.get(..n) else {
            return Step::Closed;
        };
        if d.inbuf.is_empty() {
            match self.consume(d, data) {
                Ok(used) => d
                    .inbuf
                    .extend_from_slice(data.get(used..).unwrap_or_default()),
                Err(()) => return Step::Closed,
            }
        } else {
            let mut held = std::mem::take(&mut d.inbuf);
            held.extend_from_slice(data);
            match self.consume(d, &held) {
                Ok(used) => keep_rest(d, &mut held, used),
                Err(()) => return Step::Closed,
            }
        }
        Step::Again
    }

    /// Heads become streams, bodies go to their upstream. Returns how many bytes were taken;
    /// `Err`: the connection is broken.
    fn consume(&mut self, d: &mut Downstream, data: &[u8]) -> Result<usize, ()> {
        let mut used = 0_usize;
        loop {
            let rest = data.get(used..).unwrap_or_default();
            match d.stream.take() {
                Some(mut stream) => {
                    if !stream.wants_body() {
                        d.stream = Some(stream);
                        break;
                    }
                    let taken = self.upload(d, &mut stream, rest);
                    used = used.saturating_add(taken.bytes);
                    let alive = self.after_upload(d, stream, taken);
                    if alive == Alive::No {
                        return Err(());
                    }
                    if taken.bytes == 0 {
                        break;
                    }
                }
                None => {
                    if rest.is_empty() || d.closing != Closing::No {
                        break;
                    }
                    match self.read_head(d, rest) {
                        Some(n) => used = used.saturating_add(n),
                        None => break,
                    }
                }
            }
        }
        Ok(used)
    }

    /// Reads a head and starts its stream; `None`: it is not complete yet (or was refused, and the
    /// connection is closing).
    fn read_head(&mut self, d: &mut Downstream, data: &[u8]) -> Option<usize> {
        let mut stream = d.reading.take().unwrap_or_else(|| self.new_stream());
        let http = Rc::clone(&d.client.http);
        let limits = HeadLimits {
            max_head_bytes: http.hcm.max_request_headers_bytes,
            max_headers: http.hcm.max_headers_count,
            ..HeadLimits::default()
        };
        match d
            .reader
            .read_request(data, &limits, &http.request_policy, &mut stream.request)
        {
            Ok(Some(n)) => {
                d.head_started_ms = NEVER;
                d.requests = d.requests.saturating_add(1);
                self.begin_request(d, stream, n);
                Some(n)
            }
            Ok(None) => {
                if d.head_started_ms == NEVER {
                    d.head_started_ms = self.clock.now_ms();
                    let deadline = head_deadline(d);
                    self.arm_downstream(d, deadline);
                }
                d.reading = Some(stream);
                None
            }
            Err(error) => {
                self.refuse_head(d, stream, error);
                None
            }
        }
    }

    /// The stream is over: account for it and get ready for the next request.
    pub fn end_stream(&mut self, d: &mut Downstream, mut stream: Box<Stream>) {
        self.log_stream(d, &mut stream);
        d.client.http.stats()
            .gauge_dec(HcmGauge::DownstreamRqActive);
        if !stream.request_complete && d.closing == Closing::No {
            // The rest of the request would be taken for the next one.
            d.close_after_response();
        }
        self.recycle(stream);
        d.idle_since_ms = self.clock.now_ms();
        if d.closing == Closing::No && (!d.inbuf.is_empty() || d.readable) {
            self.ready_downstreams.push(d.key);
        }
        if d.is_draining(self) && d.closing == Closing::No {
            self.set_drain_deadline(d);
        }
        let deadline = next_deadline(d);
        self.arm_downstream(d, deadline);
    }

    /// Ends a connection; a stream that is under way ends with it.
    pub fn close_downstream(&mut self, mut d: Box<Downstream>, abrupt: bool) {
        if let Some(stream) = d.stream.take() {
            d.client.http.stats().inc(HcmCounter::DownstreamRqRxReset);
            self.abandon_stream(&mut d, stream);
        }
        if let Some(mut stream) = d.reading.take() {
            // A request that never got whole is one that was given up.
            stream.request.clear();
            self.start_accounting(&d, &mut stream);
            self.abandon_stream(&mut d, stream);
        }
        let stats = d.client.listener.stats();
        stats.inc(ListenerCounter::DownstreamCxDestroy);
        stats.gauge_dec(ListenerGauge::DownstreamCxActive);
        let http = d.client.http.stats();
        http.inc(HcmCounter::DownstreamCxDestroy);
        if !abrupt {
            http.inc(HcmCounter::DownstreamCxDestroyLocal);
        }
        http.gauge_dec(HcmGauge::DownstreamCxActive);
        http.gauge_dec(HcmGauge::DownstreamCxHttp1Active);
        self.shared
            .active_connections
            .fetch_sub(1, Ordering::Relaxed);
        self.downstreams.free(d.key);
    }

    /// At the end of the worker.
    pub fn close_all(&mut self) {
        for key in self.downstreams.keys() {
            if let Some(d) = self.downstreams.take(key) {
                self.close_downstream(d, true);
            }
        }
    }
}

enum Step {
    Again,
    Stop,
    Closed,
}

fn keep_rest(d: &mut Downstream, held: &mut Vec<u8>, used: usize) {
    held.drain(..used.min(held.len()));
    // Empty, its memory goes: an idle connection holds none.
    d.inbuf = if held.is_empty() {
        Vec::new()
    } else {
        std::mem::take(held)
    };
}

impl Stream {
    /// Whether the stream waits in its host's queue.
    pub fn is_waiting(&self) -> bool {
        self.upstream == Upstreaming::Waiting
    }
}
