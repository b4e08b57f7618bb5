//! Slow start: a host that is new has less traffic at first, and ever more within a window.

use std::time::Instant;

use model::resources::cluster::SlowStart;

use super::host::Host;

/// One load balancer's.
#[derive(Debug)]
pub struct Warmup {
    config: SlowStart,
    /// When the newest host came: nobody is new once the window is over.
    newest: Instant,
}

impl Warmup {
    pub fn new(config: SlowStart, now: Instant) -> Self {
        Self {
            config,
            newest: now,
        }
    }

    /// A host is there.
    pub fn see(&mut self, host: &Host, now: Instant) {
        if let Some(since) = host.healthy_since.get()
            && host.is_healthy.get()
            && since > self.newest
            && now.saturating_duration_since(since) <= self.config.window
        {
            self.newest = since;
        }
    }

    /// Whether there may be somebody new.
    pub fn is_on(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.newest) <= self.config.window
    }

    /// What a host's weight is multiplied by.
    pub fn factor(&self, host: &Host, now: Instant) -> f64 {
        let Some(since) = host.healthy_since.get().filter(|_| host.is_healthy.get()) else {
            return 1.0;
        };
        let age = now.saturating_duration_since(since);
        if age >= self.config.window {
            return 1.0;
        }
        // Envoy counts in milliseconds, at least one.
        let age = (age.as_millis() as f64).max(1.0);
        let share = age / self.config.window.as_millis() as f64;
        let share = if self.config.aggression == 1.0 {
            share
        } else {
            share.powf(1.0 / self.config.aggression)
        };
        share.max(self.config.min_weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;
    use std::time::Duration;

    fn config(aggression: f64) -> SlowStart {
        SlowStart {
            window: Duration::from_secs(10),
            aggression,
            min_weight: 0.1,
        }
    }

    #[test]
    fn the_factor_grows_with_age() {
        let start = Instant::now();
        let host = testing::host(1, 1);
        host.healthy_since.set(Some(start));
        let factor = |aggression, millis| {
            let warmup = Warmup::new(config(aggression), start);
            let now = start.checked_add(Duration::from_millis(millis)).unwrap();
            (warmup.factor(&host, now) * 1000.0).round()
        };
        for (aggression, millis, expected) in [
            (1.0, 0, 100.0),
            (1.0, 500, 100.0),
            (1.0, 2000, 200.0),
            (1.0, 9999, 1000.0),
            (1.0, 10_000, 1000.0),
            (2.0, 0, 100.0),
            (2.0, 2500, 500.0),
            (0.5, 5000, 250.0),
        ] {
            assert_eq!(
                factor(aggression, millis),
                expected,
                "{aggression} {millis}"
            );
        }
        host.is_healthy.set(false);
        assert_eq!(factor(1.0, 2000), 1000.0);
    }

    #[test]
    fn it_is_over_when_the_newest_is_old() {
        let start = Instant::now();
        let later = |millis| start.checked_add(Duration::from_millis(millis)).unwrap();
        let mut warmup = Warmup::new(config(1.0), start);
        assert!(warmup.is_on(later(10_000)) && !warmup.is_on(later(10_001)));
        let host = testing::host(1, 1);
        host.healthy_since.set(Some(later(15_000)));
        warmup.see(&host, later(16_000));
        assert!(warmup.is_on(later(25_000)) && !warmup.is_on(later(25_001)));
    }
}
