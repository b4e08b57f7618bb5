//! Header blocks to heads and trailers (RFC 9113 §8.3), straight from HPACK into their maps.

use super::error::StreamFault;
use super::fields::Check;
use super::hpack::{CheckedField, FieldSink, Name, Pseudo};
use super::streams::ANY_LENGTH;
use crate::authority::is_authority;
use crate::h1::{content_length, is_trailer};
use crate::head::{BodyLength, RequestHead, ResponseHead, Scheme, Version};
use crate::headers::HeaderMap;
use crate::known::Known;
use crate::method::Method;

/// A request's block (§8.3.1).
pub(super) struct RequestBlock<'a> {
    head: &'a mut RequestHead,
    /// Cookies as they are joined (§8.2.3).
    cookie: &'a mut Vec<u8>,
    check: Check<'a>,
    /// Bits of the pseudo-headers that came.
    seen: u8,
    /// One of them is never to be indexed, so what they become is not either.
    secret_cookie: bool,
    host: bool,
}

impl<'a> RequestBlock<'a> {
    pub fn new(
        head: &'a mut RequestHead,
        cookie: &'a mut Vec<u8>,
        check: Check<'a>,
    ) -> RequestBlock<'a> {
        head.clear();
        head.version = Version::Http2;
        head.keep_alive = true;
        cookie.clear();
        RequestBlock {
            head,
            cookie,
            check,
            seen: 0,
            secret_cookie: false,
            host: false,
        }
    }

    fn pseudo(&mut self, name: Pseudo, value: &[u8]) {
        if !self.check.pseudo(name.name(), value) {
            return;
        }
        if self.seen & name.bit() != 0 {
            return self.check.fail(StreamFault::PseudoField);
        }
        self.seen |= name.bit();
        let head = &mut *self.head;
        if self.check.is_never_indexed() {
            head.never_indexed |= name.bit();
        }
        let (ok, fault) = match name {
            Pseudo::Method => (head.set_method(value), StreamFault::PseudoValue),
            Pseudo::Scheme => {
                head.scheme = scheme(value);
                (head.scheme.is_some(), StreamFault::PseudoValue)
            }
            Pseudo::Path => {
                let ok = !value.is_empty() && head.set_path(value);
                head.target = head.path;
                let fault = match value {
                    [] | [b'/', ..] => StreamFault::PseudoValue,
                    _ => StreamFault::PathForm,
                };
                (ok, fault)
            }
            Pseudo::Authority => {
                let ok = is_authority(value) && head.headers.push_known(Known::Host, value);
                (ok, StreamFault::Authority)
            }
            Pseudo::Protocol if self.check.options().allow_connect => {
                let ok = !value.is_empty() && head.set_protocol(value);
                (ok, StreamFault::PseudoValue)
            }
            Pseudo::Protocol | Pseudo::Status => (false, StreamFault::PseudoField),
        };
        if !ok {
            self.check.fail(fault);
        }
    }

    /// `host`, which must not contradict `:authority` (§8.3.1).
    fn host(&mut self, value: &[u8]) {
        let twice = std::mem::replace(&mut self.host, true);
        let ok = match self.head.headers.get(Known::Host) {
            _ if twice => false,
            Some(authority) => authority.eq_ignore_ascii_case(value),
            None => is_authority(value) && self.head.headers.push_known_first(Known::Host, value),
        };
        if !ok {
            self.check.fail(StreamFault::Authority);
        } else if self.check.is_never_indexed() {
            // It goes on as `:authority`.
            self.head.never_indexed |= Pseudo::Authority.bit();
        }
    }

    fn crumb(&mut self, value: &[u8]) {
        // Empty ones before the first are nothing, as in Envoy.
        if !self.cookie.is_empty() {
            self.cookie.extend_from_slice(b"; ");
        }
        self.cookie.extend_from_slice(value);
        self.secret_cookie |= self.check.is_never_indexed();
    }

    /// The block is over; `end`: so is the message. The number of bytes that the body must have.
    pub fn finish(mut self, end: bool) -> Result<u64, StreamFault> {
        self.check.result()?;
        if !self.cookie.is_empty() {
            if !self.head.headers.push_known(Known::Cookie, self.cookie) {
                return Err(StreamFault::HeaderOverflow);
            }
            if self.secret_cookie {
                self.head.headers.mark_last();
            }
        }
        self.pseudo_headers()?;
        let head = &mut *self.head;
        let length = content_length(&head.headers).map_err(|_| StreamFault::ContentLength)?;
        head.body = match length {
            Some(n) if end && n > 0 => return Err(StreamFault::BodyLength),
            // RFC 9110 §9.3.6: what follows is a tunnel.
            _ if head.kind == Method::Connect => {
                head.headers.remove(Known::ContentLength);
                return Ok(ANY_LENGTH);
            }
            Some(n) => BodyLength::Length(n),
            None if end => BodyLength::None,
            None => BodyLength::Chunked,
        };
        head.expect_continue = head
            .headers
            .get(Known::Expect)
            .is_some_and(|v| v.eq_ignore_ascii_case(b"100-continue"));
        Ok(length.unwrap_or(ANY_LENGTH))
    }

    /// All that must be there is, and nothing else (§8.3.1, §8.5, RFC 8441 §4).
    fn pseudo_headers(&mut self) -> Result<(), StreamFault> {
        const TARGET: u8 = Pseudo::Scheme.bit() | Pseudo::Path.bit();
        let has = |names: u8| self.seen & names == names;
        if !has(Pseudo::Method.bit()) {
            return Err(StreamFault::MissingPseudoField);
        }
        let connect = self.head.kind == Method::Connect;
        let extended = has(Pseudo::Protocol.bit());
        if extended && !connect {
            return Err(StreamFault::PseudoField);
        }
        if connect && !extended {
            if self.seen & TARGET != 0 {
                return Err(StreamFault::PseudoField);
            }
        } else if !has(TARGET) {
            return Err(StreamFault::MissingPseudoField);
        }
        if connect && !has(Pseudo::Authority.bit()) {
            return Err(StreamFault::MissingPseudoField);
        }
        if self.head.path() == b"*" && self.head.kind != Method::Options {
            return Err(StreamFault::PathForm);
        }
        if !self.head.headers.contains(Known::Host) {
            return Err(StreamFault::MissingPseudoField);
        }
        Ok(())
    }
}

fn scheme(value: &[u8]) -> Option<Scheme> {
    if value.eq_ignore_ascii_case(b"http") {
        Some(Scheme::Http)
    } else if value.eq_ignore_ascii_case(b"https") {
        Some(Scheme::Https)
    } else {
        None
    }
}

impl FieldSink for RequestBlock<'_> {
    fn field(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        if let Name::Pseudo(name) = name {
            self.pseudo(name, value);
        } else if let Some((known, name)) = self.check.literal(name, value) {
            match known {
                Known::Host => self.host(value),
                Known::Cookie => self.crumb(value),
                _ => self.check.push(&mut self.head.headers, known, name, value),
            }
        }
        self.check.is_ok()
    }

    fn never_indexed(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        self.check.set_never_indexed(true);
        let go_on = self.field(name, value);
        self.check.set_never_indexed(false);
        go_on
    }

    fn checked(&mut self, field: CheckedField<'_>) -> bool {
        if self.check.checked(&field) {
            match field.known() {
                Known::Host => self.host(field.value()),
                Known::Cookie => self.crumb(field.value()),
                _ => self.check.push_field(&mut self.head.headers, field),
            }
        }
        self.check.is_ok()
    }
}

/// What a response's block must know of its request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    pub is_head: bool,
    pub is_connect: bool,
}

/// A response's block (§8.3.2).
pub(super) struct ResponseBlock<'a> {
    head: &'a mut ResponseHead,
    check: Check<'a>,
}

impl<'a> ResponseBlock<'a> {
    pub fn new(head: &'a mut ResponseHead, check: Check<'a>) -> ResponseBlock<'a> {
        head.clear();
        head.version = Version::Http2;
        head.keep_alive = true;
        ResponseBlock { head, check }
    }

    fn pseudo(&mut self, name: Pseudo, value: &[u8]) {
        if !self.check.pseudo(name.name(), value) {
            return;
        }
        if name != Pseudo::Status || self.head.status != 0 {
            return self.check.fail(StreamFault::PseudoField);
        }
        match status(value) {
            Some(status) => self.head.status = status,
            None => self.check.fail(StreamFault::PseudoValue),
        }
    }

    /// As for requests.
    pub fn finish(self, asked: Asked, end: bool) -> Result<u64, StreamFault> {
        self.check.result()?;
        let head = self.head;
        if head.status == 0 {
            return Err(StreamFault::MissingPseudoField);
        }
        let length = content_length(&head.headers).map_err(|_| StreamFault::ContentLength)?;
        head.tunnel = asked.is_connect && (200..300).contains(&head.status);
        if head.status < 200 && end {
            return Err(StreamFault::Sequence);
        }
        if head.status < 200 || head.status == 204 || head.tunnel {
            // RFC 9110 §8.6; a tunnel has no length (§9.3.6).
            if length.is_some_and(|n| n > 0) && !head.tunnel {
                return Err(StreamFault::BodyLength);
            }
            head.headers.remove(Known::ContentLength);
            return Ok(if head.status == 204 && !head.tunnel {
                0
            } else {
                ANY_LENGTH
            });
        }
        if asked.is_head || head.status == 304 {
            return Ok(0);
        }
        head.body = match length {
            Some(n) if end && n > 0 => return Err(StreamFault::BodyLength),
            Some(n) => BodyLength::Length(n),
            None if end => BodyLength::None,
            None => BodyLength::Chunked,
        };
        Ok(length.unwrap_or(ANY_LENGTH))
    }
}

/// Three digits, 100 to 999, without 101 (§8.6).
fn status(value: &[u8]) -> Option<u16> {
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = *value else {
        return None;
    };
    let digit = |d: u8| u16::from(d.wrapping_sub(b'0'));
    let status = digit(a)
        .wrapping_mul(100)
        .wrapping_add(digit(b).wrapping_mul(10))
        .wrapping_add(digit(c)); // at most 999
    (status != 101).then_some(status)
}

impl FieldSink for ResponseBlock<'_> {
    fn field(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        if let Name::Pseudo(name) = name {
            self.pseudo(name, value);
        } else if let Some((known, name)) = self.check.literal(name, value) {
            self.check.push(&mut self.head.headers, known, name, value);
        }
        self.check.is_ok()
    }

    fn never_indexed(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        self.check.set_never_indexed(true);
        let go_on = self.field(name, value);
        self.check.set_never_indexed(false);
        go_on
    }

    fn checked(&mut self, field: CheckedField<'_>) -> bool {
        if self.check.checked(&field) {
            self.check.push_field(&mut self.head.headers, field);
        }
        self.check.is_ok()
    }
}

/// Trailers (§8.1): no pseudo-headers. Fields that must not come after a body are dropped
/// (RFC 9110 §6.5.1), as in HTTP/1.1.
pub(super) struct TrailerBlock<'a> {
    trailers: &'a mut HeaderMap,
    check: Check<'a>,
}

impl<'a> TrailerBlock<'a> {
    pub fn new(trailers: &'a mut HeaderMap, check: Check<'a>) -> TrailerBlock<'a> {
        trailers.clear();
        TrailerBlock { trailers, check }
    }

    pub fn finish(self) -> Result<(), StreamFault> {
        self.check.result()
    }
}

impl FieldSink for TrailerBlock<'_> {
    fn field(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        if let Some((known, name)) = self.check.literal(name, value)
            && is_trailer(known, name)
        {
            self.check.push(self.trailers, known, name, value);
        }
        self.check.is_ok()
    }

    fn never_indexed(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        self.check.set_never_indexed(true);
        let go_on = self.field(name, value);
        self.check.set_never_indexed(false);
        go_on
    }

    fn checked(&mut self, field: CheckedField<'_>) -> bool {
        if self.check.checked(&field) && is_trailer(field.known(), field.name().as_bytes()) {
            self.check.push_field(self.trailers, field);
        }
        self.check.is_ok()
    }
}
