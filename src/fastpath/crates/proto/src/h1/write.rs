//! Writes heads and framing. The framing fields come from the body's length alone, never from
//! the map, so a message that leaves has exactly one meaning.

use super::body::is_trailer;
use super::reason::reason_phrase;
use crate::authority::is_authority;
use crate::chars::{format_decimal, put_decimal};
use crate::head::{BodyLength, RequestHead, ResponseHead, Version};
use crate::headers::HeaderMap;
use crate::known::Known;
use crate::method::Method;

/// Ends a chunk's data.
pub const CRLF: &[u8] = b"\r\n";
/// Ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// The interim response to `expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Appends a request head: origin-form, HTTP/1.1, the fields of the map in order, framed as
/// `framing` says.
///
/// `false`, and nothing is written, if the head has no method, no path or not exactly one
/// valid host: such a request must not leave.
#[must_use]
pub fn write_request_head(out: &mut Vec<u8>, head: &RequestHead, framing: BodyLength) -> bool {
    let authority = head.authority();
    let target = if head.kind == Method::Connect {
        authority
    } else {
        head.path()
    };
    let method = head.method();
    let star = target == b"*" && head.kind != Method::Options;
    if method.is_empty() || target.is_empty() || star || !is_authority(authority) {
        return false;
    }
    if head.headers.count(Known::Host) != 1 {
        return false;
    }
    let size = method.len().saturating_add(target.len()).saturating_add(64);
    out.reserve(size.saturating_add(head.headers.wire_size()));
    out.extend_from_slice(method);
    out.push(b' ');
    out.extend_from_slice(target);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let framing = match framing {
        // RFC 9110 §9.3.6: what follows is a tunnel.
        _ if head.kind == Method::Connect => BodyLength::None,
        // RFC 9110 §8.6: a method that expects content says that there is none, unless what
        // follows is for an upgrade; and what the client said stays.
        BodyLength::None
            if (head.kind.expects_body() && !head.upgrade)
                || head.body == BodyLength::Length(0) =>
        {
            BodyLength::Length(0)
        }
        // A request never ends with the connection.
        BodyLength::UntilClose => BodyLength::Chunked,
        framing => framing,
    };
    write_framed(out, &head.headers, framing);
    out.extend_from_slice(CRLF);
    true
}

/// What a response's writer must know besides the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseOptions {
    /// Of the status line: `Http10` for a client that speaks it.
    pub version: Version,
    /// Of the request. HEAD: no body follows, but a `content-length` stays. CONNECT: a 2xx has
    /// no framing.
    pub request: Method,
    /// Say `connection: close`.
    pub close: bool,
}

impl Default for ResponseOptions {
    fn default() -> ResponseOptions {
        ResponseOptions {
            version: Version::Http11,
            request: Method::Get,
            close: false,
        }
    }
}

/// Appends a response head; the reason phrase is ours, as Envoy's is.
pub fn write_response_head(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    framing: BodyLength,
    options: ResponseOptions,
) {
    write_response(out, head.status, &head.headers, framing, options);
}

/// Appends a response head made of its parts. A status outside 100–999 becomes 500.
pub fn write_response(
    out: &mut Vec<u8>,
    status: u16,
    headers: &HeaderMap,
    framing: BodyLength,
    options: ResponseOptions,
) {
    let status = if (100..1000).contains(&status) {
        status
    } else {
        500
    };
    out.reserve(headers.wire_size().saturating_add(128));
    match (options.version, status) {
        (Version::Http11 | Version::Http2, 200) => out.extend_from_slice(b"HTTP/1.1 200 OK\r\n"),
        (version, status) => {
            out.extend_from_slice(match version {
                Version::Http10 => b"HTTP/1.0 ",
                Version::Http11 | Version::Http2 => b"HTTP/1.1 ",
            });
            put_decimal(out, u64::from(status));
            out.push(b' ');
            out.extend_from_slice(reason_phrase(status).as_bytes());
            out.extend_from_slice(CRLF);
        }
    }
    let unframed =
        status < 200 || status == 204 || (options.request == Method::Connect && status < 300);
    let bodiless = status == 304 || options.request == Method::Head;
    // Chunks are unknown to HTTP/1.0: there the body ends with the connection.
    let framing = match framing {
        BodyLength::Chunked if options.version == Version::Http10 => BodyLength::UntilClose,
        framing => framing,
    };
    let close = options.close || (framing == BodyLength::UntilClose && !unframed && !bodiless);
    let connection = if close {
        Known::Connection.bit() | Known::KeepAlive.bit()
    } else {
        0
    };
    if unframed {
        headers.write_without(FRAMING | connection, out);
    } else if bodiless {
        // RFC 9110 §8.6: the length of what GET would have sent.
        match (framing, super::framing::content_length(headers)) {
            (BodyLength::Length(n), _) => write_length(out, headers, connection, n),
            (_, Ok(Some(n))) => write_length(out, headers, connection, n),
            _ => headers.write_without(FRAMING | connection, out),
        }
    } else {
        let framing = if framing == BodyLength::None {
            BodyLength::Length(0)
        } else {
            framing
        };
        write_framed_without(out, headers, framing, connection);
    }
    if close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(CRLF);
}

/// The fields that only a writer may write.
const FRAMING: u128 = Known::TransferEncoding.bit() | Known::ContentLength.bit();

#[inline(always)]
fn write_framed(out: &mut Vec<u8>, headers: &HeaderMap, framing: BodyLength) {
    write_framed_without(out, headers, framing, 0);
}

#[inline(always)]
fn write_framed_without(
    out: &mut Vec<u8>,
    headers: &HeaderMap,
    framing: BodyLength,
    without: u128,
) {
    match framing {
        BodyLength::Length(n) => write_length(out, headers, without, n),
        BodyLength::Chunked => {
            headers.write_without(FRAMING | without, out);
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        BodyLength::None | BodyLength::UntilClose => headers.write_without(FRAMING | without, out),
    }
}

/// All fields and one `content-length`: the one of the map, at its place, if it is alone and
/// says just what we would.
#[inline(always)]
fn write_length(out: &mut Vec<u8>, headers: &HeaderMap, without: u128, n: u64) {
    let mut digits = [0u8; 20];
    let digits = format_decimal(n, &mut digits);
    let mut present = headers.values(Known::ContentLength);
    if present.next() == Some(digits) && present.next().is_none() {
        headers.write_without(Known::TransferEncoding.bit() | without, out);
        return;
    }
    headers.write_without(FRAMING | without, out);
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(digits);
    out.extend_from_slice(CRLF);
}

/// Appends the size line of a chunk; the data and `CRLF` follow. A length of 0 writes nothing:
/// it would end the body.
#[inline]
pub fn write_chunk_size(out: &mut Vec<u8>, len: u64) {
    if len == 0 {
        return;
    }
    let mut digits = [0u8; 16];
    let mut used = 0usize;
    let mut n = len;
    for d in digits.iter_mut().rev() {
        let nibble = (n & 15) as u8;
        *d = nibble.wrapping_add(if nibble < 10 {
            b'0'
        } else {
            b'a'.wrapping_sub(10)
        });
        used = used.wrapping_add(1);
        n >>= 4;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(
        digits
            .get(digits.len().saturating_sub(used)..)
            .unwrap_or_default(),
    );
    out.extend_from_slice(CRLF);
}

/// Ends a chunked body: the last chunk, the trailers, the empty line. Fields that must not be
/// trailers are left out (RFC 9110 §6.5.1).
pub fn write_trailers(out: &mut Vec<u8>, trailers: &HeaderMap) {
    out.extend_from_slice(b"0\r\n");
    trailers.write_if(is_trailer, out);
    out.extend_from_slice(CRLF);
}

/// Appends the interim response to `expect: 100-continue`.
#[inline]
pub fn write_continue(out: &mut Vec<u8>) {
    out.extend_from_slice(CONTINUE);
}
