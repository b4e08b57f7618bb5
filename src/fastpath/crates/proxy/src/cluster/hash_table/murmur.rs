//! MurmurHash 2 in its 64-bit form (MurmurHash64A, Austin Appleby, public domain), which is what
//! libstdc++ hashes strings with.

/// The seed of `std::hash` in libstdc++.
pub const LIBSTDCXX_SEED: u64 = 0xc70f_6907;

const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
const SHIFT: u32 = 47;

pub fn murmur_hash2(bytes: &[u8], seed: u64) -> u64 {
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mixed = shift_mix(u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER));
        hash = (hash ^ mixed.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let last = rest
            .iter()
            .rev()
            .fold(0, |word: u64, byte| (word << 8) | u64::from(*byte));
        hash = (hash ^ last).wrapping_mul(MULTIPLIER);
    }
    shift_mix(shift_mix(hash).wrapping_mul(MULTIPLIER))
}

fn shift_mix(value: u64) -> u64 {
    value ^ (value >> SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `std::hash<std::string>` of libstdc++ gives (GCC 12, x86-64).
    #[test]
    fn as_libstdcxx_hashes() {
        for (text, hash) in [
            ("", 0x553e_9390_1e46_2a6e),
            ("a", 0x454d_dee4_88c1_ed6b),
            ("abcdefg", 0xdeee_6830_a3af_82af),
            ("abcdefgh", 0x783d_b3e3_8db8_98bb),
            ("127.0.0.1:80_0", 0xf46e_f02b_be93_9e15),
            ("10.1.2.3:8080_1023", 0x31f2_5119_752a_0913),
            ("[2001:db8::1]:443_77", 0x43ce_609f_46c5_1a81),
        ] {
            let found = murmur_hash2(text.as_bytes(), LIBSTDCXX_SEED);
            assert_eq!(found, hash, "{text}");
        }
    }
}
