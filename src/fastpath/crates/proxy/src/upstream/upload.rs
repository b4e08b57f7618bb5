//! A request on its way up: from the client's bytes to the host's.

use std::borrow::Cow;

use proto::h1::{
    BodyError, BodyEvent, BodyLength, BodyLimits, CRLF, LAST_CHUNK, Scheme, Version,
    write_chunk_size, write_request_head, write_trailers,
};
use proto::masque::CapsuleError;

use super::{COPY_BELOW, Upstream};
use crate::http::downstream::{Alive, Closing, Downstream};
use crate::http::failure::Failure;
use crate::http::filters::{Refusal, decode_data};
use crate::http::stream::{Stream, Upstreaming};
use crate::http::upgrade::{Tunnel, raw_part, to_extended_connect};
use crate::http2::carrier::Carrier;
use crate::telemetry::stats::{ClusterCounter, HcmCounter};
use crate::worker::Worker;
use crate::worker::timers::NEVER;

/// The end of the last chunk but one, and the last.
const CRLF_LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

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
    BadBody(BodyError),
    /// A filter does not let it pass.
    Refused(Refusal),
    /// What should be capsules are none.
    BadCapsule(CapsuleError),
}

impl Worker {
    /// Sends a part of the request body (with the head before it, if it is the first).
    pub fn upload(&mut self, d: &mut Downstream, s: &mut Stream, data: &[u8]) -> Taken {
        if let Upstreaming::Udp(key) = s.upstream {
            return self.upload_datagrams(d, s, key, data);
        }
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
                self.end_tunnel_if_over(d);
                Alive::Yes
            }
            Outcome::BadHead => self.fail_stream(d, s, Failure::UpstreamProtocol),
            Outcome::BadCapsule(error) => self.fail_stream(d, s, Failure::Capsule(error)),
            Outcome::Refused(refusal) => {
                self.give_up_upstream(d, &mut s);
                if s.response_started {
                    self.end_stream(d, s);
                    return Alive::No;
                }
                s.response.clear();
                s.held = None;
                let Refusal {
                    status,
                    body,
                    details,
                } = refusal;
                self.local_reply(d, s, status, body.as_bytes(), details.into());
                Alive::Yes
            }
            Outcome::BadBody(error) => {
                d.client
                    .http
                    .stats()
                    .inc(HcmCounter::DownstreamCxProtocolError);
                s.info.flags.insert(
                    crate::telemetry::response_flags::ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR,
                );
                self.give_up_upstream(d, &mut s);
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

    fn give_up_upstream(&mut self, d: &Downstream, s: &mut Stream) {
        match std::mem::take(&mut s.upstream) {
            Upstreaming::On(key) | Upstreaming::Broken(key) => self.drop_upstream_of(d, s, key),
            Upstreaming::Udp(key) => self.close_udp(key),
            Upstreaming::None | Upstreaming::Waiting => {}
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
            if !self.send_request_head(d, s, u, out, data.is_empty()) {
                return Taken {
                    bytes: 0,
                    outcome: Outcome::BadHead,
                };
            }
            if s.info.attempt_count > 1 {
                self.send_body_again(d, s, u, out);
            }
        }
        let mut used = 0_usize;
        let mut outcome = Outcome::Ok;
        while !s.request_complete && s.tunnel.lets_client_send() {
            let rest = data.get(used..).unwrap_or_default();
            let (n, event) = match next_of_request(d, s, rest) {
                Ok(step) => step,
                Err(error) => {
                    outcome = Outcome::BadBody(error);
                    break;
                }
            };
            used = used.saturating_add(n);
            match event {
                BodyEvent::Data { start, len } => {
                    let body = rest
                        .get(start..start.saturating_add(len))
                        .unwrap_or_default();
                    s.info.bytes_received = s.info.bytes_received.saturating_add(len as u64);
                    let last = is_request_done(d, s, used == data.len());
                    if !s.filters_see_bodies {
                        self.send_request_data(s, u, out, body, last);
                    } else if let Err(refusal) = self.send_filtered(s, u, out, body, last) {
                        outcome = Outcome::Refused(refusal);
                        break;
                    }
                    s.request_complete = last;
                }
                BodyEvent::Trailers => {}
                BodyEvent::End => {
                    if s.filters_see_bodies
                        && let Err(refusal) = self.send_filtered_end(s, u, out)
                    {
                        outcome = Outcome::Refused(refusal);
                        break;
                    }
                    self.send_request_end(d, s, u, out);
                    s.request_complete = true;
                }
                BodyEvent::NeedMore => break,
            }
            if self.is_full(&u.carrier, u.buffer_limit()) {
                break;
            }
        }
        if !out.is_empty() {
            self.write_upstream(u, s, [out, b"", b""]);
        }
        self.note_upload(d, s, u);
        Taken {
            bytes: used,
            outcome,
        }
    }

    fn send_filtered(
        &mut self,
        s: &mut Stream,
        u: &mut Upstream,
        out: &mut Vec<u8>,
        body: &[u8],
        end: bool,
    ) -> Result<(), Refusal> {
        let data = decode_data(&mut s.filters, Cow::Borrowed(body), end)?;
        if !data.is_empty() {
            self.send_request_data(s, u, out, &data, end);
        } else if end {
            match &mut u.carrier {
                Carrier::Stream(carrier) => self.end_on_stream(carrier, None),
                Carrier::Socket(_) if s.request.body == BodyLength::Chunked => {
                    out.extend_from_slice(LAST_CHUNK);
                }
                Carrier::Socket(_) => {}
            }
        }
        Ok(())
    }

    /// What filters still hold goes before the end.
    fn send_filtered_end(
        &mut self,
        s: &mut Stream,
        u: &mut Upstream,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let data = decode_data(&mut s.filters, Cow::Borrowed(&[]), true)?;
        if !data.is_empty() {
            self.send_request_data(s, u, out, &data, false);
        }
        Ok(())
    }

    /// Clocks, and back-pressure, after a step.
    fn note_upload(&mut self, d: &mut Downstream, s: &mut Stream, u: &Upstream) {
        let now = self.clock.now_ms();
        s.last_activity = now;
        if s.request_complete && s.mirrors != 0 {
            self.send_mirrors(d, s);
        }
        if s.request_complete {
            let now_ns = self.clock.now_ns();
            s.info.downstream_rx_end = now_ns;
            s.info.upstream_tx_end = now_ns;
            if s.route_deadline == NEVER && s.tunnel == Tunnel::No {
                s.route_deadline = now.saturating_add(s.route_timeout_ms);
            }
            if s.try_deadline == NEVER && !s.response_started && s.tunnel == Tunnel::No {
                s.try_deadline = now.saturating_add(s.try_timeout_ms);
            }
            let deadline = s.deadline();
            self.arm_downstream(d, deadline);
        } else if self.is_full(&u.carrier, u.buffer_limit()) {
            s.upload_blocked = true;
            let stats = u.cluster.stats();
            stats.inc(ClusterCounter::UpstreamFlowControlBackedUpTotal);
            d.client
                .http
                .stats()
                .inc(HcmCounter::DownstreamFlowControlPausedReadingTotal);
        }
    }

    /// False: it cannot be said in the host's protocol. `is_all`: no body has come yet.
    fn send_request_head(
        &mut self,
        d: &Downstream,
        s: &mut Stream,
        u: &mut Upstream,
        out: &mut Vec<u8>,
        is_all: bool,
    ) -> bool {
        match &mut u.carrier {
            Carrier::Socket(_) => {
                if !write_request_head(out, &s.request, s.request.body) {
                    return false;
                }
                s.info.upstream_header_bytes_sent = out.len() as u64;
            }
            Carrier::Stream(carrier) => {
                let asks = s.tunnel == Tunnel::Asked;
                let nothing_was = s.retry.body.is_empty() && s.request_trailers.is_empty();
                let end = !asks
                    && nothing_was
                    && (s.request_complete
                        || (d.carrier.is_stream() && is_request_done(d, s, is_all)));
                let is_upgrade = asks && s.request.upgrade;
                if is_upgrade && !to_extended_connect(&mut s.request) {
                    return false;
                }
                let Some(connection) = self.http2.get_mut(carrier.connection) else {
                    return false;
                };
                let scheme = if s.info.scheme_https {
                    Scheme::Https
                } else {
                    Scheme::Http
                };
                let (codec, frames) = connection.codec_and_out();
                let before = frames.len();
                let framing = s.request.body;
                let sent = codec.send_request(frames, &s.request, scheme, framing, end);
                if is_upgrade {
                    // What it is to everybody else, the access log among them.
                    s.request.set_method(b"GET");
                }
                let Ok(id) = sent else { return false };
                s.info.upstream_header_bytes_sent = frames.len().saturating_sub(before) as u64;
                carrier.id = id;
                carrier.finished = end;
                s.request_complete |= end;
                let key = carrier.connection;
                connection.add_stream(id, u.key);
                self.wrote_http2(key);
            }
        }
        s.request_head_sent = true;
        s.info.upstream_tx_begin = self.clock.now_ns();
        true
    }

    /// Another attempt: what the one before had sent of the body.
    fn send_body_again(
        &mut self,
        d: &Downstream,
        s: &mut Stream,
        u: &mut Upstream,
        out: &mut Vec<u8>,
    ) {
        if s.is_tcp || s.tunnel != Tunnel::No {
            return;
        }
        let body = std::mem::take(&mut s.retry.body);
        let end = s.request_complete && s.request_trailers.is_empty();
        if !body.is_empty() {
            self.put_request_data(s, u, out, &body, end);
        }
        let is_ended = end && (!body.is_empty() || u.carrier.is_stream());
        if s.request_complete && !is_ended {
            self.send_request_end(d, s, u, out);
        }
        s.retry.body = body;
    }

    fn send_request_data(
        &mut self,
        s: &mut Stream,
        u: &mut Upstream,
        out: &mut Vec<u8>,
        body: &[u8],
        end: bool,
    ) {
        if s.retry.may_come() || s.mirrors != 0 {
            self.keep_body(s, body);
        }
        self.put_request_data(s, u, out, body, end);
    }

    fn put_request_data(
        &mut self,
        s: &mut Stream,
        u: &mut Upstream,
        out: &mut Vec<u8>,
        body: &[u8],
        end: bool,
    ) {
        if let Carrier::Stream(carrier) = &mut u.carrier {
            let sent = &mut s.info.upstream_wire_bytes_sent;
            // The connection counts for the cluster.
            *sent = sent.saturating_add(body.len() as u64);
            self.send_on_stream(carrier, body, end);
            return;
        }
        let chunked = s.request.body == BodyLength::Chunked && !s.is_tcp;
        if chunked {
            write_chunk_size(out, body.len() as u64);
        }
        let tail: &[u8] = match (chunked, end) {
            (false, _) => b"",
            (true, false) => CRLF,
            (true, true) => CRLF_LAST_CHUNK,
        };
        if body.len() < COPY_BELOW {
            out.extend_from_slice(body);
            out.extend_from_slice(tail);
        } else {
            // Behind what `out` holds, uncopied.
            self.write_upstream(u, s, [out, body, tail]);
            out.clear();
        }
    }

    /// The end of a body whose last part did not know that it was the last.
    fn send_request_end(
        &mut self,
        d: &Downstream,
        s: &mut Stream,
        u: &mut Upstream,
        out: &mut Vec<u8>,
    ) {
        let from = d.carrier.is_stream() || d.client.http.hcm.enable_trailers;
        let to = u.carrier.is_stream() || u.cluster.config.borrow().http.enable_trailers;
        let pass = from && to && !s.request_trailers.is_empty();
        match &mut u.carrier {
            Carrier::Stream(carrier) => {
                self.end_on_stream(carrier, pass.then_some(&s.request_trailers));
            }
            Carrier::Socket(_) if s.tunnel.is_open() || s.is_tcp => {
                self.end_raw(u, s, out);
            }
            Carrier::Socket(_) if s.request.body != BodyLength::Chunked => {}
            Carrier::Socket(_) if pass => write_trailers(out, &s.request_trailers),
            Carrier::Socket(_) => out.extend_from_slice(LAST_CHUNK),
        }
        if !s.retry.may_come() && s.mirrors == 0 {
            s.request_trailers.clear();
        }
    }

    /// The host gets no more: what waits, and then the end of our side.
    pub fn end_raw(&mut self, u: &mut Upstream, s: &mut Stream, out: &mut Vec<u8>) {
        if !out.is_empty() {
            self.write_upstream(u, s, [out, b"", b""]);
            out.clear();
        }
        if let Some(io) = u.carrier.io_mut()
            && io.finish().is_err()
        {
            u.readable = true;
            self.ready_upstreams.push(u.key);
        }
    }

    fn write_upstream(&mut self, u: &mut Upstream, s: &mut Stream, parts: [&[u8]; 3]) {
        let bytes = parts.iter().map(|part| part.len()).sum();
        self.count_body_sent(&u.cluster, s, bytes);
        let Some(io) = u.carrier.io_mut() else { return };
        // Hosts that get the requests of one HTTP/2 connection together answer them together, and
        // that connection would have to hold it all.
        let written = match s.request.version {
            Version::Http2 => io.write_parts(parts).map(|()| false),
            Version::Http10 | Version::Http11 => self.write_soon(io, parts),
        };
        match written {
            Ok(true) => self.written_upstreams.push(u.key),
            Ok(false) => {}
            Err(_) => {
                u.note_broken();
                s.upstream = Upstreaming::Broken(u.key);
                self.ready_upstreams.push(u.key);
            }
        }
    }

    fn count_body_sent(
        &self,
        cluster: &crate::cluster::ClusterRuntime,
        s: &mut Stream,
        bytes: usize,
    ) {
        let bytes = bytes as u64;
        cluster
            .stats()
            .add(ClusterCounter::UpstreamCxTxBytesTotal, bytes);
        s.info.upstream_wire_bytes_sent = s.info.upstream_wire_bytes_sent.saturating_add(bytes);
    }

    /// The upstream's buffer has room again.
    pub fn unblock_upload(&mut self, d: &mut Downstream) {
        if let Some(s) = &mut d.stream
            && s.upload_blocked
            && matches!(s.upstream, Upstreaming::Udp(_))
        {
            // It was its turn that ended.
            s.upload_blocked = false;
        }
        if let Some(s) = &mut d.stream
            && s.upload_blocked
            && let Some(u) = s.upstream.key().and_then(|key| self.upstreams.get(key))
            && !self.is_full(&u.carrier, u.buffer_limit() / 2)
        {
            s.upload_blocked = false;
            d.client
                .http
                .stats()
                .inc(HcmCounter::DownstreamFlowControlResumedReadingTotal);
        }
    }
}

/// The next part of the request's body in what the client sent.
fn next_of_request(
    d: &Downstream,
    s: &mut Stream,
    rest: &[u8],
) -> Result<(usize, BodyEvent), BodyError> {
    match &d.carrier {
        Carrier::Socket(_) if s.tunnel.is_open() => Ok(raw_part(rest, d.ended)),
        Carrier::Socket(_) => {
            let limits = BodyLimits::default();
            s.request_decoder
                .next(rest, Some(&mut s.request_trailers), &limits)
        }
        Carrier::Stream(carrier) => Ok(raw_part(rest, carrier.ended)),
    }
}

/// Whether nothing of the request is missing, trailers included.
fn is_request_done(d: &Downstream, s: &Stream, all_used: bool) -> bool {
    match &d.carrier {
        // An end that is to be said by itself.
        _ if s.tunnel.is_open() || s.is_tcp => false,
        Carrier::Socket(_) => s.request.body != BodyLength::Chunked && s.request_decoder.is_done(),
        Carrier::Stream(carrier) => {
            carrier.ended && all_used && d.inbuf.is_empty() && s.request_trailers.is_empty()
        }
    }
}
