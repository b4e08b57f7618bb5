//! Choosing in subsets (Envoy's `SubsetLoadBalancer`): the request's metadata names one, fallbacks
//! say who serves when it does not.

use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

use model::resources::cluster::{Cluster, Metadata};
use model::resources::lb_subset::{LbSubsets, SelectorFallback, SubsetFallback, SubsetSelector};

use super::host::Host;
use super::host_set::{HostSet, Members, count_subsets};
use super::lb::{LbContext, LoadBalancer};
use crate::telemetry::stats::{ClusterCounter, ClusterShard};

/// One worker's subsets of a cluster.
#[derive(Debug)]
pub struct SubsetLoadBalancer {
    config: Arc<LbSubsets>,
    /// Whose `subsets.list` is in the order of `list`.
    set: Arc<HostSet>,
    list: Vec<Subset>,
    default: Option<LoadBalancer>,
}

#[derive(Debug)]
enum Subset {
    Balanced(LoadBalancer),
    /// `single_host_per_subset`.
    Single(Rc<Host>),
}

/// Who is asked next.
enum Next<'a> {
    Subset(usize),
    /// A selector's fallback.
    Selector(SubsetFallback),
    /// Again, with these of the request's keys.
    Keys(&'a [Box<str>]),
    /// The cluster's fallback.
    Cluster,
}

impl SubsetLoadBalancer {
    pub fn new(config: &Arc<LbSubsets>) -> Self {
        Self {
            config: Arc::clone(config),
            set: Arc::default(),
            list: Vec::new(),
            default: None,
        }
    }

    /// Subsets that stay go on with their turns. `hosts`: those of `set`.
    pub fn set_hosts(
        &mut self,
        cluster: &Cluster,
        set: &Arc<HostSet>,
        hosts: &[Rc<Host>],
        random: &mut fastrand::Rng,
        stats: &ClusterShard,
    ) {
        let mut fresh = || LoadBalancer::new(cluster.lb, cluster.panic_threshold, random.u64(..));
        let old_set = std::mem::replace(&mut self.set, Arc::clone(set));
        let old = old_set.subset_list();
        let mut before: Vec<Option<Subset>> = self.list.drain(..).map(Some).collect();
        for (key, members) in set.subset_list() {
            let kept = old.binary_search_by(|(k, _)| k.cmp(key)).ok();
            let kept = kept
                .and_then(|at| before.get_mut(at))
                .and_then(Option::take);
            let subset = match (members.single, kept) {
                (true, _) => members.of(hosts).into_iter().next().map(Subset::Single),
                (false, Some(Subset::Balanced(lb))) => Some(balanced(lb, members, hosts)),
                (false, _) => Some(balanced(fresh(), members, hosts)),
            };
            self.list.extend(subset);
        }
        let default = set.subsets.as_ref().and_then(|s| s.default.as_ref());
        self.default = default.map(|members| {
            let mut lb = self.default.take().unwrap_or_else(&mut fresh);
            lb.set_hosts(members.of(hosts), members.table.clone());
            lb
        });
        count_subsets(stats, set, &old_set);
    }

    /// The cluster leaves: so do its subsets.
    pub fn retire(&mut self, stats: &ClusterShard) {
        self.list.clear();
        let gone = std::mem::take(&mut self.set);
        count_subsets(stats, &self.set, &gone);
    }

    /// `any`: over all hosts of the cluster.
    pub fn choose(
        &mut self,
        cx: LbContext<'_>,
        any: &mut LoadBalancer,
        random: &mut fastrand::Rng,
        stats: &ClusterShard,
    ) -> Option<Rc<Host>> {
        let mut choose_of = |lb: Option<&mut LoadBalancer>| {
            lb.and_then(|lb| lb.choose_counted(cx.hash, random, stats))
        };
        match next(self.set.subset_list(), &self.config, cx.metadata_match) {
            Next::Subset(at) => {
                stats.inc(ClusterCounter::LbSubsetsSelected);
                match self.list.get_mut(at)? {
                    Subset::Balanced(lb) => choose_of(Some(lb)),
                    Subset::Single(host) => Some(Rc::clone(host)),
                }
            }
            Next::Selector(SubsetFallback::AnyEndpoint) => choose_of(Some(any)),
            Next::Selector(SubsetFallback::DefaultSubset) => choose_of(self.default.as_mut()),
            Next::Selector(SubsetFallback::NoFallback) | Next::Keys(_) => None,
            Next::Cluster => {
                let chosen = match self.config.fallback {
                    SubsetFallback::NoFallback => return None,
                    SubsetFallback::AnyEndpoint => choose_of(Some(any)),
                    SubsetFallback::DefaultSubset => choose_of(self.default.as_mut()),
                };
                if chosen.is_some() {
                    stats.inc(ClusterCounter::LbSubsetsFallback);
                    return chosen;
                }
                let chosen = self.config.panic_mode_any.then(|| choose_of(Some(any)))?;
                if chosen.is_some() {
                    stats.inc(ClusterCounter::LbSubsetsFallbackPanic);
                }
                chosen
            }
        }
    }
}

/// Follows KEYS_SUBSET, which leaves fewer keys each time, to its end.
fn next<'a>(
    subsets: &[(Metadata, Members)],
    config: &'a LbSubsets,
    wanted: Option<&'a Metadata>,
) -> Next<'a> {
    let Some(wanted) = wanted else {
        return Next::Cluster;
    };
    let mut criteria = Criteria { wanted, only: None };
    loop {
        match step(subsets, config, criteria) {
            Next::Keys(keys) => criteria.only = Some(keys),
            next => return next,
        }
    }
}

fn step<'a>(
    subsets: &[(Metadata, Members)],
    config: &'a LbSubsets,
    mut criteria: Criteria<'a>,
) -> Next<'a> {
    let selectors = &config.selectors;
    if config.allow_redundant_keys
        && let Some(selector) = selectors.iter().find(|s| criteria.has(&s.keys))
    {
        criteria.only = Some(&selector.keys);
    }
    if let Ok(at) = subsets.binary_search_by(|(key, _)| criteria.compare(key)) {
        return Next::Subset(at);
    }
    let exact = |s: &&SubsetSelector| criteria.keys().eq(s.keys.iter());
    // Of several with the same keys only the first has one.
    match selectors
        .iter()
        .find(exact)
        .and_then(|s| s.fallback.as_ref())
    {
        None => Next::Cluster,
        Some(SelectorFallback::Policy(policy)) => Next::Selector(*policy),
        Some(SelectorFallback::Keys(keys)) => Next::Keys(keys),
    }
}

/// What a request asks of its host: all entries, or those with some of the keys.
#[derive(Clone, Copy)]
struct Criteria<'a> {
    wanted: &'a Metadata,
    only: Option<&'a [Box<str>]>,
}

impl<'a> Criteria<'a> {
    fn entries(self) -> impl Iterator<Item = &'a (Box<str>, Box<str>)> {
        let is_kept = move |key: &Box<str>| self.only.is_none_or(|only| only.contains(key));
        self.wanted.iter().filter(move |(key, _)| is_kept(key))
    }

    fn keys(self) -> impl Iterator<Item = &'a Box<str>> {
        self.entries().map(|(key, _)| key)
    }

    /// Whether it has all of these.
    fn has(self, keys: &[Box<str>]) -> bool {
        keys.iter().all(|key| self.keys().any(|k| k == key))
    }

    /// How a subset's key stands to it in their order.
    fn compare(self, key: &Metadata) -> Ordering {
        key.iter().cmp(self.entries())
    }
}

fn balanced(mut lb: LoadBalancer, members: &Members, hosts: &[Rc<Host>]) -> Subset {
    lb.set_hosts(members.of(hosts), members.table.clone());
    Subset::Balanced(lb)
}
