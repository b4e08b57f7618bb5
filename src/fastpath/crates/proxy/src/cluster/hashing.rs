//! Hashes of what requests are told apart by: xxHash64 with seed 0, as in Envoy.

use std::hash::Hasher;
use std::io::Write;
use std::net::IpAddr;

use twox_hash::XxHash64;

/// Longer than the longest address, `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`.
const MAX_ADDRESS: usize = 48;

pub fn hash_bytes(bytes: &[u8]) -> u64 {
    XxHash64::oneshot(0, bytes)
}

/// Of all of them, as if they were one.
pub fn hash_parts<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = XxHash64::with_seed(0);
    parts.for_each(|part| hasher.write(part));
    hasher.finish()
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
    fn parts_are_hashed_as_one_and_addresses_as_text() {
        let parts: [&[u8]; 3] = [b"a", b"", b"bc"];
        assert_eq!(hash_parts(parts.into_iter()), hash_bytes(b"abc"));
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
