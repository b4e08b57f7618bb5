//! HTTP filters between the connection manager and the router: requests pass them in the order of
//! the configuration, responses in the reverse one. A stream without filters pays a length check.
//!
//! A request's filters are those that neither the configuration nor its route turns off. Each sees
//! the head, which it may change, answer, or hold for a while; the filters behind it see it after
//! that. Those that have more to do change data (which they get as it comes) and trailers, too. A
//! filter may also hold a response's head: then the body is gathered, and head and body leave
//! together at the end. Every response passes all filters, even those that a request did not reach
//! because one before them answered it.

mod alpn;
mod base64;
mod configured;
mod cors;
pub mod ext_authz;
pub mod fault;
pub(crate) mod frames;
mod grpc_http1_bridge;
mod grpc_stats;
mod grpc_web;
mod header_mutation;
pub mod istio_stats;
pub mod jwt_authn;
pub mod peer_metadata;
mod rbac;

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use model::authorization::Change;
use proto::h1::BodyLength;

use super::downstream::Downstream;
use super::own_call::Answer;
use super::stream::Stream;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::GrpcShard;
use crate::worker::Worker;
use crate::worker::timers::NEVER;
use configured::Kind;
pub use configured::{Configured, Surroundings};
use ext_authz::Asking;
pub use ext_authz::ClusterCounts;
use fault::Injected;
use grpc_http1_bridge::Bridge;
use grpc_stats::GrpcStats;
use grpc_web::GrpcWeb;
use jwt_authn::Verifying;
use peer_metadata::Heard;

/// A filter at work on one stream.
#[derive(Debug)]
pub struct Filter {
    of: Rc<Configured>,
    state: State,
}

/// What it remembers of the request.
#[derive(Debug)]
enum State {
    /// Nothing: it has not seen it, or it is not concerned.
    Nothing,
    GrpcWeb(GrpcWeb),
    GrpcHttp1Bridge(Bridge),
    GrpcStats(GrpcStats),
    ExtAuthz(Asking),
    JwtAuthn(Box<Verifying>),
    Fault(Injected),
    /// It came from an origin that is allowed.
    Cors,
    PeerMetadata(Heard),
    /// Whether the request is gRPC.
    IstioStats(bool),
}

/// What becomes of a request whose head a filter has seen.
#[derive(Debug)]
pub enum Flow {
    Pass,
    /// It goes on at this time (ms of the worker's clock).
    Wait(u64),
    /// It goes on when its body was gathered, or the answer of a call has come
    /// (`Worker::resume_request`).
    Hold,
    Reply(Reply),
}

/// A filter's own answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Option<Arc<[u8]>>,
    /// Of the answer; they come last, and replace what a local reply says.
    pub headers: Vec<Change>,
    pub details: Cow<'static, str>,
    /// For clients that speak gRPC, in place of what the status stands for.
    pub grpc_status: Option<u32>,
    /// What `s.response` holds is the answer: nothing of a local reply is added.
    pub as_it_is: bool,
}

impl Reply {
    /// A body is larger than a filter takes.
    pub fn too_large() -> Self {
        Self {
            status: 413,
            body: Some(Arc::from(&b"Payload Too Large"[..])),
            headers: Vec::new(),
            details: "request_payload_too_large".into(),
            grpc_status: None,
            as_it_is: false,
        }
    }
}

/// A filter does not let a request pass: what to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub body: &'static str,
    pub details: &'static str,
}

impl Refusal {
    /// A body is larger than a filter takes.
    pub const TOO_LARGE: Self = Self {
        status: 413,
        body: "Payload Too Large",
        details: "request_payload_too_large",
    };
}

/// Whether a response's head may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    Pass,
    /// It waits for the end of the body.
    Hold,
}

impl Filter {
    /// The request's head.
    fn decode_head(&mut self, worker: &mut Worker, d: &Downstream, s: &mut Stream) -> Flow {
        match &self.of.kind {
            Kind::Missing => {
                s.info.flags.insert(ResponseFlags::NO_FILTER_CONFIG_FOUND);
                return Flow::Reply(Reply {
                    status: 500,
                    body: None,
                    headers: Vec::new(),
                    details: "".into(),
                    grpc_status: None,
                    as_it_is: false,
                });
            }
            Kind::GrpcWeb => {
                let started = GrpcWeb::begin(s).map(State::GrpcWeb);
                self.state = started.unwrap_or(State::Nothing);
            }
            Kind::GrpcHttp1Bridge {
                upgrade_protobuf_to_grpc,
                ignore_query_parameters,
            } => {
                let (upgrade, ignore) = (*upgrade_protobuf_to_grpc, *ignore_query_parameters);
                let limit = d.buffer_limit();
                let started = Bridge::begin(s, upgrade, ignore, limit).map(State::GrpcHttp1Bridge);
                self.state = started.unwrap_or(State::Nothing);
            }
            Kind::GrpcStats {
                stats_for_all_methods,
                enable_upstream_stats,
                emit_filter_state,
            } => {
                let (by_method, timed) = (*stats_for_all_methods, *enable_upstream_stats);
                let started = GrpcStats::begin(s, by_method, timed, *emit_filter_state);
                self.state = started.map_or(State::Nothing, State::GrpcStats);
            }
            Kind::Rbac(rbac) => return rbac.ask(&self.of, &d.client, s),
            Kind::ExtAuthz(filter) => {
                let (flow, asking) = filter.begin(&self.of, worker, d, s);
                self.state = asking.map_or(State::Nothing, State::ExtAuthz);
                return flow;
            }
            Kind::JwtAuthn(filter) => {
                let (flow, verifying) = filter.begin(&self.of, worker, d, s);
                self.state = verifying.map_or(State::Nothing, State::JwtAuthn);
                return flow;
            }
            Kind::Fault(fault) => {
                let (flow, injected) = fault.begin(&self.of, worker, s);
                self.state = injected.map_or(State::Nothing, State::Fault);
                return flow;
            }
            Kind::Cors(stats) => {
                let (flow, allowed) = cors::decode(&self.of, stats, worker, s);
                if allowed {
                    self.state = State::Cors;
                }
                return flow;
            }
            Kind::HeaderMutation(config) => header_mutation::decode(&self.of, config, worker, s),
            Kind::Alpn(config) => alpn::decode(config, s),
            Kind::PeerMetadata(exchange) => {
                self.state = State::PeerMetadata(exchange.decode(worker, s));
            }
            Kind::IstioStats(_) => self.state = State::IstioStats(s.is_grpc),
        }
        Flow::Pass
    }

    /// Its wait is over; `answer`: to the call that it made.
    fn resume(
        &mut self,
        worker: &mut Worker,
        d: &Downstream,
        s: &mut Stream,
        answer: Option<Answer>,
    ) -> Flow {
        match (&self.of.kind, &mut self.state) {
            (Kind::Fault(fault), State::Fault(injected)) => {
                fault.resume(&self.of, injected, worker, s)
            }
            (Kind::ExtAuthz(filter), State::ExtAuthz(asking)) => {
                filter.resume(&self.of, asking, worker, (d, s), answer)
            }
            (Kind::JwtAuthn(filter), State::JwtAuthn(verifying)) => {
                let (flow, next) = filter.resume(verifying, worker, (d, s), answer);
                self.state = next.map_or(State::Nothing, State::JwtAuthn);
                flow
            }
            _ => Flow::Pass,
        }
    }

    /// Whether it has something to do with what follows the request's head.
    fn goes_on(&self) -> bool {
        match (&self.of.kind, &self.state) {
            (Kind::HeaderMutation(_) | Kind::PeerMetadata(_) | Kind::IstioStats(_), _) => true,
            (_, State::Nothing) => false,
            (_, _) => true,
        }
    }

    /// Whether it looks at bodies or trailers. What deals with these knows no other filters.
    fn sees_bodies(&self) -> bool {
        matches!(
            self.state,
            State::GrpcWeb(_) | State::GrpcHttp1Bridge(_) | State::GrpcStats(_)
        )
    }

    fn encode_head(&mut self, worker: &mut Worker, s: &mut Stream, end: bool) -> Head {
        match (&self.of.kind, &mut self.state) {
            (Kind::HeaderMutation(config), _) => {
                header_mutation::encode(&self.of, config, worker, s);
                Head::Pass
            }
            (_, State::GrpcWeb(filter)) => filter.encode_head(s, end),
            (_, State::GrpcHttp1Bridge(filter)) => filter.encode_head(end),
            (_, State::GrpcStats(filter)) => filter.encode_head(s, end),
            (_, State::Cors) => {
                cors::encode(&self.of, s);
                Head::Pass
            }
            (Kind::PeerMetadata(exchange), State::PeerMetadata(heard)) => {
                exchange.encode(*heard, worker, s);
                Head::Pass
            }
            (_, State::ExtAuthz(asking)) => {
                asking.encode_head(s);
                Head::Pass
            }
            (_, State::Nothing | State::JwtAuthn(_) | State::Fault(_)) => Head::Pass,
            (_, State::PeerMetadata(_) | State::IstioStats(_)) => Head::Pass,
        }
    }
}

impl Worker {
    /// Chooses the filters of a request, whose route is known (or that there is none).
    pub fn begin_filters(&mut self, d: &Downstream, s: &mut Stream) {
        let configured = d.client.http.filters.borrow();
        if configured.is_empty() || s.has_begun_filters {
            return;
        }
        s.has_begun_filters = true;
        for filter in configured.iter() {
            if !filter.is_off(s.route.as_ref(), s.weighted) {
                s.filters.push(Filter {
                    of: Rc::clone(filter),
                    state: State::Nothing,
                });
            }
        }
    }

    /// Shows the request's head to its filters, or to those that have not seen it yet.
    pub fn decode_head(&mut self, d: &Downstream, s: &mut Stream) -> Flow {
        self.pass_filters(d, s, Flow::Pass)
    }

    /// The same after one of them has held it.
    pub fn resume_head(&mut self, d: &Downstream, s: &mut Stream, answer: Option<Answer>) -> Flow {
        s.wait_until = NEVER;
        let mut filters = std::mem::take(&mut s.filters);
        let held_by = s.next_filter.checked_sub(1);
        let held_by = held_by.and_then(|at| filters.get_mut(at));
        let flow = held_by.map_or(Flow::Pass, |filter| filter.resume(self, d, s, answer));
        s.filters = filters;
        self.pass_filters(d, s, flow)
    }

    fn pass_filters(&mut self, d: &Downstream, s: &mut Stream, mut flow: Flow) -> Flow {
        let mut filters = std::mem::take(&mut s.filters);
        while matches!(flow, Flow::Pass) {
            let Some(filter) = filters.get_mut(s.next_filter) else {
                break;
            };
            s.next_filter = s.next_filter.saturating_add(1);
            flow = filter.decode_head(self, d, s);
        }
        if matches!(flow, Flow::Pass) {
            filters.retain(Filter::goes_on);
            s.filters_see_bodies = filters.iter().any(Filter::sees_bodies);
        }
        s.filters = filters;
        flow
    }

    /// A response's head; `end`: it is all. If a filter holds it, `s.held` is there afterwards.
    pub fn encode_filters_head(&mut self, s: &mut Stream, end: bool) {
        let mut filters = std::mem::take(&mut s.filters);
        for filter in filters.iter_mut().rev() {
            if filter.encode_head(self, s, end) == Head::Hold {
                s.held.get_or_insert_default();
            }
        }
        s.filters = filters;
    }

    /// The head of an answer that opens a tunnel ended here: nothing of it can be held.
    pub fn encode_tunnel_head(&mut self, s: &mut Stream) {
        if !s.filters.is_empty() {
            self.encode_filters_head(s, false);
            s.held = None;
        }
    }

    /// A reply of ours, head and body, as the filters want it.
    pub fn encode_local<'a>(&mut self, s: &mut Stream, body: &'a [u8]) -> Cow<'a, [u8]> {
        self.encode_filters_head(s, body.is_empty());
        let body = encode_data(&mut s.filters, Cow::Borrowed(body));
        let body = match &mut s.held {
            None => body,
            Some(held) => {
                held.extend_from_slice(&body);
                Cow::Owned(finish_held(s))
            }
        };
        s.response.body = BodyLength::Length(body.len() as u64);
        body
    }
}

/// A part of the request's body; `end`: the last.
pub fn decode_data<'a>(
    filters: &mut [Filter],
    mut data: Cow<'a, [u8]>,
    end: bool,
) -> Result<Cow<'a, [u8]>, Refusal> {
    for filter in filters {
        data = match &mut filter.state {
            State::GrpcWeb(filter) => filter.decode_data(data, end)?,
            State::GrpcHttp1Bridge(filter) => filter.decode_data(data, end)?,
            State::GrpcStats(filter) => filter.decode_data(data),
            _ => data,
        };
    }
    Ok(data)
}

/// A part of the response's body.
pub fn encode_data<'a>(filters: &mut [Filter], mut data: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
    for filter in filters.iter_mut().rev() {
        data = match &mut filter.state {
            State::GrpcWeb(filter) => filter.encode_data(data),
            State::GrpcStats(filter) => filter.encode_data(data),
            _ => data,
        };
    }
    data
}

/// The response's trailers; what a filter makes of them to follow the body.
pub fn encode_trailers(s: &mut Stream) -> Vec<u8> {
    let mut tail = Vec::new();
    let mut filters = std::mem::take(&mut s.filters);
    for filter in filters.iter_mut().rev() {
        match &mut filter.state {
            State::GrpcWeb(filter) => filter.encode_trailers(s, &mut tail),
            State::GrpcHttp1Bridge(filter) => filter.encode_trailers(s),
            State::GrpcStats(filter) => filter.encode_trailers(s),
            _ => {}
        }
    }
    s.filters = filters;
    tail
}

/// All of a held response is here: its body, with the head in `s.response` to match.
pub fn finish_held(s: &mut Stream) -> Vec<u8> {
    let mut body = s.held.take().unwrap_or_default();
    let mut filters = std::mem::take(&mut s.filters);
    for filter in filters.iter_mut().rev() {
        match &mut filter.state {
            State::GrpcWeb(filter) => filter.finish_held(s, &mut body),
            State::GrpcHttp1Bridge(filter) => filter.finish_held(&mut body),
            _ => {}
        }
    }
    s.filters = filters;
    s.response.body = BodyLength::Length(body.len() as u64);
    s.response_trailers.clear();
    body
}

impl Worker {
    /// The request's cluster is known: whoever counts for it gets to know where.
    pub fn filters_know_cluster(&mut self, s: &mut Stream) {
        let Some(cluster) = &s.cluster else { return };
        let cluster = cluster.config.borrow().stat_name.clone();
        for filter in &mut s.filters {
            let count = match &mut filter.state {
                State::GrpcStats(filter) => filter.count_mut(),
                State::GrpcWeb(filter) => filter.count_mut(),
                _ => None,
            };
            if let Some(count) = count {
                count.shard = self.grpc_shard(&cluster, &count.name);
            }
        }
    }

    /// The numbers of a method of a cluster; `None` once there are too many methods, for they are
    /// the clients' to name.
    fn grpc_shard(&mut self, cluster: &str, name: &str) -> Option<std::sync::Arc<GrpcShard>> {
        const MOST: usize = 1024;
        let of_cluster = self.grpc_stats.get(cluster).and_then(|all| all.get(name));
        if let Some(shard) = of_cluster {
            return Some(shard.clone());
        }
        let known: usize = self.grpc_stats.values().map(|all| all.len()).sum();
        if known >= MOST {
            return None;
        }
        let shard = self.stats.grpc(cluster, name);
        self.grpc_stats
            .entry(cluster.into())
            .or_default()
            .insert(name.into(), shard.clone());
        Some(shard)
    }

    /// The stream is over.
    pub fn end_filters(&self, s: &mut Stream) {
        for filter in &mut s.filters {
            match &mut filter.state {
                State::GrpcStats(filter) => filter.end(&mut s.info),
                State::Fault(_) => filter.state = State::Nothing,
                _ => {}
            }
        }
    }

    /// And all is known that there is to report of it.
    pub fn report_stream(&self, d: &Downstream, s: &Stream) {
        for filter in &s.filters {
            if let Kind::IstioStats(reports) = &filter.of.kind {
                let is_grpc = matches!(filter.state, State::IstioStats(true));
                let elapsed = self.clock.now_ns().saturating_sub(s.info.start);
                istio_stats::report(reports, &d.client, s, is_grpc, elapsed / 1_000_000);
            }
        }
    }
}
