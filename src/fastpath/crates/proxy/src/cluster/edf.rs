//! Earliest deadline first: who weighs twice as much has its turn twice as often, evenly spread.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Whose turn is next, by index.
#[derive(Debug, Default)]
pub struct Schedule {
    turns: BinaryHeap<Reverse<Turn>>,
}

impl Schedule {
    /// As it is after `picks` turns, so that not all proxies begin with the same one. Who weighs
    /// nothing has no turn.
    pub fn new(weights: impl Iterator<Item = f64>, picks: u32) -> Self {
        let weights: Vec<(usize, f64)> = weights
            .enumerate()
            .filter(|(_, weight)| *weight > 0.0)
            .collect();
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let mut this = Self::default();
        let mut left = f64::from(picks);
        for (at, weight) in &weights {
            // So many of the turns were its own, or one more.
            let had = (f64::from(picks) * weight / sum).floor();
            left -= had;
            this.add(*at, 0.0, had + 1.0, *weight);
        }
        let weight_of = |at: usize| {
            let found = weights.binary_search_by_key(&at, |(at, _)| *at).ok();
            found
                .and_then(|found| weights.get(found))
                .map_or(1.0, |(_, weight)| *weight)
        };
        // Fewer than there are entries.
        while left >= 1.0 && this.next(weight_of).is_some() {
            left -= 1.0;
        }
        this
    }

    /// Who is next; `weight`: what it weighs for its turn after this one.
    pub fn next(&mut self, weight: impl FnOnce(usize) -> f64) -> Option<usize> {
        let Reverse(turn) = self.turns.pop()?;
        let weight = weight(turn.at);
        if weight.total_cmp(&turn.weight).is_eq() {
            self.add(turn.at, turn.since, turn.nth + 1.0, weight);
        } else {
            self.add(turn.at, turn.deadline, 1.0, weight);
        }
        Some(turn.at)
    }

    /// The `nth` turn with a weight that holds `since`. Turns are counted, and not their times added
    /// up: those that are due at once stay so, and shares are exact wherever one begins to look.
    fn add(&mut self, at: usize, since: f64, nth: f64, weight: f64) {
        self.turns.push(Reverse(Turn {
            deadline: since + nth / weight,
            at,
            since,
            nth,
            weight,
        }));
    }
}

#[derive(Debug, PartialEq)]
struct Turn {
    deadline: f64,
    at: usize,
    since: f64,
    nth: f64,
    weight: f64,
}

impl Eq for Turn {}

/// Of those that are due at once the one that has waited longest is first, as in Envoy: who weighs
/// less. So what comes next is a matter of time alone.
impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        self.deadline
            .total_cmp(&other.deadline)
            .then_with(|| self.weight.total_cmp(&other.weight))
            .then(self.at.cmp(&other.at))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(weights: &[f64], picks: u32, n: usize) -> Vec<usize> {
        let mut schedule = Schedule::new(weights.iter().copied(), picks);
        (0..n)
            .filter_map(|_| schedule.next(|at| weights[at]))
            .collect()
    }

    #[test]
    fn shares_are_exact_wherever_one_begins() {
        for picks in 0..70_000 {
            let mut counts = [0; 3];
            turns(&[3.0, 2.0, 1.0], picks, 60)
                .iter()
                .for_each(|at| counts[*at] += 1);
            assert_eq!(counts, [30, 20, 10], "{picks}");
        }
    }

    #[test]
    fn turns_are_by_weight_and_evenly_spread() {
        assert_eq!(turns(&[1.0, 4.0], 0, 10), [1, 1, 1, 0, 1, 1, 1, 1, 0, 1]);
        assert_eq!(turns(&[0.0, 2.0, 1.0], 0, 6), [1, 2, 1, 1, 2, 1]);
        assert!(turns(&[], 5, 3).is_empty());
        assert!(turns(&[0.0], 5, 3).is_empty());
    }

    #[test]
    fn it_begins_anywhere_in_the_same_order() {
        let weights = [1.0, 2.0, 4.0];
        let from_the_start = turns(&weights, 0, 40);
        for picks in 0..20 {
            let later = turns(&weights, picks, 14);
            let mut counts = [0; 3];
            for at in &later {
                counts[*at] += 1;
            }
            assert_eq!(counts, [2, 4, 8], "{picks}");
            let skipped = usize::try_from(picks).unwrap();
            let expected = &from_the_start[skipped..skipped.saturating_add(14)];
            let count = |turns: &[usize], at: usize| turns.iter().filter(|t| **t == at).count();
            for at in 0..3 {
                assert_eq!(count(&later, at), count(expected, at), "{picks}");
            }
        }
    }
}
