//! A call as its worker sees it: from the choice of a host to gRPC's status.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use model::resources::cluster::UpstreamProtocol;
use proto::h1::{BodyLength, RequestHead, Scheme};
use proto::{HeaderMap, Known};

use super::inbox::Event;
use super::line::{Line, Order, Request, refused};
use super::reader::{Fault, Reader};
use super::status;
use super::unary::Status as End;
use crate::cluster::ClusterRuntime;
use crate::cluster::host::{Host, Pool};
use crate::cluster::lb::LbContext;
use crate::cluster::outlier::Attempt;
use crate::http::failure::Failure;
use crate::http::filters::frames;
use crate::http::grpc::{CONTENT_TYPE, is_grpc, percent_decode, status_of, status_of_http};
use crate::http2::carrier::{Carrier, StreamCarrier};
use crate::telemetry::stats::ClusterCounter;
use crate::upstream::pool::pool_of_authority;
use crate::upstream::queued::{PRIORITY, Queued, Rider, count_carried};
use crate::upstream::{State, Upstream};
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;
use crate::worker::{Kind, Worker, token};

const USER_AGENT: &[u8] = concat!("grpc-fastmesh/", env!("CARGO_PKG_VERSION")).as_bytes();

/// Calls of a worker at once: each is one that the configuration asks for.
const MAX_CALLS: usize = 4096;

/// Bytes of a server's text that are handed on.
const MAX_TEXT: usize = 4096;

#[derive(Debug)]
pub struct Call {
    key: Key,
    line: Arc<Line>,
    request: Arc<Request>,
    /// Its place among those that wait for a connection.
    queued: Option<Queued>,
    /// Its stream, in `Worker::upstreams`.
    at: Option<Key>,
    /// Messages with their heads, and whether the last one is among them.
    outgoing: VecDeque<Vec<u8>>,
    is_last: bool,
    /// The end was said.
    is_finished: bool,
    /// The server has taken it.
    is_open: bool,
    reader: Reader,
    /// Milliseconds of the worker's clock.
    deadline: u64,
}

impl Worker {
    pub fn call_order(&mut self, order: Order) {
        match order {
            Order::Open(line, request) => self.open_call(line, request),
            Order::Send { call, message, end } => {
                let Some(key) = self.call_keys.get(&call).copied() else {
                    return;
                };
                let Some(call) = self.calls.get_mut(key) else {
                    return;
                };
                if let Some(message) = message {
                    let mut framed = frames::head(0, message.len()).to_vec();
                    framed.extend_from_slice(&message);
                    call.outgoing.push_back(framed);
                }
                call.is_last |= end;
                self.push_call(key);
            }
            Order::Resume { call } => {
                if let Some(key) = self.call_keys.get(&call).copied() {
                    self.give_window_back(key);
                }
            }
            Order::Cancel { call } => {
                let key = self.call_keys.get(&call).copied();
                if let Some(call) = key.and_then(|key| self.calls.take(key)) {
                    self.free_call(*call);
                }
            }
        }
    }

    fn open_call(&mut self, line: Arc<Line>, request: Arc<Request>) {
        if self.calls.count() >= MAX_CALLS {
            return line.push(refused("too many gRPC calls"));
        }
        let Some(cluster) = self.clusters.get(&request.cluster).cloned() else {
            let text = format!("there is no cluster '{}'", request.cluster);
            return line.push(refused(&text));
        };
        let Some(host) = cluster.choose(LbContext::default(), &mut self.rng) else {
            let stats = cluster.stats();
            stats.inc(ClusterCounter::UpstreamCxNoneHealthy);
            return line.push(refused(Failure::NoHealthyUpstream.body()));
        };
        let pool = match pool_of(&cluster, &host, &request) {
            Ok(pool) => pool,
            Err(text) => return line.push(refused(&text)),
        };
        let key = self.calls.reserve();
        self.call_keys.insert(line.id, key);
        let now = self.clock.now_ms();
        let deadline = request
            .timeout_ms
            .map_or(NEVER, |timeout| now.saturating_add(timeout));
        let reader = Reader::new(request.max_message());
        let mut call = Box::new(Call {
            key,
            line,
            request,
            queued: None,
            at: None,
            outgoing: VecDeque::new(),
            is_last: false,
            is_finished: false,
            is_open: false,
            reader,
            deadline,
        });
        self.timers.arm(token(Kind::Call, key), now, deadline);
        if let Some(connection) = self.http2_with_room(&pool) {
            return self.start_call(call, &cluster, &host, connection);
        }
        let Some(queued) = Queued::join(Rider::Call(key), &cluster, &host, &pool) else {
            let end = End::new(status::UNAVAILABLE, Failure::Overflow.body());
            return self.end_call(*call, end);
        };
        call.queued = Some(queued);
        self.calls.put(key, call);
        if let Err(failure) = self.connect_for_waiting(&cluster, &host, &pool, PRIORITY) {
            self.fail_queued_call(key, failure, None);
        }
    }

    /// A connection takes another stream. False: the call does not wait for it.
    pub fn offer_to_call(&mut self, key: Key, connection: Key) -> bool {
        let Some(mut call) = self.calls.take(key) else {
            return false;
        };
        let Some(queued) = call.queued.take() else {
            self.calls.put(key, call);
            return false;
        };
        queued.leave();
        self.start_call(call, &queued.cluster, &queued.host, connection);
        true
    }

    /// There is no connection for the call. `reason`: what is known of it besides.
    pub fn fail_queued_call(&mut self, key: Key, failure: Failure, reason: Option<&str>) {
        let Some(mut call) = self.calls.take(key) else {
            return;
        };
        let queued = call.queued.take();
        if let Some(queued) = &queued {
            queued.host.note_failure(failure, WAITING);
            queued.eject();
        }
        let address = queued.as_ref().map(|queued| &queued.host.address);
        let reason = reason.map(str::to_owned).or(failure.connect_error(address));
        let text = text_of(failure, reason);
        self.end_call(*call, End::new(status::UNAVAILABLE, text));
    }

    /// Gives a call a stream of its own, and sends what there is of it.
    fn start_call(
        &mut self,
        mut call: Box<Call>,
        cluster: &Rc<ClusterRuntime>,
        host: &Rc<Host>,
        connection: Key,
    ) {
        let Some(unit) = self.take_request_unit(cluster, host, PRIORITY) else {
            let end = End::new(status::UNAVAILABLE, Failure::Overflow.body());
            return self.end_call(*call, end);
        };
        let at = self.upstreams.reserve();
        let carrier = Carrier::Stream(StreamCarrier::new(connection, 0));
        let (h, c) = (Rc::clone(host), Rc::clone(cluster));
        let pool = Rc::clone(&host.pool);
        let mut u = Box::new(Upstream::new(at, carrier, h, c, pool, PRIORITY));
        u.state = State::Call(call.key);
        u.request_unit = unit;
        u.opened_ns = self.clock.now_ns();
        count_carried(cluster, host);
        host.note_connected();
        call.at = Some(at);
        self.count_http2_request(connection);
        let sent = self.send_call_head(&call, &mut u, connection);
        self.upstreams.put(at, u);
        if !sent {
            let end = End::new(status::INTERNAL, "the request cannot be said in HTTP/2");
            return self.end_call(*call, end);
        }
        let key = call.key;
        self.calls.put(key, call);
        self.push_call(key);
    }

    fn send_call_head(&mut self, call: &Call, u: &mut Upstream, connection: Key) -> bool {
        let Carrier::Stream(carrier) = &mut u.carrier else {
            return false;
        };
        let Some(c) = self.http2.get_mut(connection) else {
            return false;
        };
        let mut head = RequestHead::new();
        if !fill_head(&mut head, &call.request) {
            return false;
        }
        let scheme = if c.io.is_plain() {
            Scheme::Http
        } else {
            Scheme::Https
        };
        let (codec, out) = c.codec_and_out();
        let Ok(id) = codec.send_request(out, &head, scheme, head.body, false) else {
            return false;
        };
        carrier.id = id;
        c.add_stream(id, u.key);
        self.wrote_http2(connection);
        true
    }

    /// Sends what waits, as far as the stream takes it.
    pub fn push_call(&mut self, key: Key) {
        let Some(call) = self.calls.get_mut(key) else {
            return;
        };
        let Some(at) = call.at.filter(|_| !call.is_finished) else {
            return;
        };
        let Some(mut u) = self.upstreams.take(at) else {
            return;
        };
        let Some(mut call) = self.calls.take(key) else {
            return self.upstreams.put(at, u);
        };
        let limit = u.buffer_limit();
        while !self.is_full(&u.carrier, limit) {
            let Carrier::Stream(carrier) = &mut u.carrier else {
                break;
            };
            match call.outgoing.pop_front() {
                Some(message) => {
                    call.line.sent(message.len().saturating_sub(5));
                    let end = call.is_last && call.outgoing.is_empty();
                    self.send_on_stream(carrier, &message, end);
                    call.is_finished = end;
                }
                None if call.is_last && !call.is_finished => {
                    self.end_on_stream(carrier, None);
                    call.is_finished = true;
                }
                None => break,
            }
        }
        self.calls.put(key, call);
        self.upstreams.put(at, u);
    }

    /// A head came for the call, with the start of what follows it.
    pub fn call_answered(&mut self, key: Key, connection: Key, data: &[u8], end: bool) {
        let Some(c) = self.http2.get(connection) else {
            return;
        };
        let Some(mut call) = self.calls.take(key) else {
            return;
        };
        let response = &c.codec.response;
        let headers = &response.headers;
        if response.status >= 200
            && let Some(u) = call.at.and_then(|at| self.upstreams.get(at))
        {
            count_answer(u, response.status);
            u.host.note_answer(true, response.status, headers);
        }
        match response.status {
            100..200 => return self.calls.put(key, call),
            200 => {}
            code => {
                let said = status_end(headers);
                let end = said.unwrap_or_else(|| {
                    let status = u32::try_from(status_of_http(code)).unwrap_or(status::UNKNOWN);
                    End::new(
                        status,
                        format!("the server answered with HTTP status {code}"),
                    )
                });
                return self.end_call(*call, end);
            }
        }
        if let Some(said) = status_end(headers) {
            self.note_end(&call, end);
            return self.end_call(*call, said);
        }
        if !is_grpc(headers) {
            let end = End::new(status::UNKNOWN, "the server's answer is no gRPC");
            return self.end_call(*call, end);
        }
        call.is_open = true;
        call.line.push(Event::Open);
        self.calls.put(key, call);
        if end || !data.is_empty() {
            self.call_data(key, data, end);
        }
    }

    /// Bytes of messages; `end`: without the trailers that gRPC ends with.
    pub fn call_data(&mut self, key: Key, data: &[u8], end: bool) {
        let Some(mut call) = self.calls.take(key) else {
            return;
        };
        if let Some(carrier) = call.at.and_then(|at| self.carrier_at(at)) {
            carrier.ended |= end;
            carrier.owed = carrier.owed.saturating_add(data.len());
        }
        let mut rest = data;
        loop {
            match call.reader.next(rest) {
                Ok(None) => break,
                Ok(Some((used, message))) => {
                    call.line.push(Event::Message(message));
                    rest = rest.get(used..).unwrap_or_default();
                }
                Err(fault) => {
                    let end = fault_end(fault, &call.request);
                    return self.end_call(*call, end);
                }
            }
        }
        if end {
            let end = End::new(status::UNKNOWN, "the server ended without a status");
            return self.end_call(*call, end);
        }
        self.calls.put(key, call);
        self.give_window_back(key);
    }

    /// gRPC's end.
    pub fn call_trailers(&mut self, key: Key, connection: Key) {
        let said = self
            .http2
            .get(connection)
            .and_then(|c| status_end(&c.codec.trailers));
        let Some(call) = self.calls.take(key) else {
            return;
        };
        self.note_end(&call, true);
        let missing = || End::new(status::UNKNOWN, "the server ended without a status");
        self.end_call(*call, said.unwrap_or_else(missing));
    }

    /// The stream or its connection is gone.
    pub fn call_lost(&mut self, key: Key, failure: Failure) {
        let Some(call) = self.calls.take(key) else {
            return;
        };
        self.note_failure(&call, failure);
        if let Some(carrier) = call.at.and_then(|at| self.carrier_at(at)) {
            carrier.gone = true;
        }
        let (status, text) = match failure {
            Failure::UpstreamReset if call.is_open => {
                (status::INTERNAL, "the server reset the stream".to_owned())
            }
            Failure::UpstreamProtocol => (
                status::INTERNAL,
                "the server does not keep to HTTP/2".to_owned(),
            ),
            failure if call.is_open => (
                status::UNAVAILABLE,
                format!("the connection is gone: {}", failure.details(true)),
            ),
            failure => (status::UNAVAILABLE, text_of(failure, None)),
        };
        self.end_call(*call, End::new(status, text));
    }

    pub fn call_timer(&mut self, key: Key) {
        let Some(call) = self.calls.take(key) else {
            return;
        };
        let now = self.clock.now_ms();
        if now < call.deadline {
            self.timers.arm(token(Kind::Call, key), now, call.deadline);
            return self.calls.put(key, call);
        }
        self.note_failure(&call, Failure::ResponseTimeout);
        let end = End::new(
            status::DEADLINE_EXCEEDED,
            "it took longer than its deadline",
        );
        self.end_call(*call, end);
    }

    /// What the failure says of the host, for outlier detection.
    fn note_failure(&self, call: &Call, failure: Failure) {
        if let Some(u) = call.at.and_then(|at| self.upstreams.get(at)) {
            let attempt = Attempt {
                was_sent: true,
                is_answered: call.is_open,
                ..WAITING
            };
            u.host.note_failure(failure, attempt);
        }
    }

    /// The worker ends, and every call with it.
    pub fn close_calls(&mut self) {
        for key in self.calls.keys() {
            if let Some(call) = self.calls.take(key) {
                self.end_call(*call, End::new(status::UNAVAILABLE, "the worker has ended"));
            }
        }
    }

    /// Lets the server send as much again as was read of it.
    fn give_window_back(&mut self, key: Key) {
        let Some(call) = self.calls.get(key) else {
            return;
        };
        if call.line.is_unread() {
            return;
        }
        let Some(mut u) = call.at.and_then(|at| self.upstreams.take(at)) else {
            return;
        };
        if let Carrier::Stream(carrier) = &mut u.carrier {
            let owed = carrier.owed;
            self.consumed_of_stream(carrier, owed);
        }
        self.upstreams.put(u.key, u);
    }

    fn note_end(&mut self, call: &Call, end: bool) {
        if let Some(carrier) = call.at.and_then(|at| self.carrier_at(at)) {
            carrier.ended |= end;
        }
    }

    /// Tells who wanted it, and lets go of it.
    fn end_call(&mut self, call: Call, end: End) {
        call.line.push(Event::Closed {
            status: end.code,
            message: end.text,
        });
        self.free_call(call);
    }

    fn free_call(&mut self, mut call: Call) {
        self.calls.free(call.key);
        self.call_keys.remove(&call.line.id);
        if let Some(queued) = call.queued.take() {
            queued.cancel();
        }
        let Some(u) = call.at.and_then(|at| self.upstreams.take(at)) else {
            return;
        };
        self.reset_upstream(u);
    }
}

/// It had no connection yet.
const WAITING: Attempt = Attempt {
    was_sent: false,
    is_answered: false,
    timeout_alt_response: false,
};

/// As a request of our own, which is what `internal` says.
fn count_answer(u: &Upstream, status: u16) {
    u.cluster.stats().response_code(status, true);
    let shard = &u.pool.shard;
    if status >= 500 {
        shard.rq_error.inc();
    } else {
        shard.rq_success.inc();
    }
}

/// The pool whose connections may carry the call, or why there can be none.
fn pool_of(cluster: &ClusterRuntime, host: &Host, request: &Request) -> Result<Rc<Pool>, String> {
    let protocol = host.pool.kind.protocol;
    match protocol {
        UpstreamProtocol::Http2 | UpstreamProtocol::Alpn => {}
        UpstreamProtocol::Http1 | UpstreamProtocol::Downstream => {
            return Err(format!(
                "cluster '{}' does not speak HTTP/2, which gRPC needs: give it \
                 http2_protocol_options",
                request.cluster
            ));
        }
    }
    let config = cluster.config.borrow();
    let authority = authority(request).as_bytes();
    pool_of_authority(&config.http, host, protocol, None, authority).ok_or_else(|| {
        cluster.stats().inc(ClusterCounter::UpstreamCxPoolOverflow);
        Failure::Overflow.body().to_owned()
    })
}

fn authority(request: &Request) -> &str {
    match request.authority.as_str() {
        "" => &request.cluster,
        authority => authority,
    }
}

pub(super) fn fill_head(head: &mut RequestHead, request: &Request) -> bool {
    let known = head.set_method(b"POST")
        && head.set_path(request.path.as_bytes())
        && head.set_authority(authority(request).as_bytes());
    head.body = BodyLength::Chunked;
    let headers = &mut head.headers;
    let mut all = known
        && headers.push_known(Known::Te, b"trailers")
        && headers.push_known(Known::ContentType, CONTENT_TYPE)
        && headers.push_known(Known::UserAgent, USER_AGENT);
    if let Some(ms) = request.timeout_ms {
        crate::http::grpc::set_timeout(headers, ms);
    }
    for (name, value) in &request.metadata {
        all &= headers.push(name.as_bytes(), value.as_bytes());
    }
    all
}

/// gRPC's status in a head or in trailers, if it is there.
pub(super) fn status_end(fields: &HeaderMap) -> Option<End> {
    fields.get(Known::GrpcStatus)?;
    // One that is no number is not one of gRPC's either.
    let status = status_of(fields).and_then(|status| u32::try_from(status).ok());
    let text = fields.get(Known::GrpcMessage).unwrap_or_default();
    let text = percent_decode(text.get(..MAX_TEXT).unwrap_or(text));
    Some(End {
        code: status.unwrap_or(status::UNKNOWN),
        text: String::from_utf8_lossy(&text).into_owned(),
    })
}

pub(super) fn fault_end(fault: Fault, request: &Request) -> End {
    match fault {
        Fault::Compressed => End::new(
            status::INTERNAL,
            "the server compresses its messages, which was not asked for",
        ),
        Fault::TooLarge(size) => End::new(
            status::RESOURCE_EXHAUSTED,
            format!(
                "a message of {size} bytes is more than the {} that are taken",
                request.max_message()
            ),
        ),
    }
}

fn text_of(failure: Failure, reason: Option<String>) -> String {
    match reason {
        Some(reason) => format!("{}: {reason}", failure.body()),
        None => failure.body().to_owned(),
    }
}
