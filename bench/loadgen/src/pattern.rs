//! The one body everybody sends: a fixed pattern, so that any byte can be checked by comparison.

/// Prime, so that a body that lost or repeated a power of two of bytes does not line up again.
const PERIOD: usize = 65_521;
const GREETING: &[u8] = b"hello, mesh\n";

/// Twice the period, so that any slice of up to one period is contiguous.
pub struct Pattern(Vec<u8>);

impl Pattern {
    pub fn new() -> Self {
        let mut bytes = GREETING.to_vec();
        let mut state: u32 = 0x9E37_79B9;
        while bytes.len() < PERIOD {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            bytes.push(b'a' + (state % 26) as u8);
        }
        bytes.extend_from_within(..);
        Self(bytes)
    }

    /// The longest slice of the body that starts at `offset` and has at most `max` bytes.
    pub fn slice(&self, offset: usize, max: usize) -> &[u8] {
        let start = offset % PERIOD;
        let len = max.min(PERIOD);
        self.0.get(start..start + len).unwrap_or_default()
    }

    /// Are `bytes` what the body holds at `offset`?
    pub fn matches(&self, mut offset: usize, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PERIOD));
            if self.slice(offset, now.len()) != now {
                return false;
            }
            offset += now.len();
            bytes = later;
        }
        true
    }

    pub fn body(&self, len: usize) -> Vec<u8> {
        (0..len.div_ceil(PERIOD)).flat_map(|i| self.slice(0, len - i * PERIOD)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_matches_itself_in_any_cut() {
        let pattern = Pattern::new();
        let body = pattern.body(200_000);
        assert_eq!(body.len(), 200_000);
        assert!(body.starts_with(GREETING));
        for cut in [1, 12, 65_520, 65_521, 65_522, 131_072] {
            assert!(pattern.matches(0, &body[..cut]));
            assert!(pattern.matches(cut, &body[cut..]));
            assert!(!pattern.matches(cut + 1, &body[cut..]));
        }
    }
}
