//! String literals (RFC 7541 §5.2).

use super::{HpackError, huffman, integer};

/// The bit that says Huffman, above a prefix of seven for the length.
const HUFFMAN: u8 = 0x80;
const PREFIX: u32 = 7;

/// A string of at most `max` bytes and what follows it: a slice of the input, or of `scratch`
/// if it had to be decoded.
#[inline]
pub(super) fn decode<'i: 's, 's>(
    input: &'i [u8],
    scratch: &'s mut Vec<u8>,
    max: usize,
) -> Result<(&'s [u8], &'i [u8]), HpackError> {
    let coded = input.first().is_some_and(|first| first & HUFFMAN != 0);
    let (len, rest) = integer::decode(input, PREFIX)?;
    let (text, rest) = rest
        .split_at_checked(len as usize)
        .ok_or(HpackError::Truncated)?;
    if coded {
        return Ok((huffman::decode(text, scratch, max)?, rest));
    }
    if text.len() > max {
        return Err(HpackError::TooLong);
    }
    Ok((text, rest))
}

/// Appends a string, Huffman coded where that is shorter.
#[inline]
pub(super) fn encode(out: &mut Vec<u8>, text: &[u8]) {
    let coded = huffman::encoded_len(text);
    if coded < text.len() {
        integer::encode(out, PREFIX, HUFFMAN, coded);
        huffman::encode(text, out);
    } else {
        integer::encode(out, PREFIX, 0, text.len());
        out.extend_from_slice(text);
    }
}
