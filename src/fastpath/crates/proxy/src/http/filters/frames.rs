//! gRPC's messages in a body (5 bytes of head: flags and length), counted as they pass.

/// Where one is in a body.
#[derive(Debug, Default)]
pub struct Frames {
    head: [u8; 4],
    head_len: u8,
    left: u64,
}

/// A step through a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the body that belong to the current message.
    pub used: usize,
    /// With them the message ends.
    pub ends: bool,
}

impl Frames {
    /// Takes bytes up to the end of a message.
    pub fn step(&mut self, bytes: &[u8]) -> Step {
        let mut used = 0_usize;
        for byte in bytes {
            if self.head_len == 5 {
                break;
            }
            used = used.saturating_add(1);
            if let Some(slot) = usize::from(self.head_len)
                .checked_sub(1)
                .and_then(|at| self.head.get_mut(at))
            {
                *slot = *byte;
            }
            self.head_len = self.head_len.saturating_add(1);
            self.left = u64::from(u32::from_be_bytes(self.head));
        }
        if self.head_len < 5 {
            return Step { used, ends: false };
        }
        let rest = bytes.len().saturating_sub(used) as u64;
        let take = rest.min(self.left);
        self.left = self.left.saturating_sub(take);
        let ends = self.left == 0;
        if ends {
            *self = Self::default();
        }
        Step {
            used: used.saturating_add(usize::try_from(take).unwrap_or(usize::MAX)),
            ends,
        }
    }

    /// The number of messages that end in `bytes`.
    pub fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut messages = 0_u64;
        while !bytes.is_empty() {
            let step = self.step(bytes);
            messages = messages.saturating_add(u64::from(step.ends));
            bytes = bytes.get(step.used..).unwrap_or_default();
        }
        messages
    }
}

/// The head of a message.
pub fn head(flags: u8, len: usize) -> [u8; 5] {
    let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    [flags, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let mut body = Vec::new();
        for len in [0_usize, 3, 300] {
            body.extend(head(0, len));
            body.extend(vec![7; len]);
        }
        for cut in 1..=body.len() {
            let mut frames = Frames::default();
            let total: u64 = body.chunks(cut).map(|piece| frames.count(piece)).sum();
            assert_eq!(total, 3, "{cut}");
        }
        let cut_short = body.get(..body.len() - 1).unwrap();
        assert_eq!(Frames::default().count(cut_short), 2);
    }
}
