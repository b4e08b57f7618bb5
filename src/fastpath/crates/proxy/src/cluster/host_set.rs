//! The hosts of a cluster with what is worked out of them once for all workers: hash tables, and
//! who is in which subset.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::resources::cluster::{Cluster, Endpoint, Endpoints, Metadata};
use model::resources::lb_subset::{LbSubsets, SelectorFallback, SubsetFallback, SubsetSelector};

use super::hash_table::HashTable;
use crate::telemetry::stats::{ClusterCounter, ClusterGauge, ClusterShard};

#[derive(Debug, Default)]
pub struct HostSet {
    pub endpoints: Arc<Endpoints>,
    /// Of all hosts; `None` also where only subsets are chosen from.
    pub table: Option<Arc<HashTable>>,
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
    pub table: Option<Arc<HashTable>>,
    /// `single_host_per_subset`: the first one is all there is, whatever its health.
    pub single: bool,
}

impl HostSet {
    pub fn new(cluster: &Cluster, endpoints: Arc<Endpoints>) -> Self {
        let all: Vec<&Endpoint> = endpoints.hosts.iter().collect();
        let table = |hosts: &[&Endpoint]| {
            HashTable::new(&cluster.lb, cluster.panic_threshold, hosts).map(Arc::new)
        };
        let uses_all = cluster.subsets.as_deref().is_none_or(uses_all);
        let all_table = if uses_all { table(&all) } else { None };
        let subsets = cluster.subsets.as_ref().map(|config| {
            let mut subsets = SubsetMembers::new(config, &all);
            for members in subsets.all_mut().filter(|members| !members.single) {
                members.table = table(&members.of(&all));
            }
            subsets
        });
        Self {
            table: all_table,
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

    fn new(config: &LbSubsets, hosts: &[&Endpoint]) -> Self {
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
                    let is_left_out = members.single && !members.hosts.is_empty();
                    if is_left_out {
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

impl Members {
    /// Its part of all hosts.
    pub fn of<T: Clone>(&self, all: &[T]) -> Vec<T> {
        let host = |at: &u32| all.get(usize::try_from(*at).ok()?).cloned();
        self.hosts.iter().filter_map(host).collect()
    }
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
