//! Moving one request and its response between the two connections.

use proto::Known;
use proto::h1::{
    BodyDecoder, BodyEvent, BodyLength, BodyLimits, CRLF, HeadLimits, LAST_CHUNK, write_chunk_size,
    write_request_head, write_trailers,
};

use super::{Step, Upstream};
use crate::http::downstream::{Alive, Closing, Downstream};
use crate::http::failure::Failure;
use crate::http::stream::{Stream, Upstreaming};
use crate::telemetry::stats::{ClusterCounter, ClusterHistogram, HcmCounter};
use crate::worker::Worker;

/// Data up to this size is copied behind its head: cheaper than a second entry in the vector.
const COPY_BELOW: usize = 2048;

/// How much of the input an upload took, and whether the client's bytes were bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    pub bytes: usize,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// The request's head could not be written (a rewrite made it invalid).
    BadHead,
    BadBody(proto::h1::BodyError),
}

impl Worker {
    /// Sends a part of the request body (with the head before it, if it is the first).
    pub fn upload(&mut self, d: &mut Downstream, s: &mut Stream, data: &[u8]) -> Taken {
        let Some(mut u) = s.upstream.key().and_then(|key| self.upstreams.take(key)) else {
            return Taken {
                bytes: 0,
                outcome: Outcome::Ok,
            };
        };
        let taken = self.upload_to(d, s, &mut u, data);
        self.upstreams.put(u.key, u);
        taken
    }

    /// What a bad upload means for the stream, which otherwise goes back to its connection.
    pub fn after_upload(&mut self, d: &mut Downstream, mut s: Box<Stream>, taken: Taken) -> Alive {
        match taken.outcome {
            Outcome::Ok => {
                d.stream = Some(s);
                Alive::Yes
            }
            Outcome::BadHead => self.fail_stream(d, s, Failure::UpstreamProtocol),
            Outcome::BadBody(error) => {
                d.client.http.stats()
                    .inc(HcmCounter::DownstreamCxProtocolError);
                s.info.flags.insert(
                    crate::telemetry::response_flags::ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR,
                );
                if let Upstreaming::On(key) | Upstreaming::Broken(key) =
                    std::mem::take(&mut s.upstream)
                {
                    self.drop_upstream_of(key);
                }
                if s.response_started {
                    self.end_stream(d, s);
                    return Alive::No;
                }
                d.closing = Closing::AfterFlush;
                d.linger = true;
                let status = error.status();
                let body = proto::h1::reason_phrase(status);
                self.local_reply(d, s, status, body.as_bytes(), error.details().into());
                Alive::Yes
            }
        }
    }

    pub fn upload_to(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        u: &mut Upstream,
        data: &[u8],
    ) -> Taken {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let taken = self.upload_with(d, s, u, data, &mut out);
        self.out = out;
        taken
    }

    fn upload_with(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        u: &mut Upstream,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Taken {
        if !s.request_head_sent {
            if !write_request_head(out, &s.request, s.request.body) {
                return Taken {
                    bytes: 0,
                    outcome: Outcome::BadHead,
                };
            }
            s.request_head_sent = true;
            s.info.upstream_header_bytes_sent = out.len() as u64;
            s.info.upstream_tx_begin = self.clock.now_ns();
        }
        let chunked = s.request.body == BodyLength::Chunked;
        let limits = BodyLimits::default();
        let mut used = 0_usize;
        let mut outcome = Outcome::Ok;
        while !s.request_complete {
            let rest = data.get(used..).unwrap_or_default();
            let (n, event) = match s.request_decoder.next(rest, Some(&mut s.trailers), &limits) {
                Ok(step) => step,
                Err(error) => {
                    outcome = Outcome::BadBody(error);
                    break;
                }
            };
            match event {
                BodyEvent::Data { start, len } => {
                    let body = rest
                        .get(start..start.saturating_add(len))
                        .unwrap_or_default();
                    s.info.bytes_received = s.info.bytes_received.saturating_add(len as u64);
                    if chunked {
                        write_chunk_size(out, len as u64);
                    }
                    self.put(out, body, u, s);
                    if chunked {
                        out.extend_from_slice(CRLF);
                    }
                }
                BodyEvent::Trailers => {}
                BodyEvent::End => {
                    if chunked {
                        let pass = d.client.http.hcm.enable_trailers
                            && u.cluster.config.borrow().http.enable_trailers;
                        if s.trailers.is_empty() || !pass {
                            out.extend_from_slice(LAST_CHUNK);
                        } else {
                            write_trailers(out, &s.trailers);
                        }
                        s.trailers.clear();
                    }
                    s.request_complete = true;
                }
                BodyEvent::NeedMore => {
                    used = used.saturating_add(n);
                    break;
                }
            }
            used = used.saturating_add(n);
            if s.request_decoder.is_done() && !chunked {
                s.request_complete = true;
            }
            if u.out.len() >= u.buffer_limit() {
                break;
            }
        }
        if !out.is_empty() {
            self.write_upstream(u, s, out, b"");
        }
        let now = self.clock.now_ms();
        s.last_activity = now;
        if s.request_complete {
            let now_ns = self.clock.now_ns();
            s.info.downstream_rx_end = now_ns;
            s.info.upstream_tx_end = now_ns;
            if s.route_deadline == crate::worker::timers::NEVER {
                s.route_deadline = now.saturating_add(s.route_timeout_ms);
            }
            let deadline = s.deadline();
            self.arm_downstream(d, deadline);
        } else if u.out.len() >= u.buffer_limit() {
            s.upload_blocked = true;
            let stats = u.cluster.stats();
            stats.inc(ClusterCounter::UpstreamFlowControlBackedUpTotal);
            d.client.http.stats()
                .inc(HcmCounter::DownstreamFlowControlPausedReadingTotal);
        }
        Taken {
            bytes: used,
            outcome,
        }
    }

    /// Appends small data to `out`; writes large data behind what `out` holds, uncopied.
    fn put(&mut self, out: &mut Vec<u8>, body: &[u8], u: &mut Upstream, s: &mut Stream) {
        if body.len() < COPY_BELOW {
            out.extend_from_slice(body);
        } else {
            self.write_upstream(u, s, out, body);
            out.clear();
        }
    }

    fn write_upstream(&mut self, u: &mut Upstream, s: &mut Stream, head: &[u8], body: &[u8]) {
        let total = head.len().saturating_add(body.len()) as u64;
        u.cluster
            .stats()
            .add(ClusterCounter::UpstreamCxTxBytesTotal, total);
        s.info.upstream_wire_bytes_sent = s.info.upstream_wire_bytes_sent.saturating_add(total);
        if u.out.write(&u.fd, head, body).is_err() {
            // It may have answered before it closed: the read will tell.
            u.out.clear();
            u.readable = true;
            s.upstream = Upstreaming::Broken(u.key);
            self.ready_upstreams.push(u.key);
        }
    }

    /// The upstream's buffer has room again.
    pub fn unblock_upload(&mut self, d: &mut Downstream) {
        if let Some(s) = &mut d.stream
            && s.upload_blocked
            && let Some(u) = s.upstream.key().and_then(|key| self.upstreams.get(key))
            && u.out.len() < u.buffer_limit() / 2
        {
            s.upload_blocked = false;
            d.client.http.stats()
                .inc(HcmCounter::DownstreamFlowControlResumedReadingTotal);
        }
    }

    /// Handles a part of the response: `data` starts where the last part ended.
    pub fn respond(
        &mut self,
        d: &mut Downstream,
        s: Box<Stream>,
        u: Box<Upstream>,
        data: &[u8],
    ) -> Step {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let step = self.respond_with(d, s, u, data, &mut out);
        self.out = out;
        step
    }

    fn respond_with(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        mut u: Box<Upstream>,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Step {
        let mut used = 0_usize;
        if !s.response_started {
            match self.read_response_head(d, &mut s, &mut u, data, out) {
                Ok(Some(n)) => used = n,
                Ok(None) => {
                    d.stream = Some(s);
                    return Step::Continue(u);
                }
                Err(failure) => return self.upstream_lost(d, s, u, failure),
            }
        }
        let mut client_gone = false;
        let mut done = s.response_decoder.is_done();
        let limits = BodyLimits::default();
        while !done {
            let rest = data.get(used..).unwrap_or_default();
            let (n, event) = match s
                .response_decoder
                .next(rest, Some(&mut s.trailers), &limits)
            {
                Ok(step) => step,
                Err(_) => {
                    u.cluster
                        .stats()
                        .inc(ClusterCounter::UpstreamCxProtocolError);
                    self.flush_head(d, out);
                    return self.upstream_lost(d, s, u, Failure::UpstreamProtocol);
                }
            };
            match event {
                BodyEvent::Data { start, len } => {
                    let body = rest
                        .get(start..start.saturating_add(len))
                        .unwrap_or_default();
                    s.info.bytes_sent = s.info.bytes_sent.saturating_add(len as u64);
                    if s.chunk_response {
                        write_chunk_size(out, len as u64);
                    }
                    if body.len() < COPY_BELOW {
                        out.extend_from_slice(body);
                    } else {
                        client_gone |= !self.write_downstream(d, out, body);
                        out.clear();
                    }
                    if s.chunk_response {
                        out.extend_from_slice(CRLF);
                    }
                }
                BodyEvent::Trailers => {}
                BodyEvent::End => done = true,
                BodyEvent::NeedMore => {
                    used = used.saturating_add(n);
                    u.inbuf
                        .extend_from_slice(data.get(used..).unwrap_or_default());
                    used = data.len();
                    break;
                }
            }
            used = used.saturating_add(n);
            done |= s.response_decoder.is_done();
        }
        if done && s.chunk_response && !s.is_head {
            let pass =
                d.client.http.hcm.enable_trailers && u.cluster.config.borrow().http.enable_trailers;
            if s.trailers.is_empty() || !pass {
                out.extend_from_slice(LAST_CHUNK);
            } else {
                write_trailers(out, &s.trailers);
            }
        }
        if !out.is_empty() {
            client_gone |= !self.write_downstream(d, out, b"");
        }
        s.last_activity = self.clock.now_ms();
        if client_gone {
            d.stream = Some(s);
            self.upstreams.put(u.key, u);
            return Step::Done(Alive::No);
        }
        if !done {
            d.stream = Some(s);
            return Step::Continue(u);
        }
        let excess = used < data.len();
        self.response_done(d, s, u, excess)
    }

    fn flush_head(&mut self, d: &mut Downstream, out: &mut Vec<u8>) {
        if !out.is_empty() {
            self.write_downstream(d, out, b"");
            out.clear();
        }
    }

    /// Reads heads up to the final one, which it encodes into `out`. Returns the bytes they took;
    /// `None`: incomplete, the rest is kept.
    fn read_response_head(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        u: &mut Upstream,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, Failure> {
        let limits = {
            let config = u.cluster.config.borrow();
            HeadLimits {
                max_head_bytes: config.http.max_response_headers_bytes,
                max_headers: config.http.max_headers_count,
                ..HeadLimits::default()
            }
        };
        let mut used = 0_usize;
        loop {
            let rest = data.get(used..).unwrap_or_default();
            let kind = s.request.kind;
            match u.reader.read_response(rest, &limits, kind, &mut s.response) {
                Ok(None) => {
                    u.inbuf.extend_from_slice(rest);
                    return Ok(None);
                }
                Err(_) => {
                    u.cluster
                        .stats()
                        .inc(ClusterCounter::UpstreamCxProtocolError);
                    return Err(Failure::UpstreamProtocol);
                }
                Ok(Some(n)) => used = used.saturating_add(n),
            }
            if s.response.switching {
                // Nobody asked for an upgrade.
                return Err(Failure::UpstreamProtocol);
            }
            if !s.response.is_interim() {
                break;
            }
            if s.response.status == 100
                && d.client.http.hcm.proxy_100_continue
                && s.request.version == proto::h1::Version::Http11
            {
                self.write_downstream(d, proto::h1::CONTINUE, b"");
            }
            s.response.clear();
        }
        let now_ns = self.clock.now_ns();
        s.info.upstream_rx_begin = now_ns;
        s.info.details = Some("via_upstream".into());
        s.info.response_code = Some(s.response.status);
        let internal = s.request.headers.contains(Known::XEnvoyInternal);
        if d.client.http.hcm.router.dynamic_stats {
            u.cluster.stats().response_code(s.response.status, internal);
        }
        self.count_route_response(s);
        let shard = &u.host.pool.shard;
        if s.response.status >= 500 {
            shard.rq_error.inc()
        } else {
            shard.rq_success.inc()
        }
        s.response_decoder = BodyDecoder::new(s.response.body);
        s.response_keep_alive = s.response.keep_alive;
        self.route_upstream_response(d, s);
        self.encode_response_head(d, s, out);
        Ok(Some(used))
    }

    /// The response is complete.
    fn response_done(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        u: Box<Upstream>,
        excess: bool,
    ) -> Step {
        let now_ns = self.clock.now_ns();
        s.response_complete = true;
        s.info.upstream_rx_end = now_ns;
        s.info.downstream_tx_end = now_ns;
        let ms = now_ns.saturating_sub(s.upstream_start_ns) / 1_000_000;
        let internal = s.request.headers.contains(Known::XEnvoyInternal);
        u.cluster.stats().response_time(ms, internal);
        self.count_route_time(&s, ms);

        let reusable = s.response_keep_alive
            && s.request_complete
            && !excess
            && u.out.is_empty()
            && u.inbuf.is_empty()
            && !u.peer_closed
            && matches!(s.upstream, Upstreaming::On(_));
        if excess {
            u.cluster
                .stats()
                .inc(ClusterCounter::UpstreamCxProtocolError);
        }
        self.end_stream(d, s);
        if reusable {
            self.release(u);
        } else {
            let stats = u.cluster.stats();
            stats.inc(ClusterCounter::UpstreamCxDestroyLocal);
            stats.record(ClusterHistogram::UpstreamRqPerCx, u64::from(u.requests));
            self.close_upstream(u);
        }
        Step::Done(Alive::Yes)
    }

    /// The upstream closed its side.
    pub fn upstream_eof(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        u: Box<Upstream>,
    ) -> Step {
        if s.response_started && s.response_decoder.eof().is_ok() {
            if s.chunk_response && !s.is_head {
                self.write_downstream(d, LAST_CHUNK, b"");
            }
            s.response_keep_alive = false;
            return self.response_done(d, s, u, false);
        }
        // Half a head is a fault of the protocol; none at all is a closed connection.
        let failure = if !s.response_started && !u.inbuf.is_empty() {
            Failure::UpstreamProtocol
        } else {
            Failure::UpstreamClosed
        };
        self.upstream_lost(d, s, u, failure)
    }

    /// The exchange cannot go on with this connection.
    pub fn upstream_lost(
        &mut self,
        d: &mut Downstream,
        s: Box<Stream>,
        u: Box<Upstream>,
        failure: Failure,
    ) -> Step {
        let stats = u.cluster.stats();
        stats.inc(ClusterCounter::UpstreamCxDestroyRemote);
        stats.inc(ClusterCounter::UpstreamCxDestroyRemoteWithActiveRq);
        stats.inc(ClusterCounter::UpstreamCxDestroyWithActiveRq);
        // Back in its place, from where failing the stream closes it.
        let key = u.key;
        self.upstreams.put(key, u);
        debug_assert_eq!(s.upstream.key(), Some(key));
        let alive = self.fail_stream(d, s, failure);
        Step::Done(alive)
    }
}
