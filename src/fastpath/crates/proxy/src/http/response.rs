//! What the HTTP connection manager does to a response (`ActiveStream::encodeHeaders`), and how a
//! head leaves for the client.

use model::resources::hcm::{Hcm, ServerHeader};
use proto::h1::{BodyLength, Method, ResponseOptions, Version, write_response_head};
use proto::{HeaderMap, Known};

use super::downstream::{Closing, Downstream};
use super::stream::Stream;
use crate::http2::carrier::Carrier;
use crate::telemetry::stats::HcmCounter;
use crate::worker::Worker;

impl Worker {
    /// Finishes the response head and appends it to `out`, or sends it on its stream. From here on
    /// the response has started. `end`: no body follows.
    pub fn encode_response_head(
        &mut self,
        d: &mut Downstream,
        s: &mut Stream,
        out: &mut Vec<u8>,
        end: bool,
    ) {
        if s.ours.is_some() {
            s.response_started = true;
            return;
        }
        let http = std::rc::Rc::clone(&d.client.http);
        let hcm = &*http.hcm;
        let headers = &mut s.response.headers;
        if s.tunnel.is_open() {
            proto::strip_for_upgrade(headers);
        } else {
            proto::strip_hop_by_hop(headers);
        }
        if let Some(via) = &hcm.via {
            headers.append_value(Known::Via, b", ", via.as_bytes());
        }
        server_header(hcm, headers);
        if !headers.contains(Known::Date) {
            headers.push_known(Known::Date, self.clock.date().as_bytes());
        }
        let echo_id = hcm.always_set_request_id_in_response
            || s.request.headers.contains(Known::XEnvoyForceTrace);
        if echo_id && let Some(id) = s.request.headers.get(Known::XRequestId) {
            headers.set(Known::XRequestId, id);
        }

        if d.carrier.is_stream() {
            self.send_head_on_stream(d, s, end);
        } else {
            self.write_head(d, s, out);
        }
        s.response_started = true;
        s.info.response_code = Some(s.response.status);
        s.info.downstream_tx_begin = self.clock.now_ns();
        self.count_response(d, s.response.status);
    }

    /// As HTTP/1.1.
    fn write_head(&mut self, d: &mut Downstream, s: &mut Stream, out: &mut Vec<u8>) {
        let is_tunnel = s.tunnel.is_open();
        if !s.request_complete && !is_tunnel {
            // The client is still sending; HTTP/1.1 cannot tell it to stop but by closing.
            d.client
                .http
                .stats()
                .inc(HcmCounter::DownstreamRqResponseBeforeRqComplete);
            if d.closing == Closing::No {
                d.closing = Closing::AfterFlush;
                d.linger = true;
            }
        }
        let old_client = s.request.version == Version::Http10;
        let framing = match s.response.body {
            // An end by close is a guess; chunks say it (RFC 9112 §6.3).
            BodyLength::UntilClose if !old_client => BodyLength::Chunked,
            BodyLength::Chunked if old_client => BodyLength::UntilClose,
            framing => framing,
        };
        s.chunk_response = framing == BodyLength::Chunked;
        let close = !is_tunnel && (self.closes_after(d, s) || framing == BodyLength::UntilClose);
        if close {
            d.closing = Closing::AfterFlush;
        } else if old_client && s.request.keep_alive {
            s.response
                .headers
                .push_known(Known::Connection, b"keep-alive");
        }
        let options = ResponseOptions {
            version: s.request.version,
            request: if s.is_head {
                Method::Head
            } else {
                s.request.kind
            },
            close,
        };
        let before = out.len();
        write_response_head(out, &s.response, framing, options);
        s.info.downstream_header_bytes_sent = out.len().saturating_sub(before) as u64;
    }

    /// As HTTP/2: no framing, and a connection is not ended by a response.
    fn send_head_on_stream(&mut self, d: &mut Downstream, s: &mut Stream, end: bool) {
        let is_tunnel = s.tunnel.is_open();
        if !s.request_complete && !is_tunnel {
            d.client
                .http
                .stats()
                .inc(HcmCounter::DownstreamRqResponseBeforeRqComplete);
        }
        let is_last = self.drains_after(d);
        let Carrier::Stream(carrier) = &mut d.carrier else {
            return;
        };
        let Some(connection) = self.http2.get_mut(carrier.connection) else {
            return;
        };
        let (codec, frames) = connection.codec_and_out();
        let before = frames.len();
        let response = &s.response;
        // HTTP/2 knows no 101: a tunnel opens with 200 (RFC 8441 §4).
        let status = if is_tunnel { 200 } else { response.status };
        codec.send_response(
            frames,
            carrier.id,
            status,
            &response.headers,
            response.body,
            end,
        );
        s.info.downstream_header_bytes_sent = frames.len().saturating_sub(before) as u64;
        carrier.finished = end;
        let key = carrier.connection;
        self.wrote_http2(key);
        if is_last {
            self.drain_http2(key);
        }
    }

    /// Whether the connection that carries a response is to end, which is counted.
    fn drains_after(&self, d: &Downstream) -> bool {
        let http = &d.client.http;
        let is_told =
            || matches!(&d.carrier, Carrier::Stream(s) if self.is_http2_told(s.connection));
        if d.is_draining(self) && !is_told() {
            http.stats().inc(HcmCounter::DownstreamCxDrainClose);
            return true;
        }
        let most = http.hcm.max_requests_per_connection;
        if most.is_some_and(|max| d.requests >= u64::from(max)) {
            http.stats().inc(HcmCounter::DownstreamCxMaxRequestsReached);
            return true;
        }
        false
    }

    /// 100: the client may send its body.
    pub fn send_continue(&mut self, d: &mut Downstream) {
        let Carrier::Stream(carrier) = &mut d.carrier else {
            self.write_downstream(d, proto::h1::CONTINUE, b"");
            return;
        };
        let key = carrier.connection;
        if let Some(connection) = self.http2.get_mut(key) {
            let (codec, frames) = connection.codec_and_out();
            codec.send_interim(frames, carrier.id, 100, &HeaderMap::new());
            self.wrote_http2(key);
        }
    }

    /// Whether this response is the connection's last, and who knows of it.
    fn closes_after(&self, d: &mut Downstream, s: &Stream) -> bool {
        if d.closing != Closing::No {
            return true;
        }
        if !s.request.keep_alive {
            // The client asked for it: it will send no more.
            return true;
        }
        d.linger = self.drains_after(d);
        d.linger
    }
}

fn server_header(hcm: &Hcm, headers: &mut HeaderMap) {
    let name = hcm.server_name.as_bytes();
    match hcm.server_header {
        ServerHeader::Overwrite => {
            headers.set(Known::Server, name);
        }
        ServerHeader::AppendIfAbsent => {
            if !headers.contains(Known::Server) {
                headers.push_known(Known::Server, name);
            }
        }
        // What the upstream says; nothing on replies of ours.
        ServerHeader::PassThrough => {}
    }
}
