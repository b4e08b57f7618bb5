//! Answers that are ours: failures, redirects, direct responses; and how a stream ends early.

use std::borrow::Cow;

use proto::Known;
use proto::h1::{BodyLength, Version};

use super::decimal::decimal;
use super::downstream::{Alive, Closing, Downstream};
use super::failure::{BEFORE_HEADERS, Failure};
use super::filters::Reply;
use super::grpc;
use super::stream::{Stream, Upstreaming};
use super::upgrade::Tunnel;
use crate::cluster::outlier::Attempt;
use crate::http2::carrier::Carrier;
use crate::router::headers;
use crate::telemetry::stats::{ClusterCounter, HcmCounter};
use crate::worker::Worker;
use crate::worker::timers::NEVER;

impl Worker {
    /// An attempt failed before it had a connection: another one follows, or `reply_failure`.
    pub fn fail_attempt(&mut self, d: &mut Downstream, mut s: Box<Stream>, failure: Failure) {
        note_failure(&s, failure);
        if self.retries_failure(&mut s, failure) {
            return self.schedule_retry(d, s);
        }
        self.reply_failure(d, s, failure);
    }

    /// Answers with a failure and ends the stream. The upstream, if any, has been let go.
    pub fn reply_failure(&mut self, d: &mut Downstream, mut s: Box<Stream>, failure: Failure) {
        s.info.flags.insert(failure.flags(false));
        if let Some(ours) = &mut s.ours {
            ours.fail(failure);
        }
        let host = s.host.as_ref().map(|host| &host.address);
        let of_connecting = failure.connect_details(host);
        if let Some(error) = failure.connect_error(host) {
            s.info.upstream_transport_failure = Some(error.into());
        }
        count_timeout(d, failure);
        let stats = d.client.http.stats();
        match failure {
            _ if s.ours.is_some() => {}
            Failure::NoRoute => stats.inc(HcmCounter::NoRoute),
            Failure::ClusterNotFound { .. } => stats.inc(HcmCounter::NoCluster),
            Failure::PathNormalization => {
                stats.inc(HcmCounter::DownstreamRqFailedPathNormalization);
            }
            Failure::UpgradeRefused => stats.inc(HcmCounter::DownstreamRqWsOnNonWsRoute),
            _ => {}
        }
        let of_tls = s.info.upstream_transport_failure.as_deref();
        let of_tls = of_tls.and_then(|reason| failure.tls_details(reason));
        let details = of_connecting
            .or(of_tls)
            .unwrap_or_else(|| failure.details(false));
        // Headers of the answer may say it.
        s.info.details = Some(details.clone());
        if s.request.kind == proto::h1::Method::Connect || s.request.upgrade {
            // What follows may be for a tunnel that there is not.
            d.close_after_response();
        }
        if s.route.is_some() {
            self.finish_response_headers(&mut s);
        }
        if failure == Failure::Overflow {
            s.response
                .headers
                .push_known(Known::XEnvoyOverloaded, b"true");
        }
        if let Failure::DropOverload { all } = failure
            && !d.client.http.router.get().suppress_envoy_headers
        {
            let name: &[u8] = match all {
                true => b"x-envoy-unconditional-drop-overload",
                false => b"x-envoy-drop-overload",
            };
            s.response.headers.push(name, b"true");
        }
        if let Some(cluster) = &s.cluster
            && failure.is_upstream_reply()
            // Between two attempts nobody is to blame.
            && s.retry.at == NEVER
            && d.client.http.router.get().dynamic_stats
        {
            let internal = s.request.headers.contains(Known::XEnvoyInternal);
            cluster.stats().response_code(failure.status(), internal);
        }
        if failure == Failure::MaxDuration && s.is_grpc {
            let status = decimal(&mut [0; 20], grpc::DEADLINE_EXCEEDED).to_vec();
            s.response.headers.push_known(Known::GrpcStatus, &status);
        }
        if s.timeout_alt_response && failure.is_timeout() {
            return self.local_reply(d, s, 204, b"", details);
        }
        let body = failure.body();
        if s.info.attempt_count > 1
            && let Some(rest) = body.strip_prefix(BEFORE_HEADERS)
        {
            let body = format!("{BEFORE_HEADERS}retried and the latest {rest}");
            return self.local_reply(d, s, failure.status(), body.as_bytes(), details);
        }
        self.local_reply(d, s, failure.status(), body.as_bytes(), details);
    }

    /// Writes a response of ours (headers may have been put into `s.response` before) and ends
    /// the stream.
    pub fn local_reply(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        status: u16,
        body: &[u8],
        details: Cow<'static, str>,
    ) {
        s.info.details = Some(details);
        s.response.status = status;
        let body = if s.is_grpc {
            grpc::local_reply(&mut s, status, body);
            &[][..]
        } else {
            body
        };
        // RFC 9110 §6.4.1: these have no content, whatever a configuration says.
        let body = if matches!(status, 100..200 | 204 | 304) {
            &[][..]
        } else {
            body
        };
        s.response.body = BodyLength::Length(body.len() as u64);
        if !body.is_empty() && !s.response.headers.contains(Known::ContentType) {
            s.response
                .headers
                .push_known(Known::ContentType, b"text/plain");
        }
        s.info.response_code = Some(s.response.status);
        self.begin_filters(d, &mut s);
        let body = if s.filters.is_empty() {
            Cow::Borrowed(body)
        } else {
            self.encode_local(&mut s, body)
        };
        if !s.request_complete && d.closing == Closing::No {
            // What is left of the request cannot be told from the next one.
            d.closing = Closing::AfterFlush;
            d.linger = true;
        }
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let body_sent = if s.is_head { &[][..] } else { &*body };
        self.encode_response_head(d, &mut s, &mut out, body_sent.is_empty());
        s.info.bytes_sent = body_sent.len() as u64;
        match &mut d.carrier {
            Carrier::Socket(_) => {
                self.write_downstream(d, &out, body_sent);
            }
            Carrier::Stream(carrier) if !body_sent.is_empty() => {
                self.send_on_stream(carrier, body_sent, true);
            }
            Carrier::Stream(_) => {}
        }
        self.out = out;
        s.response_complete = true;
        s.info.downstream_tx_end = self.clock.now_ns();
        self.end_stream(d, s);
    }

    /// Writes the answer of a filter and ends the stream.
    pub fn reply_of_filter(&mut self, d: &mut Downstream, mut s: Box<Stream>, reply: Reply) {
        if s.request.kind == proto::h1::Method::Connect || s.tunnel != Tunnel::No {
            // What follows may be for a tunnel that there is not.
            d.close_after_response();
        }
        self.skip_body(d, &mut s);
        if reply.as_it_is {
            s.is_grpc = false;
        } else if s
            .route
            .as_ref()
            .is_some_and(|route| route.forward().is_some())
        {
            self.route_response_headers(&mut s);
        }
        if let Some(status) = reply.grpc_status.filter(|_| s.is_grpc) {
            let mut digits = [0; 20];
            let status = decimal(&mut digits, u64::from(status));
            s.response.headers.set(Known::GrpcStatus, status);
        }
        for change in &reply.headers {
            headers::change(&mut s.response.headers, change);
        }
        let body = reply.body.as_deref().unwrap_or_default();
        self.local_reply(d, s, reply.status, body, reply.details);
    }

    /// 307 to the normalised path.
    pub fn redirect_to_path(&mut self, d: &mut Downstream, mut s: Box<Stream>, path: &[u8]) {
        d.client
            .http
            .stats()
            .inc(HcmCounter::DownstreamRqRedirectedWithNormalizedPath);
        s.response.headers.push_known(Known::Location, path);
        s.request.set_path(path);
        self.local_reply(d, s, 307, b"", "path_normalization_failed".into());
    }

    /// A stream fails while its connection lives: a reply of ours if the response has not started,
    /// else the connection must break, because nothing else tells the client.
    pub fn fail_stream(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        failure: Failure,
    ) -> Alive {
        note_failure(&s, failure);
        if self.retries_failure(&mut s, failure) {
            self.let_upstream_go(d, &mut s, failure);
            // Half a head of the upstream's.
            s.response.clear();
            self.schedule_retry(d, s);
            return Alive::Yes;
        }
        self.let_upstream_go(d, &mut s, failure);
        if !s.response_started {
            // Half a head of the upstream's must not get into our reply.
            s.response.clear();
            s.held = None;
            self.reply_failure(d, s, failure);
            return Alive::Yes;
        }
        s.info.flags.insert(failure.flags(true));
        s.info.details = Some(failure.details(true));
        count_timeout(d, failure);
        let stats = d.client.http.stats();
        if let Some(ours) = &mut s.ours {
            ours.fail(failure);
        } else {
            stats.inc(HcmCounter::DownstreamRqTxReset);
            if failure.is_upstream() {
                stats.inc(HcmCounter::RqResetAfterDownstreamResponseStarted);
            }
        }
        // So that nobody takes the short body for a whole one.
        d.closing = Closing::AfterFlush;
        self.end_stream(d, s);
        Alive::No
    }

    /// The client is gone, or the stream with it is.
    pub fn abandon_stream(&mut self, d: &mut Downstream, mut s: Box<Stream>, failure: Failure) {
        self.let_upstream_go(d, &mut s, failure);
        if !s.response_complete {
            s.info.flags.insert(failure.flags(s.response_started));
            s.info.details = Some(failure.details(s.response_started));
        }
        if !d.carrier.is_stream() {
            // Of HTTP/2 the connection is counted, not its streams.
            let stats = d.client.http.stats();
            stats.inc(HcmCounter::DownstreamCxDestroyActiveRq);
            stats.inc(HcmCounter::DownstreamCxDestroyRemoteActiveRq);
        }
        self.end_stream(d, s);
    }

    /// Takes the stream off its upstream: out of the queue, or the connection is closed, since
    /// HTTP/1.1 knows no other way to give up a request.
    fn let_upstream_go(&mut self, d: &Downstream, s: &mut Stream, failure: Failure) {
        match std::mem::take(&mut s.upstream) {
            Upstreaming::None => {}
            Upstreaming::Waiting => self.leave_queue(d.key, s),
            // Envoy counts nothing of these, either.
            Upstreaming::Udp(key) => self.close_udp(key),
            Upstreaming::On(key) | Upstreaming::Broken(key) => {
                let is_http2 = s.info.upstream_protocol == Some(Version::Http2);
                if let Some(cluster) = &s.cluster {
                    let stats = cluster.stats();
                    match failure {
                        Failure::ResponseTimeout => stats.inc(ClusterCounter::UpstreamRqTimeout),
                        Failure::PerTryTimeout => {
                            stats.inc(ClusterCounter::UpstreamRqPerTryTimeout);
                        }
                        Failure::PerTryIdle => {
                            stats.inc(ClusterCounter::UpstreamRqPerTryIdleTimeout);
                        }
                        Failure::UpstreamGone => {
                            stats.inc(ClusterCounter::UpstreamRqPendingFailureEject);
                        }
                        Failure::UpstreamClosed
                        | Failure::UpstreamReset
                        | Failure::UpstreamProtocol
                        | Failure::UpstreamRefused => {}
                        _ => stats.inc(ClusterCounter::UpstreamRqCancelled),
                    }
                    // HTTP/1 has no streams to reset.
                    match failure {
                        Failure::UpstreamReset if is_http2 => {
                            stats.inc(ClusterCounter::UpstreamRqRxReset);
                        }
                        Failure::UpstreamGone
                        | Failure::UpstreamRefused
                        | Failure::UpstreamClosed => {}
                        _ if is_http2 => stats.inc(ClusterCounter::UpstreamRqTxReset),
                        _ => {}
                    }
                }
                if let Some(host) = &s.host {
                    let shard = &host.pool.shard;
                    if failure.is_timeout() {
                        shard.rq_timeout.inc();
                    }
                    if failure != Failure::ResponseTimeout {
                        shard.rq_error.inc();
                    }
                }
                self.drop_upstream_of(d, s, key);
            }
        }
    }

    /// Writes to the client: much at once, little when the events that came with this one have been
    /// handled (`worker::phases`). A broken connection is noticed by its next event.
    pub fn write_downstream(&mut self, d: &mut Downstream, head: &[u8], body: &[u8]) -> bool {
        self.write_downstream_parts(d, [head, body, b""])
    }

    /// The same of three parts.
    pub fn write_downstream_parts(&mut self, d: &mut Downstream, parts: [&[u8]; 3]) -> bool {
        let Some(io) = d.carrier.io_mut() else {
            return true;
        };
        let bytes = parts.iter().map(|part| part.len()).sum();
        d.client.count_sent(bytes);
        match self.write_soon(io, parts) {
            Ok(is_waiting) => {
                if is_waiting {
                    self.written_downstreams.push(d.key);
                }
                true
            }
            Err(_) => {
                d.note_broken();
                false
            }
        }
    }

    /// Writes the access log.
    pub fn log_stream(&mut self, d: &Downstream, s: &mut Stream) {
        let hcm = &d.client.http.hcm;
        let stats = d.client.http.stats();
        let elapsed_ms = self.clock.now_ns().saturating_sub(s.info.start) / 1_000_000;
        stats.record(
            crate::telemetry::stats::HcmHistogram::DownstreamRqTime,
            elapsed_ms,
        );
        if hcm.access_logs.is_empty() {
            return;
        }
        s.describe();
        s.info.end = self.clock.now_ns();
        let context = crate::telemetry::stream_info::LogContext {
            request: &s.request,
            response: s.response_started.then_some(&s.response.headers),
            trailers: (!s.response_trailers.is_empty()).then_some(&s.response_trailers),
            info: &s.info,
        };
        for log in &hcm.access_logs {
            self.logs.log(log, &context);
        }
    }
}

/// A time limit of the client's side has passed, whether its response has begun or not.
fn count_timeout(d: &Downstream, failure: Failure) {
    let stats = d.client.http.stats();
    match failure {
        Failure::StreamIdle { .. } => stats.inc(HcmCounter::DownstreamRqIdleTimeout),
        Failure::RequestTimeout => stats.inc(HcmCounter::DownstreamRqTimeout),
        Failure::MaxDuration => stats.inc(HcmCounter::DownstreamRqMaxDurationReached),
        _ => {}
    }
}

impl Failure {
    /// Failures whose reply is counted as a response of the cluster.
    fn is_upstream_reply(self) -> bool {
        self.is_upstream()
            || matches!(
                self,
                Self::NoHealthyUpstream
                    | Self::DropOverload { .. }
                    | Self::Overflow
                    | Self::UdpEndedAtOnce
            )
    }
}

/// What the failure says of the host, for outlier detection.
fn note_failure(s: &Stream, failure: Failure) {
    if let Some(host) = &s.host {
        let attempt = Attempt {
            was_sent: s.upstream.key().is_some(),
            is_answered: s.response_started,
            timeout_alt_response: s.timeout_alt_response,
        };
        host.note_failure(failure, attempt);
    }
}
