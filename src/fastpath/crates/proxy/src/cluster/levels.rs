//! The hosts of a cluster, or of a subset of it, by priority: who takes traffic, by which table,
//! and how much of it. Worked out once for all workers, when hosts or their health change.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::resources::cluster::{Cluster, Endpoint, EndpointPolicy, Locality};

use super::availability::Availability;
use super::hash_table::{HashTable, Member};
use super::priority::{Count, Picks, PriorityLoads};

/// The hosts of the cluster with what is known of them.
#[derive(Debug, Clone, Copy)]
pub struct Hosts<'a> {
    pub endpoints: &'a [Endpoint],
    /// As many.
    pub availability: &'a [Availability],
    pub policy: EndpointPolicy,
}

#[derive(Debug, Default)]
pub struct Levels {
    /// By priority, at least one.
    pub list: Vec<Level>,
    pub loads: PriorityLoads,
    pub picks: Picks,
}

/// One priority. Hosts are indices of all hosts of the cluster.
#[derive(Debug, Default)]
pub struct Level {
    /// All of its hosts are used, whatever their health: they are `healthy` then.
    pub panic: bool,
    pub healthy: Group,
    pub degraded: Group,
    /// Of RING_HASH and MAGLEV.
    pub table: Option<Arc<HashTable>>,
}

/// Who is chosen from.
#[derive(Debug, PartialEq)]
pub enum Group {
    Hosts(Vec<u32>),
    /// First a locality, by its weight, more than nothing; then one of its hosts.
    Localities(Vec<(f64, Vec<u32>)>),
}

impl Default for Group {
    fn default() -> Self {
        Self::Hosts(Vec::new())
    }
}

impl Levels {
    /// Of these hosts of the cluster, ascending.
    pub fn new(cluster: &Cluster, hosts: Hosts<'_>, members: &[u32]) -> Self {
        let mut levels: Vec<Vec<Member<'_>>> = vec![Vec::new()];
        let mut counts = vec![Count::default()];
        for index in members {
            let Some(member) = hosts.member(*index) else {
                continue;
            };
            let priority = usize::from(member.endpoint.priority);
            let needed = priority.saturating_add(1);
            if levels.len() < needed {
                levels.resize_with(needed, Vec::new);
                counts.resize_with(needed, Count::default);
            }
            if let (Some(level), Some(count)) = (levels.get_mut(priority), counts.get_mut(priority))
            {
                level.push(member);
                count.add(member.availability, member.endpoint.weight, hosts.policy);
            }
        }
        let loads = PriorityLoads::new(&counts, hosts.policy, cluster.panic_threshold);
        let level = |(members, panic): (&Vec<Member<'_>>, &bool)| {
            let table = HashTable::new(&cluster.lb, *panic, members).map(Arc::new);
            if table.is_some() {
                return Level {
                    panic: *panic,
                    table,
                    ..Level::default()
                };
            }
            let factor = hosts.policy.overprovisioning_factor;
            let group = |wanted| Group::new(members, wanted, factor);
            Level {
                panic: *panic,
                healthy: if *panic {
                    Group::Hosts(members.iter().map(|member| member.index).collect())
                } else {
                    group(Availability::Healthy)
                },
                degraded: if *panic {
                    Group::default()
                } else {
                    group(Availability::Degraded)
                },
                table: None,
            }
        };
        Self {
            list: levels.iter().zip(&loads.panic).map(level).collect(),
            picks: Picks::new(&loads),
            loads,
        }
    }

    /// The table of the last priority that has hosts in it, which is the one that Envoy shows.
    pub fn shown_table(&self) -> Option<&HashTable> {
        let tables = || {
            self.list
                .iter()
                .rev()
                .filter_map(|level| level.table.as_deref())
        };
        let is_filled = |table: &&HashTable| table.places().most > 0;
        tables().find(is_filled).or_else(|| tables().next())
    }
}

impl<'a> Hosts<'a> {
    fn member(self, index: u32) -> Option<Member<'a>> {
        let at = usize::try_from(index).ok()?;
        Some(Member {
            index,
            endpoint: self.endpoints.get(at)?,
            availability: *self.availability.get(at)?,
        })
    }
}

impl Group {
    /// Those with this availability; by locality where localities have weights and some of them
    /// can be used.
    fn new(members: &[Member<'_>], wanted: Availability, overprovisioning: u32) -> Self {
        let mut localities: BTreeMap<&Locality, OfLocality> = BTreeMap::new();
        let mut hosts = Vec::new();
        for member in members {
            let is_wanted = member.availability == wanted;
            if is_wanted {
                hosts.push(member.index);
            }
            if let Some(weight) = member.endpoint.locality_weight {
                let of = localities.entry(&member.endpoint.locality).or_default();
                of.weight = weight;
                if member.availability != Availability::Excluded {
                    of.present = of.present.saturating_add(1);
                }
                if is_wanted {
                    of.hosts.push(member.index);
                }
            }
        }
        let weighted: Vec<(f64, Vec<u32>)> = localities
            .into_values()
            .map(|of| (of.effective_weight(overprovisioning), of.hosts))
            .filter(|(weight, _)| *weight > 0.0)
            .collect();
        if weighted.is_empty() {
            Self::Hosts(hosts)
        } else {
            Self::Localities(weighted)
        }
    }
}

#[derive(Default)]
struct OfLocality {
    weight: u32,
    hosts: Vec<u32>,
    /// Those that are not excluded.
    present: u64,
}

impl OfLocality {
    /// Less than its own as soon as its hosts cannot take all of its load.
    fn effective_weight(&self, overprovisioning: u32) -> f64 {
        if self.present == 0 {
            return 0.0;
        }
        let share = self.hosts.len() as f64 / self.present as f64;
        let availability = (f64::from(overprovisioning) / 100.0 * share).min(1.0);
        f64::from(self.weight) * availability
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing;
    use model::resources::cluster::HealthStatus;
    use model::resources::cluster::HealthStatus::{Degraded, Healthy, Unhealthy};

    fn endpoint(port: u16, priority: u8, health: HealthStatus) -> Endpoint {
        Endpoint {
            priority,
            health,
            ..testing::endpoint(port, 1)
        }
    }

    fn levels(endpoints: &[Endpoint], members: &[u32]) -> Levels {
        let availability: Vec<Availability> = endpoints.iter().map(Availability::of).collect();
        let hosts = Hosts {
            endpoints,
            availability: &availability,
            policy: EndpointPolicy::default(),
        };
        Levels::new(&testing::cluster(Vec::new()), hosts, members)
    }

    fn ids(ids: &[u32]) -> Group {
        Group::Hosts(ids.to_vec())
    }

    #[test]
    fn each_priority_has_its_own_hosts_and_gaps_have_none() {
        let endpoints = [
            endpoint(1, 0, Healthy),
            endpoint(2, 0, Unhealthy),
            endpoint(3, 0, Degraded),
            endpoint(4, 2, Healthy),
            endpoint(5, 2, Healthy),
        ];
        let all = levels(&endpoints, &[0, 1, 2, 3, 4]);
        assert_eq!(all.list.len(), 3);
        assert_eq!(all.list[0].healthy, ids(&[0]));
        assert_eq!(all.list[0].degraded, ids(&[2]));
        assert_eq!(all.list[1].healthy, ids(&[]));
        assert_eq!(all.list[2].healthy, ids(&[3, 4]));
        assert_eq!(all.loads.healthy, [46, 0, 54]);
        let some = levels(&endpoints, &[1, 4]);
        assert_eq!((some.list[0].panic, some.list[2].panic), (false, false));
        assert_eq!(some.list[2].healthy, ids(&[4]));
        assert_eq!(some.loads.healthy, [0, 0, 100]);
    }

    #[test]
    fn in_panic_all_hosts_of_the_priority_are_used() {
        let endpoints = [
            endpoint(1, 0, Unhealthy),
            endpoint(2, 0, Unhealthy),
            endpoint(3, 0, Degraded),
            endpoint(4, 1, Healthy),
            endpoint(5, 1, Unhealthy),
        ];
        let found = levels(&endpoints, &[0, 1, 2, 3, 4]);
        // 46 % and 70 %: enough.
        assert_eq!(found.loads.panic, [false, false]);
        let found = levels(&endpoints, &[0, 1, 3, 4]);
        assert_eq!(found.loads.panic, [true, false]);
        assert_eq!(found.list[0].healthy, ids(&[0, 1]));
        assert_eq!(found.list[1].healthy, ids(&[3]));
        let none = levels(&[], &[]);
        assert_eq!((none.list.len(), none.list[0].panic), (1, true));
    }

    /// Envoy's table of "Locality weighted load balancing": X weighs 1, Y 2.
    #[test]
    fn envoys_table_of_locality_weights() {
        let of = |zone: &str, weight, healthy: u16| -> Vec<Endpoint> {
            let locality = Arc::new(Locality {
                zone: zone.into(),
                ..Locality::default()
            });
            let host = |n| Endpoint {
                locality: Arc::clone(&locality),
                locality_weight: Some(weight),
                ..endpoint(n, 0, if n < healthy { Healthy } else { Unhealthy })
            };
            (0..100).map(host).collect()
        };
        for (healthy, expected) in [
            (100, 0.333),
            (72, 0.333),
            (69, 0.326),
            (50, 0.259),
            (25, 0.149),
            (0, 0.0),
        ] {
            let mut endpoints = of("x", 1, healthy);
            endpoints.extend(of("y", 2, 100));
            let all: Vec<u32> = (0..200).collect();
            let found = levels(&endpoints, &all);
            let Group::Localities(localities) = &found.list[0].healthy else {
                panic!("{:?}", found.list[0]);
            };
            let sum: f64 = localities.iter().map(|(weight, _)| weight).sum();
            let of_x = localities.iter().filter(|(_, hosts)| hosts.contains(&0));
            let share = of_x.map(|(weight, _)| weight / sum).sum::<f64>();
            assert!((share - expected).abs() < 0.001, "{healthy}: {share}");
        }
        let mut unweighted = of("x", 0, 2);
        unweighted.truncate(3);
        let found = levels(&unweighted, &[0, 1, 2]);
        assert_eq!(found.list[0].healthy, ids(&[0, 1]));
    }
}
