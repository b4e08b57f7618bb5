//! Requests of our own: what a filter asks of a server in a cluster before it says what becomes of
//! somebody else's request.
//!
//! Theory of operation. As with a mirrored request (`router::mirror`) a call is an exchange whose
//! client is a stream of a connection that there is not: it goes through the cluster's host, pool,
//! TLS and limits like any other. What its client would get is kept here, and handed to whoever
//! asked when it is complete, with the next turn of the worker. Unary gRPC (`grpc::unary`) is such a
//! call, too.
//!
//! To use it, a filter calls `Worker::ask` with a `Question`, sets `Stream::awaits` to the key that
//! it gets, and holds the request (`Flow::Hold`); its `resume` is given the `Answer`. A client that
//! goes away takes its call with it (`Worker::cancel_call`, by `end_stream`).

use std::rc::Rc;
use std::sync::Arc;

use model::resources::cluster::RoutingPriority;
use proto::h1::{BodyLength, RequestHead};
use proto::{HeaderMap, Known};

use super::client::Client;
use super::decimal::decimal;
use super::downstream::{Alive, Downstream};
use super::failure::Failure;
use super::filters::jwt_authn::Refresh;
use super::stream::Stream;
use crate::cluster::lb::LbContext;
use crate::http2::carrier::{Carrier, StreamCarrier};
use crate::telemetry::stats::ClusterCounter;
use crate::worker::Worker;
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;

/// Calls of one worker at once: each holds a request of a client, and memory of its own.
const MAX_CALLS: usize = 16_384;

/// Bytes of an answer that are kept, unless its asker wants less.
pub const MAX_ANSWER: usize = 1 << 20;

/// Who asked.
#[derive(Debug, Clone)]
pub enum Asker {
    /// The request of this client, which a filter holds.
    Request(Key),
    /// A network filter, about a connection that speaks HTTP, or any other.
    Connection(Key),
    Tunnel(Key),
    /// No request: keys are fetched for those that come later.
    Keys(Arc<Refresh>),
}

/// A request to be sent.
#[derive(Debug)]
pub struct Question {
    pub cluster: Rc<str>,
    /// Method, path, host and headers; its framing is that of `body`.
    pub head: RequestHead,
    pub body: Vec<u8>,
    /// Until all of the answer is there; `None`: no end.
    pub timeout_ms: Option<u64>,
    /// Bytes of the answer's body that are taken.
    pub most: usize,
}

#[derive(Debug)]
pub enum Answer {
    Response(Box<Response>),
    Failed(Failed),
}

#[derive(Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    pub trailers: HeaderMap,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    NoCluster,
    TooMany,
    /// What was to be asked is no request.
    Unsayable,
    TooLarge,
    /// It ended before it was complete.
    Cut,
    Exchange(Failure),
}

impl Failed {
    /// For logs.
    pub fn reason(self) -> std::borrow::Cow<'static, str> {
        match self {
            Self::NoCluster => "there is no such cluster".into(),
            Self::TooMany => "too many calls are under way".into(),
            Self::Unsayable => "the request cannot be said in HTTP".into(),
            Self::TooLarge => "the answer is too large".into(),
            Self::Cut => "the answer is not complete".into(),
            Self::Exchange(failure) => failure.details(false),
        }
    }
}

/// A call under way, in its stream.
#[derive(Debug)]
pub struct OwnCall {
    /// `None`: nobody waits for it any more.
    asker: Option<Asker>,
    body: Vec<u8>,
    most: usize,
    failed: Option<Failed>,
}

impl OwnCall {
    /// A part of the answer. False: it becomes too large.
    fn take(&mut self, data: &[u8]) -> bool {
        if data.len() > self.most.saturating_sub(self.body.len()) {
            self.failed = Some(Failed::TooLarge);
            return false;
        }
        self.body.extend_from_slice(data);
        true
    }
}

/// Whose exchange it is, if it is no client's.
#[derive(Debug)]
pub enum Ours {
    /// A copy of a client's (`router::mirror`).
    Mirror,
    Call(OwnCall),
}

impl Ours {
    /// A part of the response's body. False: there is no use for more.
    pub fn take_body(&mut self, data: &[u8]) -> bool {
        match self {
            Self::Mirror => true,
            Self::Call(call) => call.take(data),
        }
    }

    pub fn fail(&mut self, failure: Failure) {
        if let Self::Call(call) = self {
            call.failed.get_or_insert(Failed::Exchange(failure));
        }
    }
}

/// An exchange of our own that begins with the next turn.
#[derive(Debug)]
pub struct Starting {
    d: Box<Downstream>,
    s: Box<Stream>,
    priority: RoutingPriority,
}

impl Worker {
    /// Sends a request, `client` being its cause. Its answer comes with a later turn.
    pub fn ask(
        &mut self,
        asker: Asker,
        client: &Client,
        question: Question,
    ) -> Result<Key, Failed> {
        let Question {
            cluster,
            head,
            body,
            timeout_ms,
            most,
        } = question;
        let cluster = self.clusters.get(&*cluster).cloned();
        let cluster = cluster.ok_or(Failed::NoCluster)?;
        if self.own_calls >= MAX_CALLS {
            cluster
                .stats()
                .inc(ClusterCounter::UpstreamRqPendingOverflow);
            return Err(Failed::TooMany);
        }
        let Some(host) = cluster.choose(LbContext::default(), &mut self.rng) else {
            let stats = cluster.stats();
            stats.inc(ClusterCounter::UpstreamCxNoneHealthy);
            stats.response_code(Failure::NoHealthyUpstream.status(), true);
            return Err(Failed::Exchange(Failure::NoHealthyUpstream));
        };
        let now = self.clock.now_ms();
        let mut s = self.new_stream();
        s.ours = Some(Box::new(Ours::Call(OwnCall {
            asker: Some(asker),
            body: Vec::new(),
            most: most.min(MAX_ANSWER),
            failed: None,
        })));
        s.request = head;
        // Those of the client's connection are not at work on it.
        s.has_begun_filters = true;
        s.request_complete = body.is_empty();
        s.info.start = self.clock.now_ns();
        s.info.attempt_count = 1;
        s.upstream_start_ns = s.info.start;
        s.cluster = Some(cluster);
        s.host = Some(host);
        s.last_activity = now;
        s.route_timeout_ms = timeout_ms.unwrap_or(NEVER);
        s.route_deadline = now.saturating_add(s.route_timeout_ms);
        self.own_calls = self.own_calls.saturating_add(1);
        Ok(self.begin_own(client, s, body, RoutingPriority::Default))
    }

    /// Begins an exchange that is no client's, with the next turn: whoever wants it may be in the
    /// middle of something.
    pub fn begin_own(
        &mut self,
        client: &Client,
        s: Box<Stream>,
        body: Vec<u8>,
        priority: RoutingPriority,
    ) -> Key {
        let mut carrier = StreamCarrier::new(Key::NOBODY, 0);
        carrier.ended = true;
        // The end of the exchange is not waited for.
        carrier.gone = true;
        let key = self.downstreams.reserve();
        let client = Rc::new(Client::of_ours(client));
        let now = self.clock.now_ms();
        let mut d = Box::new(Downstream::new(key, Carrier::Stream(carrier), client, now));
        d.inbuf = body;
        self.starting.push(Starting { d, s, priority });
        key
    }

    /// Begins those of this turn.
    pub fn start_own(&mut self) {
        for Starting { mut d, s, priority } in std::mem::take(&mut self.starting) {
            let deadline = s.deadline();
            if deadline != NEVER {
                self.arm_downstream(&d, deadline);
            }
            self.acquire(&mut d, s, priority);
            let alive = self.drive(&mut d);
            self.settle(d, alive);
        }
    }

    /// Nobody waits for a call any more.
    pub fn cancel_call(&mut self, key: Key) {
        self.answers.retain(|(call, _, _)| *call != key);
        if let Some(at) = self.starting.iter().position(|own| own.d.key == key) {
            let Starting { s, .. } = self.starting.remove(at);
            self.downstreams.free(key);
            self.own_calls = self.own_calls.saturating_sub(1);
            return self.recycle(s);
        }
        let Some(mut d) = self.downstreams.take(key) else {
            return;
        };
        if let Some(s) = &mut d.stream
            && let Some(Ours::Call(call)) = s.ours.as_deref_mut()
        {
            call.asker = None;
        }
        self.close_downstream_for(d, true, Failure::DownstreamGone);
    }

    /// A call has ended, one way or another.
    pub fn end_own_call(&mut self, d: &Downstream, s: &mut Stream, call: OwnCall) {
        self.own_calls = self.own_calls.saturating_sub(1);
        let Some(asker) = call.asker else { return };
        let answer = match call.failed {
            Some(failed) => Answer::Failed(failed),
            None if !s.response_complete => Answer::Failed(Failed::Cut),
            None => Answer::Response(Box::new(Response {
                status: s.response.status,
                headers: std::mem::take(&mut s.response.headers),
                body: call.body,
                trailers: std::mem::take(&mut s.response_trailers),
            })),
        };
        self.answers.push((d.key, asker, answer));
    }

    /// Hands out the answers that have come.
    pub fn hand_out_answers(&mut self) {
        for (call, asker, answer) in std::mem::take(&mut self.answers) {
            let key = match asker {
                Asker::Request(key) => key,
                Asker::Connection(key) => {
                    self.connection_judged(key, call, answer);
                    continue;
                }
                Asker::Tunnel(key) => {
                    self.tunnel_judged(key, call, answer);
                    continue;
                }
                Asker::Keys(refresh) => {
                    refresh.take(answer, self.clock.now_ns());
                    continue;
                }
            };
            let Some(mut d) = self.downstreams.take(key) else {
                continue;
            };
            if let Some(mut s) = d.stream.take_if(|s| s.awaits == Some(call)) {
                s.awaits = None;
                self.resume_request(&mut d, s, Some(answer));
            }
            self.settle(d, Alive::Yes);
        }
    }
}

/// What Envoy's own requests say of themselves.
pub fn set_internal(head: &mut RequestHead) {
    head.headers.set(Known::XEnvoyInternal, b"true");
}

/// Besides `x-envoy-internal`.
pub fn set_expected_timeout(head: &mut RequestHead, timeout_ms: Option<u64>) {
    if let Some(ms) = timeout_ms {
        let mut digits = [0; 20];
        let headers = &mut head.headers;
        headers.set(Known::XEnvoyExpectedRqTimeoutMs, decimal(&mut digits, ms));
    }
}

/// The framing of a body that is there.
pub fn framing_of(body: &[u8]) -> BodyLength {
    BodyLength::Length(body.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_up_to_its_limit() {
        let mut call = OwnCall {
            asker: None,
            body: Vec::new(),
            most: 4,
            failed: None,
        };
        assert!(call.take(b"ab") && call.take(b"cd"));
        assert!(!call.take(b"e"));
        assert_eq!(
            (&*call.body, call.failed),
            (&b"abcd"[..], Some(Failed::TooLarge))
        );
        let mut ours = Ours::Call(call);
        ours.fail(Failure::UpstreamReset);
        let Ours::Call(call) = ours else { return };
        // The first cause counts.
        assert_eq!(call.failed, Some(Failed::TooLarge));
    }
}
