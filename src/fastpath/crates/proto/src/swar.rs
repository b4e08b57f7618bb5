//! Eight bytes at a time in one u64: masks with bit 7 of each byte set where something holds.
//!
//! All sums stay within their byte: both terms are below 0x80 after masking, so nothing carries
//! into the next byte and every mask is exact. Words are little-endian: the first byte of the
//! text is the lowest, `first` counts from there.

const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
pub(crate) const HIGH: u64 = 0x8080_8080_8080_8080;

/// `b` in every byte.
#[inline(always)]
const fn all(b: u8) -> u64 {
    u64::from_le_bytes([b; 8])
}

/// Bytes of at least `b` (1 to 0x80), those from 0x80 on included.
#[inline(always)]
const fn at_least(w: u64, b: u8) -> u64 {
    ((w & LOW).wrapping_add(all(0x80u8.wrapping_sub(b))) | w) & HIGH
}

#[inline(always)]
const fn equal(w: u64, b: u8) -> u64 {
    !at_least(w ^ all(b), 1) & HIGH
}

/// Bytes between two ASCII bytes, both included.
#[inline(always)]
const fn between(w: u64, from: u8, to: u8) -> u64 {
    at_least(w, from) & !at_least(w, to.wrapping_add(1))
}

/// Controls but HTAB, and DEL.
#[inline(always)]
pub(crate) const fn value_ctl(w: u64) -> u64 {
    (!at_least(w, 0x20) & HIGH & !equal(w, b'\t')) | equal(w, 0x7f)
}

/// What may not stand in a target: controls, SP, DEL, bytes from 0x80 on, `#`.
#[inline(always)]
pub(crate) const fn not_target(w: u64) -> u64 {
    (!at_least(w, 0x21) & HIGH) | at_least(w, 0x7f) | equal(w, b'#')
}

/// Letters, digits and `-`: most bytes of field names and hosts.
#[inline(always)]
pub(crate) const fn plain(w: u64) -> u64 {
    between(w | all(0x20), b'a', b'z') | between(w, b'0', b'9') | equal(w, b'-')
}

#[inline(always)]
pub(crate) const fn colon(w: u64) -> u64 {
    equal(w, b':')
}

#[inline(always)]
pub(crate) const fn dot(w: u64) -> u64 {
    equal(w, b'.')
}

/// Place of the first byte of a mask that is not 0.
#[inline(always)]
pub(crate) const fn first(mask: u64) -> usize {
    (mask.trailing_zeros() / 8) as usize
}

/// The bits of a mask below the byte at `place` (0 to 7).
#[inline(always)]
pub(crate) const fn below(place: usize) -> u64 {
    HIGH & !(u64::MAX << ((place & 7) << 3))
}

/// ASCII capitals become small letters.
#[inline(always)]
const fn lower(w: u64) -> u64 {
    w | (between(w, b'A', b'Z') >> 2)
}

/// `make_ascii_lowercase` for short text: whole words, the last of which may overlap.
#[inline(always)]
pub(crate) fn make_lower(s: &mut [u8]) {
    if s.len() < 8 {
        if let (Some(a), Some(b)) = (s.first_chunk::<4>().copied(), s.last_chunk::<4>().copied()) {
            let [a, b] =
                [a, b].map(|c| (lower(u64::from(u32::from_le_bytes(c))) as u32).to_le_bytes());
            if let Some(head) = s.first_chunk_mut::<4>() {
                *head = a;
            }
            if let Some(tail) = s.last_chunk_mut::<4>() {
                *tail = b;
            }
        } else {
            s.make_ascii_lowercase();
        }
        return;
    }
    let last = s
        .last_chunk::<8>()
        .copied()
        .map(|c| lower(u64::from_le_bytes(c)));
    for block in s.as_chunks_mut::<8>().0 {
        *block = lower(u64::from_le_bytes(*block)).to_le_bytes();
    }
    if let (Some(tail), Some(last)) = (s.last_chunk_mut::<8>(), last) {
        *tail = last.to_le_bytes();
    }
}

/// `token` in any case equals `name`, which holds small letters, digits and `-` only. Only
/// for tokens: of their bytes just the capital becomes the small letter by bit 5.
#[inline(always)]
pub(crate) fn token_is(token: &[u8], name: &[u8]) -> bool {
    const CASE: u64 = all(0x20);
    if token.len() != name.len() {
        return false;
    }
    if let (Some(ta), Some(na), Some(tz), Some(nz)) = (
        token.first_chunk::<8>(),
        name.first_chunk::<8>(),
        token.last_chunk::<8>(),
        name.last_chunk::<8>(),
    ) {
        let differ =
            |t: &[u8; 8], n: &[u8; 8]| (u64::from_le_bytes(*t) | CASE) ^ u64::from_le_bytes(*n);
        if token.len() <= 16 {
            return differ(ta, na) | differ(tz, nz) == 0;
        }
        let blocks = token.as_chunks::<8>().0.iter().zip(name.as_chunks::<8>().0);
        return blocks.fold(differ(tz, nz), |sum, (t, n)| sum | differ(t, n)) == 0;
    }
    if let (Some(ta), Some(na), Some(tz), Some(nz)) = (
        token.first_chunk::<4>(),
        name.first_chunk::<4>(),
        token.last_chunk::<4>(),
        name.last_chunk::<4>(),
    ) {
        let differ = |t: &[u8; 4], n: &[u8; 4]| {
            (u32::from_le_bytes(*t) | CASE as u32) ^ u32::from_le_bytes(*n)
        };
        return differ(ta, na) | differ(tz, nz) == 0;
    }
    token.iter().zip(name).all(|(t, n)| t | 0x20 == *n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chars::{is_token_char, is_value_ctl};

    #[test]
    fn masks_are_exact_in_every_place_and_company() {
        for b in 0..=255u8 {
            for place in 0..8 {
                for other in [0u8, b'a', b'\t', 0x1f, 0x20, 0x7f, 0x80, 0xff, b':'] {
                    let mut text = [other; 8];
                    text[place] = b;
                    let w = u64::from_le_bytes(text);
                    let bit = |mask: u64| {
                        assert_eq!(mask & !HIGH, 0);
                        mask.to_le_bytes()[place] == 0x80
                    };
                    assert_eq!(bit(value_ctl(w)), is_value_ctl(b), "{b}");
                    assert_eq!(
                        bit(not_target(w)),
                        b <= 0x20 || b >= 0x7f || b == b'#',
                        "{b}"
                    );
                    assert_eq!(bit(plain(w)), b.is_ascii_alphanumeric() || b == b'-', "{b}");
                    assert_eq!(bit(colon(w)), b == b':');
                    assert_eq!(bit(dot(w)), b == b'.');
                    assert_eq!(lower(w).to_le_bytes()[place], b.to_ascii_lowercase());
                    assert_eq!(first(HIGH & !below(place)), place);
                }
            }
        }
    }

    #[test]
    fn words_of_every_length() {
        let text = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789-_^abz@[`{";
        for len in 0..text.len() {
            let mut s = text[..len].to_vec();
            make_lower(&mut s);
            assert_eq!(s, text[..len].to_ascii_lowercase());
        }
        let name = b"x-envoy-upstream-rq-timeout-alt-response";
        for len in 1..name.len() {
            let name = &name[..len];
            assert!(token_is(name, name) && token_is(&name.to_ascii_uppercase(), name));
            assert!(!token_is(&name[1..], name));
            for place in 0..len {
                for b in (0..=255u8).filter(|b| is_token_char(*b)) {
                    let mut token = name.to_vec();
                    token[place] = b;
                    assert_eq!(token_is(&token, name), token.eq_ignore_ascii_case(name));
                }
            }
        }
    }
}
