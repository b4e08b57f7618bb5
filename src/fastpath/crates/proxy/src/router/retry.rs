//! Retries (`Router::RetryStateImpl`): whether an attempt that failed is made again, and when.
//!
//! Theory of operation. Most requests of a route with a policy are answered by their first
//! attempt, and cost a few words in their stream: what is only asked for when something failed is
//! in `More`, made then. The head of a request stays in its stream anyway. Its body is kept as it
//! leaves, in memory that the stream takes along to its next request; one that grows over its
//! limit is let go, and with it the retry. An attempt that fails ends like one without retries,
//! except that the stream stays, without an upstream and with a deadline at which the next begins.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use model::resources::address::Address;
use model::resources::header_mutation::HeaderName;
use model::resources::retry::{BodyLimit, ResetFormat, RetryOn, RetryPolicy};
use model::resources::route::{Action, Forward, HostRewrite};
use proto::Known;

use super::mirror::MIRRORED_BODY;
use super::timeouts;
use crate::cluster::Limit;
use crate::cluster::breaker::Taken;
use crate::cluster::lb::{LbContext, Selection};
use crate::cluster::previous_priorities::PreviousPriorities;
use crate::http::deadlines::millis;
use crate::http::decimal::decimal;
use crate::http::downstream::{Alive, Downstream};
use crate::http::failure::{Failure, Reset};
use crate::http::grpc;
use crate::http::stream::{Stream, Upstreaming};
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::{ClusterCounter, RouteCounter};
use crate::upstream::Upstream;
use crate::worker::Worker;
use crate::worker::timers::NEVER;

/// Bodies larger than this give their memory back when the stream is reused.
const KEEP_BODY_BYTES: usize = 16 * 1024;

/// A stream's part in retries.
#[derive(Debug)]
pub struct Retry {
    /// When to; empty: never (any more).
    on: RetryOn,
    left: u32,
    /// A retry is waited for or under way; its unit of the limit.
    unit: Option<Taken>,
    /// Some of the request went to some host.
    request_started: bool,
    /// The attempt before ended by a limit of time.
    after_timeout: bool,
    /// The host said how long to wait.
    is_rate_limited: bool,
    /// When the next attempt begins (ms); `NEVER`: none is waited for.
    pub at: u64,
    /// What was sent of the body so far.
    pub body: Vec<u8>,
    body_limit: usize,
    /// Of the request, for the load balancer.
    pub hash: Option<u64>,
    more: Option<Box<More>>,
}

#[derive(Debug, Default)]
struct More {
    /// Of the back-off: what the next is below.
    interval_ms: u64,
    /// Hosts that were tried.
    tried: HashSet<Address>,
    /// And their priorities.
    priorities: Option<RefCell<PreviousPriorities>>,
    /// What the request's own headers add to the policy.
    status_codes: Vec<u32>,
    headers: Vec<HeaderName>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            on: RetryOn::NOTHING,
            left: 0,
            unit: None,
            request_started: false,
            after_timeout: false,
            is_rate_limited: false,
            at: NEVER,
            body: Vec::new(),
            body_limit: 0,
            hash: None,
            more: None,
        }
    }
}

impl Retry {
    pub fn reset(&mut self) {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        if body.capacity() > KEEP_BODY_BYTES {
            body = Vec::new();
        }
        *self = Self {
            body,
            ..Self::default()
        };
    }

    /// Whether another attempt may come, so that this one's body is kept.
    pub fn may_come(&self) -> bool {
        !self.on.is_nothing()
    }

    /// Reads what the policy and the request say. Before the request's headers about it are taken
    /// off.
    pub fn begin(s: &mut Stream, forward: &Forward, connection_limit: usize) {
        s.retry.body_limit = BodyLimit::bytes(forward.body_limit, connection_limit);
        let headers = &s.request.headers;
        let policy = forward.retry.as_deref();
        let mut on = policy.map_or(RetryOn::NOTHING, |policy| policy.on);
        if let Some(text) = text(headers.get(Known::XEnvoyRetryOn)) {
            on |= RetryOn::of_header(text);
        }
        if let Some(text) = text(headers.get(Known::XEnvoyRetryGrpcOn)) {
            on |= RetryOn::of_grpc_header(text);
        }
        let wanted = policy.map_or(&[][..], |policy| &policy.request_headers);
        if on.is_nothing() || !(wanted.is_empty() || wanted.iter().any(|m| m.matches(&s.request))) {
            return;
        }
        let left = text(headers.get(Known::XEnvoyMaxRetries)).and_then(|t| t.parse().ok());
        let codes = text(headers.get(Known::XEnvoyRetriableStatusCodes));
        let names = text(headers.get(Known::XEnvoyRetriableHeaderNames));
        let more = (codes.is_some() || names.is_some()).then(|| {
            Box::new(More {
                status_codes: list(codes).filter_map(|t| t.parse().ok()).collect(),
                headers: list(names).map(header_name).collect(),
                ..More::default()
            })
        });
        s.retry.on = on;
        s.retry.left = left.unwrap_or_else(|| policy.map_or(1, |policy| policy.num_retries));
        s.retry.more = more;
    }
}

fn text(value: Option<&[u8]>) -> Option<&str> {
    std::str::from_utf8(value?).ok()
}

fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    let items = text.unwrap_or_default().split(',').map(str::trim);
    items.filter(|item| !item.is_empty())
}

fn header_name(text: &str) -> HeaderName {
    let lower = text.to_ascii_lowercase();
    HeaderName {
        known: Known::of(lower.as_bytes()),
        text: lower.into(),
    }
}

impl Worker {
    /// Keeps a part of the body that leaves, for as long as it fits.
    pub fn keep_body(&self, s: &mut Stream, body: &[u8]) {
        let length = s.retry.body.len().saturating_add(body.len());
        let mut is_abandoned = false;
        if s.retry.may_come() && length > s.retry.body_limit {
            self.end_retries(s);
            is_abandoned = true;
        }
        if s.mirrors != 0 && length > s.retry.body_limit.max(MIRRORED_BODY) {
            s.mirrors = 0;
            is_abandoned = true;
        }
        if let Some(cluster) = &s.cluster
            && is_abandoned
        {
            cluster.stats().inc(ClusterCounter::RetryOrShadowAbandoned);
        }
        if s.retry.may_come() || s.mirrors != 0 {
            s.retry.body.extend_from_slice(body);
        } else {
            s.retry.body = Vec::new();
        }
    }

    /// There will be no other attempt: gives back what was held for one.
    pub fn end_retries(&self, s: &mut Stream) {
        s.retry.on = RetryOn::NOTHING;
        s.retry.at = NEVER;
        if s.mirrors == 0 {
            s.retry.body.clear();
        }
        s.retry.more = None;
        self.release_retry(s);
    }

    /// True: a retry was under way.
    fn release_retry(&self, s: &mut Stream) -> bool {
        let Some(unit) = s.retry.unit.take() else {
            return false;
        };
        if let Some(cluster) = &s.cluster
            && unit == Taken::Counted
        {
            cluster
                .shared
                .breakers
                .usage(s.priority)
                .retries
                .give_back();
            cluster.breaker_open(s.priority, Limit::Retries, false);
        }
        true
    }

    /// An attempt failed before there was a response. True: there will be another one, and the
    /// stream is to be given to `schedule_retry` once its upstream is let go.
    pub fn retries_failure(&mut self, s: &mut Stream, failure: Failure) -> bool {
        if !s.retry.may_come() || s.response_started || s.held.is_some() {
            return false;
        }
        let Some(reset) = failure.reset() else {
            return false;
        };
        s.retry.request_started |= s.request_head_sent;
        let on = s.retry.on;
        let wanted = on.has(RetryOn::RESET | RetryOn::SERVER_ERROR | RetryOn::GATEWAY_ERROR)
            || (on.has(RetryOn::RESET_BEFORE_REQUEST) && !s.retry.request_started)
            || (on.has(RetryOn::REFUSED_STREAM) && reset == Reset::Refused)
            || (on.has(RetryOn::CONNECT_FAILURE) && reset == Reset::ConnectFailure);
        s.retry.after_timeout = reset == Reset::Timeout;
        self.take_retry(s, wanted)
    }

    /// The same for the response in `s.response`. False: it is the one that the client gets.
    pub fn retries_response(&mut self, s: &mut Stream) -> bool {
        if !s.retry.may_come() {
            return false;
        }
        s.retry.request_started |= s.request_head_sent;
        let wanted = is_retriable(s);
        s.retry.after_timeout = false;
        if !self.take_retry(s, wanted) {
            self.end_retries(s);
            return false;
        }
        true
    }

    /// `RetryStateImpl::shouldRetry`.
    fn take_retry(&mut self, s: &mut Stream, wanted: bool) -> bool {
        let Some(cluster) = s.cluster.clone() else {
            return false;
        };
        let stats = cluster.stats();
        if self.release_retry(s) && !wanted {
            stats.inc(ClusterCounter::UpstreamRqRetrySuccess);
            self.count_route_retry(s, RouteCounter::UpstreamRqRetrySuccess);
        }
        if !wanted {
            return false;
        }
        let Some(left) = s.retry.left.checked_sub(1) else {
            stats.inc(ClusterCounter::UpstreamRqRetryLimitExceeded);
            self.count_route_retry(s, RouteCounter::UpstreamRqRetryLimitExceeded);
            s.info
                .flags
                .insert(ResponseFlags::UPSTREAM_RETRY_LIMIT_EXCEEDED);
            return false;
        };
        s.retry.left = left;
        let limit = cluster.retry_limit(s.priority);
        let unit = cluster
            .shared
            .breakers
            .usage(s.priority)
            .retries
            .take(limit);
        if unit == Taken::Full {
            stats.inc(ClusterCounter::UpstreamRqRetryOverflow);
            self.count_route_retry(s, RouteCounter::UpstreamRqRetryOverflow);
            cluster.breaker_open(s.priority, Limit::Retries, true);
            s.info.flags.insert(ResponseFlags::UPSTREAM_OVERFLOW);
            return false;
        }
        s.retry.unit = Some(unit);
        true
    }

    /// An attempt has its connection: `per_try_idle_timeout` begins.
    pub fn watch_attempt(&mut self, d: &Downstream, s: &mut Stream) {
        if s.response_started || s.is_tcp {
            return;
        }
        let idle = policy_of(s).and_then(|policy| policy.per_try_idle_timeout);
        if let Some(idle) = idle {
            s.try_idle_ms = millis(idle);
            s.last_activity = self.clock.now_ms();
            let deadline = s.deadline();
            self.arm_downstream(d, deadline);
        }
    }

    /// Its upstream has been let go: the stream waits for its next attempt.
    pub fn schedule_retry(&mut self, d: &mut Downstream, mut s: Box<Stream>) {
        let wait = self.back_off(&mut s);
        s.response.clear();
        s.response_trailers.clear();
        s.upstream = Upstreaming::None;
        s.pool = None;
        s.request_head_sent = false;
        s.upload_blocked = false;
        s.interim_responses = 0;
        s.try_deadline = NEVER;
        s.try_idle_ms = NEVER;
        remember_host(&mut s);
        s.retry.at = self.clock.now_ms().saturating_add(wait);
        let deadline = s.deadline();
        self.arm_downstream(d, deadline);
        d.stream = Some(s);
    }

    /// Milliseconds until the next attempt: what a rate-limited host asks for, and up to half of
    /// it more; else at random below an interval that doubles.
    fn back_off(&mut self, s: &mut Stream) -> u64 {
        let reset = policy_of(s).and_then(|policy| asked_for(policy, s, self.clock.wall_ns()));
        s.retry.is_rate_limited = reset.is_some();
        if let Some(least) = reset {
            let most = least.saturating_add(least / 2);
            return self.rng.u64(least..most.max(least.saturating_add(1)));
        }
        let (base, max) = policy_of(s).map_or((25, 250), |p| (p.base_interval, p.max_interval));
        let more = s.retry.more.get_or_insert_default();
        let interval = match more.interval_ms {
            0 => base,
            interval => interval,
        };
        more.interval_ms = if interval < max / 2 {
            interval.saturating_mul(2)
        } else {
            max
        };
        self.rng.u64(..interval.max(1))
    }

    /// The time has come (`Router::Filter::doRetry`).
    pub fn retry_now(&mut self, d: &mut Downstream, mut s: Box<Stream>) -> Alive {
        s.retry.at = NEVER;
        s.info.attempt_count = s.info.attempt_count.saturating_add(1);
        // Only now, as Envoy: one whose time did not come was none.
        if let Some(cluster) = &s.cluster {
            let stats = cluster.stats();
            stats.inc(ClusterCounter::UpstreamRqRetry);
            stats.inc(if s.retry.is_rate_limited {
                ClusterCounter::UpstreamRqRetryBackoffRatelimited
            } else {
                ClusterCounter::UpstreamRqRetryBackoffExponential
            });
        }
        self.count_route_retry(&s, RouteCounter::UpstreamRqRetry);
        let route = s.route.clone();
        let route = route.as_ref().and_then(|r| Some((r, r.route()?)));
        let Some((Action::Forward(forward), host_config)) =
            route.and_then(|(at, route)| Some((&route.action, at.virtual_host()?)))
        else {
            self.reply_failure(d, s, Failure::NoHealthyUpstream);
            return Alive::Yes;
        };
        // It may have left the configuration meanwhile, or be another one of its name.
        let cluster = s.cluster.as_ref().map(|c| c.config.borrow().name.clone());
        let cluster = cluster.and_then(|name| self.clusters.get(&name).cloned());
        let host = cluster.as_ref().and_then(|cluster| {
            let of_weighted = s.weighted;
            let policy = forward.retry.as_deref();
            let more = s.retry.more.as_deref();
            let cx = LbContext {
                hash: s.retry.hash,
                metadata_match: super::metadata_match(forward, of_weighted),
                selection: more.map(|more| Selection {
                    tried: &more.tried,
                    attempts: policy.map_or(1, |policy| policy.host_attempts),
                }),
                priorities: more.and_then(|more| more.priorities.as_ref()),
                facts: d.client.known_facts(),
                headers: Some(&s.request.headers),
            };
            let host = self.choose_host(cluster, cx);
            if host.is_none() {
                cluster.stats().inc(ClusterCounter::UpstreamCxNoneHealthy);
            }
            host
        });
        let Some(host) = host else {
            self.reply_failure(d, s, Failure::NoHealthyUpstream);
            return Alive::Yes;
        };
        if host_config.include_request_attempt_count {
            let mut digits = [0; 20];
            let count = decimal(&mut digits, s.info.attempt_count.into());
            s.request.headers.set(Known::XEnvoyAttemptCount, count);
        }
        if host_config.include_is_timeout_retry_header {
            let value: &[u8] = if s.retry.after_timeout {
                b"true"
            } else {
                b"false"
            };
            s.request.headers.set(Known::XEnvoyIsTimeoutRetry, value);
        }
        if let HostRewrite::Auto = forward.host_rewrite
            && let Some(name) = host.hostname.as_deref()
        {
            s.request.set_authority(name.as_bytes());
        }
        let tell = !d.client.http.router.get().suppress_envoy_headers;
        timeouts::tell_again(forward, &mut s, tell, self.clock.now_ms());
        if let (Some(old), Some(new)) = (&s.cluster, &cluster)
            && !Arc::ptr_eq(&old.shared, &new.shared)
        {
            // The unit is of the one that went, and is not to be given back to another.
            self.release_retry(&mut s);
        }
        s.cluster = cluster;
        s.host = Some(host);
        self.acquire(d, s, forward.priority);
        // What is left of the request may lie in the buffer or the socket.
        self.drive(d)
    }

    /// A response that is not the client's: its connection goes on if nothing of it is missing.
    pub fn drop_response(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        u: Box<Upstream>,
        complete: bool,
    ) {
        let internal = s.request.headers.contains(Known::XEnvoyInternal);
        if d.client.http.router.get().dynamic_stats {
            u.cluster
                .stats()
                .retried_response_code(s.response.status, internal);
        }
        u.pool.shard.rq_error.inc();
        let reusable = complete
            && s.request_complete
            && s.response.keep_alive
            && u.backlog() == 0
            && u.inbuf.is_empty()
            && !u.peer_closed
            && matches!(s.upstream, Upstreaming::On(_));
        s.upstream = Upstreaming::None;
        if reusable {
            self.release(u);
        } else {
            if u.carrier.is_stream() {
                u.cluster.stats().inc(ClusterCounter::UpstreamRqTxReset);
            }
            let key = u.key;
            self.upstreams.put(key, u);
            self.drop_upstream_of(d, &s, key);
        }
        self.schedule_retry(d, s);
    }
}

/// The policy of the stream's route.
fn policy_of(s: &Stream) -> Option<&RetryPolicy> {
    match &s.route.as_ref()?.route()?.action {
        Action::Forward(forward) => forward.retry.as_deref(),
        Action::Redirect(_) | Action::DirectResponse(_) | Action::NonForwarding => None,
    }
}

/// What the policy avoids the next time.
fn remember_host(s: &mut Stream) {
    let (Some(host), Some(policy)) = (s.host.clone(), policy_of(s)) else {
        return;
    };
    let (avoids_hosts, frequency) = (policy.avoids_previous_hosts, policy.previous_priorities);
    if !avoids_hosts && frequency.is_none() {
        return;
    }
    let more = s.retry.more.get_or_insert_default();
    if avoids_hosts {
        more.tried.insert(host.address.clone());
    }
    if let Some(frequency) = frequency {
        let fresh = || RefCell::new(PreviousPriorities::new(frequency));
        let previous = more.priorities.get_or_insert_with(fresh);
        previous.get_mut().attempted(host.priority);
    }
}

/// `RetryStateImpl::wouldRetryFromHeaders`.
fn is_retriable(s: &Stream) -> bool {
    let (on, head) = (s.retry.on, &s.response);
    if head.headers.contains(Known::XEnvoyRatelimited) {
        return on.has(RetryOn::RATE_LIMITED);
    }
    let status = head.status;
    let more = s.retry.more.as_deref();
    let policy = policy_of(s);
    if (on.has(RetryOn::SERVER_ERROR) && (500..600).contains(&status))
        || (on.has(RetryOn::GATEWAY_ERROR) && (502..=504).contains(&status))
        || (on.has(RetryOn::RETRIABLE_4XX) && status == 409)
    {
        return true;
    }
    if on.has(RetryOn::STATUS_CODES) {
        let status = u32::from(status);
        let of_policy = policy.is_some_and(|p| p.status_codes.contains(&status));
        if of_policy || more.is_some_and(|more| more.status_codes.contains(&status)) {
            return true;
        }
    }
    if on.has(RetryOn::HEADERS) {
        let of_policy = policy.is_some_and(|p| p.headers.iter().any(|m| m.matches_response(head)));
        let is_there = |name: &HeaderName| head.headers.get_name(name.text.as_bytes()).is_some();
        if of_policy || more.is_some_and(|more| more.headers.iter().any(is_there)) {
            return true;
        }
    }
    let of_grpc = match grpc::status_of(&head.headers) {
        Some(1) => RetryOn::GRPC_CANCELLED,
        Some(4) => RetryOn::GRPC_DEADLINE_EXCEEDED,
        Some(8) => RetryOn::GRPC_RESOURCE_EXHAUSTED,
        Some(13) => RetryOn::GRPC_INTERNAL,
        Some(14) => RetryOn::GRPC_UNAVAILABLE,
        _ => RetryOn::NOTHING,
    };
    on.has(of_grpc)
}

/// Milliseconds that the response in `s` asks to wait for, if the policy listens.
fn asked_for(policy: &RetryPolicy, s: &Stream, wall_ns: u64) -> Option<u64> {
    let limits = policy.rate_limited.as_ref()?;
    let interval = |header: &model::resources::retry::ResetHeader| {
        let value = s.response.headers.get_name(header.name.text.as_bytes());
        let number: u64 = text(value)?.parse().ok()?;
        let seconds = match header.format {
            ResetFormat::Seconds => number,
            ResetFormat::UnixTimestamp => number.checked_sub(wall_ns / 1_000_000_000)?,
        };
        Some(seconds.saturating_mul(1000))
    };
    let mut found = limits.reset_headers.iter().filter_map(interval);
    found
        .find(|ms| *ms <= limits.max_interval)
        .filter(|ms| *ms > 1)
}
