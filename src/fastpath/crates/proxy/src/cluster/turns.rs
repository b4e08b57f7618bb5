//! Hosts of which one is chosen by ROUND_ROBIN, LEAST_REQUEST or RANDOM.
//!
//! Rules from Envoy's "Supported load balancers": equal weights: plain round robin from a random
//! start, or power of two choices; unequal weights, or hosts in slow start: earliest deadline
//! first (`edf`); LEAST_REQUEST then weighs by weight/(active+1)^bias.

use std::rc::Rc;
use std::time::Instant;

use model::resources::cluster::LbPolicy;

use super::edf::Schedule;
use super::host::Host;
use super::slow_start::Warmup;

#[derive(Debug)]
pub struct Turns {
    hosts: Box<[Rc<Host>]>,
    /// Of plain round robin.
    next: usize,
    /// Only where hosts are not alike.
    schedule: Option<Schedule>,
}

/// What hosts weigh now.
#[derive(Debug, Clone, Copy)]
struct Scale<'a> {
    policy: LbPolicy,
    warmup: Option<(&'a Warmup, Instant)>,
}

impl Turns {
    /// `seed`: where it begins. `next`: where plain round robin was.
    pub fn new(
        hosts: Box<[Rc<Host>]>,
        policy: LbPolicy,
        warmup: Option<&Warmup>,
        next: usize,
        seed: u32,
    ) -> Self {
        let mut differ = hosts.windows(2).any(|pair| match pair {
            [a, b] => a.weight != b.weight,
            _ => false,
        });
        let scale = Scale::now(policy, warmup);
        differ |= hosts.len() > 1 && scale.warmup.is_some();
        let has_turns = match policy {
            LbPolicy::RoundRobin | LbPolicy::LeastRequest { .. } => differ,
            // As it comes, whatever hosts weigh.
            LbPolicy::Random => false,
            // By a table, or not here.
            LbPolicy::RingHash(_) | LbPolicy::Maglev(_) | LbPolicy::ClusterProvided => false,
        };
        let weights = || hosts.iter().map(|host| scale.weight(host));
        let schedule = has_turns.then(|| Schedule::new(weights(), seed));
        Self {
            hosts,
            next,
            schedule,
        }
    }

    /// Where plain round robin is.
    pub fn position(&self) -> usize {
        self.next
    }

    /// `drawn`: what chose among priorities; Envoy's RANDOM goes on with it.
    pub fn choose(
        &mut self,
        policy: LbPolicy,
        warmup: Option<&Warmup>,
        drawn: Option<u64>,
        random: &mut fastrand::Rng,
    ) -> Option<Rc<Host>> {
        if let [only] = &*self.hosts {
            return Some(Rc::clone(only));
        }
        if let Some(schedule) = &mut self.schedule {
            let scale = Scale::now(policy, warmup);
            let hosts = &self.hosts;
            let weight = |at: usize| hosts.get(at).map_or(1.0, |host| scale.weight(host));
            let at = schedule.next(weight)?;
            return hosts.get(at).cloned();
        }
        match policy {
            LbPolicy::RoundRobin => {
                let at = self.next.checked_rem(self.hosts.len())?;
                self.next = at.wrapping_add(1);
                self.hosts.get(at).cloned()
            }
            LbPolicy::LeastRequest { choice_count, .. } => self.least_of(choice_count, random),
            LbPolicy::Random => {
                let drawn = drawn.unwrap_or_else(|| random.u64(..));
                let at = drawn.checked_rem(self.hosts.len() as u64)?;
                self.hosts.get(usize::try_from(at).ok()?).cloned()
            }
            LbPolicy::RingHash(_) | LbPolicy::Maglev(_) | LbPolicy::ClusterProvided => None,
        }
    }

    fn least_of(&self, choices: u32, random: &mut fastrand::Rng) -> Option<Rc<Host>> {
        let mut any = || match self.hosts.len() {
            0 => None,
            n => self.hosts.get(random.usize(..n)),
        };
        let mut best = any()?;
        for _ in 1..choices.max(1) {
            let other = any()?;
            if other.pool.active.get() < best.pool.active.get() {
                best = other;
            }
        }
        Some(Rc::clone(best))
    }
}

impl<'a> Scale<'a> {
    fn now(policy: LbPolicy, warmup: Option<&'a Warmup>) -> Self {
        let on = |warmup: &'a Warmup| {
            let now = Instant::now();
            warmup.is_on(now).then_some((warmup, now))
        };
        Self {
            policy,
            warmup: warmup.and_then(on),
        }
    }

    fn weight(self, host: &Host) -> f64 {
        let mut weight = f64::from(host.weight.max(1));
        if let LbPolicy::LeastRequest {
            active_request_bias: bias,
            ..
        } = self.policy
        {
            let active = f64::from(host.pool.active.get()) + 1.0;
            if bias == 1.0 {
                weight /= active;
            } else if bias > 0.0 {
                weight /= active.powf(bias);
            }
        }
        let factor = self
            .warmup
            .map_or(1.0, |(warmup, now)| warmup.factor(host, now));
        weight * factor
    }
}
