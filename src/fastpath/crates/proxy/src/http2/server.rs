//! The client's side of HTTP/2: requests come in, each as a `Downstream` of its own.

use std::rc::Rc;

use proto::h2::{Connection, ConnectionError, ErrorCode, Options, StreamFault, StreamId};

use super::carrier::{Carrier, StreamCarrier};
use super::{End, Http2, Role};
use crate::http::client::{Client, Spoken};
use crate::http::deadlines::{after, millis};
use crate::http::downstream::{Alive, Downstream};
use crate::http::failure::Failure;
use crate::net::io::Io;
use crate::telemetry::stats::HcmCounter;
use crate::worker::pending::Arrival;
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;
use crate::worker::{Kind, Worker};

/// How long a GOAWAY for a fault has to arrive before the socket is closed under it, unless
/// `delayed_close_timeout` says so.
const LINGER_MS: u64 = 1000;

/// Streams without a connection that end in one turn, unless more begin: each may close a
/// connection to its host.
const MAX_ENDED: usize = 32;

#[derive(Debug)]
pub struct Server {
    pub client: Rc<Client>,
    requests: u64,
    /// GOAWAY with the highest id was sent: the last one follows then.
    last_goaway_at: u64,
}

impl Server {
    pub fn deadline(&self, c: &Http2) -> u64 {
        let hcm = &self.client.http.hcm;
        let told = self.last_goaway_at.min(c.close_deadline);
        if self.is_told_by(&c.codec) {
            return told;
        }
        let idle = if c.streams.is_empty() {
            after(c.idle_since_ms, hcm.idle_timeout)
        } else {
            NEVER
        };
        idle.min(after(c.opened_ms, hcm.max_connection_duration))
            .min(told)
    }

    /// Requests may be on their way that the client sent before it was told: until the last
    /// GOAWAY nobody could say that they are lost.
    pub fn waits_for_stragglers(&self, c: &Http2) -> bool {
        self.last_goaway_at != NEVER && !c.codec.is_peer_leaving() && !c.peer_closed
    }

    /// The client knows that we go.
    fn is_told_by(&self, codec: &Connection) -> bool {
        self.last_goaway_at != NEVER || codec.is_closing()
    }
}

/// A connection that begins to speak HTTP/2.
struct Opening {
    io: Io,
    /// What was read of it.
    held: Vec<u8>,
    readable: bool,
    peer_closed: bool,
    is_watched: bool,
}

impl Worker {
    /// A connection turned out to speak HTTP/2.
    pub fn become_http2(&mut self, d: Box<Downstream>) {
        let Downstream {
            key,
            carrier,
            client,
            inbuf,
            readable,
            peer_closed,
            ..
        } = *d;
        self.downstreams.free(key);
        let Carrier::Socket(io) = carrier else { return };
        let connection = Opening {
            io,
            held: inbuf,
            readable,
            peer_closed,
            is_watched: true,
        };
        self.open_http2(client, connection);
    }

    /// Serves HTTP/2 on a connection that was counted.
    pub fn open_http2_server(&mut self, client: Rc<Client>, arrival: Arrival) {
        let connection = Opening {
            io: arrival.io,
            held: arrival.held,
            readable: arrival.readable,
            peer_closed: arrival.peer_closed,
            is_watched: arrival.is_watched,
        };
        self.open_http2(client, connection);
    }

    fn open_http2(&mut self, client: Rc<Client>, opening: Opening) {
        let Opening { io, held, .. } = opening;
        let key = self.http2.reserve();
        if self
            .adopt(Kind::Http2, key, &io, opening.is_watched)
            .is_err()
        {
            self.http2.free(key);
            self.count_closed(&client, None, true);
            return;
        }
        self.count_spoken(&client, Spoken::Http2);
        let codec = Connection::server(options(&client));
        let now = self.clock.now_ms();
        let role = Role::Server(Server {
            client,
            requests: 0,
            last_goaway_at: NEVER,
        });
        let mut connection = Box::new(Http2::new(key, io, codec, role, now));
        connection.readable = opening.readable;
        connection.peer_closed = opening.peer_closed;
        self.put_http2(connection);
        if self.take_held(key, held) {
            self.drive_http2(key);
        }
    }

    /// A request with the start of its body, if that is there already; `end`: and nothing else.
    pub(super) fn http2_request(&mut self, key: Key, stream: StreamId, data: &[u8], end: bool) {
        let mut s = self.new_stream();
        let at = self.downstreams.reserve();
        let now = self.clock.now_ms();
        let Some(c) = self.http2.get_mut(key) else {
            return;
        };
        std::mem::swap(&mut c.codec.request, &mut s.request);
        let head_bytes = c.codec.head_bytes as usize;
        c.add_stream(stream, at);
        let Role::Server(server) = &mut c.role else {
            return;
        };
        server.requests = server.requests.saturating_add(1);
        let client = Rc::clone(&server.client);
        let mut carrier = StreamCarrier::new(key, stream);
        carrier.ended = end && data.is_empty();
        let mut d = Box::new(Downstream::new(at, Carrier::Stream(carrier), client, now));
        d.requests = server.requests;
        self.begin_request(&mut d, s, head_bytes);
        if data.is_empty() {
            let alive = self.drive(&mut d);
            self.settle(d, alive);
        } else {
            self.take_request_data(d, data, end);
        }
    }

    pub(super) fn http2_request_data(&mut self, at: Key, data: &[u8], end: bool) {
        if let Some(d) = self.downstreams.take(at) {
            self.take_request_data(d, data, end);
        }
    }

    fn take_request_data(&mut self, mut d: Box<Downstream>, data: &[u8], end: bool) {
        if let Carrier::Stream(carrier) = &mut d.carrier {
            carrier.ended |= end;
            carrier.owed = carrier.owed.saturating_add(data.len());
        }
        let alive = self.feed(&mut d, data);
        self.settle(d, alive);
    }

    pub(super) fn http2_request_trailers(&mut self, key: Key, at: Key) {
        let Some(mut d) = self.downstreams.take(at) else {
            return;
        };
        if let Carrier::Stream(carrier) = &mut d.carrier {
            carrier.ended = true;
        }
        if let (Some(c), Some(s)) = (self.http2.get_mut(key), &mut d.stream) {
            std::mem::swap(&mut c.codec.trailers, &mut s.request_trailers);
        }
        let alive = self.feed(&mut d, b"");
        self.settle(d, alive);
    }

    /// The client gave a request up.
    pub(super) fn http2_request_reset(&mut self, at: Key, code: ErrorCode) {
        self.lose_request(at, Failure::DownstreamReset(code));
    }

    /// The client broke the rules in a request, whose stream we have reset.
    pub(super) fn http2_request_fault(&mut self, at: Key, fault: StreamFault) {
        self.lose_request(at, Failure::DownstreamFault(fault));
    }

    /// The stream of a request is gone.
    fn lose_request(&mut self, at: Key, failure: Failure) {
        let Some(mut d) = self.downstreams.take(at) else {
            return;
        };
        if let Carrier::Stream(carrier) = &mut d.carrier {
            carrier.gone = true;
        }
        self.close_downstream_for(d, true, failure);
    }

    /// Ends streams whose connection is gone: some in each turn, since hosts may have to be told.
    ///
    /// More than have begun since the last time: a client that comes back at once, with as many
    /// requests as it left behind, does not add them to those.
    pub fn end_abandoned(&mut self) {
        let begun = std::mem::take(&mut self.begun_http2);
        for _ in 0..MAX_ENDED.max(begun.saturating_mul(2)) {
            let Some((at, failure)) = self.abandoned.pop() else {
                break;
            };
            self.lose_request(at, failure);
        }
    }

    /// A request whose head was refused, and whose stream was reset. One that is more than may be
    /// open is none: its client will send it again.
    pub(super) fn http2_head_fault(&mut self, key: Key, fault: StreamFault) {
        let Some(c) = self.http2.get(key) else { return };
        let Role::Server(server) = &c.role else {
            return;
        };
        if fault != StreamFault::Refused {
            let client = Rc::clone(&server.client);
            self.refuse_http2_head(key, client, Failure::DownstreamFault(fault));
        }
    }

    /// A request whose head was refused is counted and logged, though nothing is known of it.
    fn refuse_http2_head(&mut self, connection: Key, client: Rc<Client>, failure: Failure) {
        let mut s = self.new_stream();
        s.request.version = proto::h1::Version::Http2;
        let at = self.downstreams.reserve();
        let now = self.clock.now_ms();
        // Of a stream that we know nothing of, and need not close.
        let carrier = Carrier::Stream(StreamCarrier::new(connection, 0));
        let mut d = Box::new(Downstream::new(at, carrier, client, now));
        self.start_accounting(&d, &mut s);
        d.stream = Some(s);
        self.close_downstream_for(d, true, failure);
    }

    /// The response's bytes may go on.
    pub(super) fn resume_http2_response(&mut self, at: Key) {
        let Some(mut d) = self.downstreams.take(at) else {
            return;
        };
        if let Carrier::Stream(carrier) = &mut d.carrier {
            self.resume_stream(carrier);
        }
        self.resume_response(&d);
        self.settle(d, Alive::Yes);
    }

    pub(super) fn http2_server_closed(&mut self, c: &mut Http2, end: End) {
        let Role::Server(server) = &c.role else {
            return;
        };
        let client = Rc::clone(&server.client);
        let stats = client.http.stats();
        match end {
            End::PeerClosed => stats.inc(HcmCounter::DownstreamCxDestroyRemote),
            End::Fault(error) if !error.is_flood() => {
                stats.inc(HcmCounter::DownstreamCxProtocolError);
            }
            End::Fault(_) | End::Done | End::Timeout | End::Broken => {}
        }
        let local = matches!(end, End::Done | End::Timeout | End::Fault(_));
        if !c.streams.is_empty() {
            stats.inc(HcmCounter::DownstreamCxDestroyActiveRq);
            stats.inc(if local {
                HcmCounter::DownstreamCxDestroyLocalActiveRq
            } else {
                HcmCounter::DownstreamCxDestroyRemoteActiveRq
            });
        }
        let failure = match end {
            End::Fault(error) => self.end_at_fault(c, &client, error),
            _ => Failure::DownstreamGone,
        };
        let streams = c.streams.drain().map(|(_, at)| (at, failure));
        self.abandoned.extend(streams);
        self.count_closed(&client, Some(Spoken::Http2), local);
    }

    /// Ends the request that a connection failed in; what the others fail with.
    fn end_at_fault(
        &mut self,
        c: &mut Http2,
        client: &Rc<Client>,
        error: ConnectionError,
    ) -> Failure {
        let failure = Failure::DownstreamProtocol(error);
        if let ConnectionError::InvalidMessage { stream, fault } = error {
            let fault = Failure::DownstreamFault(fault);
            match c.streams.remove(&stream) {
                Some(at) => self.abandoned.push((at, fault)),
                None => self.refuse_http2_head(c.key, Rc::clone(client), fault),
            }
        } else if c.codec.has_lost_head() {
            self.refuse_http2_head(c.key, Rc::clone(client), failure);
        }
        failure
    }

    /// Its listener drains, or it was idle for long: GOAWAY, and once more when what was on its
    /// way has had time to arrive (RFC 9113 §6.8).
    ///
    /// Whether it did not know.
    pub fn drain_http2(&mut self, key: Key) -> bool {
        let now = self.clock.now_ms();
        let drain_end = now.saturating_add(self.shared.drain_time_ms);
        let Some(c) = self.http2.get_mut(key) else {
            return false;
        };
        let Role::Server(server) = &mut c.role else {
            return false;
        };
        if server.is_told_by(&c.codec) {
            return false;
        }
        let wait = millis(server.client.http.hcm.drain_timeout);
        server.last_goaway_at = now.saturating_add(wait);
        c.close_deadline = c.close_deadline.min(drain_end);
        c.codec.shutdown_notice(&mut c.out);
        self.wrote_http2(key);
        self.arm_http2(key);
        true
    }

    /// Whether the client of a connection knows that it goes.
    pub fn is_http2_told(&self, key: Key) -> bool {
        self.http2.get(key).is_some_and(|c| match &c.role {
            Role::Server(server) => server.is_told_by(&c.codec),
            Role::Client(_) => false,
        })
    }

    pub(super) fn http2_server_timer(&mut self, key: Key, now: u64) -> Option<End> {
        let c = self.http2.get_mut(key)?;
        let Role::Server(server) = &mut c.role else {
            return None;
        };
        if now >= c.close_deadline {
            return Some(End::Timeout);
        }
        if now >= server.last_goaway_at {
            server.last_goaway_at = NEVER;
            c.codec.goaway(&mut c.out, ErrorCode::NO_ERROR);
            self.wrote_http2(key);
            return None;
        }
        if c.codec.is_closing() {
            return None;
        }
        let hcm = &server.client.http.hcm;
        let stats = server.client.http.stats();
        if c.streams.is_empty() && now >= after(c.idle_since_ms, hcm.idle_timeout) {
            stats.inc(HcmCounter::DownstreamCxIdleTimeout);
        } else if now >= after(c.opened_ms, hcm.max_connection_duration) {
            stats.inc(HcmCounter::DownstreamCxMaxDurationReached);
        } else {
            return None;
        }
        self.drain_http2(key);
        None
    }

    /// Reads and forgets what a peer sends that was told to go, so that it gets to know why.
    pub(super) fn linger_http2(&mut self, mut io: Io, role: Role) {
        if !io.shutdown() {
            return;
        }
        // What it had not read by now will not be sent any more.
        io.forget();
        let client = match role {
            Role::Server(server) => Some(server.client),
            Role::Client(_) => None,
        };
        let delay = client
            .as_ref()
            .and_then(|client| client.http.hcm.delayed_close_timeout);
        let at = self
            .clock
            .now_ms()
            .saturating_add(delay.map_or(LINGER_MS, millis));
        self.linger(io, at, client.filter(|_| delay.is_some()));
    }
}

fn options(client: &Client) -> Options {
    let hcm = &client.http.hcm;
    let http2 = &hcm.http2;
    Options {
        max_header_bytes: hcm.max_request_headers_bytes,
        max_headers: hcm.max_headers_count,
        underscores: client.http.request_policy.underscores,
        ..super::options(http2)
    }
}
