//! Reads heads from a buffer that may end anywhere.

use super::error::HeadError;
use super::framing::{finish_request, finish_response};
use super::line::{Field, Line};
use super::policy::{HeadLimits, RequestPolicy};
use super::target::form;
use crate::chars::{is_token_char, is_value, short_token_run};
use crate::head::{RequestHead, ResponseHead, Underscores, Version};
use crate::headers::HeaderMap;
use crate::known::{Known, is_framing_lookalike};
use crate::method::Method;

/// How far a head has been read. Each line is read once, when it is whole; of a line that is
/// not, it is remembered how much was searched for its end: n bytes that arrive one by one
/// cost O(n).
///
/// The caller keeps the bytes (the same buffer, grown, is passed in each time) and passes the
/// same `out` until the head is complete. After an error the connection is to be closed.
///
/// Where the bytes are cut changes nothing but the moment at which a fault within a line is
/// reported: at once if all of the line so far came in one piece, else when the line ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadReader {
    /// Start of the first line that was not read.
    line: usize,
    /// How much of that line is known to hold no LF.
    searched: usize,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// An empty line may come first (RFC 9112 §2.2).
    #[default]
    Blank,
    Start,
    Fields,
}

/// What a step found.
enum Step {
    Incomplete,
    Complete(usize),
}

impl HeadReader {
    #[must_use]
    pub const fn new() -> HeadReader {
        HeadReader {
            line: 0,
            searched: 0,
            stage: Stage::Blank,
        }
    }

    /// True if a part of a head has been read: the peer is within a message.
    #[must_use]
    pub fn started(&self) -> bool {
        self.stage != Stage::Blank || self.searched > 0
    }

    /// Reads a request head. `Some(n)`: the first `n` bytes of `buf` were the head. `None`: it
    /// is not complete, call again with more.
    pub fn read_request(
        &mut self,
        buf: &[u8],
        limits: &HeadLimits,
        policy: &RequestPolicy,
        out: &mut RequestHead,
    ) -> Result<Option<usize>, HeadError> {
        let window = buf.get(..limits.max_head_bytes).unwrap_or(buf);
        if self.stage == Stage::Blank {
            match window {
                [] | [b'\r'] => return self.incomplete(window, limits),
                [b'\r', b'\n', ..] => self.line = 2,
                [b'\r', ..] => return Err(HeadError::BareCr),
                [b'\n', ..] => return Err(HeadError::BareLf),
                _ => {}
            }
            self.stage = Stage::Start;
        }
        if self.stage == Stage::Start {
            match window.get(self.line) {
                Some(first) if !is_token_char(*first) => {
                    return Err(match first {
                        b'\n' => HeadError::BareLf,
                        b'\r' => HeadError::RequestLine,
                        _ => HeadError::MethodNotToken,
                    });
                }
                _ => {}
            }
            let Some(line) = self.whole_line(window)? else {
                return self.incomplete(window, limits);
            };
            request_line(line, limits, policy, out)?;
            self.stage = Stage::Fields;
        }
        match self.fields(window, limits, policy.underscores, &mut out.headers)? {
            Step::Incomplete => self.incomplete(window, limits),
            Step::Complete(n) => {
                finish_request(out, policy)?;
                *self = HeadReader::new();
                Ok(Some(n))
            }
        }
    }

    /// Reads a response head, for a request with the method `request`. Interim responses (1xx)
    /// are returned as heads like others.
    pub fn read_response(
        &mut self,
        buf: &[u8],
        limits: &HeadLimits,
        request: Method,
        out: &mut ResponseHead,
    ) -> Result<Option<usize>, HeadError> {
        let window = buf.get(..limits.max_head_bytes).unwrap_or(buf);
        if self.stage != Stage::Fields {
            // No empty line is allowed before a status line.
            let start = window.get(..VERSION_PREFIX.len()).unwrap_or(window);
            if !VERSION_PREFIX.starts_with(start) {
                return Err(HeadError::StatusLine);
            }
            let Some(line) = self.whole_line(window)? else {
                self.stage = Stage::Start;
                return self.incomplete(window, limits);
            };
            status_line(line, out)?;
            self.stage = Stage::Fields;
        }
        match self.fields(window, limits, Underscores::Allow, &mut out.headers)? {
            Step::Incomplete => self.incomplete(window, limits),
            Step::Complete(n) => {
                finish_response(out, request)?;
                *self = HeadReader::new();
                Ok(Some(n))
            }
        }
    }

    /// The head does not end within `window`, which is all that may be.
    fn incomplete<T>(&self, window: &[u8], limits: &HeadLimits) -> Result<Option<T>, HeadError> {
        if window.len() >= limits.max_head_bytes {
            Err(HeadError::HeadTooLarge)
        } else {
            Ok(None)
        }
    }

    /// The line at `self.line` without its CRLF, if it is there as a whole; steps over it.
    #[inline(always)]
    fn whole_line<'a>(&mut self, window: &'a [u8]) -> Result<Option<&'a [u8]>, HeadError> {
        let rest = window.get(self.line..).unwrap_or_default();
        let Some(at) = self.find_lf(rest) else {
            return Ok(None);
        };
        let Some([line @ .., b'\r']) = rest.get(..at) else {
            return Err(HeadError::BareLf);
        };
        self.line = self.line.saturating_add(at).saturating_add(1);
        self.searched = 0;
        Ok(Some(line))
    }

    /// Place of the first LF in `rest`, of which `self.searched` bytes were searched before.
    #[inline(always)]
    fn find_lf(&mut self, rest: &[u8]) -> Option<usize> {
        let found = memchr::memchr(b'\n', rest.get(self.searched..).unwrap_or_default());
        match found {
            Some(at) => Some(self.searched.saturating_add(at)),
            None => {
                self.searched = rest.len();
                None
            }
        }
    }

    #[inline(always)]
    fn fields(
        &mut self,
        window: &[u8],
        limits: &HeadLimits,
        underscores: Underscores,
        headers: &mut HeaderMap,
    ) -> Result<Step, HeadError> {
        let mut rest = window.get(self.line..).unwrap_or_default();
        if self.searched > 0 && self.find_lf(rest).is_none() {
            if window.len() >= limits.max_head_bytes {
                // It never will be whole; a fault in it counts first, as if it came in one piece.
                Line::read(rest)?;
            }
            return Ok(Step::Incomplete);
        }
        loop {
            match Line::read(rest)? {
                Line::Field(field) => {
                    rest = rest.get(field.line.len()..).unwrap_or_default();
                    if headers.len() >= limits.max_headers {
                        return Err(HeadError::TooManyHeaders);
                    }
                    keep(&field, underscores, headers)?;
                }
                Line::End => {
                    // `rest` is a tail of `window`
                    return Ok(Step::Complete(
                        window.len().wrapping_sub(rest.len()).wrapping_add(2),
                    ));
                }
                Line::Incomplete => {
                    self.line = window.len().wrapping_sub(rest.len());
                    self.searched = rest.len();
                    return Ok(Step::Incomplete);
                }
            }
        }
    }
}

/// Stores a field unless its name is to be refused or dropped.
#[inline(always)]
fn keep(
    field: &Field<'_>,
    underscores: Underscores,
    headers: &mut HeaderMap,
) -> Result<(), HeadError> {
    if field.store(headers)? == Known::Other && field.name.contains(&b'_') {
        if is_framing_lookalike(field.name) {
            return Err(HeadError::FramingLookalike);
        }
        match underscores {
            Underscores::Allow => {}
            Underscores::Reject => return Err(HeadError::Underscore),
            Underscores::Drop => headers.pop(),
        }
    }
    Ok(())
}

const VERSION_PREFIX: &[u8] = b"HTTP/";

/// `METHOD SP target SP HTTP/1.1`, single spaces (RFC 9112 §3).
#[inline(always)]
fn request_line(
    line: &[u8],
    limits: &HeadLimits,
    policy: &RequestPolicy,
    out: &mut RequestHead,
) -> Result<(), HeadError> {
    let method_len = short_token_run(line);
    let (method, rest) = line
        .split_at_checked(method_len)
        .ok_or(HeadError::RequestLine)?;
    let rest = match rest {
        [b' ', rest @ ..] => rest,
        [b'\r', ..] => return Err(HeadError::BareCr),
        [] => return Err(HeadError::RequestLine),
        _ => return Err(HeadError::MethodNotToken),
    };
    let kind = Method::of(method);
    if !policy.allow_custom_methods && !kind.is_accepted(method) {
        return Err(HeadError::UnknownMethod);
    }
    let (target, version) = match rest {
        [
            target @ ..,
            b' ',
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'1',
        ] => (target, Version::Http11),
        [
            target @ ..,
            b' ',
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            b'0',
        ] => (target, Version::Http10),
        _ => return Err(odd_version(rest)),
    };
    if target.len() > limits.max_target_bytes {
        return Err(HeadError::TargetTooLong);
    }
    let form = form(target, kind)?;
    if out_of_policy(&form, policy) {
        return Err(HeadError::Target);
    }
    let kept = method_len.wrapping_add(1).wrapping_add(target.len()); // a part of `line`
    out.begin(
        line.get(..kept).unwrap_or_default(),
        kind,
        method_len,
        &form,
    );
    out.version = version;
    Ok(())
}

#[inline(always)]
fn out_of_policy(form: &super::target::Form, policy: &RequestPolicy) -> bool {
    matches!(form, super::target::Form::Absolute { .. }) && !policy.allow_absolute_url
}

/// Why the end of a request line is not a version that we speak.
#[cold]
fn odd_version(rest: &[u8]) -> HeadError {
    match rest {
        [.., b' ', b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            HeadError::VersionNotSupported
        }
        _ if rest.contains(&b'\r') => HeadError::BareCr,
        _ if rest.contains(&b' ') => HeadError::Version,
        _ => HeadError::RequestLine,
    }
}

/// `HTTP/1.1 SP 3DIGIT [ SP reason ]` (RFC 9112 §4; the space before an absent reason is often
/// left out).
#[inline(always)]
fn status_line(line: &[u8], out: &mut ResponseHead) -> Result<(), HeadError> {
    out.clear();
    let rest = line.strip_prefix(b"HTTP/1.").ok_or(HeadError::StatusLine)?;
    let (version, status, reason) = match rest {
        [v, b' ', a, b, c] => (v, [a, b, c], &[][..]),
        [v, b' ', a, b, c, b' ', reason @ ..] => (v, [a, b, c], reason),
        _ => return Err(HeadError::StatusLine),
    };
    out.version = match version {
        b'1' => Version::Http11,
        b'0' => Version::Http10,
        _ => return Err(HeadError::StatusLine),
    };
    for digit in status {
        if !digit.is_ascii_digit() {
            return Err(HeadError::StatusLine);
        }
        // at most 999
        out.status = out
            .status
            .wrapping_mul(10)
            .wrapping_add(u16::from(digit.wrapping_sub(b'0')));
    }
    if out.status < 100 || !is_value(reason) {
        return Err(HeadError::StatusLine);
    }
    out.set_reason(reason);
    Ok(())
}
