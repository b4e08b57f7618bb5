//! Integers of one, two, four or eight bytes; the first two bits say which (RFC 9000 §16).

/// The number at the start of `bytes` and its length; `None`: not all of it is there.
pub(super) fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = 1_usize << (first >> 6);
    let rest = bytes.get(1..len)?;
    let start = u64::from(first & 0x3f);
    let value = rest.iter().fold(start, |n, b| (n << 8) | u64::from(*b));
    Some((value, len))
}

/// Appends the shortest form; what 62 bits cannot say (no length is that long) is cut.
pub(super) fn write(out: &mut Vec<u8>, value: u64) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    match value {
        0..0x40 => out.push(h),
        0x40..0x4000 => out.extend_from_slice(&[g | 0x40, h]),
        0x4000..0x4000_0000 => out.extend_from_slice(&[e | 0x80, f, g, h]),
        _ => out.extend_from_slice(&[(a & 0x3f) | 0xc0, b, c, d, e, f, g, h]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9000 A.1.
    #[test]
    fn the_examples_of_the_document() {
        for (bytes, want) in [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c][..],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0x40, 0x25], 37),
        ] {
            assert_eq!(read(bytes), Some((want, bytes.len())));
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), None);
            }
            let mut out = Vec::new();
            write(&mut out, want);
            assert_eq!(read(&out), Some((want, out.len())));
            assert!(out.len() <= bytes.len());
        }
    }

    #[test]
    fn the_shortest_form() {
        for (value, len) in [
            (0, 1),
            (63, 1),
            (64, 2),
            (16_383, 2),
            (16_384, 4),
            ((1 << 30) - 1, 4),
            (1 << 30, 8),
            ((1 << 62) - 1, 8),
        ] {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!((out.len(), read(&out)), (len, Some((value, len))));
        }
    }
}
