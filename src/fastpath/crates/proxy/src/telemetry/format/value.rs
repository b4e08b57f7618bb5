//! What an operator found, and how it is written.

use std::net::IpAddr;

use model::format::TimeFormat;
use model::resources::address::Address;

use super::{address, clock};
use crate::telemetry::response_flags::ResponseFlags;

/// An operator's answer, borrowed where it can be.
pub(super) enum Value<'a> {
    Missing,
    /// The port of a pipe: no text, and `null` in JSON.
    NoPort,
    Bytes(&'a [u8]),
    /// As it is in JSON, too.
    Json(&'a [u8]),
    /// Percent-decoded on the way out.
    Encoded(&'a [u8]),
    /// Joined by commas.
    List(&'a [Box<str>]),
    Owned(String),
    /// White space becomes `_`.
    Word(&'a str),
    Number(u64),
    Bool(bool),
    /// A number that JSON has as a string.
    Digits(u16),
    Address(&'a Address),
    Ip(IpAddr),
    Time(&'a TimeFormat, u64),
    Flags(ResponseFlags, bool),
    Uuid(u128),
    /// A message: in text, and in a JSON log line.
    Message {
        text: String,
        json: String,
    },
}

impl<'a> Value<'a> {
    pub(super) fn bytes(value: Option<&'a [u8]>) -> Self {
        // An empty header counts as absent only in JSON's omit_empty_values, not here.
        value.map_or(Value::Missing, Value::Bytes)
    }

    pub(super) fn json(value: Option<&'a [u8]>) -> Self {
        value.map_or(Value::Missing, Value::Json)
    }

    pub(super) fn text(value: Option<&'a str>) -> Self {
        match value {
            Some(text) if !text.is_empty() => Value::Bytes(text.as_bytes()),
            _ => Value::Missing,
        }
    }

    pub(super) fn owned(value: Option<String>) -> Self {
        let value = value.filter(|text| !text.is_empty());
        value.map_or(Value::Missing, Value::Owned)
    }

    pub(super) fn list(value: Option<&'a [Box<str>]>) -> Self {
        let value = value.filter(|list| !list.is_empty());
        value.map_or(Value::Missing, Value::List)
    }

    pub(super) fn number(value: Option<u64>) -> Self {
        value.map_or(Value::Missing, Value::Number)
    }

    pub(super) fn address(value: Option<&'a Address>) -> Self {
        value.map_or(Value::Missing, Value::Address)
    }

    /// Of a pipe, its path.
    pub(super) fn ip(value: Option<&'a Address>) -> Self {
        match value {
            None => Value::Missing,
            Some(Address::Ip(address)) => Value::Ip(address.ip()),
            Some(pipe) => Value::Address(pipe),
        }
    }

    pub(super) fn port(value: Option<&Address>) -> Self {
        value.map_or(Value::Missing, |address| match address.port() {
            Some(port) => Value::Number(port.into()),
            None => Value::NoPort,
        })
    }

    #[inline]
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Value::Missing | Value::NoPort => {}
            Value::List(list) => {
                for (index, text) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(text.as_bytes());
                }
            }
            Value::Owned(ref text) => out.extend_from_slice(text.as_bytes()),
            Value::Bytes(bytes) | Value::Json(bytes) => out.extend_from_slice(bytes),
            Value::Encoded(bytes) => out.extend(decoded(bytes)),
            Value::Word(text) => {
                out.extend(
                    text.bytes()
                        .map(|b| if b.is_ascii_whitespace() { b'_' } else { b }),
                );
            }
            Value::Number(n) => address::decimal(n, out),
            Value::Bool(flag) => out.extend_from_slice(flag_text(flag)),
            Value::Digits(n) => address::decimal(n.into(), out),
            Value::Address(a) => address::write(a, out),
            Value::Ip(ip) => address::ip(ip, out),
            Value::Time(format, at) => clock::write(format, at, out),
            Value::Flags(flags, long) => flags.write(out, long),
            Value::Uuid(random) => uuid(random, out),
            Value::Message { ref text, .. } => out.extend_from_slice(text.as_bytes()),
        }
    }
}

pub(super) fn flag_text(flag: bool) -> &'static [u8] {
    if flag { b"true" } else { b"false" }
}

/// Percent-decodes. Control characters stay encoded (Envoy decodes them too): a request must not
/// be able to write lines of its own into a log.
pub(super) fn decoded(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        rest = tail;
        if first == b'%'
            && let [high, low, after @ ..] = tail
            && let Some(byte) = hex_pair(*high, *low)
            && !byte.is_ascii_control()
        {
            rest = after;
            return Some(byte);
        }
        Some(first)
    })
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| {
        char::from(b)
            .to_digit(16)
            .and_then(|n| u8::try_from(n).ok())
    };
    Some((digit(high)? << 4) | digit(low)?)
}

/// A version 4 UUID of these random bits.
fn uuid(random: u128, out: &mut Vec<u8>) {
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let mut shift = 128_u32;
    while let Some(next) = shift.checked_sub(4) {
        shift = next;
        let digit = u8::try_from((bits >> shift) & 15).unwrap_or(0);
        out.push(
            b"0123456789abcdef"
                .get(usize::from(digit))
                .copied()
                .unwrap_or(b'0'),
        );
        if matches!(shift, 96 | 80 | 64 | 48) {
            out.push(b'-');
        }
    }
}
