//! A call with one message each way, as a request of our own (`http::own_call`).

use std::rc::Rc;

use model::resources::ext_authz::GrpcService;
use proto::Known;
use proto::h1::{RequestHead, Version};

use super::call::{fill_head, status_end};
use super::line::Request;
use super::reader::Reader;
use super::status;
use crate::http::filters::frames;
use crate::http::grpc::{is_grpc, status_of_http};
use crate::http::own_call::{self, MAX_ANSWER, Question, Response};

/// A method of a service, as one worker calls it.
#[derive(Debug)]
pub struct Method {
    request: Request,
    cluster: Rc<str>,
    /// `x-forwarded-for`; `None`: neither this nor `x-envoy-internal`.
    forwarded_for: Option<String>,
}

/// How a call went wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Status {
    pub code: u32,
    pub text: String,
}

impl Status {
    pub fn new(code: u32, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

impl Method {
    /// `local`: our own address.
    pub fn new(service: &GrpcService, path: &str, local: std::net::IpAddr) -> Self {
        let most = u32::try_from(MAX_ANSWER).unwrap_or(u32::MAX);
        Self {
            request: Request {
                cluster: service.cluster.clone(),
                path: path.to_owned(),
                authority: service.authority.clone(),
                metadata: service.initial_metadata.clone(),
                timeout_ms: service.timeout_ms,
                max_message: Some(service.max_message.unwrap_or(most).min(most)),
            },
            cluster: Rc::from(&*service.cluster),
            forwarded_for: (!service.skip_envoy_headers).then(|| local.to_string()),
        }
    }

    /// A call; `None`: its head cannot be said.
    pub fn call(&self, message: &[u8]) -> Option<Question> {
        let mut head = RequestHead::new();
        if !fill_head(&mut head, &self.request) {
            return None;
        }
        head.version = Version::Http2;
        let timeout_ms = self.request.timeout_ms;
        own_call::set_expected_timeout(&mut head, timeout_ms);
        if let Some(address) = &self.forwarded_for {
            own_call::set_internal(&mut head);
            head.headers.set(Known::XForwardedFor, address.as_bytes());
        }
        let mut body = frames::head(0, message.len()).to_vec();
        body.extend_from_slice(message);
        Some(Question {
            cluster: Rc::clone(&self.cluster),
            head,
            body,
            timeout_ms,
            most: MAX_ANSWER.saturating_add(5),
        })
    }

    /// The message of an answer.
    pub fn message(&self, response: &Response) -> Result<Vec<u8>, Status> {
        let headers = &response.headers;
        if response.status != 200 {
            let said = status_end(headers);
            let code = u32::try_from(status_of_http(response.status)).unwrap_or(status::UNKNOWN);
            let text = format!("the server answered with HTTP status {}", response.status);
            return Err(said.unwrap_or_else(|| Status::new(code, text)));
        }
        let said = status_end(&response.trailers).or_else(|| status_end(headers));
        let missing = || Status::new(status::UNKNOWN, "the server ended without a status");
        let end = said.unwrap_or_else(missing);
        if end.code != status::OK {
            return Err(end);
        }
        if !is_grpc(headers) {
            return Err(Status::new(
                status::UNKNOWN,
                "the server's answer is no gRPC",
            ));
        }
        let mut reader = Reader::new(self.request.max_message());
        match reader.next(&response.body) {
            Ok(Some((used, message))) if used == response.body.len() => Ok(message),
            Ok(_) => Err(Status::new(
                status::INTERNAL,
                "the answer is not one message",
            )),
            Err(fault) => Err(super::call::fault_end(fault, &self.request)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method() -> Method {
        let service = GrpcService {
            cluster: "c".into(),
            authority: String::new(),
            timeout_ms: Some(200),
            initial_metadata: vec![("x-a".into(), "1".into())],
            skip_envoy_headers: false,
            max_message: Some(10),
        };
        Method::new(&service, "/a.B/C", [127, 0, 0, 1].into())
    }

    fn response(status: u16, grpc: &str, body: &[u8]) -> Response {
        let mut response = Response {
            status,
            body: body.to_vec(),
            ..Response::default()
        };
        let headers = &mut response.headers;
        headers.push_known(Known::ContentType, b"application/grpc");
        let trailers = &mut response.trailers;
        if !grpc.is_empty() {
            trailers.push_known(Known::GrpcStatus, grpc.as_bytes());
        }
        response
    }

    #[test]
    fn a_call_is_one_message_with_a_head_that_says_what_envoys_do() {
        let call = method().call(b"hi").unwrap();
        assert_eq!(call.body, b"\0\0\0\0\x02hi");
        assert_eq!(call.head.path(), b"/a.B/C");
        assert_eq!(call.head.authority(), b"c");
        for (name, value) in [
            ("te", "trailers"),
            ("grpc-timeout", "200m"),
            ("x-a", "1"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-envoy-expected-rq-timeout-ms", "200"),
            ("x-envoy-internal", "true"),
        ] {
            let found = call.head.headers.get_name(name.as_bytes());
            assert_eq!(found, Some(value.as_bytes()), "{name}");
        }
    }

    #[test]
    fn only_one_whole_message_with_status_ok_is_an_answer() {
        let one = b"\0\0\0\0\x02hi";
        let said = |response: &Response| method().message(response).map_err(|status| status.code);
        assert_eq!(said(&response(200, "0", one)), Ok(b"hi".to_vec()));
        assert_eq!(said(&response(200, "7", one)), Err(7));
        assert_eq!(said(&response(200, "", one)), Err(status::UNKNOWN));
        assert_eq!(said(&response(200, "x", one)), Err(status::UNKNOWN));
        assert_eq!(said(&response(503, "", b"")), Err(status::UNAVAILABLE));
        assert_eq!(said(&response(200, "0", b"")), Err(status::INTERNAL));
        assert_eq!(said(&response(200, "0", &one[..6])), Err(status::INTERNAL));
        let two = [&one[..], one].concat();
        assert_eq!(said(&response(200, "0", &two)), Err(status::INTERNAL));
        let large = b"\0\0\0\0\x0bhello world";
        assert_eq!(
            said(&response(200, "0", large)),
            Err(status::RESOURCE_EXHAUSTED)
        );
        let mut html = response(200, "0", one);
        html.headers.set(Known::ContentType, b"text/html");
        assert_eq!(said(&html), Err(status::UNKNOWN));
    }
}
