//! What a server must know of a ClientHello before rustls gets it: which certificate to present,
//! and whether ALPN has a protocol in common (RFC 8446 §4.1.2, RFC 6066 §3, RFC 7301).
//!
//! This decides nothing about validity: what it cannot read goes to rustls, whose error it is.

use std::borrow::Cow;

/// More fragments than any client makes; then rustls gets what there is.
const MAX_RECORDS: usize = 32;
const HANDSHAKE_RECORD: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// The first handshake message of a stream of records.
pub(crate) enum Message<'a> {
    Incomplete,
    /// No ClientHello, or cut into too many records.
    Unreadable,
    Whole(Cow<'a, [u8]>),
}

/// Finds the ClientHello in the plaintext records that a client sent.
pub(crate) fn message(records: &[u8]) -> Message<'_> {
    let mut rest = records;
    let mut joined: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    for _ in 0..MAX_RECORDS {
        let Some((&[kind, major, _, high, low], after)) = rest.split_first_chunk::<5>() else {
            return match rest.first() {
                Some(&kind) if kind != HANDSHAKE_RECORD => Message::Unreadable,
                _ => Message::Incomplete,
            };
        };
        if kind != HANDSHAKE_RECORD || major != 3 {
            return Message::Unreadable;
        }
        let len = usize::from(u16::from_be_bytes([high, low]));
        let Some((fragment, after)) = after.split_at_checked(len) else {
            return Message::Incomplete;
        };
        rest = after;
        if joined.is_empty() {
            joined = Cow::Borrowed(fragment);
        } else {
            joined.to_mut().extend_from_slice(fragment);
        }
        if let Some(message) = whole(&joined) {
            return message.map_or(Message::Unreadable, |len| match joined {
                Cow::Borrowed(bytes) => {
                    Message::Whole(Cow::Borrowed(bytes.get(..len).unwrap_or_default()))
                }
                Cow::Owned(mut bytes) => {
                    bytes.truncate(len);
                    Message::Whole(Cow::Owned(bytes))
                }
            });
        }
    }
    Message::Unreadable
}

/// `None`: not all there. `Some(None)`: no ClientHello. Otherwise its length.
fn whole(bytes: &[u8]) -> Option<Option<usize>> {
    let (&[kind, a, b, c], body) = bytes.split_first_chunk::<4>()?;
    if kind != CLIENT_HELLO {
        return Some(None);
    }
    let len = usize::try_from(u32::from_be_bytes([0, a, b, c])).ok()?;
    (body.len() >= len).then(|| Some(len.saturating_add(4)))
}

#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ClientHello<'a> {
    pub(crate) server_name: Option<&'a str>,
    /// Pairs of bytes.
    suites: &'a [u8],
    groups: &'a [u8],
    schemes: &'a [u8],
    versions: &'a [u8],
    /// `ProtocolNameList` without its length.
    alpn: Option<&'a [u8]>,
}

impl<'a> ClientHello<'a> {
    /// `message` begins with the handshake header.
    pub(crate) fn parse(message: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(message);
        reader.take(4 + 2 + 32)?;
        reader.vec8()?;
        let mut hello = Self {
            suites: reader.vec16()?,
            ..Self::default()
        };
        reader.vec8()?;
        if reader.0.is_empty() {
            return Some(hello);
        }
        let mut extensions = Reader(reader.vec16()?);
        while !extensions.0.is_empty() {
            let kind = extensions.u16()?;
            let mut body = Reader(extensions.vec16()?);
            match kind {
                0 => hello.server_name = server_name(body),
                10 => hello.groups = body.vec16()?,
                13 => hello.schemes = body.vec16()?,
                16 => hello.alpn = Some(body.vec16()?),
                43 => hello.versions = body.vec8()?,
                _ => {}
            }
        }
        Some(hello)
    }

    pub(crate) fn has_alpn(&self) -> bool {
        self.alpn.is_some()
    }

    pub(crate) fn offers_protocol(&self, protocol: &[u8]) -> bool {
        let mut names = Reader(self.alpn.unwrap_or_default());
        while let Some(name) = names.vec8() {
            if name == protocol {
                return true;
            }
        }
        false
    }

    pub(crate) fn offers_group(&self, group: u16) -> bool {
        has(self.groups, group)
    }

    pub(crate) fn offers_scheme(&self, scheme: u16) -> bool {
        has(self.schemes, scheme)
    }

    pub(crate) fn offers_suite(&self, suite: u16) -> bool {
        has(self.suites, suite)
    }

    pub(crate) fn offers_tls13(&self) -> bool {
        has(self.versions, 0x0304)
    }
}

/// The first host_name, lower-case or not.
fn server_name(mut body: Reader<'_>) -> Option<&str> {
    let mut names = Reader(body.vec16()?);
    while let Some(kind) = names.u8() {
        let name = names.vec16()?;
        if kind == 0 {
            return std::str::from_utf8(name).ok();
        }
    }
    None
}

fn has(pairs: &[u8], wanted: u16) -> bool {
    pairs
        .chunks_exact(2)
        .any(|pair| pair == wanted.to_be_bytes())
}

/// Takes from the front; `None` when there is not enough.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        let (pair, rest) = self.0.split_first_chunk::<2>()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*pair))
    }

    fn vec8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    fn vec16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }
}
