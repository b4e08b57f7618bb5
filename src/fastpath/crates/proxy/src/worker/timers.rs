//! Deadlines of connections: a heap with at most one useful entry a place.
//!
//! Theory of operation. A connection knows its own deadlines (idle, request, connect ...). The heap
//! only promises to call it no later than the earliest of them; it may call too early, and the
//! connection then answers with its next deadline. So moving a deadline later (what every request
//! does) costs nothing, and an entry is pushed only when a deadline moves before the one in the
//! heap. An entry belongs to a place (a slot of a kind), not to who is there: whoever comes next
//! takes it over. So streams that come and go by the thousand add none, and the heap is bounded by
//! the places: once more than half of it is of no use any more, it is cleared of that.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// No deadline.
pub const NEVER: u64 = u64::MAX;

const HORIZON_MS: u64 = 10_000;

/// Entries of no use that a small heap may have.
const SLACK: usize = 64;

/// As many as the top bits of a token can say.
const KINDS: usize = 16;

#[derive(Debug, Default)]
pub struct Timers {
    /// When, and for which place: a kind above 32 bits of index.
    heap: BinaryHeap<Reverse<(u64, u64)>>,
    /// By kind and index.
    places: [Vec<Place>; KINDS],
    /// Places with an entry in the heap.
    armed: usize,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    /// Of the entry in the heap; `NEVER`: there is none.
    at: u64,
    /// Who asked last.
    token: u64,
}

impl Timers {
    /// Asks to be called for `token` no later than `deadline` (ms).
    pub fn arm(&mut self, token: u64, now: u64, deadline: u64) {
        if deadline == NEVER {
            return;
        }
        let at = deadline.min(now.saturating_add(HORIZON_MS));
        let (kind, index) = split(token);
        let Some(places) = self.places.get_mut(kind) else {
            return;
        };
        if places.len() <= index {
            places.resize(index.saturating_add(1), Place { at: NEVER, token });
        }
        let Some(place) = places.get_mut(index) else {
            return;
        };
        place.token = token;
        if at >= place.at {
            return;
        }
        if place.at == NEVER {
            self.armed = self.armed.saturating_add(1);
        }
        place.at = at;
        self.heap.push(Reverse((at, join(kind, index))));
        if self.heap.len() / 2 > self.armed.saturating_add(SLACK) {
            self.compact();
        }
    }

    /// The next token whose time has come, with the time it was armed for.
    pub fn pop(&mut self, now: u64) -> Option<(u64, u64)> {
        while let Some(Reverse((at, id))) = self.heap.peek().copied() {
            if at > now {
                return None;
            }
            self.heap.pop();
            if let Some(place) = place_mut(&mut self.places, id)
                && place.at == at
            {
                place.at = NEVER;
                self.armed = self.armed.saturating_sub(1);
                return Some((place.token, at));
            }
        }
        None
    }

    /// Milliseconds until the next entry, -1 for none; at least 1 so that a loop never spins.
    pub fn wait_ms(&self, now: u64) -> i64 {
        match self.heap.peek() {
            None => -1,
            Some(Reverse((at, _))) => i64::try_from(at.saturating_sub(now)).unwrap_or(1).max(1),
        }
    }

    /// Forgets entries before which their place was armed again.
    #[cold]
    fn compact(&mut self) {
        let mut entries = std::mem::take(&mut self.heap).into_vec();
        entries.retain(|Reverse((at, id))| {
            place_mut(&mut self.places, *id).is_some_and(|place| place.at == *at)
        });
        entries.sort_unstable();
        entries.dedup();
        entries.shrink_to(entries.len().saturating_mul(2));
        self.heap = entries.into();
    }
}

/// Kind and index of a token, whose generation is left out.
fn split(token: u64) -> (usize, usize) {
    ((token >> 60) as usize, (token & 0xffff_ffff) as usize)
}

fn join(kind: usize, index: usize) -> u64 {
    ((kind as u64) << 32) | index as u64
}

fn place_mut(places: &mut [Vec<Place>; KINDS], id: u64) -> Option<&mut Place> {
    let index = (id & 0xffff_ffff) as usize;
    places.get_mut((id >> 32) as usize)?.get_mut(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token of kind 2.
    fn token(generation: u64, index: u64) -> u64 {
        (2 << 60) | (generation << 32) | index
    }

    #[test]
    fn later_deadlines_cost_nothing_and_earlier_ones_are_pushed() {
        let mut t = Timers::default();
        let seven = token(0, 7);
        t.arm(seven, 0, 500);
        t.arm(seven, 0, 900);
        assert_eq!(t.heap.len(), 1);
        t.arm(seven, 0, 100);
        assert_eq!(t.heap.len(), 2);
        assert_eq!(t.pop(99), None);
        assert_eq!(t.pop(100), Some((seven, 100)));
        assert_eq!(t.wait_ms(100), 400);
        assert_eq!(t.pop(500), None, "of no use since 100");
        t.arm(seven, 500, 600);
        assert_eq!(t.pop(600), Some((seven, 600)));
        assert_eq!((t.heap.len(), t.armed), (0, 0));
    }

    #[test]
    fn far_deadlines_are_cut_at_the_horizon() {
        let mut t = Timers::default();
        t.arm(token(0, 1), 0, 3_600_000);
        t.arm(token(0, 1), 0, NEVER);
        assert_eq!(t.heap.len(), 1);
        assert_eq!(t.pop(HORIZON_MS), Some((token(0, 1), HORIZON_MS)));
    }

    #[test]
    fn who_comes_next_takes_the_entry_over() {
        let mut t = Timers::default();
        t.arm(token(0, 1), 0, 100);
        t.arm(token(1, 1), 50, 900);
        assert_eq!(t.heap.len(), 1);
        assert_eq!(
            t.pop(100),
            Some((token(1, 1), 100)),
            "too early, but called"
        );
        t.arm(token(1, 1), 100, 900);
        assert_eq!(t.pop(900), Some((token(1, 1), 900)));
    }

    /// A reset stream leaves nothing behind, whatever its deadline was.
    #[test]
    fn streams_that_come_and_go_do_not_add_up() {
        let mut t = Timers::default();
        for generation in 0..100_000 {
            // The worst case: each deadline is before the one in the heap.
            let now = generation / 20;
            t.arm(
                token(generation, generation % 10),
                now,
                now + 5_000 - now / 2,
            );
            t.arm(token(generation, generation % 10), now, now + 1);
            while t.pop(now).is_some() {}
        }
        assert!(t.heap.len() <= 2 * (10 + SLACK) + 2, "{}", t.heap.len());
        assert!(t.heap.capacity() < 1000, "{}", t.heap.capacity());
    }
}
