//! Load balancing over one priority: ROUND_ROBIN, LEAST_REQUEST, RANDOM, and by tables RING_HASH
//! and MAGLEV (`hash_table`).
//!
//! Rules from Envoy's "Supported load balancers": equal weights: plain round robin from a random
//! start, or power of two choices; unequal weights: earliest deadline first (EDF) with
//! deadline = now + 1/weight, ties by insertion; LEAST_REQUEST then weighs by
//! weight/(active+1)^bias. Hosts that are UNHEALTHY take no traffic unless fewer than the panic
//! threshold (50 %) are healthy: then all do. DEGRADED hosts serve when no healthy
//! one is left, but never by a table.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use model::resources::address::Address;
use model::resources::cluster::{Cluster, Endpoints, HealthStatus, LbPolicy, Metadata};

use super::hash_table::HashTable;
use super::host::Host;
use crate::telemetry::stats::{ClusterCounter, ClusterShard};

/// What a request or a tunnel says about the host that it wants (Envoy's `LoadBalancerContext`).
#[derive(Debug, Clone, Copy, Default)]
pub struct LbContext<'a> {
    /// `None`: any.
    pub hash: Option<u64>,
    /// For subsets.
    pub metadata_match: Option<&'a Metadata>,
    /// Of a retry: which hosts are passed over.
    pub selection: Option<Selection<'a>>,
}

/// Looks for another host so often if one was tried; the last one found has to do.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    pub tried: &'a HashSet<Address>,
    pub attempts: u32,
}

/// When all hosts are used, since too few are available.
#[derive(Debug, Clone, Copy)]
pub struct PanicRule {
    /// Per cent of the hosts, below which it may be.
    threshold: f64,
    /// `Endpoints::overprovisioning_factor`.
    overprovisioning: u64,
}

impl Default for PanicRule {
    fn default() -> Self {
        Self {
            threshold: 50.0,
            overprovisioning: Endpoints::OVERPROVISIONING_FACTOR.into(),
        }
    }
}

impl PanicRule {
    pub fn new(cluster: &Cluster, endpoints: &Endpoints) -> Self {
        Self {
            threshold: cluster.panic_threshold,
            overprovisioning: endpoints.overprovisioning_factor.into(),
        }
    }

    /// Not while those that are available can take the load of all; without hosts, too.
    pub fn holds(self, hosts: impl Iterator<Item = HealthStatus>) -> bool {
        let (mut all, mut healthy, mut degraded) = (0_u64, 0_u64, 0_u64);
        for health in hosts {
            all = all.saturating_add(1);
            match health {
                HealthStatus::Unknown | HealthStatus::Healthy => {
                    healthy = healthy.saturating_add(1);
                }
                HealthStatus::Degraded => degraded = degraded.saturating_add(1),
                HealthStatus::Unhealthy | HealthStatus::Draining | HealthStatus::Timeout => {}
            }
        }
        let load = |count: u64| {
            let load = count.saturating_mul(self.overprovisioning);
            load.checked_div(all).unwrap_or(0)
        };
        if load(healthy).saturating_add(load(degraded)) >= 100 {
            return false;
        }
        let available = healthy.saturating_add(degraded) as f64 * 100.0;
        available < self.threshold * all.max(1) as f64
    }
}

#[derive(Debug)]
pub struct LoadBalancer {
    policy: LbPolicy,
    all: Vec<Rc<Host>>,
    /// Those that take traffic; empty with a table.
    eligible: Vec<Rc<Host>>,
    /// Of RING_HASH and MAGLEV; its indices are those of `all`.
    table: Option<Arc<HashTable>>,
    panic: bool,
    next: usize,
    /// EDF state; only when weights differ.
    schedule: BinaryHeap<Reverse<Turn>>,
    turns: u64,
}

impl LoadBalancer {
    /// Without hosts. `random`: where turns begin.
    pub fn new(policy: LbPolicy, random: u64) -> Self {
        Self {
            policy,
            all: Vec::new(),
            eligible: Vec::new(),
            table: None,
            panic: false,
            next: usize::try_from(random >> 33).unwrap_or(0),
            schedule: BinaryHeap::new(),
            turns: 0,
        }
    }

    pub fn hosts(&self) -> &[Rc<Host>] {
        &self.all
    }

    /// `table`: made of the same hosts.
    pub fn set_hosts(
        &mut self,
        hosts: Vec<Rc<Host>>,
        table: Option<Arc<HashTable>>,
        panic_rule: PanicRule,
    ) {
        self.all = hosts;
        self.table = table;
        self.panic = panic_rule.holds(self.all.iter().map(|h| h.health));
        self.eligible = if self.policy.is_hash() {
            Vec::new()
        } else {
            self.take_traffic()
        };
        self.schedule_turns();
    }

    /// `nth`: the answers before were of no use; a table has others for one hash.
    pub fn choose(
        &mut self,
        hash: Option<u64>,
        nth: u32,
        random: &mut fastrand::Rng,
    ) -> Option<Rc<Host>> {
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
            LbPolicy::RingHash(_) | LbPolicy::Maglev(_) => {
                // Without a hash any host, as in Envoy.
                let hash = hash.unwrap_or_else(|| random.u64(..));
                let at = self.table.as_ref()?.find(hash, nth)?;
                self.all.get(at).cloned()
            }
        }
    }

    /// As `choose`, and counts panic.
    pub fn choose_counted(
        &mut self,
        hash: Option<u64>,
        nth: u32,
        random: &mut fastrand::Rng,
        stats: &ClusterShard,
    ) -> Option<Rc<Host>> {
        if self.panic {
            stats.inc(ClusterCounter::LbHealthyPanic);
        }
        self.choose(hash, nth, random)
    }

    fn take_traffic(&self) -> Vec<Rc<Host>> {
        if self.panic {
            return self.all.clone();
        }
        let with = |want: fn(HealthStatus) -> bool| -> Vec<Rc<Host>> {
            let wanted = self.all.iter().filter(|h| want(h.health));
            wanted.cloned().collect()
        };
        let healthy = with(|h| h.is_available() && h != HealthStatus::Degraded);
        if healthy.is_empty() {
            with(HealthStatus::is_available)
        } else {
            healthy
        }
    }

    fn schedule_turns(&mut self) {
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
    use crate::cluster::testing;
    use model::resources::cluster::{Endpoint, UpstreamProtocol};
    use model::resources::hash_lb::Maglev;
    use std::collections::HashMap;

    fn endpoint(port: u16, weight: u32, health: HealthStatus) -> Endpoint {
        Endpoint {
            health,
            ..testing::endpoint(port, weight)
        }
    }

    fn host(port: u16, weight: u32, health: HealthStatus) -> Rc<Host> {
        Rc::new(Host::new(
            &endpoint(port, weight, health),
            None,
            &HostShards::default(),
            UpstreamProtocol::Http1,
            0,
        ))
    }

    fn counts(policy: LbPolicy, hosts: Vec<Rc<Host>>, n: usize) -> HashMap<u16, usize> {
        let mut lb = LoadBalancer::new(policy, 0);
        lb.set_hosts(hosts, None, PanicRule::default());
        let mut rng = fastrand::Rng::with_seed(1);
        let mut out = HashMap::new();
        for _ in 0..n {
            let chosen = lb
                .choose(None, 0, &mut rng)
                .unwrap()
                .address
                .port()
                .unwrap();
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
    fn panic_is_when_too_few_are_left_and_they_cannot_take_the_load() {
        let hosts = |healthy: usize, degraded: usize, unhealthy: usize| {
            let each = [
                (Healthy, healthy),
                (Degraded, degraded),
                (Unhealthy, unhealthy),
            ];
            each.into_iter()
                .flat_map(|(health, n)| std::iter::repeat_n(health, n))
        };
        for (healthy, degraded, unhealthy, threshold, expected) in [
            (1, 0, 1, 50.0, false),
            (1, 0, 2, 50.0, true),
            (0, 2, 2, 50.0, false),
            (0, 1, 2, 50.0, true),
            (4, 0, 1, 90.0, false),
            (3, 0, 2, 90.0, true),
            (2, 1, 2, 90.0, true),
            (0, 0, 5, 0.0, false),
            (0, 0, 0, 50.0, true),
            (0, 0, 0, 0.0, false),
        ] {
            let rule = PanicRule {
                threshold,
                ..PanicRule::default()
            };
            let found = rule.holds(hosts(healthy, degraded, unhealthy));
            let case = (healthy, degraded, unhealthy, threshold);
            assert_eq!(found, expected, "{case:?}");
        }
    }

    #[test]
    fn a_table_says_who_has_a_hash_and_any_without_one() {
        let hosts: Vec<_> = (1..=3).map(|p| host(p, 1, Healthy)).collect();
        let endpoints: Vec<_> = (1..=3).map(|p| endpoint(p, 1, Healthy)).collect();
        let endpoints: Vec<&Endpoint> = endpoints.iter().collect();
        let policy = LbPolicy::Maglev(Maglev {
            table_size: 7,
            use_hostname: false,
        });
        let table = HashTable::new(&policy, PanicRule::default(), &endpoints).map(Arc::new);
        let mut lb = LoadBalancer::new(policy, 0);
        let mut rng = fastrand::Rng::with_seed(1);
        assert!(lb.choose(Some(1), 0, &mut rng).is_none());
        lb.set_hosts(hosts, table.clone(), PanicRule::default());
        for hash in 0..7 {
            let chosen = lb
                .choose(Some(hash), 0, &mut rng)
                .unwrap()
                .address
                .port()
                .unwrap();
            let index = table.as_ref().unwrap().find(hash, 0).unwrap();
            assert_eq!(usize::from(chosen), index.wrapping_add(1));
        }
        let any: std::collections::HashSet<u16> = (0..100)
            .filter_map(|_| lb.choose(None, 0, &mut rng).unwrap().address.port())
            .collect();
        assert_eq!(any.len(), 3);
    }

    #[test]
    fn an_empty_cluster_has_no_host() {
        let mut lb = LoadBalancer::new(LbPolicy::RoundRobin, 5);
        lb.set_hosts(vec![], None, PanicRule::default());
        assert!(
            lb.choose(None, 0, &mut fastrand::Rng::with_seed(1))
                .is_none()
        );
    }
}
