//! The hosts of a cluster with what is worked out of them once for all workers: hash tables, and
//! who is in which subset.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::resources::cluster::{Cluster, Endpoint, Endpoints, Metadata};
use model::resources::lb_subset::{LbSubsets, SelectorFallback, SubsetFallback, SubsetSelector};

use super::availability::Availability;
use super::levels::{Hosts, Levels};
use super::outlier::Monitor;
use crate::telemetry::stats::{ClusterCounter, ClusterGauge, ClusterShard};

#[derive(Debug, Default)]
pub struct HostSet {
    pub endpoints: Arc<Endpoints>,
    /// Of each endpoint.
    pub availability: Vec<Availability>,
    /// Of all hosts; of none where only subsets are chosen from.
    pub levels: Arc<Levels>,
    /// Of outlier detection, one for each host; empty without it.
    pub monitors: Vec<Arc<Monitor>>,
    /// `None`: the cluster has none.
    pub subsets: Option<SubsetMembers>,
}

/// Which hosts are in which subset.
#[derive(Debug, Default)]
pub struct SubsetMembers {
    /// `None`: nobody falls back to it.
    pub default: Option<Members>,
    /// Sorted by key, none empty.
    pub list: Vec<(Metadata, Members)>,
    /// Hosts left out, since their subset has its single one.
    pub single_duplicates: u64,
}

/// Some of the hosts.
#[derive(Debug, Default)]
pub struct Members {
    /// Ascending.
    pub hosts: Vec<u32>,
    pub levels: Arc<Levels>,
    /// `single_host_per_subset`: the first one is all there is, whatever its health.
    pub single: bool,
}

impl HostSet {
    /// All that depends on the health of hosts is worked out here.
    pub fn new(cluster: &Cluster, endpoints: Arc<Endpoints>) -> Self {
        let availability: Vec<Availability> =
            endpoints.hosts.iter().map(Availability::of).collect();
        let hosts = Hosts {
            endpoints: &endpoints.hosts,
            availability: &availability,
            policy: endpoints.policy,
        };
        let uses_all = cluster.subsets.as_deref().is_none_or(uses_all);
        let levels = if uses_all {
            let all: Vec<u32> = (0..).zip(&endpoints.hosts).map(|(at, _)| at).collect();
            Arc::new(Levels::new(cluster, hosts, &all))
        } else {
            Arc::default()
        };
        let subsets = cluster.subsets.as_ref().map(|config| {
            let mut subsets = SubsetMembers::new(config, &endpoints.hosts);
            for members in subsets.all_mut().filter(|members| !members.single) {
                members.levels = Arc::new(Levels::new(cluster, hosts, &members.hosts));
            }
            subsets
        });
        Self {
            availability,
            levels,
            monitors: Vec::new(),
            subsets,
            endpoints,
        }
    }

    /// By key.
    pub fn subset_list(&self) -> &[(Metadata, Members)] {
        self.subsets.as_ref().map_or(&[], |subsets| &subsets.list)
    }
}

/// Counts the subsets of one thread: of a worker, or of the control side, whose share Envoy's
/// main thread has there.
pub fn count_subsets(stats: &ClusterShard, now: &HostSet, before: &HostSet) {
    let (created, removed) = SubsetMembers::changes(now, before);
    stats.add(ClusterCounter::LbSubsetsCreated, created);
    stats.add(ClusterCounter::LbSubsetsRemoved, removed);
    let active = now.subset_list().len() as u64;
    stats.gauge_set(ClusterGauge::LbSubsetsActive, active);
}

impl SubsetMembers {
    /// How many subsets are new, and how many are gone, since `before`.
    fn changes(now: &HostSet, before: &HostSet) -> (u64, u64) {
        let (now, before) = (now.subset_list(), before.subset_list());
        let stayed =
            |(key, _): &&(Metadata, Members)| before.binary_search_by(|(k, _)| k.cmp(key)).is_ok();
        let stayed = now.iter().filter(stayed).count();
        let others = |list: &[(Metadata, Members)]| list.len().saturating_sub(stayed) as u64;
        (others(now), others(before))
    }

    fn new(config: &LbSubsets, hosts: &[Endpoint]) -> Self {
        let mut list: BTreeMap<Metadata, Members> = BTreeMap::new();
        let mut single_duplicates = 0_u64;
        for (at, host) in hosts.iter().enumerate() {
            let Ok(at) = u32::try_from(at) else { break };
            for selector in &config.selectors {
                for key in keys_of(host, selector, config.list_as_any) {
                    // A subset is as the first selector that makes it has it.
                    let members = list.entry(key).or_insert_with(|| Members {
                        single: selector.single_host_per_subset,
                        ..Members::default()
                    });
                    let last = members.hosts.last().and_then(|at| priority_of(hosts, *at));
                    if members.single && last == Some(host.priority) {
                        single_duplicates = single_duplicates.saturating_add(1);
                    } else if members.hosts.last() != Some(&at) {
                        members.hosts.push(at);
                    }
                }
            }
        }
        Self {
            default: uses_default(config).then(|| Members {
                hosts: (0..)
                    .zip(hosts)
                    .filter(|(_, host)| is_default(host, config))
                    .map(|(at, _)| at)
                    .collect(),
                ..Members::default()
            }),
            list: list.into_iter().collect(),
            single_duplicates,
        }
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Members> {
        let list = self.list.iter_mut().map(|(_, members)| members);
        self.default.iter_mut().chain(list)
    }
}

fn priority_of(hosts: &[Endpoint], at: u32) -> Option<u8> {
    let host = hosts.get(usize::try_from(at).ok()?)?;
    Some(host.priority)
}

/// The subsets of one selector that a host is in: none if it lacks a key; several if a value is a
/// list (`list_as_any`), all combinations of their elements.
fn keys_of(host: &Endpoint, selector: &SubsetSelector, list_as_any: bool) -> Vec<Metadata> {
    let Some(metadata) = &host.metadata else {
        return Vec::new();
    };
    let mut found: Vec<Metadata> = Vec::new();
    for key in &selector.keys {
        let Some(values) = metadata.lb_values(key, list_as_any) else {
            return Vec::new();
        };
        if found.is_empty() {
            found.push(Metadata::new());
        }
        let with = |before: &Metadata, value: &str| {
            let mut entries = before.clone();
            entries.push((key.clone(), value.into()));
            entries
        };
        let each = |before: &Metadata| -> Vec<Metadata> {
            values.iter().map(|value| with(before, value)).collect()
        };
        found = found.iter().flat_map(each).take(MAX_COMBINATIONS).collect();
    }
    found
}

/// So many subsets of one selector may one host be in; lists multiply.
const MAX_COMBINATIONS: usize = 4096;

fn is_default(host: &Endpoint, config: &LbSubsets) -> bool {
    config.default_subset.iter().all(|(key, value)| {
        let values = host.metadata.as_ref();
        let values = values.and_then(|m| m.lb_values(key, config.list_as_any));
        values.is_some_and(|values| values.contains(value))
    })
}

fn uses_default(config: &LbSubsets) -> bool {
    uses(config, SubsetFallback::DefaultSubset)
}

fn uses_all(config: &LbSubsets) -> bool {
    uses(config, SubsetFallback::AnyEndpoint) || config.panic_mode_any
}

fn uses(config: &LbSubsets, fallback: SubsetFallback) -> bool {
    let of_selector = SelectorFallback::Policy(fallback);
    let mut selectors = config.selectors.iter();
    config.fallback == fallback || selectors.any(|s| s.fallback.as_ref() == Some(&of_selector))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::testing::{cluster, endpoint, labelled};
    use model::resources::cluster::{EndpointMetadata, LbPolicy};
    use model::resources::hash_lb::Maglev;

    fn selector(keys: &[&str]) -> SubsetSelector {
        SubsetSelector {
            keys: keys.iter().map(|key| (*key).into()).collect(),
            fallback: None,
            single_host_per_subset: false,
        }
    }

    fn subsets(selectors: Vec<SubsetSelector>) -> LbSubsets {
        LbSubsets {
            fallback: SubsetFallback::NoFallback,
            default_subset: Metadata::new(),
            selectors,
            list_as_any: false,
            panic_mode_any: false,
            allow_redundant_keys: false,
        }
    }

    fn set(config: LbSubsets, hosts: Vec<Endpoint>) -> HostSet {
        let mut cluster = cluster(hosts.clone());
        cluster.subsets = Some(Arc::new(config));
        cluster.lb = LbPolicy::Maglev(Maglev {
            table_size: 11,
            use_hostname: false,
        });
        HostSet::new(
            &cluster,
            Arc::new(Endpoints {
                hosts,
                ..Endpoints::default()
            }),
        )
    }

    /// `a=1,b=2: 0 3`
    fn shown(set: &HostSet) -> Vec<String> {
        let entry = |(key, value): &(Box<str>, Box<str>)| format!("{key}={value}");
        let subset = |(key, members): &(Metadata, Members)| {
            let key: Vec<String> = key.iter().map(entry).collect();
            let hosts: Vec<String> = members.hosts.iter().map(ToString::to_string).collect();
            format!("{}: {}", key.join(","), hosts.join(" "))
        };
        set.subset_list().iter().map(subset).collect()
    }

    fn hosts() -> Vec<Endpoint> {
        vec![
            labelled(1, &[("a", "1"), ("b", "1")]),
            labelled(2, &[("a", "1"), ("b", "2")]),
            labelled(3, &[("b", "2")]),
            endpoint(4, 1),
        ]
    }

    #[test]
    fn a_subset_is_those_with_the_same_values_of_all_keys() {
        let config = subsets(vec![
            selector(&["a", "b"]),
            selector(&["b"]),
            selector(&["c"]),
        ]);
        let set = set(config, hosts());
        assert_eq!(
            shown(&set),
            ["a=1,b=1: 0", "a=1,b=2: 1", "b=1: 0", "b=2: 1 2"]
        );
        let has_table = |members: &Members| members.levels.shown_table().is_some();
        assert!(
            set.subset_list()
                .iter()
                .all(|(_, members)| has_table(members))
        );
    }

    #[test]
    fn tables_are_made_for_those_that_can_be_asked() {
        let mut config = subsets(vec![selector(&["a"])]);
        let none = set(config.clone(), hosts());
        assert!(none.levels.shown_table().is_none());
        assert!(none.subsets.as_ref().unwrap().default.is_none());
        config.panic_mode_any = true;
        config.fallback = SubsetFallback::DefaultSubset;
        config.default_subset = vec![("b".into(), "2".into())];
        let all = set(config, hosts());
        assert!(all.levels.shown_table().is_some());
        assert_eq!(all.subsets.unwrap().default.unwrap().hosts, [1, 2]);
    }

    #[test]
    fn single_hosts_are_the_first_ones() {
        let single = SubsetSelector {
            single_host_per_subset: true,
            ..selector(&["b"])
        };
        let set = set(subsets(vec![single]), hosts());
        assert_eq!(shown(&set), ["b=1: 0", "b=2: 1"]);
        let subsets = set.subsets.as_ref().unwrap();
        assert_eq!(subsets.single_duplicates, 1);
        let has_table = |members: &Members| members.levels.shown_table().is_some();
        assert!(!subsets.list.iter().any(|(_, members)| has_table(members)));
    }

    #[test]
    fn of_single_hosts_each_priority_has_its_own() {
        let single = SubsetSelector {
            single_host_per_subset: true,
            ..selector(&["a"])
        };
        let host = |port, priority| Endpoint {
            priority,
            ..labelled(port, &[("a", "1")])
        };
        let set = set(
            subsets(vec![single]),
            vec![host(1, 0), host(2, 1), host(3, 1)],
        );
        assert_eq!(shown(&set), ["a=1: 0 1"]);
        assert_eq!(set.subsets.unwrap().single_duplicates, 1);
    }

    #[test]
    fn lists_are_all_of_their_elements_where_that_is_asked() {
        let mut host = labelled(1, &[("a", "[1,2]"), ("b", "[3,4,3]"), ("c", "5")]);
        let list = |key: &str, values: &[&str]| {
            let values = values.iter().map(|value| (*value).into()).collect();
            (Box::from(key), values)
        };
        host.metadata = host.metadata.map(|metadata| {
            Arc::new(EndpointMetadata {
                lb_lists: vec![list("a", &["1", "2"]), list("b", &["3", "4", "3"])],
                ..EndpointMetadata::clone(&metadata)
            })
        });
        let mut config = subsets(vec![selector(&["a", "b", "c"])]);
        let one = set(config.clone(), vec![host.clone()]);
        assert_eq!(shown(&one), ["a=[1,2],b=[3,4,3],c=5: 0"]);
        config.list_as_any = true;
        let four = set(config, vec![host]);
        let expected = [
            "a=1,b=3,c=5: 0",
            "a=1,b=4,c=5: 0",
            "a=2,b=3,c=5: 0",
            "a=2,b=4,c=5: 0",
        ];
        assert_eq!(shown(&four), expected);
    }

    #[test]
    fn changes_are_of_keys() {
        let config = subsets(vec![selector(&["a"])]);
        let before = set(
            config.clone(),
            vec![labelled(1, &[("a", "1")]), labelled(2, &[("a", "2")])],
        );
        let now = set(
            config,
            vec![labelled(3, &[("a", "2")]), labelled(4, &[("a", "3")])],
        );
        assert_eq!(SubsetMembers::changes(&now, &before), (1, 1));
        assert_eq!(SubsetMembers::changes(&now, &HostSet::default()), (2, 0));
        assert_eq!(SubsetMembers::changes(&HostSet::default(), &now), (0, 2));
    }
}
