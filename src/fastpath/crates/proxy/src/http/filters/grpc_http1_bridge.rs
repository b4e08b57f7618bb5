//! `envoy.filters.http.grpc_http1_bridge`: gRPC for clients of HTTP/1.1, which have no use for
//! trailers: the response is gathered and its status put into the head.

use std::borrow::Cow;

use proto::Known;
use proto::h1::{BodyLength, Version};

use super::frames::head;
use super::{Head, Refusal, Stream};
use crate::http::grpc;

const PROTOBUF: &[u8] = b"application/x-protobuf";

#[derive(Debug)]
pub struct Bridge {
    bridges: bool,
    /// A bare protobuf message is put into a gRPC frame, and taken out of one.
    framing: Option<Vec<u8>>,
    /// The most bytes that such a message may have.
    limit: usize,
}

impl Bridge {
    /// `None`: the request is not for us. `limit`: bytes of a request that may be gathered.
    pub fn begin(
        s: &mut Stream,
        upgrades_protobuf: bool,
        drops_query: bool,
        limit: usize,
    ) -> Option<Self> {
        let is_grpc = grpc::is_grpc(&s.request.headers);
        let is_protobuf = s.request.headers.get(Known::ContentType) == Some(PROTOBUF);
        let framed = upgrades_protobuf && is_protobuf;
        if !is_grpc && !framed {
            return None;
        }
        let bridges = s.request.version != Version::Http2;
        if bridges && drops_query {
            let path = s.request.path();
            let end = path.iter().position(|b| *b == b'?');
            if let Some(path) = end.and_then(|end| path.get(..end)).map(<[u8]>::to_vec) {
                s.request.set_path(&path);
            }
        }
        let framing = (bridges && framed).then(Vec::new);
        if framing.is_some() {
            s.request
                .headers
                .set(Known::ContentType, grpc::CONTENT_TYPE);
            s.request.headers.remove(Known::ContentLength);
            s.request.body = BodyLength::Chunked;
        }
        Some(Self {
            bridges,
            framing,
            limit,
        })
    }

    pub fn decode_data<'a>(
        &mut self,
        data: Cow<'a, [u8]>,
        end: bool,
    ) -> Result<Cow<'a, [u8]>, Refusal> {
        let Some(message) = &mut self.framing else {
            return Ok(data);
        };
        if message.len().saturating_add(data.len()) > self.limit {
            return Err(Refusal::TOO_LARGE);
        }
        message.extend_from_slice(&data);
        if !end {
            return Ok(Cow::Borrowed(&[]));
        }
        let message = std::mem::take(message);
        let mut framed = head(0, message.len()).to_vec();
        framed.extend_from_slice(&message);
        Ok(framed.into())
    }

    pub fn encode_head(&self, end: bool) -> Head {
        if self.bridges && !end {
            Head::Hold
        } else {
            Head::Pass
        }
    }

    pub fn encode_trailers(&self, s: &mut Stream) {
        if !self.bridges {
            return;
        }
        let trailers = &s.response_trailers;
        if let Some(status) = trailers.get(Known::GrpcStatus) {
            if status != b"0" {
                s.response.status = 503;
            }
            s.response.headers.set(Known::GrpcStatus, status);
        }
        if let Some(message) = trailers.get(Known::GrpcMessage) {
            s.response.headers.set(Known::GrpcMessage, message);
        }
    }

    pub fn finish_held(&self, body: &mut Vec<u8>) {
        if self.framing.is_some() {
            body.drain(..body.len().min(5));
        }
    }
}
