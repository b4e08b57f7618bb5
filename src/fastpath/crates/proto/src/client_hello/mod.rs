//! Finds the ClientHello at the start of a connection, without taking part in the handshake.
//!
//! The verdicts are those of Envoy 1.40's TLS inspector, which asks BoringSSL: what that would not
//! take for a ClientHello is no TLS. Two are stricter: bytes that cannot become TLS are none as soon
//! as they are seen, and the ClientHello in SSL 2 clothes (RFC 5246, E.2) is none. Who asks for it
//! is given longer messages than BoringSSL takes.

mod fingerprint;
mod message;

use std::borrow::Cow;

use crate::reader::Reader;

pub use message::{Alpn, ClientHello, Invalid};

/// How many bytes are looked at where nothing else is asked for, with record headers: Envoy's
/// limit, and the most that its `max_client_hello_size` can be.
pub const DEFAULT_BYTES: usize = 16 * 1024;
/// The most that can be asked for.
pub const MAX_BYTES: usize = 64 * 1024;

/// `ContentType.handshake`, RFC 8446, 5.1.
const HANDSHAKE: u8 = 22;
/// `HandshakeType.client_hello`, RFC 8446, 4.
const CLIENT_HELLO: u8 = 1;
const RECORD_HEADER: usize = 5;
const HANDSHAKE_HEADER: usize = 4;
/// BoringSSL's limits: bytes of a record's body, of a message's body, records without any byte.
const MAX_RECORD: u16 = 16_384 + 256 + 64;
const MAX_MESSAGE: usize = 16_384;
const MAX_EMPTY_RECORDS: usize = 32;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'b> {
    /// Perhaps the start of one.
    NeedMore,
    /// No TLS, or no ClientHello.
    NotTls,
    /// Longer than the limit.
    TooLarge,
    Message(Message<'b>),
}

/// A whole ClientHello message; [`ClientHello::parse`] reads its fields.
#[derive(Debug, PartialEq, Eq)]
pub struct Message<'b> {
    /// The body, after the handshake header.
    pub body: Cow<'b, [u8]>,
    /// How many of the bytes belong to it, record headers included.
    pub consumed: usize,
}

/// Finds a ClientHello. It goes on where it was, so that bytes that trickle in are looked at once,
/// in however many records they are.
#[derive(Debug, Default)]
pub struct Finder {
    /// Where the first record begins that was not whole yet.
    at: usize,
    /// Bytes of the message in the records before.
    gathered: usize,
    /// The first of them, as many as there are.
    head: [u8; HANDSHAKE_HEADER],
    empty_records: usize,
}

impl Finder {
    /// `bytes`: all there is since the start of the connection; `limit`: how many of them may be
    /// looked at, the same each time.
    pub fn look<'b>(&mut self, bytes: &'b [u8], limit: usize) -> Found<'b> {
        let within = bytes.get(..limit).unwrap_or(bytes);
        match self.walk(within, limit.max(MAX_MESSAGE)) {
            Err(NotTls) => Found::NotTls,
            Ok(Some(length)) => {
                let records = within.get(..self.at).unwrap_or_default();
                Found::Message(Message {
                    body: body(records, length),
                    consumed: self.at,
                })
            }
            Ok(None) if within.len() >= limit => Found::TooLarge,
            Ok(None) => Found::NeedMore,
        }
    }

    /// Over the records that are whole now. The length of the message's body, once it is there.
    fn walk(&mut self, bytes: &[u8], longest: usize) -> Result<Option<usize>, NotTls> {
        loop {
            let rest = bytes.get(self.at..).unwrap_or_default();
            let Some(fragment) = record(rest)? else {
                return Ok(None);
            };
            let taken = fragment.len().saturating_add(RECORD_HEADER);
            self.at = self.at.saturating_add(taken);
            if fragment.is_empty() {
                self.empty_records = self.empty_records.saturating_add(1);
                if self.empty_records > MAX_EMPTY_RECORDS {
                    return Err(NotTls);
                }
                continue;
            }
            let head = self.head.get_mut(self.gathered..).unwrap_or_default();
            head.iter_mut()
                .zip(fragment)
                .for_each(|(to, byte)| *to = *byte);
            self.gathered = self.gathered.saturating_add(fragment.len());
            if let Some(length) = self.length(longest)?
                && self.gathered >= length.saturating_add(HANDSHAKE_HEADER)
            {
                return Ok(Some(length));
            }
        }
    }

    /// What the message says of its body's length.
    fn length(&self, longest: usize) -> Result<Option<usize>, NotTls> {
        let [kind, high, middle, low] = self.head;
        if kind != CLIENT_HELLO {
            return Err(NotTls);
        }
        if self.gathered < HANDSHAKE_HEADER {
            return Ok(None);
        }
        let length = u32::from_be_bytes([0, high, middle, low]);
        let length = usize::try_from(length).ok().filter(|n| *n <= longest);
        length.map(Some).ok_or(NotTls)
    }
}

struct NotTls;

/// The body of the record that these bytes begin with, once it is whole. What is there of its
/// header is judged at once.
fn record(bytes: &[u8]) -> Result<Option<&[u8]>, NotTls> {
    if bytes.first().is_some_and(|kind| *kind != HANDSHAKE)
        || bytes.get(1).is_some_and(|major| *major != 3)
    {
        return Err(NotTls);
    }
    let mut reader = Reader::new(bytes);
    let Some([_, _, _, high, low]) = reader.array() else {
        return Ok(None);
    };
    let length = u16::from_be_bytes([high, low]);
    if length > MAX_RECORD {
        return Err(NotTls);
    }
    Ok(reader.bytes(length.into()))
}

/// The message's body in records that have been walked over: lent while one of them holds it. What
/// follows it in its record is left out.
fn body(mut records: &[u8], length: usize) -> Cow<'_, [u8]> {
    let whole = length.saturating_add(HANDSHAKE_HEADER);
    let mut message = Vec::new();
    while let Ok(Some(fragment)) = record(records) {
        if message.is_empty()
            && let Some(body) = fragment.get(HANDSHAKE_HEADER..whole)
        {
            return Cow::Borrowed(body);
        }
        if message.is_empty() {
            message.reserve_exact(whole);
        }
        let missing = whole.saturating_sub(message.len());
        message.extend_from_slice(fragment.get(..missing).unwrap_or(fragment));
        let taken = fragment.len().saturating_add(RECORD_HEADER);
        records = records.get(taken..).unwrap_or_default();
    }
    message.drain(..HANDSHAKE_HEADER.min(message.len()));
    Cow::Owned(message)
}
