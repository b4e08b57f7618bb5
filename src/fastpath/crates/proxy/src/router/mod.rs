//! The router filter: from a request to a host (`Router::Filter::decodeHeaders`).

mod hash;
pub mod headers;
pub mod mirror;
pub mod redirect;
pub mod retry;
pub mod rewrite;
pub mod timeouts;

use std::sync::Arc;

use model::resources::cluster::Metadata;
use model::resources::header_mutation::HeaderName;
use model::resources::route::{
    Action, ClusterChoice, ClusterOrHeader, DirectBody, DirectResponse, Forward, HostRewrite,
    RequireTls, WeightedCluster,
};
use proto::Known;

use crate::cluster::lb::LbContext;
use crate::http::decimal::decimal;
use crate::http::downstream::Downstream;
use crate::http::failure::Failure;
use crate::http::filters::Flow;
use crate::http::own_call::Answer;
use crate::http::stream::{Asked, Stream};
use crate::http::upgrade::{Tunnel, ends_as_udp};
use crate::telemetry::stats::{
    ClusterCounter, HcmCounter, RouteCounter, RouteHistogram, RouteShard,
};
use crate::worker::Worker;
use crate::worker::chain::RouteRef;
use crate::worker::timers::NEVER;

impl Worker {
    /// Finds the route and does what it says.
    pub fn route(&mut self, d: &mut Downstream, mut s: Box<Stream>) {
        if s.request.headers.get(Known::XForwardedProto) == Some(b"") {
            // No scheme, no route (Envoy).
            return self.reply_failure(d, s, Failure::NoRoute);
        }
        d.client.http.stats().inc(HcmCounter::RqTotal);
        self.choose_route(d, &mut s);
        self.begin_filters(d, &mut s);
        let route = s.route.clone();
        let route = route.as_ref().and_then(RouteRef::route);
        if let Some(route) = route
            && !self.admit_upgrade(d, &mut s, &route.action)
        {
            // Bytes of another protocol may follow.
            d.close_after_response();
            return self.reply_failure(d, s, Failure::UpgradeRefused);
        }
        let flow = if s.filters.is_empty() {
            Flow::Pass
        } else {
            self.decode_head(d, &mut s)
        };
        self.follow(d, s, flow);
    }

    /// Finds the route of a request as it is now.
    fn choose_route(&mut self, d: &Downstream, s: &mut Stream) {
        let table = d.client.http.routes();
        let random = self.rng.u64(..);
        let ignore_port = table.0.ignore_port_in_host_matching;
        let hosts = &table.0.hosts;
        let found = hosts
            .position(s.request.authority(), ignore_port)
            .and_then(|at| hosts.list.get(at).map(|host| (at, host)));
        // As in Envoy the route is that of the request as it came.
        let shown = d.client.shown();
        let route_at =
            found.and_then(|(_, host)| host.position(&s.request, shown, &s.info.metadata, random));
        if let Some((host_at, host)) = found {
            let needs_tls = match host.require_tls {
                RequireTls::None => false,
                RequireTls::ExternalOnly => !s.request.headers.contains(Known::XEnvoyInternal),
                RequireTls::All => true,
            };
            s.needs_tls =
                needs_tls && s.request.headers.get(Known::XForwardedProto) != Some(b"https");
            if let Some(route_at) = route_at.filter(|_| !s.needs_tls) {
                self.take_route(d, s, RouteRef::new(table, host_at, route_at), random);
            }
        }
    }

    /// The request was changed by a filter: another route may be its own. Filters stay those that
    /// were chosen.
    pub fn choose_route_again(&mut self, d: &Downstream, s: &mut Stream) {
        s.route = None;
        s.weighted = None;
        s.cluster = None;
        s.needs_tls = false;
        self.choose_route(d, s);
    }

    /// The route of a request, and all that it decides before filters see the request.
    fn take_route(&mut self, d: &Downstream, s: &mut Stream, route: RouteRef, random: u64) {
        if let Some(forward) = route.forward() {
            let found = choose_cluster(&forward.cluster, s, random);
            let (name, weighted) = found.unzip();
            s.cluster = name.and_then(|name| self.clusters.get(name).cloned());
            s.weighted = weighted.flatten();
            let duration = timeouts::duration(forward, s, &d.client.http.hcm);
            s.duration_deadline = self.clock.now_ms().saturating_add(duration);
            if let Some(idle) = forward.idle_timeout {
                s.idle_timeout_ms = idle.map_or(NEVER, crate::http::deadlines::millis);
            }
        }
        s.route = Some(route);
    }

    /// A filter has held the request long enough, or has got what it was waiting for.
    pub fn resume_request(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        answer: Option<Answer>,
    ) {
        s.last_activity = self.clock.now_ms();
        let flow = self.resume_head(d, &mut s, answer);
        self.follow(d, s, flow);
        // Of its body some may be here.
        self.ready_downstreams.push(d.key);
    }

    /// Does what filters say of a request.
    fn follow(&mut self, d: &mut Downstream, mut s: Box<Stream>, flow: Flow) {
        match flow {
            Flow::Pass => self.act(d, s),
            Flow::Wait(until) => {
                s.wait_until = until;
                let deadline = s.deadline();
                self.arm_downstream(d, deadline);
                d.stream = Some(s);
            }
            Flow::Hold => {
                let deadline = s.deadline();
                self.arm_downstream(d, deadline);
                d.stream = Some(s);
            }
            Flow::Reply(reply) => self.reply_of_filter(d, s, reply),
        }
    }

    /// What the router does with a request that all filters let pass.
    fn act(&mut self, d: &mut Downstream, s: Box<Stream>) {
        if s.needs_tls {
            return self.redirect_to_https(d, s);
        }
        let route_ref = s.route.clone();
        let Some((route_ref, route)) = route_ref.as_ref().and_then(|r| Some((r, r.route()?)))
        else {
            return self.reply_failure(d, s, Failure::NoRoute);
        };
        match &route.action {
            Action::Forward(forward) => {
                self.forward(d, s, route_ref, forward);
            }
            Action::Redirect(redirect) => {
                d.client.http.stats().inc(HcmCounter::RqRedirect);
                self.redirect(d, s, redirect);
            }
            Action::DirectResponse(direct) => {
                d.client.http.stats().inc(HcmCounter::RqDirectResponse);
                self.direct_response(d, s, direct);
            }
            Action::NonForwarding => {
                self.reply_failure(d, s, Failure::ClusterNotFound { status: 503 });
            }
        }
    }

    fn direct_response(&mut self, d: &mut Downstream, mut s: Box<Stream>, direct: &DirectResponse) {
        let mut rendered = Vec::new();
        let body: &[u8] = match &direct.body {
            None => b"",
            Some(DirectBody::Static(bytes)) => bytes,
            Some(DirectBody::Format {
                format,
                content_type,
            }) => {
                s.response
                    .headers
                    .push_known(Known::ContentType, content_type.as_bytes());
                self.render(format, &mut s, &mut rendered);
                &rendered
            }
        };
        if !body.is_empty() && !s.response.headers.contains(Known::ContentType) {
            s.response
                .headers
                .push_known(Known::ContentType, b"text/plain");
        }
        self.route_response_headers(&mut s);
        self.local_reply(d, s, direct.status, body, "direct_response".into());
    }

    fn forward(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        route: &RouteRef,
        forward: &Forward,
    ) {
        let Some(cluster) = s.cluster.clone() else {
            let status = forward.cluster_not_found_status;
            return self.reply_failure(d, s, Failure::ClusterNotFound { status });
        };
        if !s.filters.is_empty() {
            self.filters_know_cluster(&mut s);
        }
        let dropped = cluster.drop_millionths();
        if self.is_drawn(dropped) {
            let all = dropped >= 1_000_000;
            return self.reply_failure(d, s, Failure::DropOverload { all });
        }
        retry::Retry::begin(&mut s, forward, d.buffer_limit());
        let router = d.client.http.router.get();
        let suppress = router.suppress_envoy_headers;
        let timeout = timeouts::apply(forward, &mut s, !suppress, &router);
        s.route_timeout_ms = timeout;
        let now = self.clock.now_ms();
        if s.request_complete || s.tunnel == Tunnel::Asked {
            s.route_deadline = now.saturating_add(timeout);
        }
        let deadline = s.deadline();
        self.arm_downstream(d, deadline);

        let is_udp = ends_as_udp(&s, forward);
        let hash = if cluster.wants_hash() {
            hash::of_request(&forward.hash_policy, &d.client, &mut s)
        } else {
            None
        };
        s.retry.hash = hash;
        let cx = LbContext {
            hash,
            metadata_match: metadata_match(forward, s.weighted),
            selection: None,
            priorities: None,
            facts: d.client.known_facts(),
            headers: Some(&s.request.headers),
        };
        let Some(host) = self.choose_host(&cluster, cx) else {
            let stats = cluster.stats();
            stats.inc(ClusterCounter::UpstreamCxNoneHealthy);
            self.request_headers(&mut s, route, forward, None, suppress);
            return self.reply_failure(d, s, Failure::NoHealthyUpstream);
        };
        if matches!(forward.host_rewrite, HostRewrite::Auto)
            && cluster.config.borrow().http.names_come_from_requests()
        {
            let authority = s.request.authority().into();
            s.asked = Some(Box::new(Asked { authority }));
        }
        self.request_headers(&mut s, route, forward, host.hostname.as_deref(), suppress);
        s.host = Some(host);
        s.upstream_start_ns = self.clock.now_ns();
        if is_udp {
            return self.open_udp(d, s);
        }
        if forward.mirrors.is_some() && s.tunnel == Tunnel::No {
            s.mirrors = self.choose_mirrors(forward);
            if s.request_complete && s.mirrors != 0 {
                self.send_mirrors(d, &mut s);
            }
        }
        self.acquire(d, s, forward.priority);
    }

    /// `RouteEntryImplBase::finalizeRequestHeaders`: additions, host rewrite, path rewrite.
    fn request_headers(
        &mut self,
        s: &mut Stream,
        route: &RouteRef,
        forward: &Forward,
        hostname: Option<&str>,
        suppress: bool,
    ) {
        self.route_request_headers(s, route);
        let weighted_host = s
            .weighted
            .and_then(|at| weighted(&forward.cluster, at))
            .and_then(|w| w.host_rewrite.as_deref());
        rewrite::host(s, forward, weighted_host, hostname, !suppress);
        rewrite::path(s, route, &forward.rewrite, !suppress);
        if route
            .virtual_host()
            .is_some_and(|v| v.include_request_attempt_count)
        {
            s.request.headers.set(Known::XEnvoyAttemptCount, b"1");
        }
    }

    /// The statistics of a route with a `stat_prefix`.
    fn route_shard(&mut self, s: &Stream) -> Option<&RouteShard> {
        let route = s.route.as_ref()?;
        let prefix = route.route()?.stat_prefix.as_ref()?;
        let host = &route.virtual_host()?.name;
        let shard = self
            .route_stats
            .entry((Arc::clone(host), Arc::clone(prefix)))
            .or_insert_with(|| self.stats.route(host, prefix));
        Some(shard)
    }

    pub fn count_route_retry(&mut self, s: &Stream, counter: RouteCounter) {
        if let Some(shard) = self.route_shard(s) {
            shard.inc(counter);
        }
    }

    pub fn count_route_response(&mut self, s: &Stream) {
        if let Some(shard) = self.route_shard(s) {
            shard.inc(RouteCounter::UpstreamRqTotal);
            shard.response_code(s.response.status);
        }
    }

    pub fn count_route_time(&mut self, s: &Stream, ms: u64) {
        if let Some(shard) = self.route_shard(s) {
            shard.record(RouteHistogram::UpstreamRqTime, ms);
        }
    }

    /// The router's part in a response that came from an upstream.
    pub fn route_upstream_response(&mut self, d: &Downstream, s: &mut Stream) {
        let suppress = d.client.http.router.get().suppress_envoy_headers;
        if suppress {
            s.response.headers.remove(Known::XEnvoyUpstreamServiceTime);
        } else if s.request_complete {
            let ms = self.clock.now_ns().saturating_sub(s.upstream_start_ns) / 1_000_000;
            let mut digits = [0; 20];
            s.response
                .headers
                .set(Known::XEnvoyUpstreamServiceTime, decimal(&mut digits, ms));
        }
        for cookie in s.set_cookies.drain(..) {
            s.response.headers.push_known(Known::SetCookie, &cookie);
        }
        self.finish_response_headers(s);
    }

    /// What the route does to every response to a request that it forwards, ours among them.
    pub fn finish_response_headers(&mut self, s: &mut Stream) {
        self.route_response_headers(s);
        let counts = s
            .route
            .as_ref()
            .and_then(RouteRef::virtual_host)
            .is_some_and(|v| v.include_attempt_count_in_response);
        if counts && s.cluster.is_some() {
            let mut digits = [0; 20];
            let count = decimal(&mut digits, s.info.attempt_count.into());
            s.response.headers.set(Known::XEnvoyAttemptCount, count);
        }
    }
}

/// The cluster's name, and which of the weighted ones it is.
fn choose_cluster<'a>(
    choice: &'a ClusterChoice,
    s: &'a Stream,
    random: u64,
) -> Option<(&'a str, Option<u32>)> {
    let header_text = |name: &HeaderName| {
        let value = s.request.headers.get_name(name.text.as_bytes())?;
        std::str::from_utf8(value).ok()
    };
    match choice {
        ClusterChoice::Named(name) => Some((name, None)),
        ClusterChoice::Header(header) => Some((header_text(header)?, None)),
        ClusterChoice::Weighted {
            clusters,
            total,
            header,
        } => {
            let value = header
                .as_ref()
                .and_then(header_text)
                .and_then(|v| v.parse::<u64>().ok())
                .unwrap_or(random);
            let mut left = value.checked_rem(*total)?;
            for (at, cluster) in (0..).zip(clusters.iter()) {
                let weight = u64::from(cluster.weight);
                if left < weight {
                    let name = match &cluster.name {
                        ClusterOrHeader::Named(name) => name,
                        ClusterOrHeader::Header(header) => header_text(header)?,
                    };
                    return Some((name, Some(at)));
                }
                left = left.saturating_sub(weight);
            }
            None
        }
    }
}

/// The name of the one at an index, where the configuration says it.
pub fn weighted_name(choice: &ClusterChoice, at: u32) -> Option<&str> {
    match &weighted(choice, at)?.name {
        ClusterOrHeader::Named(name) => Some(name),
        ClusterOrHeader::Header(_) => None,
    }
}

/// What the route, or its weighted cluster, asks of hosts.
fn metadata_match(forward: &Forward, at: Option<u32>) -> Option<&Metadata> {
    match at.and_then(|at| weighted(&forward.cluster, at)) {
        Some(weighted) => weighted.metadata_match.as_deref(),
        None => forward.metadata_match.as_deref(),
    }
}

/// The weighted cluster at an index.
pub fn weighted(choice: &ClusterChoice, at: u32) -> Option<&WeightedCluster> {
    match choice {
        ClusterChoice::Weighted { clusters, .. } => clusters.get(at as usize),
        ClusterChoice::Named(_) | ClusterChoice::Header(_) => None,
    }
}
