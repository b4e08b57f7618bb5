//! Counters per response code, created as codes are seen: most entities see three.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use super::shard::bump;

/// Added to the codes of responses that were followed by a retry, which have rows of their own.
pub(super) const RETRIED: u16 = 1000;

/// Codes per block: enough for nearly everybody, so a second block is rare.
const SLOTS: usize = 8;

/// One worker's codes: a list of blocks that only grows, written by one thread.
#[derive(Default)]
pub(super) struct Codes {
    slots: [Slot; SLOTS],
    next: OnceLock<Box<Codes>>,
}

#[derive(Default)]
struct Slot {
    /// 0: free.
    code: AtomicU16,
    internal: AtomicU64,
    external: AtomicU64,
}

impl Codes {
    /// Counts one response.
    #[inline]
    pub(super) fn inc(&self, code: u16, internal: bool) {
        for slot in &self.slots {
            let seen = slot.code.load(Ordering::Relaxed);
            if seen == 0 {
                slot.code.store(code, Ordering::Relaxed);
            }
            if seen == code || seen == 0 {
                bump(
                    if internal {
                        &slot.internal
                    } else {
                        &slot.external
                    },
                    1,
                );
                return;
            }
        }
        // Bounded: a response code has three digits, so there are at most 2,000 of them.
        self.next.get_or_init(Box::default).inc(code, internal);
    }

    /// Calls `f` with every code and how many internal and external responses had it.
    pub(super) fn each(&self, mut f: impl FnMut(u16, u64, u64)) {
        let mut block = Some(self);
        while let Some(codes) = block {
            for slot in &codes.slots {
                let code = slot.code.load(Ordering::Relaxed);
                if code != 0 {
                    let internal = slot.internal.load(Ordering::Relaxed);
                    f(code, internal, slot.external.load(Ordering::Relaxed));
                }
            }
            block = codes.next.get().map(Box::as_ref);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn counts_any_number_of_codes() {
        let codes = Codes::default();
        for round in 0..3 {
            for code in 100..140 {
                codes.inc(code, round == 0);
            }
        }
        let mut seen = BTreeMap::new();
        codes.each(|code, internal, external| {
            assert!(seen.insert(code, (internal, external)).is_none());
        });
        assert_eq!(seen.len(), 40);
        assert!(seen.values().all(|&pair| pair == (1, 2)));
    }
}
