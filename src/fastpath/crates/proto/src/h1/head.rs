//! The heads of requests and responses as the rest of the mesh sees them.

use super::error::HeadError;
use super::method::Method;
use super::target::{Form, authority_of, form, is_authority};
use crate::chars::{is_target, is_token, is_value, trim_ows};
use crate::headers::HeaderMap;
use crate::known::Known;

/// The version in the start line. Others are refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    Http10,
    #[default]
    Http11,
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

/// Limits of one head; 431 (or 414) beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Start line, fields and the empty line. Envoy's `max_request_headers_kb`, 60 KiB.
    pub max_head_bytes: usize,
    /// Fields. Envoy's `max_headers_count`, 100.
    pub max_headers: usize,
    /// The request-target alone.
    pub max_target_bytes: usize,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits {
            max_head_bytes: 61_440,
            max_headers: 100,
            max_target_bytes: 61_440,
        }
    }
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

/// What Envoy lets one configure about HTTP/1 requests (`Http1ProtocolOptions`, HCM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPolicy {
    /// `accept_http_10`; 426 otherwise.
    pub accept_http_10: bool,
    /// `default_host_for_http_10`.
    pub default_host_for_http_10: Option<Box<[u8]>>,
    /// `allow_absolute_url`; 400 otherwise.
    pub allow_absolute_url: bool,
    /// `allow_chunked_length`: with both, content-length goes and the connection closes after.
    pub allow_chunked_length: bool,
    /// `allow_custom_methods`: any token is a method.
    pub allow_custom_methods: bool,
    /// `headers_with_underscores_action`. Names that imitate framing names are refused always.
    pub underscores: Underscores,
}

impl Default for RequestPolicy {
    fn default() -> RequestPolicy {
        RequestPolicy {
            accept_http_10: false,
            default_host_for_http_10: None,
            allow_absolute_url: true,
            allow_chunked_length: false,
            allow_custom_methods: false,
            underscores: Underscores::Allow,
        }
    }
}

/// A range of `RequestHead::line`.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: usize,
    end: usize,
}

impl Span {
    #[inline(always)]
    fn of(self, bytes: &[u8]) -> &[u8] {
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
    line: Vec<u8>,
    method: Span,
    target: Span,
    path: Span,
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

    /// RFC 9112 §3.2.2: a proxy ignores `host` and takes the authority of the target.
    #[inline(never)]
    pub(crate) fn adopt_authority(&mut self) -> Result<(), HeadError> {
        let target = self.target.of(&self.line);
        let form = form(target, self.kind)?;
        let authority = authority_of(target, &form).ok_or(HeadError::Target)?;
        let adopted = match self.headers.get(Known::Host) {
            Some(host) if host == authority => true,
            Some(_) => self.headers.set(Known::Host, authority),
            None => self.headers.push_known_first(Known::Host, authority),
        };
        if adopted {
            Ok(())
        } else {
            Err(HeadError::HeadTooLarge)
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

    /// Takes over a request line that was checked: `line` is `METHOD target`.
    #[inline(always)]
    pub(crate) fn begin(&mut self, line: &[u8], kind: Method, method_len: usize, form: &Form) {
        self.clear();
        self.line.extend_from_slice(line);
        self.kind = kind;
        self.method = Span {
            start: 0,
            end: method_len,
        };
        self.target = Span {
            start: method_len.saturating_add(1),
            end: self.line.len(),
        };
        match form {
            Form::Origin => self.path = self.target,
            Form::Authority => {}
            Form::Absolute {
                scheme,
                path_len,
                rooted,
            } => {
                self.scheme = Some(*scheme);
                if *rooted {
                    self.path = Span {
                        start: self.line.len().saturating_sub(*path_len),
                        end: self.line.len(),
                    };
                } else {
                    // `http://host` and `http://host?query`: the path is empty (RFC 9110 §4.2.3);
                    // an OPTIONS without a path asks about the server (RFC 9112 §3.2.4).
                    let start = self.line.len();
                    let query = start.saturating_sub(*path_len)..start;
                    self.line
                        .push(if kind == Method::Options && *path_len == 0 {
                            b'*'
                        } else {
                            b'/'
                        });
                    self.line.extend_from_within(query);
                    self.path = Span {
                        start,
                        end: self.line.len(),
                    };
                }
            }
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
