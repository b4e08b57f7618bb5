//! Character classes of RFC 9110 §5.6 as tables, and scans over them.

use crate::swar;

/// Lower-case form of each token character (RFC 9110 §5.6.2), 0 for everything else.
static TOKEN_LOWER: [u8; 256] = token_lower();

/// Built by the compiler, where an index out of range is a compile error.
#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
const fn token_lower() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut i = 0usize;
    while i < 256 {
        let b = i as u8;
        if b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            table[i] = b.to_ascii_lowercase();
        }
        i += 1;
    }
    table
}

/// The lower-case form of a token character, 0 if `b` is not one.
#[inline(always)]
#[allow(clippy::indexing_slicing)] // a u8 cannot leave a table of 256
pub(crate) fn token_lower_of(b: u8) -> u8 {
    TOKEN_LOWER[b as usize]
}

#[inline(always)]
pub(crate) fn is_token_char(b: u8) -> bool {
    token_lower_of(b) != 0
}

/// `1*tchar`.
#[inline]
pub(crate) fn is_token(s: &[u8]) -> bool {
    !s.is_empty() && s.iter().all(|b| is_token_char(*b))
}

/// Length of the run of token characters at the start: by words as long as they are letters,
/// digits and `-` up to a colon.
#[inline(always)]
pub(crate) fn token_run(s: &[u8]) -> usize {
    let mut at = 0usize;
    for word in s.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*word);
        let (colon, plain) = (swar::colon(word), swar::plain(word));
        if colon != 0 {
            let place = swar::first(colon);
            let before = swar::below(place);
            if plain & before == before {
                return at.wrapping_add(place); // within s
            }
            break;
        }
        if plain != swar::HIGH {
            break;
        }
        at = at.wrapping_add(8); // at most s.len()
    }
    let rest = s.get(at..).unwrap_or_default();
    at.wrapping_add(short_token_run(rest))
}

/// The same for text that is short or ends in something other than a colon.
#[inline(always)]
pub(crate) fn short_token_run(s: &[u8]) -> usize {
    s.iter().position(|b| !is_token_char(*b)).unwrap_or(s.len())
}

/// Not allowed in a field value: controls except HTAB, and DEL (RFC 9110 §5.5).
#[inline(always)]
pub(crate) const fn is_value_ctl(b: u8) -> bool {
    (b < 0x20 && b != b'\t') || b == 0x7f
}

/// Index of the first byte that may not stand in a field value: normally the CR that ends it.
///
/// Blocks of 16 without such a byte are skipped by a loop that the compiler turns into vector
/// compares; its place is then found by words.
#[inline(always)]
pub(crate) fn value_run(s: &[u8]) -> Option<usize> {
    let mut at = 0usize; // at most s.len(), as all that is added below
    for block in s.as_chunks::<16>().0 {
        if block
            .iter()
            .fold(false, |found, b| found | is_value_ctl(*b))
        {
            break;
        }
        at = at.wrapping_add(16);
    }
    let (words, tail) = s.get(at..)?.as_chunks::<8>();
    for word in words {
        let stop = swar::value_ctl(u64::from_le_bytes(*word));
        if stop != 0 {
            return Some(at.wrapping_add(swar::first(stop)));
        }
        at = at.wrapping_add(8);
    }
    let inside = tail.iter().position(|b| is_value_ctl(*b))?;
    Some(at.wrapping_add(inside))
}

/// True if all bytes may stand in a field value.
#[inline]
pub(crate) fn is_value(s: &[u8]) -> bool {
    value_run(s).is_none()
}

/// True if all bytes are visible ASCII and none is `#`: what a request-target may hold.
#[inline(always)]
pub(crate) fn is_target(s: &[u8]) -> bool {
    let word = |w: &[u8; 8]| swar::not_target(u64::from_le_bytes(*w));
    match s.last_chunk::<8>() {
        Some(last) => {
            s.as_chunks::<8>()
                .0
                .iter()
                .fold(word(last), |bad, w| bad | word(w))
                == 0
        }
        None => s.iter().all(|b| (0x21..0x7f).contains(b) && *b != b'#'),
    }
}

/// Without leading and trailing SP and HTAB (RFC 9110 §5.6.3 OWS).
#[inline(always)]
pub(crate) fn trim_ows(mut s: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = s {
        s = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = s {
        s = rest;
    }
    s
}

/// Decimal digits only, no sign, no spaces, no overflow.
#[inline]
pub(crate) fn decimal(s: &[u8]) -> Option<u64> {
    if s.is_empty() {
        return None;
    }
    let mut n = 0u64;
    for b in s {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(n)
}

/// Appends `n` in decimal.
#[inline]
pub(crate) fn put_decimal(out: &mut Vec<u8>, n: u64) {
    let mut digits = [0u8; 20];
    out.extend_from_slice(format_decimal(n, &mut digits));
}

/// `n` in decimal, at the end of `digits`.
#[inline]
pub(crate) fn format_decimal(mut n: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut used = 0usize;
    for d in digits.iter_mut().rev() {
        *d = b'0'.wrapping_add((n % 10) as u8);
        n /= 10;
        used = used.wrapping_add(1);
        if n == 0 {
            break;
        }
    }
    digits
        .get(digits.len().saturating_sub(used)..)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_agree_with_the_plain_definition() {
        for bad in 0..=255u8 {
            for len in [0usize, 1, 15, 16, 17, 40] {
                for at in 0..len {
                    let mut s = vec![b'a'; len];
                    s[at] = bad;
                    assert_eq!(value_run(&s), is_value_ctl(bad).then_some(at));
                    assert_eq!(is_target(&s), (0x21..=0x7e).contains(&bad) && bad != b'#');
                }
            }
        }
        assert_eq!(trim_ows(b" \t a b\t "), b"a b");
        assert_eq!(trim_ows(b" \t "), b"");
    }

    #[test]
    fn decimals() {
        for n in [0, 1, 9, 10, 1234, u64::MAX] {
            let mut out = Vec::new();
            put_decimal(&mut out, n);
            assert_eq!(out, n.to_string().as_bytes());
            assert_eq!(decimal(&out), Some(n));
        }
        for bad in [
            "",
            "+1",
            "-1",
            " 1",
            "1 ",
            "0x1",
            "1,1",
            "18446744073709551616",
        ] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(decimal(b"007"), Some(7));
    }
}
