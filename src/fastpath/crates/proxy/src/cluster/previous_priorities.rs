//! Where retries go (Envoy's `previous_priorities`): not to priorities that were tried, as long as
//! there are others.

use super::levels::Levels;
use super::priority::Picks;

/// Of one request: which priorities its attempts went to, and what that leaves.
#[derive(Debug)]
pub struct PreviousPriorities {
    /// After every so many attempts what is left is worked out anew.
    update_frequency: u32,
    /// Since priorities were last forgotten.
    attempts: u32,
    /// By priority.
    attempted: Vec<bool>,
    /// Of the last time, with how many priorities there were; `None`: as for a first attempt.
    picks: Option<(usize, Picks)>,
}

impl PreviousPriorities {
    pub fn new(update_frequency: u32) -> Self {
        Self {
            update_frequency: update_frequency.max(1),
            attempts: 0,
            attempted: Vec::new(),
            picks: None,
        }
    }

    /// An attempt went to a host of this priority.
    pub fn attempted(&mut self, priority: u8) {
        let at = usize::from(priority);
        if self.attempted.len() <= at {
            self.attempted.resize(at.saturating_add(1), false);
        }
        if let Some(attempted) = self.attempted.get_mut(at) {
            *attempted = true;
        }
        self.attempts = self.attempts.saturating_add(1);
    }

    /// For the next attempt, among these.
    pub fn picks<'a>(&'a mut self, levels: &'a Levels) -> &'a Picks {
        if self.attempts < self.update_frequency {
            return &levels.picks;
        }
        if self.attempts.checked_rem(self.update_frequency) == Some(0) {
            self.update(levels);
        }
        match &self.picks {
            // A priority that has gone since has no hosts.
            Some((of, picks)) if *of <= levels.list.len() => picks,
            Some(_) | None => &levels.picks,
        }
    }

    fn update(&mut self, levels: &Levels) {
        let mut left = levels.loads.without(&self.attempted);
        if left.is_none() {
            // All were tried, and come again; where none can be used, panic says who is.
            self.attempts = 0;
            self.attempted.clear();
            left = levels.loads.without(&[]);
        }
        self.picks = left.map(|loads| (levels.list.len(), Picks::new(&loads)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::availability::Availability;
    use crate::cluster::levels::Hosts;
    use crate::cluster::testing;
    use model::resources::cluster::HealthStatus::{self, Healthy, Unhealthy};
    use model::resources::cluster::{Endpoint, EndpointPolicy};

    /// One host of each of these priorities.
    fn levels(hosts: &[(u8, HealthStatus)]) -> Levels {
        let endpoints: Vec<Endpoint> = (1..)
            .zip(hosts)
            .map(|(port, (priority, health))| Endpoint {
                priority: *priority,
                health: *health,
                ..testing::endpoint(port, 1)
            })
            .collect();
        let availability: Vec<Availability> = endpoints.iter().map(Availability::of).collect();
        let hosts = Hosts {
            endpoints: &endpoints,
            availability: &availability,
            policy: EndpointPolicy::default(),
        };
        let all: Vec<u32> = (0..).zip(&endpoints).map(|(at, _)| at).collect();
        Levels::new(&testing::cluster(Vec::new()), hosts, &all)
    }

    /// The only priority that is chosen from.
    #[track_caller]
    fn only(previous: &mut PreviousPriorities, levels: &Levels) -> usize {
        match previous.picks(levels) {
            Picks::One(pick) => pick.priority,
            Picks::Many(picks) => panic!("{picks:?}"),
        }
    }

    /// Where attempts go that always fail.
    fn way(update_frequency: u32, levels: &Levels) -> Vec<usize> {
        let mut previous = PreviousPriorities::new(update_frequency);
        let attempt = |_| {
            let priority = only(&mut previous, levels);
            previous.attempted(u8::try_from(priority).unwrap());
            priority
        };
        (0..8).map(attempt).collect()
    }

    #[test]
    fn each_priority_has_its_turn_then_all_have_another() {
        let three = levels(&[(0, Healthy), (1, Healthy), (2, Healthy)]);
        assert_eq!(way(1, &three), [0, 1, 2, 0, 1, 2, 0, 1]);
        assert_eq!(way(2, &three), [0, 0, 1, 1, 2, 2, 0, 0]);
        assert_eq!(way(5, &three), [0, 0, 0, 0, 0, 1, 1, 1]);
        let gaps = levels(&[(1, Healthy), (3, Unhealthy), (4, Healthy)]);
        assert_eq!(way(1, &gaps), [1, 4, 1, 4, 1, 4, 1, 4]);
        assert_eq!(way(1, &levels(&[(0, Healthy)])), [0; 8]);
    }

    #[test]
    fn where_nobody_can_be_used_panic_chooses() {
        let panic = levels(&[(0, Unhealthy), (1, Unhealthy)]);
        let mut previous = PreviousPriorities::new(1);
        previous.attempted(0);
        assert_eq!(previous.picks(&panic), &panic.picks);
        assert_eq!((previous.attempts, previous.attempted.len()), (0, 0));
    }

    #[test]
    fn between_updates_it_stays_and_heeds_what_has_gone() {
        let two = levels(&[(0, Healthy), (1, Healthy)]);
        let mut previous = PreviousPriorities::new(2);
        previous.attempted(0);
        previous.attempted(0);
        assert_eq!(only(&mut previous, &two), 1);
        previous.attempted(1);
        let sick = levels(&[(0, Healthy), (1, Unhealthy)]);
        assert_eq!(only(&mut previous, &sick), 1, "not looked at again yet");
        assert_eq!(only(&mut previous, &levels(&[(0, Healthy)])), 0);
        previous.attempted(1);
        assert_eq!(only(&mut previous, &sick), 0, "and forgotten");
    }
}
