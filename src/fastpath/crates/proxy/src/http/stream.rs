//! One request and its response, from the first byte of the request to the access-log line.

use std::rc::Rc;
use std::sync::Arc;

use model::resources::cluster::RoutingPriority;
use model::resources::istio::Workload;
use proto::HeaderMap;
use proto::h1::{BodyDecoder, BodyLength, RequestHead, ResponseHead};

use super::filters::Filter;
use super::gather::Gather;
use super::own_call::Ours;
use super::upgrade::Tunnel;
use crate::cluster::ClusterRuntime;
use crate::cluster::host::{Host, Pool};
use crate::router::retry::Retry;
use crate::telemetry::stream_info::StreamInfo;
use crate::worker::chain::RouteRef;
use crate::worker::slots::Key;
use crate::worker::timers::NEVER;

/// Heads larger than this give their memory back when the stream is reused: all of it, since
/// what is left of a large block keeps the allocator from using the rest for another one.
const KEEP_HEAD_BYTES: usize = 8 * 1024;

/// Reused from request to request: `reset` keeps the buffers.
#[derive(Debug)]
pub struct Stream {
    pub request: RequestHead,
    pub response: ResponseHead,
    pub request_trailers: HeaderMap,
    pub response_trailers: HeaderMap,
    pub info: StreamInfo,

    pub route: Option<RouteRef>,
    /// Index of the weighted cluster that was chosen.
    pub weighted: Option<u32>,
    pub cluster: Option<Rc<ClusterRuntime>>,
    pub host: Option<Rc<Host>>,
    /// Who its client and its host say they are.
    pub downstream_peer: Option<Arc<Workload>>,
    pub upstream_peer: Option<Arc<Workload>>,
    /// What the host is offered in ALPN, if not what its cluster says.
    pub alpn: Option<Arc<Vec<Box<str>>>>,
    /// The authority before `auto_host_rewrite`, if the cluster's names are those of requests:
    /// its host is chosen after the name is.
    pub asked: Option<Box<Asked>>,
    /// What the response is to set: cookies that a hash policy made.
    pub set_cookies: Vec<Vec<u8>>,
    /// In whose queue it waits.
    pub pool: Option<Rc<Pool>>,
    pub upstream: Upstreaming,
    pub tunnel: Tunnel,
    /// What the host gets is TCP: the bytes of the body, without any framing.
    pub is_tcp: bool,
    /// The client speaks gRPC, so that our replies do.
    pub is_grpc: bool,
    /// Those that are at work on it, in the order of requests.
    pub filters: Vec<Filter>,
    /// They were chosen.
    pub has_begun_filters: bool,
    /// One of them looks at bodies or trailers.
    pub filters_see_bodies: bool,
    /// The first that has not seen the request's head.
    pub next_filter: usize,
    /// A filter holds the request until then (ms).
    pub wait_until: u64,
    /// Whom the response may be read by (CORS).
    pub cors_origin: Vec<u8>,
    /// TLS is asked for, and the client has to come by it.
    pub needs_tls: bool,
    /// The body of a response whose head waits for it.
    pub held: Option<Vec<u8>>,
    pub priority: RoutingPriority,
    pub retry: Retry,
    /// The mirror policies whose copy waits for the end of the request, as bits.
    pub mirrors: u32,
    /// It is no client's: nobody is answered.
    pub ours: Option<Box<Ours>>,
    /// The call whose answer a filter waits for (`own_call`).
    pub awaits: Option<Key>,
    /// The body that a filter wants to see before it goes on.
    pub gather: Option<Box<Gather>>,

    pub request_decoder: BodyDecoder,
    pub response_decoder: BodyDecoder,
    /// The request has come in whole.
    pub request_complete: bool,
    /// The head has left for the upstream.
    pub request_head_sent: bool,
    /// The upstream's buffer is full: the client is not read.
    pub upload_blocked: bool,
    /// Those that came before the response.
    pub interim_responses: u8,
    /// Response head sent to the client.
    pub response_started: bool,
    pub response_complete: bool,
    /// The upstream's connection can take another request after this response.
    pub response_keep_alive: bool,
    /// How the response body leaves: chunked, or as it comes.
    pub chunk_response: bool,
    /// The request as it came in said how to go on.
    pub is_head: bool,

    // Milliseconds of the worker's clock; NEVER when off.
    pub route_timeout_ms: u64,
    /// Of each attempt, from when all of the request is there and a connection for it.
    pub try_timeout_ms: u64,
    /// `per_try_idle_timeout`, while there is an attempt.
    pub try_idle_ms: u64,
    /// `x-envoy-upstream-rq-timeout-alt-response`: a timeout answers 204.
    pub timeout_alt_response: bool,
    pub route_deadline: u64,
    pub try_deadline: u64,
    pub request_deadline: u64,
    pub duration_deadline: u64,
    pub idle_timeout_ms: u64,
    pub last_activity: u64,
    /// When the request was handed to the upstream, for x-envoy-upstream-service-time.
    pub upstream_start_ns: u64,
}

/// Where the stream stands with its upstream connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Upstreaming {
    #[default]
    None,
    /// In its host's queue for a connection.
    Waiting,
    On(Key),
    /// Its connection cannot take more of the request; the response may still come.
    Broken(Key),
    /// On no connection: datagrams (`Worker::udp`).
    Udp(Key),
}

impl Upstreaming {
    pub fn key(self) -> Option<Key> {
        match self {
            Self::On(key) | Self::Broken(key) => Some(key),
            Self::None | Self::Waiting | Self::Udp(_) => None,
        }
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            request: RequestHead::new(),
            response: ResponseHead::new(),
            request_trailers: HeaderMap::new(),
            response_trailers: HeaderMap::new(),
            info: StreamInfo::default(),
            route: None,
            weighted: None,
            cluster: None,
            host: None,
            downstream_peer: None,
            upstream_peer: None,
            alpn: None,
            asked: None,
            set_cookies: Vec::new(),
            pool: None,
            upstream: Upstreaming::None,
            tunnel: Tunnel::No,
            is_tcp: false,
            is_grpc: false,
            filters: Vec::new(),
            has_begun_filters: false,
            filters_see_bodies: false,
            next_filter: 0,
            wait_until: NEVER,
            cors_origin: Vec::new(),
            needs_tls: false,
            held: None,
            priority: RoutingPriority::Default,
            retry: Retry::default(),
            mirrors: 0,
            ours: None,
            awaits: None,
            gather: None,
            request_decoder: BodyDecoder::new(BodyLength::None),
            response_decoder: BodyDecoder::new(BodyLength::None),
            request_complete: false,
            request_head_sent: false,
            upload_blocked: false,
            interim_responses: 0,
            response_started: false,
            response_complete: false,
            response_keep_alive: false,
            chunk_response: false,
            is_head: false,
            route_timeout_ms: NEVER,
            try_timeout_ms: NEVER,
            try_idle_ms: NEVER,
            timeout_alt_response: false,
            route_deadline: NEVER,
            try_deadline: NEVER,
            request_deadline: NEVER,
            duration_deadline: NEVER,
            idle_timeout_ms: NEVER,
            last_activity: 0,
            upstream_start_ns: 0,
        }
    }
}

/// Apart, since few exchanges have it.
#[derive(Debug)]
pub struct Asked {
    pub authority: Box<[u8]>,
}

impl Stream {
    pub fn reset(&mut self) {
        for fields in [
            &mut self.request.headers,
            &mut self.response.headers,
            &mut self.request_trailers,
            &mut self.response_trailers,
        ] {
            fields.clear();
            if fields.capacity() > KEEP_HEAD_BYTES {
                *fields = HeaderMap::new();
            }
        }
        self.request.clear();
        self.request.shrink(KEEP_HEAD_BYTES);
        self.response.clear();
        self.response.shrink(KEEP_HEAD_BYTES);
        self.info.reset();
        self.route = None;
        self.weighted = None;
        self.cluster = None;
        self.host = None;
        self.downstream_peer = None;
        self.upstream_peer = None;
        self.alpn = None;
        self.asked = None;
        self.set_cookies.clear();
        self.pool = None;
        self.upstream = Upstreaming::None;
        self.tunnel = Tunnel::No;
        self.is_tcp = false;
        self.is_grpc = false;
        self.filters.clear();
        self.has_begun_filters = false;
        self.filters_see_bodies = false;
        self.next_filter = 0;
        self.wait_until = NEVER;
        self.cors_origin.clear();
        self.needs_tls = false;
        self.held = None;
        self.priority = RoutingPriority::Default;
        self.retry.reset();
        self.mirrors = 0;
        self.ours = None;
        self.awaits = None;
        self.gather = None;
        self.request_complete = false;
        self.request_head_sent = false;
        self.upload_blocked = false;
        self.interim_responses = 0;
        self.response_started = false;
        self.response_complete = false;
        self.response_keep_alive = false;
        self.chunk_response = false;
        self.is_head = false;
        self.route_timeout_ms = NEVER;
        self.try_timeout_ms = NEVER;
        self.try_idle_ms = NEVER;
        self.timeout_alt_response = false;
        self.route_deadline = NEVER;
        self.try_deadline = NEVER;
        self.request_deadline = NEVER;
        self.duration_deadline = NEVER;
        self.idle_timeout_ms = NEVER;
        self.last_activity = 0;
        self.upstream_start_ns = 0;
    }

    /// Whether bytes of the request body may be taken from the client now.
    pub fn wants_body(&self) -> bool {
        !self.request_complete
            && !self.upload_blocked
            && self.tunnel.lets_client_send()
            && (matches!(self.upstream, Upstreaming::On(_) | Upstreaming::Udp(_))
                || self.is_gathering())
    }

    /// Puts into `info` what only logs and header formats ask for.
    pub fn describe(&mut self) {
        if let Some(route) = &self.route {
            self.info.route_name = route.route().map(|r| r.name.clone());
            self.info.virtual_host_name = route.virtual_host().map(|v| v.name.clone());
        }
        if let Some(cluster) = &self.cluster {
            let config = cluster.config.borrow();
            self.info.upstream_cluster_raw = Some(config.name.clone());
            self.info.upstream_cluster = Some(config.stat_name.clone());
        }
        if let Some(host) = &self.host {
            self.info.upstream_host = Some(host.address.clone());
            self.info.upstream_host_name = host.hostname.clone();
        }
    }

    /// The earliest of the stream's deadlines (ms).
    pub fn deadline(&self) -> u64 {
        let request = if self.request_complete {
            NEVER
        } else {
            self.request_deadline
        };
        self.route_deadline
            .min(request)
            .min(self.wait_until)
            .min(self.duration_deadline)
            .min(self.try_deadline)
            .min(self.retry.at)
            .min(
                self.last_activity
                    .saturating_add(self.idle_timeout_ms.min(self.try_idle_ms)),
            )
    }

    /// All of the request is there, or all that there will be before the host has answered.
    pub fn is_ready_to_answer(&self) -> bool {
        self.request_complete || self.tunnel == Tunnel::Asked
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    /// A client may have a thousand of them open on each connection.
    #[test]
    fn an_exchange_is_small() {
        let exchange = size_of::<super::Stream>()
            + size_of::<crate::http::downstream::Downstream>()
            + size_of::<crate::upstream::Upstream>();
        assert!(exchange <= 2200, "{exchange}");
    }
}
