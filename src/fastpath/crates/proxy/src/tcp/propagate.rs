//! `propagate_response_headers` and `_trailers`: what the host said of a tunnel, as Envoy's filter
//! state has it for `%FILTER_STATE(envoy.tcp_proxy.propagate_response_headers)%`.

use std::rc::Rc;

use proto::HeaderMap;

use super::Tunnel;
use crate::telemetry::json;

impl Tunnel {
    /// Keeps the head of an answer, if that is wanted.
    pub(super) fn keep_answer(&mut self, status: u16, headers: &HeaderMap) {
        let tunneling = self.tcp.config.tunneling.as_ref();
        if tunneling.is_some_and(|t| t.propagate_response_headers) {
            self.seen.answer = Some(written(Some(status), headers));
        }
    }

    /// The same for trailers.
    pub(super) fn keep_trailers(&mut self, trailers: &HeaderMap) {
        let tunneling = self.tcp.config.tunneling.as_ref();
        if tunneling.is_some_and(|t| t.propagate_response_trailers) {
            self.seen.trailers = Some(written(None, trailers));
        }
    }
}

/// `{"headers":[{"key":":status","value":"200"}]}`
fn written(status: Option<u16>, headers: &HeaderMap) -> Rc<[u8]> {
    let status = status.map(|status| status.to_string());
    let status = status.iter().map(|s| (&b":status"[..], s.as_bytes()));
    let mut out = b"{\"headers\":[".to_vec();
    for (index, (name, value)) in status.chain(headers.iter()).enumerate() {
        out.extend_from_slice(if index == 0 {
            b"{\"key\":"
        } else {
            b",{\"key\":"
        });
        json::bytes(&mut out, name);
        out.extend_from_slice(b",\"value\":");
        json::bytes(&mut out, value);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_envoys() {
        let mut headers = HeaderMap::new();
        assert_eq!(&*written(None, &headers), b"{\"headers\":[]}");
        headers.push(b"x-a", b"1");
        headers.push(b"x-a", b"\"");
        let text = written(Some(200), &headers);
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            r#"{"headers":[{"key":":status","value":"200"},{"key":"x-a","value":"1"},{"key":"x-a","value":"\""}]}"#
        );
    }
}
