//! The heads of requests and responses as the rest of the mesh sees them.

use crate::authority::is_authority;
use crate::chars::{is_target, is_token, is_value, trim_ows};
use crate::headers::HeaderMap;
use crate::known::Known;
use crate::masque::CONNECT_UDP;
use crate::method::Method;

/// The version of a message: of its start line, or of its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    Http10,
    #[default]
    Http11,
    Http2,
}

/// The scheme of an absolute-form target, or of an HTTP/2 request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    #[must_use]
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Scheme::Http => b"http",
            Scheme::Https => b"https",
        }
    }
}

/// How the body is delimited (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// No body, and nothing said about one.
    #[default]
    None,
    /// `content-length`.
    Length(u64),
    /// `transfer-encoding: chunked`.
    Chunked,
    /// Up to the end of the connection; responses only.
    UntilClose,
}

/// `headers_with_underscores_action`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    #[default]
    Allow,
    /// 400.
    Reject,
    /// The field is left out.
    Drop,
}

/// A range of `RequestHead::line`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    #[inline(always)]
    pub(crate) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start..self.end).unwrap_or_default()
    }
}

/// A request head. Reused between requests: `clear` keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    pub headers: HeaderMap,
    pub version: Version,
    /// What `method()` means to us.
    pub kind: Method,
    /// Of an absolute-form target.
    pub scheme: Option<Scheme>,
    /// From the framing fields; what the sender of the next hop frames by.
    pub body: BodyLength,
    /// The client wishes to go on after this message (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// `expect: 100-continue` in HTTP/1.1.
    pub expect_continue: bool,
    /// `connection: upgrade` with an `upgrade` field in HTTP/1.1.
    pub upgrade: bool,
    /// Method, target, and a path or method that replaced them.
    pub(crate) line: Vec<u8>,
    pub(crate) method: Span,
    pub(crate) target: Span,
    pub(crate) path: Span,
    pub(crate) protocol: Span,
    /// The pseudo-headers that no hop may index (RFC 7541 §7.1.3): `Pseudo::bit`.
    pub(crate) never_indexed: u8,
}

impl RequestHead {
    #[must_use]
    pub fn new() -> RequestHead {
        RequestHead::default()
    }

    /// Forgets the request and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.headers.clear();
        self.line.clear();
        self.version = Version::Http11;
        self.kind = Method::Get;
        self.scheme = None;
        self.body = BodyLength::None;
        self.keep_alive = false;
        self.expect_continue = false;
        self.upgrade = false;
        self.method = Span::default();
        self.target = Span::default();
        self.path = Span::default();
        self.protocol = Span::default();
        self.never_indexed = 0;
    }

    /// Gives memory back if a huge head made this one huge.
    pub fn shrink(&mut self, max_capacity: usize) {
        self.headers.shrink(max_capacity);
        if self.line.capacity() > max_capacity {
            self.line.shrink_to(max_capacity);
        }
    }

    #[inline]
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.method.of(&self.line)
    }

    /// The request-target as it came.
    #[inline]
    #[must_use]
    pub fn target(&self) -> &[u8] {
        self.target.of(&self.line)
    }

    /// The scheme of an absolute-form target.
    #[inline]
    #[must_use]
    pub const fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// Path and query in origin-form, `*`, or nothing for CONNECT.
    #[inline]
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.path.of(&self.line)
    }

    /// `:protocol` of an extended CONNECT (RFC 8441 §4), for example `websocket`; else empty.
    #[inline]
    #[must_use]
    pub fn protocol(&self) -> &[u8] {
        self.protocol.of(&self.line)
    }

    /// An upgrade to UDP in capsules (RFC 9298 §3), extended CONNECT included once it is made one.
    #[inline]
    #[must_use]
    pub fn asks_for_udp(&self) -> bool {
        self.upgrade
            && self
                .headers
                .get(Known::Upgrade)
                .is_some_and(|v| v.eq_ignore_ascii_case(CONNECT_UDP))
    }

    /// The `host` field, which the reader made the authority of the target if that had one.
    #[inline]
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        self.headers.get(Known::Host).unwrap_or_default()
    }

    /// Sets the method; `false` if it is not a token.
    pub fn set_method(&mut self, method: &[u8]) -> bool {
        if !is_token(method) {
            return false;
        }
        self.kind = Method::of(method);
        self.method = self.append(method);
        true
    }

    /// Sets path and query; `false` if they could not stand in a request line. It must start
    /// with `/`, or be `*`, or be empty for CONNECT.
    pub fn set_path(&mut self, path: &[u8]) -> bool {
        let form = matches!(path, [] | [b'/', ..] | b"*");
        if !form || !is_target(path) {
            return false;
        }
        self.path = self.append(path);
        true
    }

    /// Makes a CONNECT an extended one, or (empty) a plain one; `false` if it is no token.
    pub fn set_protocol(&mut self, protocol: &[u8]) -> bool {
        if !protocol.is_empty() && !is_token(protocol) {
            return false;
        }
        self.protocol = self.append(protocol);
        true
    }

    /// Sets the host; `false` if it is none.
    pub fn set_authority(&mut self, authority: &[u8]) -> bool {
        if !is_authority(authority) {
            return false;
        }
        if self.headers.contains(Known::Host) {
            self.headers.set(Known::Host, authority)
        } else {
            self.headers.push_known_first(Known::Host, authority)
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.line.len();
        self.line.extend_from_slice(bytes);
        Span {
            start,
            end: self.line.len(),
        }
    }
}

/// A response head. Reused between responses: `clear` keeps the memory.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    pub headers: HeaderMap,
    pub version: Version,
    pub status: u16,
    /// How the body is delimited, the request's method considered.
    pub body: BodyLength,
    /// The upstream wishes to go on after this message.
    pub keep_alive: bool,
    /// 101: what follows is no longer HTTP/1.1. Bytes may only flow if an upgrade was asked for.
    pub switching: bool,
    /// 2xx to CONNECT: what follows is a tunnel.
    pub tunnel: bool,
    reason: Vec<u8>,
}

impl ResponseHead {
    #[must_use]
    pub fn new() -> ResponseHead {
        ResponseHead::default()
    }

    /// Forgets the response and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.headers.clear();
        self.version = Version::Http11;
        self.status = 0;
        self.body = BodyLength::None;
        self.keep_alive = false;
        self.switching = false;
        self.tunnel = false;
        self.reason.clear();
    }

    /// Gives memory back if a huge head made this one huge.
    pub fn shrink(&mut self, max_capacity: usize) {
        self.headers.shrink(max_capacity);
        if self.reason.capacity() > max_capacity {
            self.reason.shrink_to(max_capacity);
        }
    }

    /// True for 1xx: another head follows on the same connection, unless it is 101.
    #[inline]
    #[must_use]
    pub const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// The reason phrase as it came.
    #[inline]
    #[must_use]
    pub fn reason(&self) -> &[u8] {
        &self.reason
    }

    /// Sets the reason phrase; `false` if it could not stand in a status line.
    pub fn set_reason(&mut self, reason: &[u8]) -> bool {
        if !is_value(reason) {
            return false;
        }
        self.reason.clear();
        self.reason.extend_from_slice(trim_ows(reason));
        true
    }
}
