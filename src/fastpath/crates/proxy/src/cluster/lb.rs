//! Load balancing: first a priority by its load (`priority`), there a locality by its weight, there
//! a host by turns (`turns`) or by a table (`hash_table`). Who can be chosen is worked out before
//! (`levels`): with one priority, one comparison is all that is done for it here.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use model::resources::address::Address;
use model::resources::cluster::{Cluster, LbPolicy, Metadata};
use proto::HeaderMap;

use super::edf::Schedule;
use super::host::Host;
use super::levels::{Group, Levels};
use super::previous_priorities::PreviousPriorities;
use super::slow_start::Warmup;
use super::turns::Turns;
use crate::listener::ConnectionFacts;
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
    /// Of a retry: which priorities are passed over.
    pub priorities: Option<&'a RefCell<PreviousPriorities>>,
    /// Of the client's connection, for ORIGINAL_DST.
    pub facts: Option<&'a ConnectionFacts>,
    /// Of the request, for the same.
    pub headers: Option<&'a HeaderMap>,
}

/// Looks for another host so often if one was tried; the last one found has to do.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    pub tried: &'a HashSet<Address>,
    pub attempts: u32,
}

/// One worker's choice among the hosts of a cluster, or of a subset of it.
#[derive(Debug)]
pub struct LoadBalancer {
    policy: LbPolicy,
    /// `Cluster::fail_on_panic`.
    fail_on_panic: bool,
    warmup: Option<Warmup>,
    /// Of the cluster, whatever is chosen from.
    all: Rc<[Rc<Host>]>,
    set: Arc<Levels>,
    /// By priority; with tables nobody takes turns.
    turns: Vec<LevelTurns>,
    seed: u64,
}

#[derive(Debug)]
struct LevelTurns {
    /// All, in panic.
    healthy: GroupTurns,
    degraded: GroupTurns,
}

#[derive(Debug)]
enum GroupTurns {
    Hosts(Turns),
    Localities {
        /// Whose turn it is, by these weights.
        schedule: Schedule,
        weights: Box<[f64]>,
        hosts: Box<[Turns]>,
    },
}

impl LoadBalancer {
    /// Without hosts. `seed`: where turns begin.
    pub fn new(cluster: &Cluster, seed: u64) -> Self {
        Self {
            policy: cluster.lb,
            fail_on_panic: cluster.fail_on_panic,
            warmup: cluster
                .slow_start
                .map(|config| Warmup::new(config, Instant::now())),
            all: Rc::default(),
            set: Arc::default(),
            turns: Vec::new(),
            seed,
        }
    }

    /// All of the cluster.
    pub fn hosts(&self) -> &Rc<[Rc<Host>]> {
        &self.all
    }

    /// `set`: which of `all`, the hosts of the cluster, are chosen from.
    pub fn set_hosts(&mut self, all: &Rc<[Rc<Host>]>, set: &Arc<Levels>) {
        self.all = Rc::clone(all);
        self.set = Arc::clone(set);
        let before = std::mem::take(&mut self.turns);
        if self.policy.is_hash() {
            return;
        }
        if let Some(warmup) = &mut self.warmup {
            let now = Instant::now();
            all.iter().for_each(|host| warmup.see(host, now));
        }
        let mut before = before.iter();
        for level in &set.list {
            let old = before.next();
            let turns = LevelTurns {
                healthy: self.group(&level.healthy, old.map(|old| &old.healthy)),
                degraded: self.group(&level.degraded, old.map(|old| &old.degraded)),
            };
            self.turns.push(turns);
        }
    }

    fn group(&self, group: &Group, old: Option<&GroupTurns>) -> GroupTurns {
        // The start of plain turns, and that of turns by weight.
        let start = usize::try_from(self.seed >> 33).unwrap_or(0);
        let picks = u32::try_from(self.seed & 0xffff).unwrap_or(0);
        let turns = |hosts: &[u32], old: Option<&Turns>| {
            let host = |at: &u32| self.all.get(usize::try_from(*at).ok()?).cloned();
            let hosts = hosts.iter().filter_map(host).collect();
            let next = old.map_or(start, Turns::position);
            Turns::new(hosts, self.policy, self.warmup.as_ref(), next, picks)
        };
        match group {
            Group::Hosts(hosts) => {
                let old = match old {
                    Some(GroupTurns::Hosts(old)) => Some(old),
                    Some(GroupTurns::Localities { .. }) | None => None,
                };
                GroupTurns::Hosts(turns(hosts, old))
            }
            Group::Localities(localities) => {
                let mut old = match old {
                    Some(GroupTurns::Localities { hosts, .. }) => hosts.iter(),
                    Some(GroupTurns::Hosts(_)) | None => [].iter(),
                };
                let weights: Box<[f64]> = localities.iter().map(|(weight, _)| *weight).collect();
                let hosts = localities.iter().map(|(_, hosts)| turns(hosts, old.next()));
                GroupTurns::Localities {
                    schedule: Schedule::new(weights.iter().copied(), picks),
                    hosts: hosts.collect(),
                    weights,
                }
            }
        }
    }

    /// `nth`: the answers before were of no use; a table has others for one hash. Counts panic.
    pub fn choose(
        &mut self,
        cx: LbContext<'_>,
        nth: u32,
        random: &mut fastrand::Rng,
        stats: &ClusterShard,
    ) -> Option<Rc<Host>> {
        let is_hash = self.policy.is_hash();
        let mut drawn = None;
        if is_hash {
            // Without a hash any host, as in Envoy.
            drawn = Some(cx.hash.unwrap_or_else(|| random.u64(..)));
        }
        let draw = || *drawn.get_or_insert_with(|| random.u64(..));
        let pick = match cx.priorities {
            // Tables know nothing of retries, as in Envoy.
            Some(previous) if !is_hash => previous.borrow_mut().picks(&self.set).choose(draw),
            Some(_) | None => self.set.picks.choose(draw),
        };
        let level = self.set.list.get(pick.priority)?;
        if level.panic {
            if !is_hash || nth == 0 {
                stats.inc(ClusterCounter::LbHealthyPanic);
            }
            if self.fail_on_panic {
                return None;
            }
        }
        if is_hash {
            let at = level.table.as_ref()?.find(drawn?, nth)?;
            return self.all.get(at).cloned();
        }
        let turns = self.turns.get_mut(pick.priority)?;
        let group = if pick.degraded && !level.panic {
            &mut turns.degraded
        } else {
            &mut turns.healthy
        };
        let turns = match group {
            GroupTurns::Hosts(turns) => turns,
            GroupTurns::Localities {
                schedule,
                weights,
                hosts,
            } => {
                let weight = |at| weights.get(at).copied().unwrap_or(1.0);
                let at = schedule.next(weight)?;
                hosts.get_mut(at)?
            }
        };
        turns.choose(self.policy, self.warmup.as_ref(), drawn, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::host_set::HostSet;
    use crate::cluster::testing;
    use crate::telemetry::stats::Stats;
    use model::resources::cluster::{Endpoint, Endpoints, HealthStatus, Locality, SlowStart};
    use model::resources::hash_lb::Maglev;
    use std::collections::BTreeMap;
    use std::time::Duration;

    use HealthStatus::{Degraded, Healthy, Unhealthy};

    fn endpoint(port: u16, weight: u32, health: HealthStatus) -> Endpoint {
        Endpoint {
            health,
            ..testing::endpoint(port, weight)
        }
    }

    fn at(priority: u8, endpoint: Endpoint) -> Endpoint {
        Endpoint {
            priority,
            ..endpoint
        }
    }

    struct Lab {
        lb: LoadBalancer,
        rng: fastrand::Rng,
        stats: Arc<ClusterShard>,
    }

    impl Lab {
        fn new(cluster: &Cluster) -> Self {
            Self {
                lb: LoadBalancer::new(cluster, 0),
                rng: fastrand::Rng::with_seed(1),
                stats: Stats::new(1).cluster("c"),
            }
        }

        fn of(policy: LbPolicy, endpoints: Vec<Endpoint>) -> Self {
            let mut cluster = testing::cluster(Vec::new());
            cluster.lb = policy;
            let mut lab = Self::new(&cluster);
            lab.set(&cluster, endpoints);
            lab
        }

        fn set(&mut self, cluster: &Cluster, endpoints: Vec<Endpoint>) {
            let endpoints = Arc::new(Endpoints {
                hosts: endpoints,
                ..Endpoints::default()
            });
            let set = HostSet::new(cluster, Arc::clone(&endpoints));
            let all: Vec<Rc<Host>> = endpoints.hosts.iter().map(testing::host_of).collect();
            self.lb.set_hosts(&all.into(), &set.levels);
        }

        fn port(&mut self, hash: Option<u64>) -> Option<u16> {
            let cx = LbContext {
                hash,
                ..LbContext::default()
            };
            self.port_for(cx)
        }

        fn port_for(&mut self, cx: LbContext<'_>) -> Option<u16> {
            let host = self.lb.choose(cx, 0, &mut self.rng, &self.stats);
            host?.address.port()
        }

        fn counts(&mut self, n: usize) -> BTreeMap<u16, usize> {
            let mut counts = BTreeMap::new();
            for _ in 0..n {
                let count = counts.entry(self.port(None).unwrap()).or_insert(0_usize);
                *count = count.saturating_add(1);
            }
            counts
        }
    }

    const LEAST: LbPolicy = LbPolicy::LeastRequest {
        choice_count: 2,
        active_request_bias: 1.0,
    };

    #[test]
    fn round_robin_is_even_and_edf_follows_weights() {
        let even = (1..=4).map(|p| endpoint(p, 1, Healthy)).collect();
        let got = Lab::of(LbPolicy::RoundRobin, even).counts(400);
        assert!(got.values().all(|n| *n == 100));
        let weighted = vec![endpoint(1, 1, Healthy), endpoint(2, 3, Healthy)];
        let got = Lab::of(LbPolicy::RoundRobin, weighted).counts(400);
        assert_eq!((got[&1], got[&2]), (100, 300));
    }

    #[test]
    fn least_request_prefers_the_idle_host() {
        let mut lab = Lab::of(LEAST, (1..=2).map(|p| endpoint(p, 1, Healthy)).collect());
        lab.lb.hosts()[0].pool.active.set(10);
        let got = lab.counts(1000);
        assert!(got[&2] > 700 && got[&2] < 800, "{got:?}");
    }

    #[test]
    fn unhealthy_hosts_are_left_out_until_panic() {
        let mut hosts = vec![endpoint(1, 1, Healthy), endpoint(2, 1, Unhealthy)];
        let mut lab = Lab::of(LbPolicy::Random, hosts.clone());
        assert_eq!(lab.counts(50).len(), 1);
        assert_eq!(lab.stats.counter(ClusterCounter::LbHealthyPanic), 0);
        hosts.push(endpoint(3, 1, Unhealthy));
        let mut lab = Lab::of(LbPolicy::Random, hosts.clone());
        assert_eq!(lab.counts(100).len(), 3);
        assert_eq!(lab.stats.counter(ClusterCounter::LbHealthyPanic), 100);
        let mut cluster = testing::cluster(Vec::new());
        cluster.fail_on_panic = true;
        let mut lab = Lab::new(&cluster);
        lab.set(&cluster, hosts);
        assert_eq!(lab.port(None), None);
        assert_eq!(lab.stats.counter(ClusterCounter::LbHealthyPanic), 1);
    }

    #[test]
    fn degraded_hosts_have_what_is_left() {
        let hosts = vec![endpoint(1, 1, Degraded), endpoint(2, 1, Healthy)];
        let got = Lab::of(LbPolicy::RoundRobin, hosts).counts(2000);
        assert!(got[&1] > 500 && got[&1] < 700, "{got:?}");
    }

    #[test]
    fn priorities_have_their_load_with_every_policy() {
        let hosts = || {
            vec![
                endpoint(1, 1, Healthy),
                endpoint(2, 1, Unhealthy),
                at(1, endpoint(3, 1, Healthy)),
            ]
        };
        for policy in [
            LbPolicy::RoundRobin,
            LbPolicy::Random,
            LEAST,
            LbPolicy::Maglev(Maglev {
                table_size: 7,
                use_hostname: false,
            }),
        ] {
            let got = Lab::of(policy, hosts()).counts(2000);
            assert_eq!(got.len(), 2, "{policy:?} {got:?}");
            assert!(got[&1] > 1300 && got[&1] < 1500, "{policy:?} {got:?}");
        }
    }

    #[test]
    fn retries_go_to_other_priorities_unless_a_table_says_where() {
        let hosts = || vec![endpoint(1, 1, Healthy), at(1, endpoint(2, 1, Healthy))];
        let maglev = LbPolicy::Maglev(Maglev {
            table_size: 7,
            use_hostname: false,
        });
        for (policy, expected) in [
            (LbPolicy::RoundRobin, [1, 2, 1, 2]),
            (LbPolicy::Random, [1, 2, 1, 2]),
            (LEAST, [1, 2, 1, 2]),
            (maglev, [1, 1, 1, 1]),
        ] {
            let mut lab = Lab::of(policy, hosts());
            let previous = RefCell::new(PreviousPriorities::new(1));
            let found = [0; 4].map(|_| {
                let cx = LbContext {
                    priorities: Some(&previous),
                    ..LbContext::default()
                };
                let port = lab.port_for(cx).unwrap();
                previous.borrow_mut().attempted(u8::from(port == 2));
                port
            });
            assert_eq!(found, expected, "{policy:?}");
        }
    }

    #[test]
    fn localities_come_first_then_their_hosts() {
        let zone = |name: &str| {
            Arc::new(Locality {
                zone: name.into(),
                ..Locality::default()
            })
        };
        let of = |port, weight, locality: &Arc<Locality>, locality_weight| Endpoint {
            locality: Arc::clone(locality),
            locality_weight: Some(locality_weight),
            ..endpoint(port, weight, Healthy)
        };
        let (near, far) = (zone("near"), zone("far"));
        let hosts = vec![
            of(1, 1, &near, 3),
            of(2, 2, &near, 3),
            of(3, 1, &far, 1),
            of(4, 1, &zone("none"), 0),
        ];
        let mut lab = Lab::of(LbPolicy::RoundRobin, hosts);
        let expected = BTreeMap::from([(1, 100), (2, 200), (3, 100)]);
        assert_eq!(lab.counts(400), expected);
    }

    #[test]
    fn who_is_new_has_less_at_first() {
        let mut cluster = testing::cluster(Vec::new());
        cluster.slow_start = Some(SlowStart {
            window: Duration::from_secs(3600),
            aggression: 1.0,
            min_weight: 0.1,
        });
        let mut lab = Lab::new(&cluster);
        lab.set(&cluster, (1..=2).map(|p| endpoint(p, 1, Healthy)).collect());
        let all: Rc<[Rc<Host>]> = Rc::clone(lab.lb.hosts());
        // One came half an hour ago: it has half of its weight, the other a tenth.
        let now = Instant::now();
        let before = now.checked_sub(Duration::from_secs(1800)).unwrap();
        all[0].healthy_since.set(Some(before));
        all[1].healthy_since.set(Some(now));
        let set = Arc::clone(&lab.lb.set);
        lab.lb.set_hosts(&all, &set);
        let got = lab.counts(600);
        assert!(got[&1] >= 495 && got[&1] <= 505, "{got:?}");
    }

    #[test]
    fn a_table_says_who_has_a_hash_and_any_without_one() {
        let policy = LbPolicy::Maglev(Maglev {
            table_size: 7,
            use_hostname: false,
        });
        let mut lab = Lab::of(policy, Vec::new());
        assert_eq!(lab.port(Some(1)), None);
        let mut lab = Lab::of(policy, (1..=3).map(|p| endpoint(p, 1, Healthy)).collect());
        for hash in 0..7 {
            let chosen = lab.port(Some(hash)).unwrap();
            let index = lab.lb.set.list[0].table.as_ref().unwrap().find(hash, 0);
            assert_eq!(Some(usize::from(chosen).saturating_sub(1)), index);
        }
        assert_eq!(lab.counts(100).len(), 3);
    }

    #[test]
    fn an_empty_cluster_has_no_host() {
        for policy in [LbPolicy::RoundRobin, LbPolicy::Random, LEAST] {
            assert_eq!(Lab::of(policy, Vec::new()).port(None), None);
        }
    }
}
