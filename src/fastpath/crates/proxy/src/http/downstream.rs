//! The client's side: a connection that speaks HTTP/1.1 with us.
//!
//! Theory of operation. A connection has at most one stream (requests that were pipelined behind
//! it stay unread). `drive` reads while somebody wants bytes: the head reader when there is no
//! stream, the upstream when a body is under way; otherwise the bytes stay in the kernel, which is
//! the back-pressure. A read fills the worker's scratch buffer; only what is left over (half a
//! head, a body whose upstream is not connected yet) is copied into `inbuf`.

use std::rc::Rc;

use model::resources::hcm::Codec;
use proto::h1::{HeadLimits, HeadReader};

use super::client::{Client, Spoken};
use super::deadlines::{head_deadline, millis, next_deadline};
use super::failure::Failure;
use super::gather::Gathered;
use super::network_filters::{Passage, Waiting};
use super::own_call::Ours;
use super::stream::{Stream, Upstreaming};
use crate::http2::carrier::Carrier;
use crate::net::io::{Input, Io, Scratch};
use crate::telemetry::stats::{HcmCounter, HcmGauge};
use crate::upstream::Upstream;
use crate::worker::guards::Refusal;
use crate::worker::pending::Arrival;
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;
use crate::worker::{Kind, Readiness, Worker};

/// Reads in one turn before the others get theirs.
const MAX_READS: usize = 8;

/// How long a client has to end a request that was answered, and how much of it is thrown away.
const STREAM_LINGER_MS: u64 = 1000;
const MAX_DISCARDED: usize = 64 * 1024;

/// How HTTP/2 begins (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A client that has one request at a time: an HTTP/1.1 connection, or one stream of an HTTP/2
/// connection.
#[derive(Debug)]
pub struct Downstream {
    pub key: Key,
    pub carrier: Carrier,
    pub client: Rc<Client>,
    /// Bytes that nobody could take yet: of the connection, or of the stream's body.
    pub inbuf: Vec<u8>,
    reader: HeadReader,
    /// The stream whose head is incomplete.
    pub(super) reading: Option<Box<Stream>>,
    pub stream: Option<Box<Stream>>,
    /// The network filters of its chain have not been asked yet.
    pub(super) unasked: bool,
    /// One of them refuses it.
    pub(super) refused: Option<Refusal>,
    /// One of them asks a server about it.
    pub(super) waiting: Option<Box<Waiting>>,
    /// It has said something, so that it counts as a connection that speaks HTTP/1.
    spoke: bool,
    pub readable: bool,
    pub peer_closed: bool,
    /// The client has ended its side of a tunnel.
    pub ended: bool,
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
    /// It speaks HTTP/2: what was read of it is in `inbuf`.
    Http2,
    /// A network filter refused it (`Downstream::refused`).
    Refused,
}

impl Downstream {
    pub fn new(key: Key, carrier: Carrier, client: Rc<Client>, now: u64) -> Self {
        Self {
            key,
            carrier,
            client,
            inbuf: Vec::new(),
            reader: HeadReader::default(),
            reading: None,
            stream: None,
            unasked: false,
            refused: None,
            waiting: None,
            spoke: false,
            // The first event says when there is something to read.
            readable: false,
            peer_closed: false,
            ended: false,
            closing: Closing::No,
            linger: false,
            draining: false,
            requests: 0,
            opened_ms: now,
            idle_since_ms: now,
            head_started_ms: NEVER,
            close_deadline: NEVER,
            drain_end: NEVER,
        }
    }

    /// The buffer limit above which the other side is not read.
    pub fn buffer_limit(&self) -> usize {
        self.client.buffer_limit()
    }

    /// Bytes of responses that the client has not taken yet.
    pub fn backlog(&self) -> usize {
        self.carrier.backlog()
    }

    /// It has said something.
    pub(super) fn has_begun(&self) -> bool {
        self.spoke
    }

    /// Its socket takes no more: the next look at it ends it.
    pub fn note_broken(&mut self) {
        if let Some(io) = self.carrier.io_mut() {
            io.forget();
        }
        self.peer_closed = true;
        self.readable = true;
    }

    pub fn is_draining(&self, worker: &Worker) -> bool {
        self.draining || self.client.is_draining(worker)
    }

    /// The response to come is the last; the client does not know yet.
    pub fn close_after_response(&mut self) {
        if self.closing == Closing::No {
            self.closing = Closing::AfterFlush;
            self.linger = true;
        }
    }

    pub fn wants_bytes(&self) -> bool {
        if self.waiting.is_some() {
            return false;
        }
        match (&self.stream, self.closing) {
            (_, Closing::Lingering) => true,
            (Some(stream), _) => stream.wants_body(),
            (None, Closing::AfterFlush) => false,
            (None, Closing::No) => self.backlog() < self.buffer_limit(),
        }
    }
}

impl Worker {
    /// Takes over a connection that (so far) speaks HTTP/1.1.
    pub fn open_downstream(&mut self, client: Rc<Client>, arrival: Arrival) {
        let Arrival { io, held, .. } = arrival;
        let key = match arrival.place {
            Some(place) => place,
            None => {
                let key = self.downstreams.reserve();
                let adopted = self.adopt(Kind::Downstream, key, &io, arrival.is_watched);
                if adopted.is_err() {
                    self.downstreams.free(key);
                    self.count_closed(&client, None, true);
                    return;
                }
                key
            }
        };
        let now = self.clock.now_ms();
        let mut d = Box::new(Downstream::new(key, Carrier::Socket(io), client, now));
        let deadline = next_deadline(&d);
        self.arm_downstream(&d, deadline);
        d.readable = arrival.readable;
        d.peer_closed = arrival.peer_closed;
        d.inbuf = held;
        d.unasked = !d.client.chain.guards.is_empty();
        if d.readable || !d.inbuf.is_empty() {
            self.ready_downstreams.push(key);
        }
        self.downstreams.put(key, d);
    }

    pub fn downstream_event(&mut self, key: Key, event: Readiness) {
        let Some(mut d) = self.downstreams.take(key) else {
            return self.pending_event(key, event);
        };
        let waits = event.writable && d.backlog() > 0;
        if waits && d.carrier.io_mut().is_some_and(|io| io.flush().is_err()) {
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
        self.settle_upload_debt(&mut d);
        self.settle(d, alive);
    }

    /// Reads the upstream again once the client has taken what it had to wait for.
    pub fn resume_response(&mut self, d: &Downstream) {
        if let Some(key) = d.stream.as_ref().and_then(|s| s.upstream.key())
            && !self.is_full(&d.carrier, d.buffer_limit() / 2)
            && self.upstreams.get(key).is_some_and(Upstream::may_go_on)
        {
            self.ready_upstreams.push(key);
        }
    }

    /// Puts the connection back after a step, or closes it.
    pub fn settle(&mut self, mut d: Box<Downstream>, alive: Alive) {
        match alive {
            Alive::Yes => {}
            Alive::No => {
                self.close_downstream(d, true);
                return;
            }
            Alive::Http2 => {
                self.become_http2(d);
                return;
            }
            Alive::Refused => return self.close_refused(d),
        }
        if d.carrier.is_stream() {
            // One exchange is all there is to a stream.
            if d.stream.is_none() && d.backlog() == 0 && !self.awaits_end(&mut d) {
                self.close_downstream(d, false);
            } else {
                self.downstreams.put(d.key, d);
            }
            return;
        }
        let is_flushed = d.stream.is_none() && d.backlog() == 0;
        if d.closing == Closing::AfterFlush
            && is_flushed
            && (d.peer_closed || !self.begin_linger(&mut d))
        {
            self.close_downstream(d, false);
            return;
        }
        self.downstreams.put(d.key, d);
    }

    /// The answer is out and the client still sends: it gets a moment to end its request, so that
    /// a small one is not reset for being late. More than that is cut (RFC 9113 §8.1).
    fn awaits_end(&mut self, d: &mut Downstream) -> bool {
        let Carrier::Stream(carrier) = &d.carrier else {
            return false;
        };
        if !carrier.finished || carrier.ended || carrier.gone {
            return false;
        }
        let is_enough = carrier.discarded > MAX_DISCARDED;
        if d.closing != Closing::Lingering {
            d.closing = Closing::Lingering;
            d.close_deadline = self.clock.now_ms().saturating_add(STREAM_LINGER_MS);
            let deadline = d.close_deadline;
            self.arm_downstream(d, deadline);
        }
        !is_enough
    }

    /// Shuts our side; false if there is nothing to wait for.
    fn begin_linger(&mut self, d: &mut Downstream) -> bool {
        let Some(delay) = d.client.http.hcm.delayed_close_timeout else {
            return false;
        };
        if !d.linger {
            return false;
        }
        if !d.carrier.io_mut().is_some_and(Io::shutdown) {
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
        let is_stream = d.carrier.is_stream();
        if (!d.inbuf.is_empty() || is_stream) && d.wants_bytes() && d.closing != Closing::Lingering
        {
            let held = std::mem::take(&mut d.inbuf);
            if d.unasked {
                match self.pass_guards(d) {
                    Passage::Passes => {}
                    Passage::Refused => return Alive::Refused,
                    Passage::Held => {
                        d.inbuf = held;
                        return if d.peer_closed { Alive::No } else { Alive::Yes };
                    }
                }
            }
            if let Err(alive) = self.take_in(d, Held::Own(held)) {
                return alive;
            }
        }
        if is_stream {
            return Alive::Yes;
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
                Step::Over(alive) => return alive,
            }
        }
        let given_up = d
            .stream
            .as_ref()
            .is_some_and(|s| s.is_given_up_by_leaving());
        if d.peer_closed && (given_up || d.waiting.is_some()) {
            // As in Envoy, a client that shuts its side gives its request up.
            return Alive::No;
        }
        if d.ended && d.readable && self.is_gone(d) {
            return Alive::No;
        }
        self.end_tunnel_if_over(d);
        if d.readable && d.wants_bytes() {
            self.ready_downstreams.push(d.key);
        }
        Alive::Yes
    }

    fn read_once(&mut self, d: &mut Downstream, scratch: &mut Scratch) -> Step {
        let Some(io) = d.carrier.io_mut() else {
            return Step::Stop;
        };
        let (bytes, drained) = match io.read(scratch) {
            Input::Data { bytes, drained } => (bytes, drained),
            Input::Eof => {
                d.client
                    .http
                    .stats()
                    .inc(HcmCounter::DownstreamCxDestroyRemote);
                return match self.client_ended(d) {
                    Alive::Yes => Step::Stop,
                    alive => Step::Over(alive),
                };
            }
            Input::Empty => {
                d.readable = false;
                return Step::Stop;
            }
            Input::Interrupted => return Step::Again,
            Input::Broken => return Step::Over(Alive::No),
        };
        // Only the end of the stream may lie behind what was read.
        if drained && !d.peer_closed {
            d.readable = false;
        }
        d.client.count_received(bytes.len());
        if d.closing == Closing::Lingering {
            return Step::Again;
        }
        if !bytes.is_empty() {
            match self.pass_guards(d) {
                Passage::Passes => {}
                Passage::Refused => return Step::Over(Alive::Refused),
                Passage::Held => {
                    d.inbuf.extend_from_slice(bytes);
                    return Step::Stop;
                }
            }
        }
        match self.feed(d, bytes) {
            Alive::Yes => Step::Again,
            alive => Step::Over(alive),
        }
    }

    /// Whether a client that had only ended its side has broken the connection, too.
    fn is_gone(&mut self, d: &mut Downstream) -> bool {
        d.readable = false;
        let mut scratch = std::mem::replace(&mut self.scratch, Scratch::none());
        let read = d.carrier.io_mut().map(|io| io.read(&mut scratch));
        let is_gone = matches!(read, Some(Input::Broken));
        self.scratch = scratch;
        is_gone
    }

    /// Takes a part of the body of a stream.
    pub fn feed(&mut self, d: &mut Downstream, data: &[u8]) -> Alive {
        let taken = if d.inbuf.is_empty() {
            self.take_in(d, Held::Read(data))
        } else {
            let mut held = std::mem::take(&mut d.inbuf);
            held.extend_from_slice(data);
            self.take_in(d, Held::Own(held))
        };
        taken.err().unwrap_or(Alive::Yes)
    }

    /// Consumes what there is and keeps the rest.
    fn take_in(&mut self, d: &mut Downstream, held: Held<'_>) -> Result<(), Alive> {
        let bytes = held.bytes();
        if !d.spoke && !d.carrier.is_stream() && !bytes.is_empty() && d.client.speaks_http2() {
            d.inbuf = held.into_vec();
            return Err(Alive::Http2);
        }
        if d.requests == 0 && self.may_be_http2(d) {
            if bytes.starts_with(PREFACE) {
                d.inbuf = held.into_vec();
                return Err(Alive::Http2);
            }
            if PREFACE.starts_with(bytes) {
                d.inbuf = held.into_vec();
                return Ok(());
            }
        }
        if !d.spoke && !d.carrier.is_stream() {
            d.spoke = true;
            self.count_spoken(&d.client, Spoken::Http1);
        }
        let used = self.consume(d, bytes).map_err(|()| Alive::No)?;
        d.inbuf = held.rest(used);
        self.settle_upload_debt(d);
        Ok(())
    }

    /// The first bytes of the connection decide.
    fn may_be_http2(&self, d: &Downstream) -> bool {
        d.client.http.hcm.codec == Codec::Auto
            && d.reading.is_none()
            && d.stream.is_none()
            && d.closing == Closing::No
            && !d.carrier.is_stream()
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
                    if stream.is_gathering() {
                        if self.gather_body(d, stream, rest) == Gathered::More {
                            break;
                        }
                        continue;
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
                    if let Carrier::Stream(carrier) = &mut d.carrier {
                        // Nobody wants the rest of it.
                        carrier.discarded = carrier.discarded.saturating_add(rest.len());
                        used = data.len();
                        break;
                    }
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

    /// Lets a client send on its stream as much as the host has taken: what still waits in the
    /// host's buffer stays within the windows.
    fn settle_upload_debt(&mut self, d: &mut Downstream) {
        let upstream = d.stream.as_ref().and_then(|s| s.upstream.key());
        let waits = upstream.and_then(|key| self.upstreams.get(key));
        if waits.is_some_and(|u| u.backlog() > 0) {
            return;
        }
        // What is gathered may be more than a window, and has a bound of its own.
        let is_gathering = d.stream.as_ref().is_some_and(|s| s.is_gathering());
        let kept = if is_gathering { 0 } else { d.inbuf.len() };
        if let Carrier::Stream(carrier) = &mut d.carrier {
            let handed_on = carrier.owed.saturating_sub(kept);
            self.consumed_of_stream(carrier, handed_on);
        }
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
        match stream.ours.take().map(|ours| *ours) {
            None => {}
            Some(Ours::Mirror) => {
                self.end_mirror();
                return self.recycle(stream);
            }
            Some(Ours::Call(call)) => {
                self.end_own_call(d, &mut stream, call);
                return self.recycle(stream);
            }
        }
        if let Some(call) = stream.awaits.take() {
            self.cancel_call(call);
        }
        self.end_retries(&mut stream);
        self.end_filters(&mut stream);
        self.log_stream(d, &mut stream);
        self.report_stream(d, &stream);
        self.count_upgrade_ended(d, &stream);
        d.client
            .http
            .stats()
            .gauge_dec(HcmGauge::DownstreamRqActive);
        if d.carrier.is_stream() {
            self.recycle(stream);
            return;
        }
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
    pub fn close_downstream(&mut self, d: Box<Downstream>, abrupt: bool) {
        self.close_downstream_for(d, abrupt, Failure::DownstreamGone);
    }

    /// `close_downstream`; `failure` is what the stream ends with.
    pub fn close_downstream_for(&mut self, mut d: Box<Downstream>, abrupt: bool, failure: Failure) {
        self.forget_waiting(&mut d);
        if let Some(stream) = d.stream.take() {
            if stream.ours.is_none() {
                d.client.http.stats().inc(HcmCounter::DownstreamRqRxReset);
            }
            self.abandon_stream(&mut d, stream, failure);
        }
        if let Some(mut stream) = d.reading.take() {
            // A request that never got whole is one that was given up.
            stream.request.clear();
            self.start_accounting(&d, &mut stream);
            self.abandon_stream(&mut d, stream, failure);
        }
        match &mut d.carrier {
            Carrier::Socket(io) => {
                io.say_goodbye();
                let spoken = d.spoke.then_some(Spoken::Http1);
                self.count_closed(&d.client, spoken, !abrupt);
            }
            Carrier::Stream(carrier) => self.close_stream(carrier),
        }
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
    Over(Alive),
}

/// Bytes to consume: in the worker's buffer, or the connection's own.
enum Held<'a> {
    Read(&'a [u8]),
    Own(Vec<u8>),
}

impl Held<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Own(bytes) => bytes,
        }
    }

    fn into_vec(self) -> Vec<u8> {
        self.rest(0)
    }

    /// What is left; nothing, and no memory: an idle connection holds none.
    fn rest(self, used: usize) -> Vec<u8> {
        match self {
            Self::Read(bytes) => bytes.get(used..).unwrap_or_default().to_vec(),
            Self::Own(bytes) if used >= bytes.len() => Vec::new(),
            Self::Own(mut bytes) => {
                bytes.drain(..used);
                bytes
            }
        }
    }
}

impl Stream {
    /// Whether the stream waits in its host's queue.
    pub fn is_waiting(&self) -> bool {
        self.upstream == Upstreaming::Waiting
    }
}
