//! Deadlines of connections: a heap with at most one useful entry a connection.
//!
//! Theory of operation. A connection knows its own deadlines (idle, request, connect ...). The heap
//! only promises to call it no later than the earliest of them; it may call too early, and the
//! connection then answers with its next deadline. So moving a deadline later (what every request
//! does) costs nothing, and an entry is pushed only when a deadline moves before the one in the
//! heap. Entries of closed connections die of themselves; because no entry lies further ahead than
//! `HORIZON_MS`, their number is bounded by what was opened within it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// No deadline.
pub const NEVER: u64 = u64::MAX;

const HORIZON_MS: u64 = 10_000;

#[derive(Debug, Default)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64)>>,
}

impl Timers {
    /// Asks to be called for `token` no later than `deadline` (ms). `armed` is the connection's
    /// note of what is already in the heap.
    pub fn arm(&mut self, token: u64, armed: &mut u64, now: u64, deadline: u64) {
        let at = deadline.min(now.saturating_add(HORIZON_MS));
        if deadline != NEVER && at < *armed {
            *armed = at;
            self.heap.push(Reverse((at, token)));
        }
    }

    /// The next token whose time has come, with the time it was armed for.
    pub fn pop(&mut self, now: u64) -> Option<(u64, u64)> {
        let Reverse((at, _)) = self.heap.peek()?;
        if *at > now {
            return None;
        }
        self.heap.pop().map(|Reverse((at, token))| (token, at))
    }

    /// Milliseconds until the next entry, -1 for none; at least 1 so that a loop never spins.
    pub fn wait_ms(&self, now: u64) -> i64 {
        match self.heap.peek() {
            None => -1,
            Some(Reverse((at, _))) => i64::try_from(at.saturating_sub(now)).unwrap_or(1).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_deadlines_cost_nothing_and_earlier_ones_are_pushed() {
        let mut t = Timers::default();
        let mut armed = NEVER;
        t.arm(7, &mut armed, 0, 500);
        t.arm(7, &mut armed, 0, 900);
        assert_eq!((armed, t.heap.len()), (500, 1));
        t.arm(7, &mut armed, 0, 100);
        assert_eq!((armed, t.heap.len()), (100, 2));
        assert_eq!(t.pop(99), None);
        assert_eq!(t.pop(100), Some((7, 100)));
        assert_eq!(t.wait_ms(100), 400);
    }

    #[test]
    fn far_deadlines_are_cut_at_the_horizon() {
        let mut t = Timers::default();
        let mut armed = NEVER;
        t.arm(1, &mut armed, 0, 3_600_000);
        assert_eq!(armed, HORIZON_MS);
        t.arm(1, &mut armed, 0, NEVER);
        assert_eq!(t.heap.len(), 1);
    }
}
