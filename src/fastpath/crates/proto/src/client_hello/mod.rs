//! Finds the ClientHello at the start of a connection, without taking part in the handshake.
//!
//! The verdicts are those of Envoy 1.40's TLS inspector, which asks BoringSSL: what that would not
//! take for a ClientHello is no TLS. Two are stricter: bytes that cannot become TLS are none as soon
//! as they are seen, and the ClientHello in SSL 2 clothes (RFC 5246, E.2) is none.

mod fingerprint;
mod message;

use std::borrow::Cow;

use crate::reader::Reader;

pub use message::{Alpn, ClientHello, Invalid};

/// The most bytes looked at, with record headers: Envoy's limit, and that of its
/// `max_client_hello_size`.
pub const MAX_BYTES: usize = 16 * 1024;

/// `ContentType.handshake`, RFC 8446, 5.1.
const HANDSHAKE: u8 = 22;
/// `HandshakeType.client_hello`, RFC 8446, 4.
const CLIENT_HELLO: u8 = 1;
const HANDSHAKE_HEADER: usize = 4;
/// BoringSSL's limits: bytes of a record's body, of a message's body, records without any byte.
const MAX_RECORD: u16 = 16_384 + 256 + 64;
const MAX_MESSAGE: u32 = 16_384;
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

/// Finds a ClientHello. It keeps how far it must be fed before another look is worthwhile.
#[derive(Debug, Default)]
pub struct Finder {
    /// So many bytes it takes to know more.
    needed: usize,
}

impl Finder {
    /// `bytes`: all there is since the start of the connection; `limit`: how many it may take, at
    /// most [`MAX_BYTES`].
    pub fn look<'b>(&mut self, bytes: &'b [u8], limit: usize) -> Found<'b> {
        let limit = limit.min(MAX_BYTES);
        let within = bytes.get(..limit).unwrap_or(bytes);
        if within.len() < self.needed && within.len() < limit {
            return Found::NeedMore;
        }
        let mut walk = Walk::new(within);
        match walk.run() {
            Err(NotTls) => Found::NotTls,
            Ok(Some(message)) => Found::Message(message),
            Ok(None) if within.len() >= limit => Found::TooLarge,
            Ok(None) => {
                self.needed = walk.needed;
                Found::NeedMore
            }
        }
    }
}

struct NotTls;

/// A walk over the records of a prefix of the connection.
struct Walk<'b> {
    all: &'b [u8],
    reader: Reader<'b>,
    /// The message so far: lent while one record holds it.
    message: Cow<'b, [u8]>,
    empty_records: usize,
    /// Length of the prefix that would tell more than this one.
    needed: usize,
}

impl<'b> Walk<'b> {
    fn new(all: &'b [u8]) -> Self {
        Self {
            all,
            reader: Reader::new(all),
            message: Cow::Borrowed(&[]),
            empty_records: 0,
            needed: 0,
        }
    }

    /// `None`: more bytes are necessary.
    fn run(&mut self) -> Result<Option<Message<'b>>, NotTls> {
        loop {
            let Some(fragment) = self.record()? else {
                return Ok(None);
            };
            if fragment.is_empty() {
                self.empty_records = self.empty_records.saturating_add(1);
                if self.empty_records > MAX_EMPTY_RECORDS {
                    return Err(NotTls);
                }
                continue;
            }
            if self.message.is_empty() {
                self.message = Cow::Borrowed(fragment);
            } else {
                self.message.to_mut().extend_from_slice(fragment);
            }
            if let Some(body) = self.body()? {
                let consumed = self.consumed();
                return Ok(Some(Message { body, consumed }));
            }
        }
    }

    /// The next record's body. What is there of its header is judged at once.
    fn record(&mut self) -> Result<Option<&'b [u8]>, NotTls> {
        let header = self.reader.rest();
        if header.first().is_some_and(|kind| *kind != HANDSHAKE)
            || header.get(1).is_some_and(|major| *major != 3)
        {
            return Err(NotTls);
        }
        let start = self.consumed();
        let mut ahead = self.reader;
        let Some([_, _, _, high, low]) = ahead.array() else {
            // Each byte of a header may tell.
            self.needed = self.all.len().saturating_add(1);
            return Ok(None);
        };
        let length = u16::from_be_bytes([high, low]);
        if length > MAX_RECORD {
            return Err(NotTls);
        }
        let Some(body) = ahead.bytes(length.into()) else {
            self.needed = start.saturating_add(5).saturating_add(length.into());
            return Ok(None);
        };
        self.reader = ahead;
        Ok(Some(body))
    }

    /// The message's body once it is whole; what follows it in its record is left out.
    fn body(&mut self) -> Result<Option<Cow<'b, [u8]>>, NotTls> {
        let mut reader = Reader::new(&self.message);
        if reader.u8().is_some_and(|kind| kind != CLIENT_HELLO) {
            return Err(NotTls);
        }
        let Some(length) = reader.u24() else {
            return Ok(None);
        };
        let length = usize::try_from(length)
            .ok()
            .filter(|_| length <= MAX_MESSAGE)
            .ok_or(NotTls)?;
        if reader.rest().len() < length {
            return Ok(None);
        }
        let end = length.saturating_add(HANDSHAKE_HEADER);
        Ok(match std::mem::take(&mut self.message) {
            Cow::Borrowed(message) => message.get(HANDSHAKE_HEADER..end).map(Cow::Borrowed),
            Cow::Owned(mut message) => {
                message.truncate(end);
                message.drain(..HANDSHAKE_HEADER);
                Some(Cow::Owned(message))
            }
        })
    }

    fn consumed(&self) -> usize {
        self.all.len().saturating_sub(self.reader.rest().len())
    }
}
