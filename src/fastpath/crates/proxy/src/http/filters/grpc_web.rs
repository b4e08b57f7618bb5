//! `envoy.filters.http.grpc_web`: gRPC-Web, in binary or base64, to gRPC and back. Trailers
//! become a last frame of the body.

use std::borrow::Cow;

use proto::Known;
use proto::h1::BodyLength;

use super::base64::{Decoder, Encoder};
use super::frames::{Frames, head};
use super::grpc_stats::Count;
use super::{Head, Refusal, Stream};
use crate::http::decimal::decimal;
use crate::http::grpc;

const TEXT: &[u8] = b"application/grpc-web-text";
const TEXT_PROTO: &[u8] = b"application/grpc-web-text+proto";
const BINARY: &[u8] = b"application/grpc-web";
const BINARY_PROTO: &[u8] = b"application/grpc-web+proto";
/// The flag of the frame with trailers.
const TRAILERS: u8 = 0x80;
/// Of a body that is no gRPC this much becomes the message.
const MAX_MESSAGE: usize = 16 * 1024;

#[derive(Debug)]
pub struct GrpcWeb {
    /// Base64 of the request.
    decoder: Option<Decoder>,
    is_text_response: bool,
    /// Messages are encoded one by one.
    encoder: Encoder,
    frames: Frames,
    /// The response is no gRPC: its body becomes the message of a status.
    is_foreign: bool,
    count: Option<Count>,
}

impl GrpcWeb {
    /// `None`: the request is no gRPC-Web.
    pub fn begin(s: &mut Stream) -> Option<Self> {
        let content_type = s.request.headers.get(Known::ContentType)?;
        let is_text = matches!(content_type, TEXT | TEXT_PROTO);
        if !is_text && !matches!(content_type, BINARY | BINARY_PROTO) {
            return None;
        }
        let headers = &mut s.request.headers;
        headers.set(Known::ContentType, grpc::CONTENT_TYPE);
        let is_text_response = matches!(headers.get(Known::Accept), Some(TEXT | TEXT_PROTO));
        headers.set(Known::Te, b"trailers");
        if !headers.contains(Known::GrpcAcceptEncoding) {
            headers.push_known(Known::GrpcAcceptEncoding, b"identity");
        }
        // Its length was that of the text.
        headers.remove(Known::ContentLength);
        if s.request.body != BodyLength::None {
            s.request.body = BodyLength::Chunked;
        }
        Some(Self {
            decoder: is_text.then(Decoder::default),
            is_text_response,
            encoder: Encoder::default(),
            frames: Frames::default(),
            is_foreign: false,
            count: Count::of_method(s, "grpc-web"),
        })
    }

    pub fn count_mut(&mut self) -> Option<&mut Count> {
        self.count.as_mut()
    }

    pub fn decode_data<'a>(
        &mut self,
        data: Cow<'a, [u8]>,
        end: bool,
    ) -> Result<Cow<'a, [u8]>, Refusal> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(data);
        };
        let refusal = |details| Refusal {
            status: 400,
            body: "Bad gRPC-web request, invalid base64 data.",
            details,
        };
        let mut plain = Vec::with_capacity(data.len());
        decoder
            .decode(&data, &mut plain)
            .map_err(|_| refusal("grpc_base_64_decode_failed"))?;
        if end && !decoder.is_whole() {
            return Err(refusal("grpc_base_64_decode_failed_bad_size"));
        }
        Ok(plain.into())
    }

    pub fn encode_head(&mut self, s: &mut Stream, end: bool) -> Head {
        if let Some(count) = self.count.as_ref().filter(|_| end) {
            count.outcome(&s.response.headers);
        }
        self.is_foreign = !end && !grpc::is_grpc(&s.response.headers);
        let content_type = if self.is_text_response {
            TEXT_PROTO
        } else {
            BINARY_PROTO
        };
        let response = &mut s.response;
        response.headers.set(Known::ContentType, content_type);
        response.headers.remove(Known::ContentLength);
        if self.is_foreign {
            return Head::Hold;
        }
        if !end {
            response.body = BodyLength::Chunked;
        }
        Head::Pass
    }

    pub fn encode_data<'a>(&mut self, data: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        if !self.is_text_response || self.is_foreign {
            return data;
        }
        let mut text = Vec::with_capacity(data.len().saturating_mul(2));
        let mut rest = &*data;
        while !rest.is_empty() {
            let step = self.frames.step(rest);
            let (message, later) = rest.split_at_checked(step.used).unwrap_or((rest, &[]));
            self.encoder.encode(message, &mut text);
            if step.ends {
                self.encoder.finish(&mut text);
            }
            rest = later;
        }
        text.into()
    }

    pub fn encode_trailers(&mut self, s: &mut Stream, tail: &mut Vec<u8>) {
        if let Some(count) = &self.count {
            count.outcome(&s.response_trailers);
        }
        if self.is_foreign {
            return;
        }
        let mut lines = Vec::new();
        for (name, value) in s.response_trailers.iter() {
            lines.extend_from_slice(name);
            lines.push(b':');
            lines.extend_from_slice(value);
            lines.extend_from_slice(b"\r\n");
        }
        s.response_trailers.clear();
        let head = head(TRAILERS, lines.len());
        if self.is_text_response {
            // A message that was cut short keeps its bytes.
            self.encoder.finish(tail);
            self.encoder.encode(&head, tail);
            self.encoder.encode(&lines, tail);
            self.encoder.finish(tail);
        } else {
            tail.extend_from_slice(&head);
            tail.extend_from_slice(&lines);
        }
    }

    pub fn finish_held(&mut self, s: &mut Stream, body: &mut Vec<u8>) {
        if !self.is_foreign {
            return;
        }
        let text = body.get(..MAX_MESSAGE).unwrap_or(body);
        let mut message = Vec::with_capacity(text.len());
        grpc::percent_encode(text, &mut message);
        let headers = &mut s.response.headers;
        headers.set(Known::GrpcMessage, &message);
        let mut digits = [0; 20];
        let status = grpc::status_of_http(s.response.status);
        headers.set(Known::GrpcStatus, decimal(&mut digits, status));
        body.clear();
    }
}
