//! Capsules: type, length, value, one behind the other on a stream (RFC 9297 §3.2).
//!
//! Of the types only DATAGRAM is known, and in it only UDP payloads (context 0, RFC 9298 §4);
//! everything else is skipped, as RFC 9297 asks. A capsule that lies whole in what was read is
//! not copied. One that does not is gathered, if it may be a datagram; what is skipped never is,
//! so that a stream holds no more than one datagram.

use std::fmt;

use super::{MAX_UDP_PAYLOAD, varint};

/// Longest capsule that is taken, its header included: as long as Envoy's codec would hold.
pub const MAX_CAPSULE: u64 = 1024 * 1024;

const DATAGRAM: u64 = 0x00;
/// A UDP payload follows (RFC 9298 §4).
const CONTEXT_UDP: u64 = 0;
/// The longest capsule that may be a datagram: its context may be written in eight bytes.
const MAX_DATAGRAM: u64 = MAX_UDP_PAYLOAD as u64 + 8;
/// Above this, memory for a gathered capsule is given back.
const KEEP: usize = 4096;

/// Reads a stream of capsules that is cut anywhere.
#[derive(Debug, Default)]
pub struct CapsuleReader {
    /// A capsule of which the end is missing.
    held: Vec<u8>,
    /// `held` was given out whole.
    is_spent: bool,
    /// Bytes still to come of a capsule that nobody wants.
    skip: u64,
}

/// Why a stream cannot go on. The texts are those of Envoy's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapsuleError {
    /// A datagram without a (whole) context id.
    Context,
    TooLong,
    /// The stream ended within a capsule.
    Truncated,
}

impl CapsuleError {
    #[must_use]
    pub fn details(self) -> &'static str {
        match self {
            Self::Context => "protocol_error|Visitor_failed_to_process_capsule",
            Self::TooLong => "protocol_error|Refusing_to_buffer_too_much_capsule_data",
            Self::Truncated => "protocol_error|Incomplete_capsule_left_at_the_end_of_the_stream",
        }
    }
}

impl fmt::Display for CapsuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Context => "DATAGRAM capsule without a context id",
            Self::TooLong => "capsule longer than 1 MiB",
            Self::Truncated => "stream that ends within a capsule",
        })
    }
}

impl std::error::Error for CapsuleError {}

/// What the start of a capsule says.
enum Start {
    NeedMore,
    /// So many bytes of header, so many of value.
    Datagram(usize, usize),
    /// Nobody wants it; its whole length.
    Other(u64),
}

impl CapsuleReader {
    /// Takes bytes up to the next datagram. Returns how many it took, and the datagram's UDP
    /// payload; none: all bytes were taken.
    pub fn next<'a>(
        &'a mut self,
        bytes: &'a [u8],
    ) -> Result<(usize, Option<&'a [u8]>), CapsuleError> {
        if std::mem::take(&mut self.is_spent) {
            self.forget();
        }
        let mut used = 0_usize;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if self.skip > 0 {
                let n = usize::try_from(self.skip).map_or(rest.len(), |n| n.min(rest.len()));
                self.skip = self.skip.saturating_sub(n as u64);
                used = used.saturating_add(n);
                if self.skip > 0 {
                    return Ok((used, None));
                }
                continue;
            }
            if !self.held.is_empty() {
                let (n, whole) = self.gather(rest)?;
                used = used.saturating_add(n);
                match whole {
                    Some(header) if context(self.held.get(header..))?.is_none() => self.forget(),
                    Some(header) => {
                        self.is_spent = true;
                        return Ok((used, context(self.held.get(header..))?));
                    }
                    None if self.held.is_empty() => {}
                    None => return Ok((used, None)),
                }
                continue;
            }
            if rest.is_empty() {
                return Ok((used, None));
            }
            match start(rest)? {
                Start::NeedMore => {
                    self.held.extend_from_slice(rest);
                    return Ok((bytes.len(), None));
                }
                Start::Other(whole) => self.skip = whole,
                Start::Datagram(header, value) => {
                    let whole = header.saturating_add(value);
                    let Some(capsule) = rest.get(..whole) else {
                        self.held.extend_from_slice(rest);
                        return Ok((bytes.len(), None));
                    };
                    used = used.saturating_add(whole);
                    if let Some(payload) = context(capsule.get(header..))? {
                        return Ok((used, Some(payload)));
                    }
                }
            }
        }
    }

    /// Adds to what is held, up to the end of its capsule. Returns the bytes taken, and if the
    /// capsule is whole now the length of its header. One that nobody wants is skipped from here.
    fn gather(&mut self, bytes: &[u8]) -> Result<(usize, Option<usize>), CapsuleError> {
        let mut used = 0_usize;
        loop {
            match start(&self.held)? {
                Start::NeedMore => {
                    // Byte by byte: a header is short, and this happens only when one is cut.
                    let Some(byte) = bytes.get(used) else {
                        return Ok((used, None));
                    };
                    self.held.push(*byte);
                    used = used.saturating_add(1);
                }
                Start::Other(whole) => {
                    self.skip = whole.saturating_sub(self.held.len() as u64);
                    self.forget();
                    return Ok((used, None));
                }
                Start::Datagram(header, value) => {
                    let whole = header.saturating_add(value);
                    let missing = whole.saturating_sub(self.held.len());
                    let rest = bytes.get(used..).unwrap_or_default();
                    let part = rest.get(..missing).unwrap_or(rest);
                    self.held.extend_from_slice(part);
                    let is_whole = self.held.len() >= whole;
                    return Ok((used.saturating_add(part.len()), is_whole.then_some(header)));
                }
            }
        }
    }

    /// The stream has ended: within a capsule?
    pub fn finish(&self) -> Result<(), CapsuleError> {
        if self.skip > 0 || (!self.held.is_empty() && !self.is_spent) {
            return Err(CapsuleError::Truncated);
        }
        Ok(())
    }

    fn forget(&mut self) {
        if self.held.capacity() > KEEP {
            self.held = Vec::new();
        } else {
            self.held.clear();
        }
    }
}

fn start(bytes: &[u8]) -> Result<Start, CapsuleError> {
    let Some((kind, kind_len)) = varint::read(bytes) else {
        return Ok(Start::NeedMore);
    };
    let Some((value, value_len)) = varint::read(bytes.get(kind_len..).unwrap_or_default()) else {
        return Ok(Start::NeedMore);
    };
    let header = kind_len.saturating_add(value_len);
    let whole = value.saturating_add(header as u64);
    if whole > MAX_CAPSULE {
        return Err(CapsuleError::TooLong);
    }
    Ok(match usize::try_from(value) {
        Ok(len) if kind == DATAGRAM && value <= MAX_DATAGRAM => Start::Datagram(header, len),
        // What no datagram can carry is dropped like what nobody knows.
        _ => Start::Other(whole),
    })
}

/// The UDP payload of a DATAGRAM capsule's value; `None`: of another context.
fn context(value: Option<&[u8]>) -> Result<Option<&[u8]>, CapsuleError> {
    let value = value.unwrap_or_default();
    let (id, len) = varint::read(value).ok_or(CapsuleError::Context)?;
    Ok(value.get(len..).filter(|_| id == CONTEXT_UDP))
}

/// Appends a DATAGRAM capsule with a UDP payload.
pub fn write_datagram(out: &mut Vec<u8>, payload: &[u8]) {
    varint::write(out, DATAGRAM);
    varint::write(out, (payload.len() as u64).saturating_add(1));
    varint::write(out, CONTEXT_UDP);
    out.extend_from_slice(payload);
}
