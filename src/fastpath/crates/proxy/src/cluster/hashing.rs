//! Hashes of what requests are told apart by: xxHash64 with seed 0, as in Envoy.

use std::io::Write;
use std::net::IpAddr;

use twox_hash::XxHash64;

/// Longer than the longest address, `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
const MAX_ADDRESS: usize = 48;

pub fn hash_bytes(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}

/// Of several: each is hashed with the hash of those before it as its seed.
pub fn hash_all<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u64 {
    parts.fold(0, XxHash64::oneshot)
}

/// Of the text of an address, without a port.
pub fn hash_address(address: IpAddr) -> u64 {
    let mut text = [0; MAX_ADDRESS];
    let mut left = text.as_mut_slice();
    // It fits.
    let _ = write!(left, "{address}");
    let unused = left.len();
    let used = text.len().saturating_sub(unused);
    hash_bytes(text.get(..used).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the description of the algorithm (xxHash's own sanity checks).
    #[test]
    fn known_hashes() {
        assert_eq!(hash_bytes(b""), 0xef46_db37_51d8_e999);
        assert_eq!(hash_bytes(b"abc"), 0x44bc_2cf5_ad77_0999);
    }

    #[test]
    fn several_are_a_chain() {
        let hash = |parts: &[&[u8]]| hash_all(parts.iter().copied());
        assert_eq!(hash(&[b"abc"]), hash_bytes(b"abc"));
        let second = XxHash64::oneshot(hash_bytes(b"a"), b"b");
        assert_eq!(hash(&[b"a", b"b"]), second);
    }

    #[test]
    fn addresses_are_hashed_as_text() {
        for text in ["127.0.0.1", "::1", "2001:db8::ff00:42:8329"] {
            assert_eq!(
                hash_address(text.parse().unwrap()),
                hash_bytes(text.as_bytes())
            );
        }
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(
            hash_address(longest.parse().unwrap()),
            hash_bytes(longest.as_bytes())
        );
    }
}
