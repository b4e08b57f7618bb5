//! One field line (RFC 9112 §5), read strictly and from left to right.

use super::error::HeadError;
use crate::chars::{token_run, trim_ows, value_run};
use crate::headers::HeaderMap;
use crate::known::Known;

/// What stands at the start of the buffer.
pub(crate) enum Line<'a> {
    /// The line is not there yet as a whole, and what is there is well-formed.
    Incomplete,
    /// The empty line; 2 bytes.
    End,
    /// A field line.
    Field(Field<'a>),
}

/// A well-formed field line.
pub(crate) struct Field<'a> {
    /// The line with its CRLF.
    pub(crate) line: &'a [u8],
    /// A token.
    pub(crate) name: &'a [u8],
    /// Without outer whitespace and without control characters but HTAB.
    pub(crate) value: &'a [u8],
}

impl<'a> Line<'a> {
    #[inline(always)]
    pub(crate) fn read(buf: &'a [u8]) -> Result<Line<'a>, HeadError> {
        let name_len = token_run(buf);
        let Some((name, [colon, after @ ..])) = buf.split_at_checked(name_len) else {
            return Ok(Line::Incomplete);
        };
        if *colon != b':' || name.is_empty() {
            return Line::no_field(name, *colon, after);
        }
        let Some(value_len) = value_run(after) else {
            return Ok(Line::Incomplete);
        };
        let Some((raw, end)) = after.split_at_checked(value_len) else {
            return Ok(Line::Incomplete);
        };
        match end {
            [b'\r', b'\n', ..] => {}
            [b'\r'] => return Ok(Line::Incomplete),
            [b'\r', ..] => return Err(HeadError::BareCr),
            [b'\n', ..] => return Err(HeadError::BareLf),
            _ => return Err(HeadError::FieldValue),
        }
        // name, colon, value, CRLF: all within `buf`
        let line_len = name_len.wrapping_add(value_len).wrapping_add(3);
        Ok(Line::Field(Field {
            line: buf.get(..line_len).unwrap_or_default(),
            name,
            value: trim_ows(raw),
        }))
    }

    #[inline(never)]
    fn no_field(name: &[u8], stop: u8, after: &[u8]) -> Result<Line<'a>, HeadError> {
        match (name.is_empty(), stop, after) {
            (true, b'\r', [b'\n', ..]) => Ok(Line::End),
            (_, b'\r', []) => Ok(Line::Incomplete),
            (_, b'\r', [b'\n', ..]) => Err(HeadError::FieldName),
            (_, b'\r', _) => Err(HeadError::BareCr),
            (_, b'\n', _) => Err(HeadError::BareLf),
            (true, b' ' | b'\t', _) => Err(HeadError::ObsFold),
            (true, b':', _) => Err(HeadError::EmptyFieldName),
            (_, b' ' | b'\t', _) => Err(HeadError::SpaceBeforeColon),
            _ => Err(HeadError::FieldName),
        }
    }
}

impl Field<'_> {
    /// Appends the field, as one copy if it is spaced as we write it.
    #[inline(always)]
    pub(crate) fn store(&self, headers: &mut HeaderMap) -> Result<Known, HeadError> {
        // The whole line minus `: ` and CRLF is name and value: then nothing was trimmed but
        // one byte, and it stands after the colon.
        let plain = self
            .name
            .len()
            .wrapping_add(self.value.len())
            .wrapping_add(4);
        let spaced = self
            .line
            .get(self.name.len()..)
            .is_some_and(|rest| rest.starts_with(b": "));
        if plain == self.line.len() && spaced {
            return headers
                .push_line(self.line, self.name.len())
                .ok_or(HeadError::HeadTooLarge);
        }
        if !headers.push_checked(self.name, self.value) {
            return Err(HeadError::HeadTooLarge);
        }
        Ok(Known::of_token(self.name))
    }
}
