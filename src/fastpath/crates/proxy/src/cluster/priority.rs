//! How much of the load each priority takes, from how many of its hosts are healthy (Envoy's
//! "Priority levels", "Panic threshold" and "Degraded endpoints").

use model::resources::cluster::EndpointPolicy;

use super::availability::Availability;

/// The hosts of one priority, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All, whatever their health.
    pub hosts: u64,
    pub healthy: u64,
    pub degraded: u64,
    pub excluded: u64,
    /// What its health is worked out of: hosts, or with `weighted_priority_health` their weights.
    weights: Weights,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Weights {
    healthy: u64,
    degraded: u64,
    /// Of all that are not excluded.
    all: u64,
}

impl Count {
    pub fn add(&mut self, availability: Availability, weight: u32, policy: EndpointPolicy) {
        let weight = if policy.weighted_priority_health {
            weight.into()
        } else {
            1
        };
        let add = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        add(&mut self.hosts, 1);
        if availability == Availability::Excluded {
            return add(&mut self.excluded, 1);
        }
        add(&mut self.weights.all, weight);
        match availability {
            Availability::Healthy => {
                add(&mut self.healthy, 1);
                add(&mut self.weights.healthy, weight);
            }
            Availability::Degraded => {
                add(&mut self.degraded, 1);
                add(&mut self.weights.degraded, weight);
            }
            Availability::Unhealthy | Availability::Excluded => {}
        }
    }

    /// Fewer than the threshold, per cent, can be used.
    fn is_below(&self, threshold: f64) -> bool {
        let present = self.hosts.saturating_sub(self.excluded) as f64;
        let share = |count: u64| {
            if present > 0.0 {
                100.0 * count as f64 / present
            } else {
                0.0
            }
        };
        share(self.healthy) + share(self.degraded) < threshold
    }
}

/// Per cent by priority.
type PerPriority = Vec<u32>;

/// What part of the load each priority takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PriorityLoads {
    /// By its healthy hosts.
    pub healthy: PerPriority,
    /// By its degraded ones.
    pub degraded: PerPriority,
    /// Where all hosts are used, whatever their health.
    pub panic: Vec<bool>,
    /// What each could take, by its healthy hosts and by its degraded ones: loads among some of
    /// them are worked out of it.
    available: [PerPriority; 2],
}

impl PriorityLoads {
    /// `counts`: at least one.
    pub fn new(counts: &[Count], policy: EndpointPolicy, panic_threshold: f64) -> Self {
        let factor = u64::from(policy.overprovisioning_factor);
        let health = |of: fn(&Count) -> u64| -> PerPriority {
            let each = |count: &Count| {
                let health = factor.saturating_mul(of(count));
                capped(health.checked_div(count.weights.all).unwrap_or(0))
            };
            counts.iter().map(each).collect()
        };
        let availability = [
            health(|c| c.weights.healthy),
            health(|c| c.weights.degraded),
        ];
        let total = total(&availability);
        let mut this = Self {
            panic: counts
                .iter()
                .map(|count| total != 100 && count.is_below(panic_threshold))
                .collect(),
            ..distribute(availability)
        };
        if total == 0 && panic_threshold == 0.0 {
            // Nobody is there: the first priority says so.
            this.all_to_first();
        } else if this.panic.iter().all(|panic| *panic) {
            this.total_panic(counts);
        }
        this
    }

    /// All of the load to the priorities that are not among these; `None`: nobody is left who
    /// could take any.
    pub fn without(&self, excluded: &[bool]) -> Option<Self> {
        let is_excluded = |priority| excluded.get(priority).copied().unwrap_or(false);
        let left = self.available.each_ref().map(|available| -> PerPriority {
            let each = |(priority, can): (usize, &u32)| match is_excluded(priority) {
                true => 0,
                false => *can,
            };
            available.iter().enumerate().map(each).collect()
        });
        (total(&left) > 0).then(|| distribute(left))
    }

    /// Every priority by how many hosts it has.
    fn total_panic(&mut self, counts: &[Count]) {
        let all = counts
            .iter()
            .map(|count| count.hosts)
            .fold(0, u64::saturating_add);
        let share = |count: &Count| count.hosts.saturating_mul(100).checked_div(all);
        let shares = counts.iter().map(|count| share(count).map(capped));
        let shares: Option<PerPriority> = shares.collect();
        let Some(shares) = shares else {
            return self.all_to_first();
        };
        let left = shares
            .iter()
            .fold(100_u32, |left, share| left.saturating_sub(*share));
        self.degraded = vec![0; shares.len()];
        self.healthy = shares;
        let first = counts.iter().position(|count| count.hosts > 0);
        add_to(&mut self.healthy, first, left);
    }

    fn all_to_first(&mut self) {
        self.healthy.iter_mut().for_each(|load| *load = 0);
        self.degraded.iter_mut().for_each(|load| *load = 0);
        add_to(&mut self.healthy, Some(0), 100);
    }
}

fn capped(per_cent: u64) -> u32 {
    u32::try_from(per_cent.min(100)).unwrap_or(100)
}

/// The normalized total availability.
fn total(availability: &[PerPriority; 2]) -> u32 {
    let all = availability.iter().flatten();
    all.fold(0_u32, |sum, each| sum.saturating_add(*each))
        .min(100)
}

/// All of the load, to the healthy hosts of the first priorities as far as they can, the rest to
/// degraded ones; nothing if nobody can take any.
fn distribute(availability: [PerPriority; 2]) -> PriorityLoads {
    let total = total(&availability);
    let mut left = 100_u32;
    let [mut healthy, mut degraded] = availability.each_ref().map(|availability| -> PerPriority {
        let mut take = |can: &u32| {
            let share = can
                .saturating_mul(100)
                .checked_div(total)
                .unwrap_or(0)
                .min(left);
            left = left.saturating_sub(share);
            share
        };
        availability.iter().map(&mut take).collect()
    });
    if total > 0 {
        // What rounding left goes to the first that can take any.
        let first = |availability: &PerPriority| availability.iter().position(|can| *can > 0);
        let [of_healthy, of_degraded] = availability.each_ref().map(first);
        if of_healthy.is_some() {
            add_to(&mut healthy, of_healthy, left);
        } else {
            add_to(&mut degraded, of_degraded, left);
        }
    }
    PriorityLoads {
        healthy,
        degraded,
        panic: Vec::new(),
        available: availability,
    }
}

fn add_to(loads: &mut PerPriority, at: Option<usize>, more: u32) {
    if let Some(load) = at.and_then(|at| loads.get_mut(at)) {
        *load = load.saturating_add(more);
    }
}

/// Of which priority's hosts one is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pick {
    pub priority: usize,
    /// Of its degraded ones.
    pub degraded: bool,
}

/// The loads as a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Picks {
    /// One has all the load: nothing is drawn.
    One(Pick),
    /// Up to which per cent, ascending to 100.
    Many(Box<[(u32, Pick)]>),
}

impl Default for Picks {
    fn default() -> Self {
        Self::One(Pick::default())
    }
}

impl Picks {
    pub fn new(loads: &PriorityLoads) -> Self {
        let each = |degraded: bool, loads: &PerPriority| -> Vec<(u32, Pick)> {
            let pick = |(priority, load): (usize, &u32)| (*load, Pick { priority, degraded });
            loads.iter().enumerate().map(pick).collect()
        };
        let mut all = each(false, &loads.healthy);
        all.extend(each(true, &loads.degraded));
        all.retain(|(load, _)| *load > 0);
        if let [(_, only)] = all.as_slice() {
            return Self::One(*only);
        }
        let mut sum = 0_u32;
        for (load, _) in &mut all {
            sum = sum.saturating_add(*load);
            *load = sum;
        }
        Self::Many(all.into())
    }

    /// `hash`: of the request, or drawn.
    pub fn choose(&self, hash: impl FnOnce() -> u64) -> Pick {
        match self {
            Self::One(pick) => *pick,
            Self::Many(picks) => {
                let point = hash().checked_rem(100).unwrap_or(0);
                let found = picks.iter().find(|(upto, _)| point < u64::from(*upto));
                found.map(|(_, pick)| *pick).unwrap_or_default()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (healthy, degraded, unhealthy) of a priority.
    type Hosts = (u32, u32, u32);

    fn count(hosts: Hosts, policy: EndpointPolicy) -> Count {
        let mut count = Count::default();
        let (healthy, degraded, unhealthy) = hosts;
        for (n, availability) in [
            (healthy, Availability::Healthy),
            (degraded, Availability::Degraded),
            (unhealthy, Availability::Unhealthy),
        ] {
            (0..n).for_each(|_| count.add(availability, 1, policy));
        }
        count
    }

    fn loads(hosts: &[Hosts], factor: u32, threshold: f64) -> PriorityLoads {
        let policy = EndpointPolicy {
            overprovisioning_factor: factor,
            ..EndpointPolicy::default()
        };
        let counts: Vec<Count> = hosts.iter().map(|h| count(*h, policy)).collect();
        PriorityLoads::new(&counts, policy, threshold)
    }

    /// Of a hundred hosts each, so many are healthy.
    fn healthy(per_cent: &[u32]) -> Vec<Hosts> {
        per_cent
            .iter()
            .map(|n| (*n, 0, 100_u32.saturating_sub(*n)))
            .collect()
    }

    /// The tables of Envoy's "Priority levels", without panic: healthy endpoints of each priority,
    /// and what traffic it gets.
    #[test]
    fn envoys_table_of_priority_levels() {
        for (hosts, expected) in [
            (&[100, 100][..], &[100, 0][..]),
            (&[72, 100], &[100, 0]),
            (&[71, 100], &[99, 1]),
            (&[50, 100], &[70, 30]),
            (&[25, 100], &[35, 65]),
            (&[0, 100], &[0, 100]),
            (&[25, 25], &[50, 50]),
            (&[5, 0], &[100, 0]),
            (&[100, 100, 100], &[100, 0, 0]),
            (&[72, 72, 100], &[100, 0, 0]),
            (&[71, 71, 100], &[99, 1, 0]),
            (&[50, 50, 100], &[70, 30, 0]),
            (&[25, 100, 100], &[35, 65, 0]),
            (&[25, 25, 100], &[35, 35, 30]),
            // There it says 36, 36, 28, but what is left is the first's.
            (&[25, 25, 20], &[37, 35, 28]),
        ] {
            let loads = loads(&healthy(hosts), 140, 0.0);
            assert_eq!(loads.healthy, expected, "{hosts:?}");
        }
    }

    /// The tables of "Panic threshold" with two priorities and 50 %.
    #[test]
    fn envoys_tables_of_panic() {
        // Healthy of both; traffic; panic.
        for (hosts, expected, panic) in [
            ([72, 72], [100, 0], [false, false]),
            ([71, 71], [99, 1], [false, false]),
            ([50, 60], [70, 30], [false, false]),
            ([25, 100], [35, 65], [false, false]),
            ([25, 25], [50, 50], [true, true]),
            // There it says 7, 93.
            ([5, 65], [8, 92], [true, false]),
            // Nobody is healthy: by the number of hosts.
            ([0, 0], [50, 50], [true, true]),
        ] {
            let loads = loads(&healthy(&hosts), 140, 50.0);
            assert_eq!(loads.healthy, expected, "{hosts:?}");
            assert_eq!(loads.panic, panic, "{hosts:?}");
        }
        let off = loads(&healthy(&[0, 0]), 140, 0.0);
        assert_eq!((off.healthy, off.panic), (vec![100, 0], vec![false, false]));
        let none = loads(&[(0, 0, 0)], 140, 50.0);
        assert_eq!((none.healthy, none.panic), (vec![100], vec![true]));
    }

    #[test]
    fn degraded_hosts_take_what_healthy_ones_cannot() {
        // Healthy and degraded load.
        for (hosts, of_healthy, of_degraded) in [
            // The table of "Degraded endpoints".
            (&[(71, 0, 29)][..], &[100][..], &[0][..]),
            (&[(71, 29, 0)], &[99], &[1]),
            (&[(25, 65, 10)], &[35], &[65]),
            (&[(5, 0, 95)], &[100], &[0]),
            (&[(0, 4, 0)], &[0], &[100]),
            (&[(1, 1, 2), (4, 0, 0)], &[35, 65], &[0, 0]),
            (&[(1, 1, 2), (1, 1, 2)], &[35, 35], &[30, 0]),
            (
                &[(1, 2, 7), (2, 1, 7), (1, 0, 9)],
                &[16, 28, 14],
                &[28, 14, 0],
            ),
        ] {
            let loads = loads(hosts, 140, 0.0);
            assert_eq!(loads.healthy.len(), hosts.len());
            let sum = |loads: &[u32]| loads.iter().sum::<u32>();
            assert_eq!(
                sum(&loads.healthy).saturating_add(sum(&loads.degraded)),
                100
            );
            assert_eq!(loads.healthy, of_healthy, "{hosts:?}");
            assert_eq!(loads.degraded, of_degraded, "{hosts:?}");
        }
    }

    #[test]
    fn panic_is_when_too_few_are_left_and_they_cannot_take_the_load() {
        for (hosts, threshold, expected) in [
            ((1, 0, 1), 50.0, false),
            ((1, 0, 2), 50.0, true),
            ((0, 2, 2), 50.0, false),
            ((0, 1, 2), 50.0, true),
            ((4, 0, 1), 90.0, false),
            ((3, 0, 2), 90.0, true),
            ((2, 1, 2), 90.0, true),
            ((0, 0, 5), 0.0, false),
            ((0, 0, 0), 50.0, true),
            ((0, 0, 0), 0.0, false),
        ] {
            let found = loads(&[hosts], 140, threshold);
            assert_eq!(found.panic, [expected], "{hosts:?} {threshold}");
        }
    }

    #[test]
    fn total_panic_is_by_hosts_and_what_rounding_leaves_is_the_firsts() {
        let loads = loads(&[(0, 0, 0), (0, 0, 1), (0, 0, 2)], 140, 50.0);
        assert_eq!(loads.healthy, [0, 34, 66]);
        assert_eq!(loads.panic, [true, true, true]);
    }

    #[test]
    fn without_some_the_others_have_all_of_the_load() {
        let of = |hosts: &[Hosts], excluded: &[bool]| {
            let loads = loads(hosts, 140, 50.0).without(excluded)?;
            Some((loads.healthy, loads.degraded))
        };
        let three = healthy(&[100, 100, 50]);
        assert_eq!(of(&three, &[]), Some((vec![100, 0, 0], vec![0, 0, 0])));
        assert_eq!(of(&three, &[true]), Some((vec![0, 100, 0], vec![0, 0, 0])));
        let last = of(&three, &[true, true]);
        assert_eq!(last, Some((vec![0, 0, 100], vec![0, 0, 0])));
        assert_eq!(of(&three, &[true; 3]), None);
        // Healthy hosts anywhere come before degraded ones.
        let mixed = [(1, 0, 0), (0, 1, 3), (1, 0, 3)];
        let rest = of(&mixed, &[true]);
        assert_eq!(rest, Some((vec![0, 0, 50], vec![0, 50, 0])));
        assert_eq!(of(&[(0, 0, 2), (0, 0, 1)], &[]), None, "total panic");
    }

    #[test]
    fn hosts_that_leave_are_not_missed_and_weights_count_where_asked() {
        let mut policy = EndpointPolicy::default();
        let leaving = |policy| {
            let mut first = Count::default();
            first.add(Availability::Healthy, 1, policy);
            first.add(Availability::Excluded, 9, policy);
            first.add(Availability::Unhealthy, 3, policy);
            let counts = [first, count((1, 0, 0), policy)];
            PriorityLoads::new(&counts, policy, 50.0).healthy
        };
        assert_eq!(leaving(policy), [70, 30]);
        policy.weighted_priority_health = true;
        assert_eq!(leaving(policy), [35, 65]);
    }

    #[test]
    fn picks_are_drawn_only_where_there_is_a_choice() {
        let one = Picks::new(&loads(&healthy(&[0, 100]), 140, 50.0));
        let second = Pick {
            priority: 1,
            degraded: false,
        };
        assert_eq!(one, Picks::One(second));
        let many = Picks::new(&loads(&[(1, 1, 2), (1, 0, 3)], 140, 50.0));
        let shares = |wanted: Pick| (0..100).filter(|n| many.choose(|| *n) == wanted).count();
        assert_eq!(shares(Pick::default()), 35);
        assert_eq!(shares(second), 35);
        let degraded = Pick {
            degraded: true,
            ..Pick::default()
        };
        assert_eq!(shares(degraded), 30);
    }
}
