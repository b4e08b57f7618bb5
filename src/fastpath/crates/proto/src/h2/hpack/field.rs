//! What a header block consists of: names, and the door through which fields come out.

use crate::chars::{is_value, token_lower_of, trim_ows};
use crate::known::{Known, is_framing_lookalike};

/// A pseudo-header field (RFC 9113 §8.3; `:protocol`: RFC 8441 §4).
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Status,
    Protocol,
}

impl Pseudo {
    /// With the colon.
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Pseudo::Method => ":method",
            Pseudo::Scheme => ":scheme",
            Pseudo::Authority => ":authority",
            Pseudo::Path => ":path",
            Pseudo::Status => ":status",
            Pseudo::Protocol => ":protocol",
        }
    }

    /// Its place in a set of them.
    #[inline]
    #[must_use]
    pub(crate) const fn bit(self) -> u8 {
        1 << (self as u8)
    }

    /// The variant of `:name`.
    #[must_use]
    pub fn of(name: &[u8]) -> Option<Pseudo> {
        Some(match name {
            b":method" => Pseudo::Method,
            b":scheme" => Pseudo::Scheme,
            b":authority" => Pseudo::Authority,
            b":path" => Pseudo::Path,
            b":status" => Pseudo::Status,
            b":protocol" => Pseudo::Protocol,
            _ => return None,
        })
    }
}

/// The name of a field as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    Pseudo(Pseudo),
    /// Never `Known::Other`.
    Known(Known),
    /// Any bytes: unknown pseudo-headers, capitals and the empty name as well.
    Other(&'a [u8]),
}

impl<'a> Name<'a> {
    /// The bytes on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        match *self {
            Name::Pseudo(pseudo) => pseudo.name().as_bytes(),
            Name::Known(known) => known.name().as_bytes(),
            Name::Other(name) => name,
        }
    }
}

/// A name as both tables remember it: the bytes of `Other` are in the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameId {
    Pseudo(Pseudo),
    Known(Known),
    Other,
}

impl NameId {
    /// Resolves a literal.
    #[inline]
    pub(super) fn of(name: &[u8]) -> NameId {
        if name.first() == Some(&b':') {
            return Pseudo::of(name).map_or(NameId::Other, NameId::Pseudo);
        }
        match Known::of(name) {
            Known::Other => NameId::Other,
            known => NameId::Known(known),
        }
    }

    /// `name` are the bytes this was made of.
    #[inline(always)]
    pub(super) fn with(self, name: &[u8]) -> Name<'_> {
        match self {
            NameId::Pseudo(pseudo) => Name::Pseudo(pseudo),
            NameId::Known(known) => Name::Known(known),
            NameId::Other => Name::Other(name),
        }
    }
}

/// Receives the fields of a block in order.
///
/// Names and values are what the peer sent: any bytes. The sink applies RFC 9113 §8.2.1 and §8.3.
pub trait FieldSink {
    /// `false`: stop. The rest of the block is still decoded so that the table stays right, but
    /// no more is given.
    fn field(&mut self, name: Name<'_>, value: &[u8]) -> bool;

    /// Called instead of `field` for a literal that is never to be indexed (RFC 7541 §6.2.3): who
    /// forwards it must say so again.
    fn never_indexed(&mut self, name: Name<'_>, value: &[u8]) -> bool {
        self.field(name, value)
    }

    /// Called instead of `field` for a field of a table that was found valid when it went in, so
    /// that a sink need not look at its bytes again.
    #[inline]
    fn checked(&mut self, field: CheckedField<'_>) -> bool {
        self.field(field.name(), field.value())
    }
}

/// A field that is no pseudo-header, with a lower-case token for a name that does not imitate a
/// framing field (as `HeaderMap` demands), and a value without controls and outer whitespace.
#[derive(Clone, Copy, Debug)]
pub struct CheckedField<'a> {
    /// `name: value\r\n`, the layout of `HeaderMap`: going there is one copy.
    line: &'a [u8],
    name_len: usize,
    known: Known,
}

/// `: ` and CRLF in a line.
const SEPARATOR: usize = 2;

impl<'a> CheckedField<'a> {
    /// `line` is `name: value\r\n` for a field for which `is_valid` holds.
    #[inline(always)]
    pub(super) fn new(line: &'a [u8], name_len: usize, known: Known) -> CheckedField<'a> {
        CheckedField {
            line,
            name_len,
            known,
        }
    }

    /// Never `Name::Pseudo`.
    #[must_use]
    pub fn name(&self) -> Name<'a> {
        match self.known {
            Known::Other => Name::Other(self.line.get(..self.name_len).unwrap_or_default()),
            known => Name::Known(known),
        }
    }

    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        let start = self.name_len.saturating_add(SEPARATOR);
        let end = self.line.len().saturating_sub(SEPARATOR);
        self.line.get(start..end).unwrap_or_default()
    }

    /// The number of the name, `Known::Other` if it has none.
    #[inline(always)]
    #[must_use]
    pub fn known(&self) -> Known {
        self.known
    }

    /// `name: value\r\n`, and the length of the name.
    #[inline(always)]
    pub(crate) fn line(&self) -> (&'a [u8], usize) {
        (self.line, self.name_len)
    }
}

/// What `CheckedField` promises.
pub(super) fn is_valid(id: NameId, name: &[u8], value: &[u8]) -> bool {
    let name = match id {
        NameId::Pseudo(_) => false,
        NameId::Known(_) => true,
        NameId::Other => is_lower_token(name) && !is_framing_lookalike(name),
    };
    name && is_value(value) && trim_ows(value).len() == value.len()
}

fn is_lower_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| *b != 0 && token_lower_of(*b) == *b)
}
