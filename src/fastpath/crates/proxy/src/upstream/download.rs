//! A response on its way down: from the host's bytes to the client's.

use std::borrow::Cow;

use proto::Known;
use proto::h1::{
    BodyDecoder, BodyError, BodyEvent, BodyLimits, CRLF, HeadLimits, LAST_CHUNK, write_chunk_size,
    write_trailers,
};

use super::{COPY_BELOW, Step, Upstream};
use crate::http::downstream::{Alive, Downstream};
use crate::http::failure::Failure;
use crate::http::filters;
use crate::http::stream::{Stream, Upstreaming};
use crate::http::upgrade::{Tunnel, raw_part};
use crate::http2::carrier::Carrier;
use crate::telemetry::stats::{ClusterCounter, ClusterHistogram, HcmCounter};
use crate::worker::Worker;
use crate::worker::timers::NEVER;

/// Of one request. 100, 102 and 103 make sense once each, and progress a few times.
const MAX_INTERIM_RESPONSES: u8 = 10;

impl Worker {
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
        let head_is_new = !s.response_started && s.held.is_none();
        if head_is_new {
            let taken = self.take_response_head(d, &mut s, &mut u, data);
            if let (Ok(Some(_)), Some(host)) = (&taken, &s.host) {
                let head = &s.response;
                host.note_answer(s.is_grpc, head.status, &head.headers);
            }
            match taken {
                Ok(Some(n)) if self.retries_response(&mut s) => {
                    let complete = is_response_done(&s, &u, n == data.len()) && n == data.len();
                    self.drop_response(d, s, u, complete);
                    return Step::Done(Alive::Yes);
                }
                Ok(Some(n)) => {
                    used = n;
                    self.take_response(d, &mut s, &u, used == data.len(), out);
                }
                Ok(None) => {
                    d.stream = Some(s);
                    return Step::Continue(u);
                }
                Err(failure) => return self.upstream_lost(d, s, u, failure),
            }
        }
        let mut client_gone = false;
        let mut done = is_response_done(&s, &u, used == data.len());
        // The head said so; what comes after an older head did not.
        let mut end_sent = done && head_is_new && d.carrier.is_stream() && s.held.is_none();
        while !done {
            let rest = data.get(used..).unwrap_or_default();
            let (n, event) = match next_of_response(&mut s, &u, rest) {
                Ok(step) => step,
                Err(_) => {
                    u.cluster
                        .stats()
                        .inc(ClusterCounter::UpstreamCxProtocolError);
                    self.flush_head(d, out);
                    return self.upstream_lost(d, s, u, Failure::UpstreamProtocol);
                }
            };
            used = used.saturating_add(n);
            match event {
                BodyEvent::Data { start, len } => {
                    let body = rest
                        .get(start..start.saturating_add(len))
                        .unwrap_or_default();
                    done = is_response_done(&s, &u, used == data.len());
                    end_sent = done && d.carrier.is_stream();
                    if !s.filters_see_bodies {
                        s.info.bytes_sent = s.info.bytes_sent.saturating_add(len as u64);
                        client_gone |= !self.send_response_data(d, &mut s, out, body, done);
                    } else {
                        match self.send_filtered_response(d, &mut s, out, body, done) {
                            Ok(alive) => client_gone |= !alive,
                            Err(failure) => return self.upstream_lost(d, s, u, failure),
                        }
                        end_sent &= s.held.is_none();
                    }
                }
                BodyEvent::Trailers => {}
                BodyEvent::End => done = true,
                BodyEvent::NeedMore => {
                    u.inbuf
                        .extend_from_slice(data.get(used..).unwrap_or_default());
                    used = data.len();
                    break;
                }
            }
        }
        if done && !end_sent && !s.tunnel.is_open() {
            self.send_response_end(d, &mut s, &u, out);
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
        if done && s.tunnel.is_open() {
            return self.tunnel_ended_down(d, s, u);
        }
        if !done {
            d.stream = Some(s);
            return Step::Continue(u);
        }
        let excess = used < data.len();
        let tunnel = s.tunnel;
        self.finish_exchange(d, s, u, excess && tunnel != Tunnel::Refused);
        Step::Done(Alive::Yes)
    }

    /// False: the client is gone.
    fn send_response_data(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        out: &mut Vec<u8>,
        body: &[u8],
        end: bool,
    ) -> bool {
        if let Some(ours) = &mut s.ours {
            return ours.take_body(body);
        }
        if let Carrier::Stream(carrier) = &mut d.carrier {
            self.send_on_stream(carrier, body, end);
            return true;
        }
        if s.chunk_response {
            write_chunk_size(out, body.len() as u64);
        }
        let tail = if s.chunk_response { CRLF } else { b"" };
        if body.len() < COPY_BELOW {
            out.extend_from_slice(body);
            out.extend_from_slice(tail);
            return true;
        }
        let alive = self.write_downstream_parts(d, [out, body, tail]);
        out.clear();
        alive
    }

    /// What filters make of a part of the body. `Ok(false)`: the client is gone.
    fn send_filtered_response(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        out: &mut Vec<u8>,
        body: &[u8],
        end: bool,
    ) -> Result<bool, Failure> {
        let body = filters::encode_data(&mut s.filters, Cow::Borrowed(body));
        let Some(held) = &mut s.held else {
            if body.is_empty() && !end {
                return Ok(true);
            }
            s.info.bytes_sent = s.info.bytes_sent.saturating_add(body.len() as u64);
            return Ok(self.send_response_data(d, s, out, &body, end));
        };
        if held.len().saturating_add(body.len()) > d.buffer_limit() {
            d.client.http.stats().inc(HcmCounter::RsTooLarge);
            return Err(Failure::ResponseTooLarge);
        }
        held.extend_from_slice(&body);
        Ok(true)
    }

    /// A response that filters held is complete: it leaves as a whole.
    fn send_held(&mut self, d: &mut Downstream, s: &mut Stream, out: &mut Vec<u8>) {
        let body = filters::finish_held(s);
        let sent = if s.is_head { &[][..] } else { &*body };
        self.encode_response_head(d, s, out, sent.is_empty());
        s.info.bytes_sent = sent.len() as u64;
        if !sent.is_empty() {
            // A client that is gone shows with the next event.
            self.send_response_data(d, s, out, sent, true);
        }
    }

    /// The end of a body, with trailers if the client's side takes them.
    fn send_response_end(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        u: &Upstream,
        out: &mut Vec<u8>,
    ) {
        let from = u.carrier.is_stream() || u.cluster.config.borrow().http.enable_trailers;
        if s.filters_see_bodies && from && !s.response_trailers.is_empty() {
            let tail = filters::encode_trailers(s);
            if !tail.is_empty() && s.held.is_none() {
                s.info.bytes_sent = s.info.bytes_sent.saturating_add(tail.len() as u64);
                self.send_response_data(d, s, out, &tail, false);
            }
        }
        if s.held.is_some() {
            return self.send_held(d, s, out);
        }
        let to = d.carrier.is_stream() || d.client.http.hcm.enable_trailers;
        let pass = from && to && !s.response_trailers.is_empty();
        match &mut d.carrier {
            Carrier::Stream(carrier) => {
                self.end_on_stream(carrier, pass.then_some(&s.response_trailers));
            }
            Carrier::Socket(_) if !s.chunk_response || s.is_head => {}
            Carrier::Socket(_) if pass => write_trailers(out, &s.response_trailers),
            Carrier::Socket(_) => out.extend_from_slice(LAST_CHUNK),
        }
    }

    fn flush_head(&mut self, d: &mut Downstream, out: &mut Vec<u8>) {
        if !out.is_empty() {
            self.write_downstream(d, out, b"");
            out.clear();
        }
    }

    /// Takes heads up to the final one. Returns the bytes of `data` they took;
    /// `None`: the final one is not there yet.
    fn take_response_head(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        u: &mut Upstream,
        data: &[u8],
    ) -> Result<Option<usize>, Failure> {
        let used = match &u.carrier {
            Carrier::Socket(_) => match self.read_response_head(d, s, u, data)? {
                Some(used) => used,
                None => return Ok(None),
            },
            Carrier::Stream(_) if s.response.is_interim() => {
                self.interim_response(d, s, u)?;
                s.response.clear();
                return Ok(None);
            }
            Carrier::Stream(_) => 0,
        };
        s.response_decoder = BodyDecoder::new(s.response.body);
        Ok(Some(used))
    }

    /// The head is the client's: counts it and sends it on.
    fn take_response(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        u: &Upstream,
        all_used: bool,
        out: &mut Vec<u8>,
    ) {
        let now_ns = self.clock.now_ns();
        s.try_deadline = NEVER;
        s.info.upstream_rx_begin = now_ns;
        s.info.details = Some("via_upstream".into());
        s.info.response_code = Some(s.response.status);
        let internal = s.request.headers.contains(Known::XEnvoyInternal);
        if d.client.http.router.get().dynamic_stats {
            u.cluster.stats().response_code(s.response.status, internal);
        }
        self.count_route_response(s);
        let shard = &u.pool.shard;
        if s.response.status >= 500 {
            shard.rq_error.inc()
        } else {
            shard.rq_success.inc()
        }
        s.response_keep_alive = s.response.keep_alive;
        if s.tunnel == Tunnel::Asked {
            self.answer_tunnel(d, s, u);
        }
        self.route_upstream_response(d, s);
        let end = is_response_done(s, u, all_used);
        if !s.filters.is_empty() {
            self.encode_filters_head(s, end);
        }
        if s.held.is_none() {
            self.encode_response_head(d, s, out, end);
        }
    }

    /// Reads HTTP/1 heads up to the final one.
    fn read_response_head(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        u: &mut Upstream,
        data: &[u8],
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
            if s.response.switching && !(s.request.upgrade && s.tunnel == Tunnel::Asked) {
                // Nobody asked for an upgrade.
                return Err(Failure::UpstreamProtocol);
            }
            if !s.response.is_interim() {
                return Ok(Some(used));
            }
            self.interim_response(d, s, u)?;
            s.response.clear();
        }
    }

    /// Of interim responses Envoy passes on 100, if `proxy_100_continue` says so. A host that
    /// sends nothing else is cut off.
    fn interim_response(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        u: &Upstream,
    ) -> Result<(), Failure> {
        s.interim_responses = s.interim_responses.saturating_add(1);
        if s.interim_responses > MAX_INTERIM_RESPONSES {
            let stats = u.cluster.stats();
            stats.inc(ClusterCounter::UpstreamCxProtocolError);
            return Err(Failure::UpstreamProtocol);
        }
        let is_old = s.request.version == proto::h1::Version::Http10;
        if s.response.status == 100 && d.client.http.hcm.proxy_100_continue && !is_old {
            self.send_continue(d);
        }
        Ok(())
    }

    /// The response is complete, and so is the stream.
    pub fn finish_exchange(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        u: Box<Upstream>,
        excess: bool,
    ) {
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
            && u.backlog() == 0
            && u.inbuf.is_empty()
            && !u.peer_closed
            && matches!(s.upstream, Upstreaming::On(_));
        if excess {
            u.cluster
                .stats()
                .inc(ClusterCounter::UpstreamCxProtocolError);
        }
        let keeps = reusable || u.carrier.is_stream();
        if !keeps {
            self.bound_given_up(d, &s, &u);
        }
        self.end_stream(d, s);
        if keeps {
            self.release(u);
        } else {
            let stats = u.cluster.stats();
            stats.inc(ClusterCounter::UpstreamCxDestroyLocal);
            stats.record(ClusterHistogram::UpstreamRqPerCx, u64::from(u.requests));
            self.close_upstream(u);
        }
    }

    /// The upstream closed its side.
    pub fn upstream_eof(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        u: Box<Upstream>,
    ) -> Step {
        if s.tunnel.is_open() {
            return self.tunnel_ended_down(d, s, u);
        }
        if (s.response_started || s.held.is_some()) && s.response_decoder.eof().is_ok() {
            let mut out = std::mem::take(&mut self.out);
            out.clear();
            self.send_response_end(d, &mut s, &u, &mut out);
            self.flush_head(d, &mut out);
            self.out = out;
            s.response_keep_alive = false;
            self.finish_exchange(d, s, u, false);
            return Step::Done(Alive::Yes);
        }
        // Half a head is a fault of the protocol; none at all is a closed connection.
        let failure = if !s.response_started && !u.inbuf.is_empty() {
            Failure::UpstreamProtocol
        } else {
            Failure::UpstreamClosed
        };
        self.upstream_lost(d, s, u, failure)
    }

    /// The host has ended its side of a tunnel; the client's may go on.
    fn tunnel_ended_down(
        &mut self,
        d: &mut Downstream,
        mut s: Box<Stream>,
        mut u: Box<Upstream>,
    ) -> Step {
        u.readable = false;
        self.end_tunnel_down(d, &mut s);
        d.stream = Some(s);
        let key = u.key;
        self.upstreams.put(key, u);
        self.end_tunnel_if_over(d);
        match self.upstreams.take(key) {
            Some(u) => Step::Continue(u),
            None => Step::Done(Alive::Yes),
        }
    }

    /// The exchange cannot go on with this connection.
    pub fn upstream_lost(
        &mut self,
        d: &mut Downstream,
        s: Box<Stream>,
        u: Box<Upstream>,
        failure: Failure,
    ) -> Step {
        if !u.carrier.is_stream() {
            let stats = u.cluster.stats();
            stats.inc(ClusterCounter::UpstreamCxDestroyRemote);
            stats.inc(ClusterCounter::UpstreamCxDestroyRemoteWithActiveRq);
            stats.inc(ClusterCounter::UpstreamCxDestroyWithActiveRq);
        }
        // Back in its place, from where failing the stream closes it.
        let key = u.key;
        self.upstreams.put(key, u);
        debug_assert_eq!(s.upstream.key(), Some(key));
        let alive = self.fail_stream(d, s, failure);
        Step::Done(alive)
    }
}

/// The next part of the response's body in what the host sent.
fn next_of_response(
    s: &mut Stream,
    u: &Upstream,
    rest: &[u8],
) -> Result<(usize, BodyEvent), BodyError> {
    match &u.carrier {
        Carrier::Socket(_) => {
            let limits = BodyLimits::default();
            s.response_decoder
                .next(rest, Some(&mut s.response_trailers), &limits)
        }
        Carrier::Stream(carrier) => Ok(raw_part(rest, carrier.ended)),
    }
}

/// Whether nothing of the response is missing, trailers included.
fn is_response_done(s: &Stream, u: &Upstream, all_used: bool) -> bool {
    match &u.carrier {
        Carrier::Socket(_) => s.response_decoder.is_done(),
        Carrier::Stream(carrier) => carrier.ended && all_used && s.response_trailers.is_empty(),
    }
}
