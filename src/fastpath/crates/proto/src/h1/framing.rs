//! What the fields say about the message: its length, its host, and the connection's future.

use super::error::HeadError;
use super::policy::RequestPolicy;
use crate::authority::is_authority;
use crate::chars::decimal;
use crate::head::{BodyLength, RequestHead, ResponseHead, Version};
use crate::headers::HeaderMap;
use crate::hop::{has_token, tokens};
use crate::known::Known;
use crate::method::Method;

/// Envoy refuses a `Connection` field that nominates as many.
const MAX_NOMINATIONS: usize = 10;

/// Completes a request whose fields are all there.
#[inline(always)]
pub(crate) fn finish_request(
    head: &mut RequestHead,
    policy: &RequestPolicy,
) -> Result<(), HeadError> {
    if head.version == Version::Http10 && !policy.accept_http_10 {
        return Err(HeadError::Http10Refused);
    }
    host(head, policy)?;
    head.body = request_body(head, policy)?;
    let old = head.version == Version::Http10;
    head.keep_alive = !old;
    if head.headers.contains(Known::Connection) || head.headers.contains(Known::ProxyConnection) {
        let wish = connection(&head.headers);
        if !wish.upgrade && (wish.nominations >= MAX_NOMINATIONS || wish.forwarded) {
            return Err(HeadError::ConnectionNominations);
        }
        head.keep_alive = wish.keep_alive(head.version);
        head.upgrade = !old && wish.upgrade && head.headers.contains(Known::Upgrade);
    }
    head.expect_continue = !old
        && head
            .headers
            .get(Known::Expect)
            .is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
    if policy.allow_chunked_length
        && head.body == BodyLength::Chunked
        && head.headers.remove(Known::ContentLength)
    {
        // RFC 9112 §6.1: close after responding, the sender may be a smuggler.
        head.keep_alive = false;
    }
    Ok(())
}

/// RFC 9112 §3.2: exactly one valid `host`, which the target's authority replaces.
fn host(head: &mut RequestHead, policy: &RequestPolicy) -> Result<(), HeadError> {
    let mut hosts = head.headers.values(Known::Host);
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(HeadError::MultipleHosts),
        (Some(host), None) => {
            if host.is_empty() {
                return Err(HeadError::MissingHost);
            }
            if !is_authority(host) {
                return Err(HeadError::Host);
            }
        }
        (None, _) if head.version == Version::Http11 => {
            let in_target = head.scheme.is_some() || head.kind == Method::Connect;
            return if policy.allow_missing_host && !in_target {
                Ok(())
            } else {
                Err(HeadError::MissingHost)
            };
        }
        (None, _) => {}
    }
    drop(hosts);
    if head.scheme.is_some() || head.kind == Method::Connect {
        return head.adopt_authority();
    }
    let headers = &mut head.headers;
    if !headers.contains(Known::Host) {
        match policy.default_host_for_http_10.as_deref() {
            Some(host) if is_authority(host) => {
                headers.push_known_first(Known::Host, host);
            }
            _ => return Err(HeadError::MissingHost),
        }
    }
    Ok(())
}

/// RFC 9112 §6.3, without the cases in which a proxy may guess.
#[inline(always)]
fn request_body(head: &mut RequestHead, policy: &RequestPolicy) -> Result<BodyLength, HeadError> {
    let headers = &mut head.headers;
    if headers.contains(Known::TransferEncoding) {
        if headers.contains(Known::ContentLength) && !policy.allow_chunked_length {
            return Err(HeadError::LengthAndTransferEncoding);
        }
        if head.version == Version::Http10 {
            return Err(HeadError::TransferEncodingNotAllowed);
        }
        if !is_chunked(headers) || head.kind == Method::Connect {
            return Err(HeadError::TransferEncoding);
        }
        return Ok(BodyLength::Chunked);
    }
    let Some(length) = content_length(headers)? else {
        return Ok(BodyLength::None);
    };
    if head.kind == Method::Connect {
        if length > 0 {
            return Err(HeadError::BodyNotAllowed);
        }
        headers.remove(Known::ContentLength);
        return Ok(BodyLength::None);
    }
    Ok(BodyLength::Length(length))
}

/// Exactly one field, exactly one coding.
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut values = headers.values(Known::TransferEncoding);
    matches!((values.next(), values.next()), (Some(v), None) if v.eq_ignore_ascii_case(b"chunked"))
}

/// Exactly one field of digits only.
#[inline(always)]
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HeadError> {
    if !headers.contains(Known::ContentLength) {
        return Ok(None);
    }
    let mut values = headers.values(Known::ContentLength);
    match (values.next().and_then(decimal), values.next()) {
        (Some(length), None) => Ok(Some(length)),
        _ => Err(HeadError::ContentLength),
    }
}

/// The tokens of `connection` and `proxy-connection` that we act on.
#[derive(Default)]
struct Connection {
    close: bool,
    keep: bool,
    upgrade: bool,
    forwarded: bool,
    nominations: usize,
}

impl Connection {
    /// RFC 9112 §9.3.
    fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep)
    }
}

#[inline(never)]
fn connection(headers: &HeaderMap) -> Connection {
    let mut seen = Connection::default();
    for token in headers.values(Known::Connection).flat_map(tokens) {
        seen.nominations = seen.nominations.saturating_add(1);
        if token.eq_ignore_ascii_case(b"close") {
            seen.close = true;
        } else if token.eq_ignore_ascii_case(b"keep-alive") {
            seen.keep = true;
        } else if token.eq_ignore_ascii_case(b"upgrade") {
            seen.upgrade = true;
        } else {
            seen.forwarded |= matches!(
                Known::of_any_case(token),
                Known::XForwardedFor | Known::XForwardedHost | Known::XForwardedProto
            ) || token.starts_with(b":");
        }
    }
    // Not a standard field, but Envoy's `shouldCloseConnection` obeys it.
    seen.close |= has_token(headers, Known::ProxyConnection, b"close");
    seen
}

/// Completes a response whose fields are all there (RFC 9112 §6.3).
#[inline(always)]
pub(crate) fn finish_response(head: &mut ResponseHead, request: Method) -> Result<(), HeadError> {
    let wish = connection(&head.headers);
    head.keep_alive = wish.keep_alive(head.version);
    head.switching = head.status == 101;
    head.tunnel = request == Method::Connect && (200..300).contains(&head.status);
    head.body = response_body(head, request)?;
    if head.body == BodyLength::UntilClose {
        head.keep_alive = false;
    }
    Ok(())
}

fn response_body(head: &mut ResponseHead, request: Method) -> Result<BodyLength, HeadError> {
    let headers = &mut head.headers;
    let chunked = headers.contains(Known::TransferEncoding);
    if chunked && headers.contains(Known::ContentLength) {
        return Err(HeadError::LengthAndTransferEncoding);
    }
    if chunked && head.version == Version::Http10 {
        return Err(HeadError::TransferEncodingNotAllowed);
    }
    let length = content_length(headers)?;
    if head.status < 200 || head.status == 204 {
        // RFC 9110 §8.6, RFC 9112 §6.1; Envoy lets `content-length: 0` pass, too.
        if chunked {
            return Err(HeadError::TransferEncodingNotAllowed);
        }
        if length.is_some_and(|n| n > 0) {
            return Err(HeadError::ContentLengthNotAllowed);
        }
        headers.remove(Known::ContentLength);
        return Ok(BodyLength::None);
    }
    if chunked && !is_chunked(headers) {
        return Err(HeadError::TransferEncoding);
    }
    if head.tunnel || request == Method::Head || head.status == 304 {
        return Ok(BodyLength::None);
    }
    Ok(match length {
        Some(length) => BodyLength::Length(length),
        None if chunked => BodyLength::Chunked,
        None => BodyLength::UntilClose,
    })
}
