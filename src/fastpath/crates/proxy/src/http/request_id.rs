//! `x-request-id`: version 4 UUIDs (RFC 9562), Envoy's `UUIDRequestIDExtension`.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// 36 characters. Character 14, the version, is `4`, which Envoy reads as "not traced".
pub fn uuid4(rng: &mut fastrand::Rng) -> [u8; 36] {
    let mut bits = rng.u128(..);
    let mut out = [b'-'; 36];
    for (i, slot) in out.iter_mut().enumerate() {
        if matches!(i, 8 | 13 | 18 | 23) {
            continue;
        }
        let nibble = (bits & 0xf) as usize;
        bits >>= 4;
        let nibble = match i {
            14 => 4,
            19 => (nibble & 0x3) | 0x8,
            _ => nibble,
        };
        *slot = HEX.get(nibble).copied().unwrap_or(b'0');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_version_4_and_differ() {
        let mut rng = fastrand::Rng::with_seed(7);
        let a = uuid4(&mut rng);
        let dashes: Vec<usize> = (0..36).filter(|i| a[*i] == b'-').collect();
        assert_eq!(dashes, [8, 13, 18, 23]);
        assert_eq!(a[14], b'4');
        assert!(b"89ab".contains(&a[19]));
        assert_ne!(a, uuid4(&mut rng));
    }
}
