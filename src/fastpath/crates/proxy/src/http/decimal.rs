//! Numbers as values of headers.

/// The decimal digits of `n`, in `buffer`.
pub fn decimal<const N: usize>(buffer: &mut [u8; N], mut n: u64) -> &[u8] {
    let mut at = N;
    while at > 0 {
        at = at.saturating_sub(1);
        if let Some(slot) = buffer.get_mut(at) {
            *slot = b'0'.wrapping_add((n % 10) as u8);
        }
        n /= 10;
        if n == 0 {
            break;
        }
    }
    buffer.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(decimal(&mut [0; 20], 0), b"0");
        assert_eq!(decimal(&mut [0; 20], 15000), b"15000");
        assert_eq!(decimal(&mut [0; 20], u64::MAX), b"18446744073709551615");
    }
}
