//! Integers with a prefix of some bits (RFC 7541 §5.1).

use super::HpackError;

/// Bytes after the prefix: five hold 35 bits, and a limit keeps zeros from going on for ever.
const MAX_BYTES: usize = 5;

/// An integer whose first byte is the first of `input`, and what follows it. `prefix`: 1 to 8
/// bits of the first byte.
#[inline(always)]
pub(super) fn decode(input: &[u8], prefix: u32) -> Result<(u32, &[u8]), HpackError> {
    let (first, rest) = input.split_first().ok_or(HpackError::Truncated)?;
    let full = full(prefix);
    let value = first & full;
    if value < full {
        return Ok((u32::from(value), rest));
    }
    decode_rest(rest, full)
}

#[inline(never)]
fn decode_rest(mut rest: &[u8], full: u8) -> Result<(u32, &[u8]), HpackError> {
    let mut value = u64::from(full);
    for shift in (0..MAX_BYTES).map(|n| n.wrapping_mul(7)) {
        let (byte, tail) = rest.split_first().ok_or(HpackError::Truncated)?;
        rest = tail;
        // Five times seven bits: no overflow of 64.
        value = value.saturating_add(u64::from(byte & 0x7f) << shift);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| HpackError::IntegerOverflow)?;
            return Ok((value, rest));
        }
    }
    Err(HpackError::IntegerOverflow)
}

/// Appends `value`; `pattern` are the bits above the prefix.
#[inline(always)]
pub(super) fn encode(out: &mut Vec<u8>, prefix: u32, pattern: u8, value: usize) {
    let full = full(prefix);
    match u8::try_from(value) {
        Ok(small) if small < full => out.push(pattern | small),
        _ => encode_rest(out, pattern | full, value.saturating_sub(usize::from(full))),
    }
}

#[inline(never)]
fn encode_rest(out: &mut Vec<u8>, first: u8, mut rest: usize) {
    out.push(first);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[inline(always)]
fn full(prefix: u32) -> u8 {
    u8::MAX >> 8u32.saturating_sub(prefix).min(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc() {
        // Appendix C.1.
        for (value, prefix, bytes) in [
            (10usize, 5, &[0b01010u8][..]),
            (1337, 5, &[0b11111, 0b1001_1010, 0b0000_1010]),
            (42, 8, &[0b0010_1010]),
        ] {
            let mut out = Vec::new();
            encode(&mut out, prefix, 0, value);
            assert_eq!(out, bytes);
            assert_eq!(decode(bytes, prefix), Ok((value as u32, &[][..])));
        }
    }

    #[test]
    fn round_trips_at_every_border() {
        for prefix in 1..=8u32 {
            let full = u32::from(full(prefix));
            let edges = [
                0,
                1,
                127,
                128,
                16383,
                16384,
                1 << 21,
                1 << 28,
                u32::MAX - full,
            ];
            for edge in edges {
                for value in [edge, edge.saturating_add(full), edge.saturating_sub(1)] {
                    let mut out = Vec::new();
                    encode(&mut out, prefix, 0, value as usize);
                    let len = out.len();
                    out.extend_from_slice(b"next");
                    assert_eq!(decode(&out, prefix), Ok((value, &b"next"[..])));
                    for cut in 0..len {
                        assert_eq!(decode(&out[..cut], prefix), Err(HpackError::Truncated));
                    }
                }
            }
        }
    }

    #[test]
    fn too_large_or_too_long() {
        for (bytes, outcome) in [
            // 2^32 - 1, then one more.
            (&[0xff, 0x80, 0xfe, 0xff, 0xff, 0x0f][..], Ok(u32::MAX)),
            (
                &[0xff, 0x81, 0xfe, 0xff, 0xff, 0x0f],
                Err(HpackError::IntegerOverflow),
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
                Err(HpackError::IntegerOverflow),
            ),
            // Zeros that go on: five bytes are taken, six are not.
            (&[0xff, 0x80, 0x80, 0x80, 0x80, 0x00], Ok(255)),
            (
                &[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
                Err(HpackError::IntegerOverflow),
            ),
            (&[0xff, 0x80], Err(HpackError::Truncated)),
            (&[], Err(HpackError::Truncated)),
        ] {
            assert_eq!(decode(bytes, 8).map(|(n, _)| n), outcome, "{bytes:?}");
        }
    }
}
