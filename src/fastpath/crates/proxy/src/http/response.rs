//! What the HTTP connection manager does to a response (`ActiveStream::encodeHeaders`), and how a
//! head leaves for the client.

use model::resources::hcm::{Hcm, ServerHeader};
use proto::h1::{BodyLength, Method, ResponseOptions, Version, write_response_head};
use proto::{HeaderMap, Known};

use super::downstream::{Closing, Downstream};
use super::stream::Stream;
use crate::telemetry::stats::HcmCounter;
use crate::worker::Worker;

impl Worker {
    /// Finishes the response head and appends it to `out`. From here on the response has started.
    pub fn encode_response_head(&mut self, d: &mut Downstream, s: &mut Stream, out: &mut Vec<u8>) {
        let http = std::rc::Rc::clone(&d.client.http);
        let hcm = &*http.hcm;
        let headers = &mut s.response.headers;
        proto::strip_hop_by_hop(headers);
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

        if !s.request_complete {
            // The client is still sending; HTTP/1.1 cannot tell it to stop but by closing.
            d.client.http.stats()
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
        let close = self.closes_after(d, s, hcm) || framing == BodyLength::UntilClose;
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
        s.response_started = true;
        s.info.response_code = Some(s.response.status);
        s.info.downstream_tx_begin = self.clock.now_ns();
        self.count_response(d, s.response.status);
    }

    /// Whether this response is the connection's last, and who knows of it.
    fn closes_after(&self, d: &mut Downstream, s: &Stream, hcm: &Hcm) -> bool {
        if d.closing != Closing::No {
            return true;
        }
        if !s.request.keep_alive {
            // The client asked for it: it will send no more.
            return true;
        }
        let stats = d.client.http.stats();
        if d.is_draining(self) {
            stats.inc(HcmCounter::DownstreamCxDrainClose);
            d.linger = true;
            return true;
        }
        if hcm
            .max_requests_per_connection
            .is_some_and(|max| d.requests >= u64::from(max))
        {
            stats.inc(HcmCounter::DownstreamCxMaxRequestsReached);
            d.linger = true;
            return true;
        }
        false
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
