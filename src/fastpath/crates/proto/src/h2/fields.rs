//! The rules for fields that all header blocks share (RFC 9113 §8.2), and the limits.

use super::error::StreamFault;
use super::hpack::{CheckedField, FieldSink, Name};
use super::options::Options;
use super::stats::Stats;
use crate::chars::{is_value, token_lower_of};
use crate::head::Underscores;
use crate::headers::HeaderMap;
use crate::known::{Known, is_framing_lookalike};

/// Checks the fields of one block as they come. The first fault counts.
pub(super) struct Check<'a> {
    options: &'a Options,
    stats: &'a mut Stats,
    /// Names and values so far, and their number.
    size: usize,
    count: usize,
    /// A field that is no pseudo-header came.
    regular: bool,
    /// The field at hand is never to be indexed (RFC 7541 §6.2.3).
    never_indexed: bool,
    fault: Option<StreamFault>,
}

impl<'a> Check<'a> {
    pub fn new(options: &'a Options, stats: &'a mut Stats) -> Check<'a> {
        Check {
            options,
            stats,
            size: 0,
            count: 0,
            regular: false,
            never_indexed: false,
            fault: None,
        }
    }

    pub fn options(&self) -> &Options {
        self.options
    }

    #[inline]
    pub fn is_ok(&self) -> bool {
        self.fault.is_none()
    }

    #[cold]
    pub fn fail(&mut self, fault: StreamFault) {
        self.fault.get_or_insert(fault);
    }

    /// Whether the fields that follow are never to be indexed.
    pub fn set_never_indexed(&mut self, is_so: bool) {
        self.never_indexed = is_so;
    }

    #[inline]
    pub fn is_never_indexed(&self) -> bool {
        self.never_indexed
    }

    /// The first fault.
    pub fn result(&self) -> Result<(), StreamFault> {
        self.fault.map_or(Ok(()), Err)
    }

    /// A pseudo-header, which must come before all others (§8.3). Counts it.
    #[inline]
    pub fn pseudo(&mut self, name: &str, value: &[u8]) -> bool {
        if self.regular {
            self.fail(StreamFault::PseudoField);
        }
        self.count(name.len(), value.len())
    }

    /// Counts a field against the limits.
    #[inline]
    fn count(&mut self, name: usize, value: usize) -> bool {
        self.count = self.count.saturating_add(1);
        let field = name.saturating_add(value);
        self.size = self.size.saturating_add(field);
        if self.size > self.options.max_header_bytes || field > self.options.max_header_field_bytes
        {
            self.fail(StreamFault::HeaderOverflow);
        } else if self.count > self.options.max_headers {
            self.fail(StreamFault::TooManyHeaders);
        }
        self.is_ok()
    }

    /// A field of the wire: counts and validates it. `None`: it goes no further, be it refused
    /// or dropped.
    #[inline]
    pub fn literal<'n>(&mut self, name: Name<'n>, value: &[u8]) -> Option<(Known, &'n [u8])> {
        let (known, bytes) = match name {
            Name::Known(known) => (known, name.as_bytes()),
            Name::Other(bytes) => (Known::Other, bytes),
            Name::Pseudo(_) => {
                self.fail(StreamFault::PseudoField);
                return None;
            }
        };
        self.regular = true;
        if !self.count(bytes.len(), value.len()) {
            return None;
        }
        if known == Known::Other && !is_field_name(bytes) {
            self.fail(match bytes {
                [b':', ..] => StreamFault::PseudoField,
                _ => StreamFault::FieldName,
            });
            return None;
        }
        if !is_field_value(value) {
            self.fail(StreamFault::FieldValue);
            return None;
        }
        self.admit(known, bytes, value).then_some((known, bytes))
    }

    /// A field of a table that is valid by itself: counts it.
    #[inline]
    pub fn checked(&mut self, field: &CheckedField<'_>) -> bool {
        self.regular = true;
        let (line, name_len) = field.line();
        // `: ` and CRLF are in the line, too.
        let value_len = line.len().saturating_sub(name_len).saturating_sub(4);
        self.count(name_len, value_len)
            && self.admit(
                field.known(),
                line.get(..name_len).unwrap_or_default(),
                field.value(),
            )
    }

    /// Fields of HTTP/1 connections (§8.2.2), and those with underscores.
    #[inline]
    fn admit(&mut self, known: Known, name: &[u8], value: &[u8]) -> bool {
        match known {
            Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Upgrade => {
                self.fail(StreamFault::ConnectionField);
                false
            }
            Known::Te if !value.eq_ignore_ascii_case(b"trailers") => {
                self.fail(StreamFault::ConnectionField);
                false
            }
            Known::Other => self.underscores(name),
            _ => true,
        }
    }

    #[inline]
    fn underscores(&mut self, name: &[u8]) -> bool {
        if self.options.underscores == Underscores::Allow || !name.contains(&b'_') {
            return true;
        }
        if self.options.underscores == Underscores::Reject {
            let rejected = &mut self.stats.requests_rejected_with_underscores_in_headers;
            *rejected = rejected.saturating_add(1);
            self.fail(StreamFault::Underscore);
        } else {
            let dropped = &mut self.stats.dropped_headers_with_underscores;
            *dropped = dropped.saturating_add(1);
        }
        false
    }

    /// Appends a field that `literal` let through.
    #[inline]
    pub fn push(&mut self, headers: &mut HeaderMap, known: Known, name: &[u8], value: &[u8]) {
        if !headers.push_valid(known, name, value) {
            self.fail(StreamFault::HeaderOverflow);
        } else if self.never_indexed {
            headers.mark_last();
        }
    }

    /// Appends a field that `checked` let through.
    #[inline]
    pub fn push_field(&mut self, headers: &mut HeaderMap, field: CheckedField<'_>) {
        if !headers.push_field(field) {
            self.fail(StreamFault::HeaderOverflow);
        }
    }
}

/// A token in lower case (§8.2.1) that imitates no framing field.
#[inline]
fn is_field_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|b| *b != 0 && token_lower_of(*b) == *b)
        && !is_framing_lookalike(name)
}

/// No controls but HTAB, no whitespace around (§8.2.1).
#[inline]
fn is_field_value(value: &[u8]) -> bool {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    is_value(value) && !blank(value.first()) && !blank(value.last())
}

/// Takes nothing: a block that belongs to no message is decoded for the table only.
pub(super) struct Discard;

impl FieldSink for Discard {
    fn field(&mut self, _name: Name<'_>, _value: &[u8]) -> bool {
        false
    }
}
