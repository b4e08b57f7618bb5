//! Load balancing: ROUND_ROBIN, LEAST_REQUEST and RANDOM over one priority.
//!
//! Rules from Envoy's "Supported load balancers": equal weights: plain round robin from a random
//! start, or power of two choices; unequal weights: earliest deadline first (EDF) with
//! deadline = now + 1/weight, ties by insertion; LEAST_REQUEST then weighs by
//! weight/(active+1)^bias. Hosts that are UNHEALTHY take no traffic unless fewer than the panic
//! threshold (50 %) are healthy: then all do. DEGRADED hosts serve when no healthy
//! one is left.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::Rc;

use model::resources::cluster::{HealthStatus, LbPolicy};

use super::host::Host;

#[derive(Debug)]
pub struct LoadBalancer {
    policy: LbPolicy,
    panic_threshold: f64,
    all: Vec<Rc<Host>>,
    /// Those that take traffic.
    eligible: Vec<Rc<Host>>,
    panic: bool,
    next: usize,
    /// EDF state; only when weights differ.
    schedule: BinaryHeap<Reverse<Turn>>,
    turns: u64,
}

impl LoadBalancer {
    /// `panic_threshold`: per cent of hosts that must be available, else all are used.
    pub fn new(policy: LbPolicy, panic_threshold: f64, random: u64) -> Self {
        Self {
            policy,
            panic_threshold,
            all: Vec::new(),
            eligible: Vec::new(),
            panic: false,
            next: usize::try_from(random >> 33).unwrap_or(0),
            schedule: BinaryHeap::new(),
            turns: 0,
        }
    }

    pub fn hosts(&self) -> &[Rc<Host>] {
        &self.all
    }

    pub fn in_panic(&self) -> bool {
        self.panic
    }

    pub fn set_hosts(&mut self, hosts: Vec<Rc<Host>>) {
        self.all = hosts;
        let with = |want: fn(&Host) -> bool| -> Vec<Rc<Host>> {
            self.all.iter().filter(|h| want(h)).cloned().collect()
        };
        let healthy = with(|h| h.is_available() && h.health != HealthStatus::Degraded);
        let usable = with(Host::is_available);
        let available = usable.len() as f64 * 100.0;
        self.panic = available < self.panic_threshold * self.all.len() as f64;
        self.eligible = if self.panic {
            self.all.clone()
        } else if healthy.is_empty() {
            usable
        } else {
            healthy
        };
        let weighted = self
            .eligible
            .first()
            .is_some_and(|first| self.eligible.iter().any(|h| h.weight != first.weight));
        self.schedule.clear();
        if weighted {
            for (host, entry) in self.eligible.iter().enumerate() {
                let deadline = 1.0 / f64::from(entry.weight.max(1));
                self.turns = self.turns.wrapping_add(1);
                self.schedule.push(Reverse(Turn {
                    deadline,
                    order: self.turns,
                    host,
                }));
            }
        }
    }

    pub fn choose(&mut self, random: &mut fastrand::Rng) -> Option<Rc<Host>> {
        if let [only] = self.eligible.as_slice() {
            return Some(Rc::clone(only));
        }
        match self.policy {
            LbPolicy::Random => self.random(random),
            LbPolicy::RoundRobin if self.schedule.is_empty() => self.round_robin(),
            LbPolicy::LeastRequest { choice_count, .. } if self.schedule.is_empty() => {
                self.least_of(choice_count, random)
            }
            LbPolicy::RoundRobin => self.earliest_deadline(0.0),
            LbPolicy::LeastRequest {
                active_request_bias,
                ..
            } => self.earliest_deadline(active_request_bias),
        }
    }

    fn random(&self, random: &mut fastrand::Rng) -> Option<Rc<Host>> {
        match self.eligible.len() {
            0 => None,
            n => self.eligible.get(random.usize(..n)).cloned(),
        }
    }

    fn round_robin(&mut self) -> Option<Rc<Host>> {
        let n = self.eligible.len();
        let at = self.next.checked_rem(n)?;
        self.next = at.wrapping_add(1);
        self.eligible.get(at).cloned()
    }

    fn least_of(&self, choices: u32, random: &mut fastrand::Rng) -> Option<Rc<Host>> {
        let mut best = self.random(random)?;
        for _ in 1..choices.max(1) {
            let other = self.random(random)?;
            if other.pool.active.get() < best.pool.active.get() {
                best = other;
            }
        }
        Some(best)
    }

    fn earliest_deadline(&mut self, active_bias: f64) -> Option<Rc<Host>> {
        let Reverse(turn) = self.schedule.pop()?;
        let host = self.eligible.get(turn.host)?;
        let mut weight = f64::from(host.weight.max(1));
        if active_bias > 0.0 {
            weight /= (f64::from(host.pool.active.get()) + 1.0).powf(active_bias);
        }
        self.turns = self.turns.wrapping_add(1);
        let deadline = turn.deadline + 1.0 / weight;
        self.schedule.push(Reverse(Turn {
            deadline,
            order: self.turns,
            host: turn.host,
        }));
        Some(Rc::clone(host))
    }
}

/// A host's next turn in the EDF schedule.
#[derive(Debug, PartialEq)]
struct Turn {
    deadline: f64,
    /// Ties are broken by insertion.
    order: u64,
    /// Index into `eligible`.
    host: usize,
}

impl Eq for Turn {}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        self.deadline
            .total_cmp(&other.deadline)
            .then(self.order.cmp(&other.order))
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
    use crate::cluster::host::HostShards;
    use model::resources::address::Address;
    use model::resources::cluster::{Endpoint, UpstreamProtocol};
    use std::collections::HashMap;
    use std::sync::Arc;

    fn host(port: u16, weight: u32, health: HealthStatus) -> Rc<Host> {
        let endpoint = Endpoint {
            address: Address::Ip(([127, 0, 0, 1], port).into()),
            hostname: None,
            weight,
            health,
            locality: Arc::default(),
            metadata: None,
        };
        Rc::new(Host::new(
            &endpoint,
            None,
            &HostShards::default(),
            UpstreamProtocol::Http1,
            0,
        ))
    }

    fn counts(policy: LbPolicy, hosts: Vec<Rc<Host>>, n: usize) -> HashMap<u16, usize> {
        let mut lb = LoadBalancer::new(policy, 50.0, 0);
        lb.set_hosts(hosts);
        let mut rng = fastrand::Rng::with_seed(1);
        let mut out = HashMap::new();
        for _ in 0..n {
            let chosen = lb.choose(&mut rng).unwrap().address.port().unwrap();
            out.entry(chosen)
                .and_modify(|n: &mut usize| *n = n.saturating_add(1))
                .or_insert(1);
        }
        out
    }

    use HealthStatus::{Degraded, Healthy, Unhealthy};

    #[test]
    fn round_robin_is_even_and_edf_follows_weights() {
        let even = (1..=4).map(|p| host(p, 1, Healthy)).collect();
        assert!(
            counts(LbPolicy::RoundRobin, even, 400)
                .values()
                .all(|n| *n == 100)
        );
        let weighted = vec![host(1, 1, Healthy), host(2, 3, Healthy)];
        let got = counts(LbPolicy::RoundRobin, weighted, 400);
        assert_eq!((got[&1], got[&2]), (100, 300));
    }

    #[test]
    fn least_request_prefers_the_idle_host() {
        let busy = host(1, 1, Healthy);
        busy.pool.active.set(10);
        let policy = LbPolicy::LeastRequest {
            choice_count: 2,
            active_request_bias: 1.0,
        };
        let got = counts(policy, vec![busy, host(2, 1, Healthy)], 1000);
        assert!(got[&2] > 700 && got[&2] < 800, "{got:?}");
    }

    #[test]
    fn unhealthy_hosts_are_left_out_until_panic() {
        let mut hosts = vec![host(1, 1, Healthy), host(2, 1, Unhealthy)];
        assert_eq!(counts(LbPolicy::Random, hosts.clone(), 50).len(), 1);
        hosts.push(host(3, 1, Unhealthy));
        assert_eq!(counts(LbPolicy::Random, hosts, 100).len(), 3);
        let degraded = vec![host(1, 1, Degraded), host(2, 1, Healthy)];
        assert_eq!(counts(LbPolicy::Random, degraded, 50)[&2], 50);
    }

    #[test]
    fn an_empty_cluster_has_no_host() {
        let mut lb = LoadBalancer::new(LbPolicy::RoundRobin, 50.0, 5);
        lb.set_hosts(vec![]);
        assert!(lb.choose(&mut fastrand::Rng::with_seed(1)).is_none());
    }
}
