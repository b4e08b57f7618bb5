//! Bodies (RFC 9112 §6 and §7): by length, in chunks, or up to the end of the connection.

use super::error::{BodyError, HeadError};
use super::line::{Field, Line};
use crate::head::BodyLength;
use crate::headers::HeaderMap;
use crate::hop::is_protected;
use crate::known::{Known, is_framing_lookalike};

/// Limits of what is not data in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// One chunk-size line without its CRLF: size and extensions.
    pub max_chunk_line: u32,
    /// All chunk extensions of a body together (Go's CVE-2023-39326: small chunks, big extensions).
    pub max_chunk_extensions: u32,
    /// The whole trailer section.
    pub max_trailer_bytes: u32,
    /// Fields in it.
    pub max_trailers: u32,
}

impl Default for BodyLimits {
    fn default() -> BodyLimits {
        BodyLimits {
            max_chunk_line: 256,
            max_chunk_extensions: 16_384,
            max_trailer_bytes: 61_440,
            max_trailers: 100,
        }
    }
}

/// What `BodyDecoder::next` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEvent {
    /// `buf[start..start + len]` is data; `len` is not 0.
    Data { start: usize, len: usize },
    /// The map that was passed in got trailer fields. `End` is next.
    Trailers,
    /// The body is complete; what was not consumed belongs to the next message.
    End,
    /// Everything there was is consumed, but for the start of a trailer line.
    NeedMore,
}

/// Decodes one body, however the bytes are cut.
///
/// Nothing is held back: sizes and extensions that are not complete are kept as numbers in
/// the decoder. Only of the trailers an incomplete line stays with the caller.
#[derive(Clone, Copy, Debug)]
pub struct BodyDecoder {
    state: State,
    /// Bytes of the body, or of the chunk, that are still to come.
    left: u64,
    /// Digits of the chunk size; then bytes of the size line; then searched bytes of a trailer line.
    line: u32,
    /// Bytes of all extensions; then bytes of trailers.
    bulk: u32,
    trailers: u32,
    kept: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length,
    UntilClose,
    Size,
    /// Chunk extensions: after `;`, in the name, after `=`, in a token, in a quoted string,
    /// after a backslash there, after the closing quote.
    ExtensionStart,
    ExtensionName,
    ExtensionValue,
    ExtensionToken,
    Quoted,
    QuotedPair,
    QuotedEnd,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    /// The trailers were announced.
    End,
}

impl BodyDecoder {
    #[inline]
    #[must_use]
    pub const fn new(length: BodyLength) -> BodyDecoder {
        let (state, left) = match length {
            BodyLength::None => (State::Length, 0),
            BodyLength::Length(n) => (State::Length, n),
            BodyLength::Chunked => (State::Size, 0),
            BodyLength::UntilClose => (State::UntilClose, 0),
        };
        BodyDecoder {
            state,
            left,
            line: 0,
            bulk: 0,
            trailers: 0,
            kept: false,
        }
    }

    /// True once no byte of the body is missing.
    #[inline]
    #[must_use]
    pub const fn is_done(&self) -> bool {
        match self.state {
            State::Length => self.left == 0,
            State::End => true,
            _ => false,
        }
    }

    /// Bytes still to come, if the length was announced.
    #[inline]
    #[must_use]
    pub const fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length => Some(self.left),
            State::End => Some(0),
            _ => None,
        }
    }

    /// The peer closed its side: the end of a body that ends so, a fault for all others.
    pub const fn eof(&mut self) -> Result<(), BodyError> {
        if matches!(self.state, State::UntilClose) {
            self.state = State::End;
        }
        if self.is_done() {
            Ok(())
        } else {
            Err(BodyError::Truncated)
        }
    }

    /// Decodes from `buf`, the bytes that were not consumed yet. Returns how many are consumed
    /// (framing included, and the data of `Data`) and what was found. Trailers are appended to
    /// `trailers`, or checked and dropped without it.
    #[inline]
    pub fn next(
        &mut self,
        buf: &[u8],
        trailers: Option<&mut HeaderMap>,
        limits: &BodyLimits,
    ) -> Result<(usize, BodyEvent), BodyError> {
        match self.state {
            State::Length => {
                if self.left == 0 {
                    return Ok((0, BodyEvent::End));
                }
                Ok(self.data(buf, 0))
            }
            State::UntilClose if buf.is_empty() => Ok((0, BodyEvent::NeedMore)),
            State::UntilClose => Ok((
                buf.len(),
                BodyEvent::Data {
                    start: 0,
                    len: buf.len(),
                },
            )),
            State::End => Ok((0, BodyEvent::End)),
            _ => self.chunked(buf, trailers, limits),
        }
    }

    /// Up to `self.left` bytes of data, which start `at` bytes into the buffer.
    #[inline(always)]
    fn data(&mut self, rest: &[u8], at: usize) -> (usize, BodyEvent) {
        let len = rest
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if len == 0 {
            return (at, BodyEvent::NeedMore);
        }
        self.left = self.left.saturating_sub(len as u64);
        (at.saturating_add(len), BodyEvent::Data { start: at, len })
    }

    fn chunked(
        &mut self,
        buf: &[u8],
        trailers: Option<&mut HeaderMap>,
        limits: &BodyLimits,
    ) -> Result<(usize, BodyEvent), BodyError> {
        let mut rest = buf;
        loop {
            match self.state {
                State::Data => {
                    if self.left > 0 {
                        return Ok(self.data(rest, buf.len().saturating_sub(rest.len())));
                    }
                    self.state = State::DataCr;
                }
                State::Trailers => {
                    return self.trailer_section(
                        rest,
                        buf.len().saturating_sub(rest.len()),
                        trailers,
                        limits,
                    );
                }
                _ => {
                    let [byte, tail @ ..] = rest else {
                        return Ok((buf.len(), BodyEvent::NeedMore));
                    };
                    self.framing(*byte, limits)?;
                    rest = tail;
                }
            }
        }
    }

    /// One byte between the data (RFC 9112 §7.1). No whitespace is allowed anywhere but in
    /// quoted strings: the BWS of the grammar is what smugglers use, and no sender.
    #[inline(always)]
    fn framing(&mut self, byte: u8, limits: &BodyLimits) -> Result<(), BodyError> {
        use crate::chars::{is_token_char, is_value_ctl};
        self.state = match (self.state, byte) {
            (State::Size, _) => return self.size(byte),
            (State::SizeLf, b'\n') => {
                self.line = 0;
                if self.left > 0 {
                    State::Data
                } else {
                    self.bulk = 0;
                    State::Trailers
                }
            }
            (State::SizeLf, _) => return Err(BodyError::ChunkSize),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::DataCr | State::DataLf, _) => return Err(BodyError::ChunkEnd),
            (state, _) => {
                self.line = self.line.saturating_add(1);
                self.bulk = self.bulk.saturating_add(1);
                if self.line > limits.max_chunk_line || self.bulk > limits.max_chunk_extensions {
                    return Err(BodyError::ChunkLineTooLong);
                }
                match (state, byte) {
                    (State::ExtensionStart | State::ExtensionName, b) if is_token_char(b) => {
                        State::ExtensionName
                    }
                    (State::ExtensionName, b'=') => State::ExtensionValue,
                    (State::ExtensionValue | State::ExtensionToken, b) if is_token_char(b) => {
                        State::ExtensionToken
                    }
                    (State::ExtensionValue, b'"') => State::Quoted,
                    (State::Quoted, b'"') => State::QuotedEnd,
                    (State::Quoted, b'\\') => State::QuotedPair,
                    (State::Quoted | State::QuotedPair, b) if !is_value_ctl(b) => State::Quoted,
                    (State::ExtensionName | State::ExtensionToken | State::QuotedEnd, b';') => {
                        State::ExtensionStart
                    }
                    (State::ExtensionName | State::ExtensionToken | State::QuotedEnd, b'\r') => {
                        State::SizeLf
                    }
                    _ => return Err(BodyError::ChunkExtension),
                }
            }
        };
        Ok(())
    }

    /// `1*HEXDIG`, at most 16 of them; then extensions or CRLF.
    #[inline(always)]
    fn size(&mut self, byte: u8) -> Result<(), BodyError> {
        let digit = match byte {
            b'0'..=b'9' => byte.wrapping_sub(b'0'),
            b'a'..=b'f' => byte.wrapping_sub(b'a').wrapping_add(10),
            b'A'..=b'F' => byte.wrapping_sub(b'A').wrapping_add(10),
            b';' if self.line > 0 => {
                self.state = State::ExtensionStart;
                return Ok(());
            }
            b'\r' if self.line > 0 => {
                self.state = State::SizeLf;
                return Ok(());
            }
            _ => return Err(BodyError::ChunkSize),
        };
        if self.line >= 16 {
            return Err(BodyError::ChunkTooLarge);
        }
        self.line = self.line.wrapping_add(1);
        self.left = (self.left << 4) | u64::from(digit); // 16 digits fit
        Ok(())
    }

    /// Trailer lines (RFC 9112 §7.1.2), each consumed when it is whole. `at` bytes of the
    /// caller's buffer lie before `rest`.
    #[inline(never)]
    fn trailer_section(
        &mut self,
        mut rest: &[u8],
        at: usize,
        mut trailers: Option<&mut HeaderMap>,
        limits: &BodyLimits,
    ) -> Result<(usize, BodyEvent), BodyError> {
        let all = rest.len();
        let consumed = |rest: &[u8]| at.saturating_add(all.saturating_sub(rest.len()));
        loop {
            // What the section may still take; the empty line at its end in any case.
            let room = (limits.max_trailer_bytes.saturating_sub(self.bulk) as usize).max(2);
            let window = rest.get(..room).unwrap_or(rest);
            let fresh = window.get(self.line as usize..).unwrap_or_default();
            let full = window.len() == room;
            let whole = self.line == 0 || full || memchr::memchr(b'\n', fresh).is_some();
            let line = if whole {
                Line::read(window).map_err(BodyError::Trailer)?
            } else {
                Line::Incomplete
            };
            match line {
                Line::Incomplete if full => return Err(BodyError::TrailersTooLarge),
                Line::Incomplete => {
                    self.line = u32::try_from(rest.len()).unwrap_or(u32::MAX);
                    return Ok((consumed(rest), BodyEvent::NeedMore));
                }
                Line::End => {
                    rest = rest.get(2..).unwrap_or_default();
                    self.state = State::End;
                    let event = if self.kept {
                        BodyEvent::Trailers
                    } else {
                        BodyEvent::End
                    };
                    return Ok((consumed(rest), event));
                }
                Line::Field(field) => {
                    self.line = 0;
                    rest = rest.get(field.line.len()..).unwrap_or_default();
                    self.bulk = self
                        .bulk
                        .saturating_add(u32::try_from(field.line.len()).unwrap_or(u32::MAX));
                    self.trailers = self.trailers.saturating_add(1);
                    if self.trailers > limits.max_trailers {
                        return Err(BodyError::TooManyTrailers);
                    }
                    self.keep(&field, trailers.as_deref_mut())?;
                }
            }
        }
    }

    fn keep(
        &mut self,
        field: &Field<'_>,
        trailers: Option<&mut HeaderMap>,
    ) -> Result<(), BodyError> {
        let known = Known::of_any_case(field.name);
        if matches!(
            known,
            Known::TransferEncoding | Known::ContentLength | Known::Host
        ) || is_framing_lookalike(field.name)
        {
            return Err(BodyError::ForbiddenTrailer);
        }
        if let Some(trailers) = trailers
            && is_trailer(known, field.name)
        {
            field
                .store(trailers)
                .map_err(|e: HeadError| BodyError::Trailer(e))?;
            self.kept = true;
        }
        Ok(())
    }
}

/// False for fields that must not come after the body (RFC 9110 §6.5.1): framing, routing,
/// authentication, and what says who is asking. They are dropped on the way in and out.
pub(crate) fn is_trailer(known: Known, name: &[u8]) -> bool {
    !(is_protected(known, name)
        || matches!(
            known,
            Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::TransferEncoding
                | Known::Te
                | Known::Trailer
                | Known::Upgrade
                | Known::Http2Settings
                | Known::Expect
                | Known::ProxyAuthorization
                | Known::ProxyAuthenticate
                | Known::WwwAuthenticate
                | Known::Cookie
                | Known::SetCookie
                | Known::ContentEncoding
                | Known::CacheControl
                | Known::Location
                | Known::Range
                | Known::Vary
        ))
}
