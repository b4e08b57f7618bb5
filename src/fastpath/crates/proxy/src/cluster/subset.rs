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
        hosts: &Rc<[Rc<Host>]>,
        random: &mut fastrand::Rng,
        stats: &ClusterShard,
    ) {
        let mut fresh = || LoadBalancer::new(cluster, random.u64(..));
        let old_set = std::mem::replace(&mut self.set, Arc::clone(set));
        let old = old_set.subset_list();
        let mut before: Vec<Option<Subset>> = self.list.drain(..).map(Some).collect();
        for (key, members) in set.subset_list() {
            let kept = old.binary_search_by(|(k, _)| k.cmp(key)).ok();
            let kept = kept
                .and_then(|at| before.get_mut(at))
                .and_then(Option::take);
            let subset = match (members.single, kept) {
                (true, _) => first(members, hosts).map(Subset::Single),
                (false, Some(Subset::Balanced(lb))) => Some(balanced(lb, members, hosts)),
                (false, _) => Some(balanced(fresh(), members, hosts)),
            };
            self.list.extend(subset);
        }
        let default = set.subsets.as_ref().and_then(|s| s.default.as_ref());
        self.default = default.map(|members| {
            let mut lb = self.default.take().unwrap_or_else(&mut fresh);
            lb.set_hosts(hosts, &members.levels);
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
        nth: u32,
        any: &mut LoadBalancer,
        random: &mut fastrand::Rng,
        stats: &ClusterShard,
    ) -> Option<Rc<Host>> {
        let mut choose_of =
            |lb: Option<&mut LoadBalancer>| lb.and_then(|lb| lb.choose(cx, nth, random, stats));
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
    let exact = |s: &&SubsetSelector| criteria.keys().eq(s.keys.iter().map(|key| &**key));
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
        let entries = self.wanted.iter();
        entries.filter(move |(key, _)| self.only.is_none_or(|only| only.contains(key)))
    }

    fn keys(self) -> impl Iterator<Item = &'a str> {
        self.entries().map(|(key, _)| &**key)
    }

    /// Whether it has all of these.
    fn has(self, keys: &[Box<str>]) -> bool {
        keys.iter().all(|key| self.keys().any(|k| *k == **key))
    }

    /// How a subset's key stands to it in their order.
    fn compare(self, key: &Metadata) -> Ordering {
        key.iter().cmp(self.entries())
    }
}

fn balanced(mut lb: LoadBalancer, members: &Members, hosts: &Rc<[Rc<Host>]>) -> Subset {
    lb.set_hosts(hosts, &members.levels);
    Subset::Balanced(lb)
}

/// Of the highest priority: that is the first one.
fn first(members: &Members, hosts: &[Rc<Host>]) -> Option<Rc<Host>> {
    let at = usize::try_from(*members.hosts.first()?).ok()?;
    hosts.get(at).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ClusterRuntime;
    use crate::cluster::testing::{self, endpoint, labelled};
    use crate::telemetry::stats::{ClusterGauge, Stats};
    use crate::worker::command::UpstreamTransport;
    use model::resources::cluster::{Endpoint, Endpoints};

    const POLICIES: [SubsetFallback; 3] = [
        SubsetFallback::NoFallback,
        SubsetFallback::AnyEndpoint,
        SubsetFallback::DefaultSubset,
    ];

    fn metadata(entries: &[(&str, &str)]) -> Metadata {
        let entry = |(key, value): &(&str, &str)| ((*key).into(), (*value).into());
        entries.iter().map(entry).collect()
    }

    fn selector(keys: &[&str], fallback: Option<SelectorFallback>) -> SubsetSelector {
        SubsetSelector {
            keys: keys.iter().map(|key| (*key).into()).collect(),
            fallback,
            single_host_per_subset: false,
        }
    }

    fn config(fallback: SubsetFallback, selectors: Vec<SubsetSelector>) -> LbSubsets {
        LbSubsets {
            fallback,
            default_subset: metadata(&[("stage", "prod")]),
            selectors,
            list_as_any: false,
            panic_mode_any: false,
            allow_redundant_keys: false,
        }
    }

    fn hosts() -> Vec<Endpoint> {
        vec![
            labelled(1, &[("stage", "prod"), ("version", "1")]),
            labelled(2, &[("stage", "prod"), ("version", "2")]),
            labelled(3, &[("stage", "dev"), ("version", "1")]),
            endpoint(4, 1),
        ]
    }

    fn set(cluster: &Cluster, hosts: Vec<Endpoint>) -> Arc<HostSet> {
        Arc::new(HostSet::new(
            cluster,
            Arc::new(Endpoints {
                hosts,
                ..Endpoints::default()
            }),
        ))
    }

    fn runtime(config: LbSubsets) -> ClusterRuntime {
        let mut cluster = testing::cluster(hosts());
        cluster.subsets = Some(Arc::new(config));
        let set = set(&cluster, hosts());
        ClusterRuntime::new(
            Arc::new(cluster),
            Arc::default(),
            vec![UpstreamTransport::Plain],
            &set,
            Stats::new(1),
            &mut fastrand::Rng::with_seed(0),
        )
    }

    /// Ports of those that get some requests, in order.
    fn chosen(cluster: &ClusterRuntime, wanted: &[(&str, &str)]) -> Vec<u16> {
        let wanted = metadata(wanted);
        let cx = LbContext {
            metadata_match: Some(&wanted),
            ..LbContext::default()
        };
        let mut random = fastrand::Rng::with_seed(1);
        let choose = |_| cluster.choose(cx, &mut random)?.address.port();
        let mut ports: Vec<u16> = (0..12).filter_map(choose).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    #[test]
    fn the_fallback_of_the_cluster() {
        for (policy, expected) in POLICIES.into_iter().zip([&[][..], &[1, 2, 3, 4], &[1, 2]]) {
            let cluster = runtime(config(policy, vec![selector(&["stage"], None)]));
            assert_eq!(chosen(&cluster, &[("stage", "dev")]), [3]);
            for wanted in [
                &[][..],
                &[("stage", "test")],
                &[("version", "1")],
                &[("stage", "dev"), ("version", "1")],
            ] {
                assert_eq!(chosen(&cluster, wanted), expected, "{policy:?} {wanted:?}");
            }
            let nothing = cluster.choose(LbContext::default(), &mut fastrand::Rng::with_seed(1));
            assert_eq!(nothing.is_some(), !expected.is_empty());
        }
    }

    #[test]
    fn the_fallback_of_a_selector_comes_first() {
        for (policy, expected) in POLICIES.into_iter().zip([&[][..], &[1, 2, 3, 4], &[1, 2]]) {
            let own = Some(SelectorFallback::Policy(policy));
            let selectors = vec![selector(&["stage", "version"], own)];
            let cluster = runtime(config(SubsetFallback::NoFallback, selectors));
            let wanted = [("stage", "dev"), ("version", "7")];
            assert_eq!(chosen(&cluster, &wanted), expected, "{policy:?}");
            assert!(chosen(&cluster, &[("stage", "dev")]).is_empty());
            let stats = cluster.stats();
            assert_eq!(stats.counter(ClusterCounter::LbSubsetsFallback), 0);
        }
    }

    #[test]
    fn keys_subset_asks_again_with_fewer_keys() {
        let keys = |keys: &[&str]| {
            let keys = keys.iter().map(|key| (*key).into()).collect();
            Some(SelectorFallback::Keys(keys))
        };
        let selectors = vec![
            selector(&["region", "stage", "version"], keys(&["stage", "version"])),
            selector(&["stage", "version"], keys(&["stage"])),
            selector(&["stage"], None),
        ];
        let cluster = runtime(config(SubsetFallback::AnyEndpoint, selectors));
        let wanted = |stage, version| [("region", "r"), ("stage", stage), ("version", version)];
        assert_eq!(chosen(&cluster, &wanted("prod", "2")), [2]);
        assert_eq!(chosen(&cluster, &wanted("prod", "7")), [1, 2]);
        assert_eq!(chosen(&cluster, &wanted("test", "7")), [1, 2, 3, 4]);
    }

    #[test]
    fn redundant_keys_are_left_out_where_that_is_allowed() {
        let selectors = vec![
            selector(&["stage", "version"], None),
            selector(&["stage"], None),
        ];
        let mut config = config(SubsetFallback::NoFallback, selectors);
        let wanted = [("other", "x"), ("stage", "prod")];
        assert!(chosen(&runtime(config.clone()), &wanted).is_empty());
        config.allow_redundant_keys = true;
        let cluster = runtime(config);
        assert_eq!(chosen(&cluster, &wanted), [1, 2]);
        let both = [("other", "x"), ("stage", "prod"), ("version", "2")];
        assert_eq!(chosen(&cluster, &both), [2]);
    }

    #[test]
    fn panic_mode_any_is_for_a_fallback_without_hosts() {
        let mut config = config(
            SubsetFallback::DefaultSubset,
            vec![selector(&["stage"], None)],
        );
        config.default_subset = metadata(&[("stage", "none")]);
        assert!(chosen(&runtime(config.clone()), &[]).is_empty());
        config.panic_mode_any = true;
        let cluster = runtime(config);
        assert_eq!(chosen(&cluster, &[]), [1, 2, 3, 4]);
        let stats = cluster.stats();
        assert_eq!(stats.counter(ClusterCounter::LbSubsetsFallbackPanic), 12);
    }

    #[test]
    fn subsets_come_stay_and_go_with_their_hosts() {
        let selectors = vec![selector(&["stage"], None)];
        let cluster = runtime(config(SubsetFallback::NoFallback, selectors));
        let counts = || {
            let stats = cluster.stats();
            let counter = |which| stats.counter(which);
            (
                stats.gauge(ClusterGauge::LbSubsetsActive),
                counter(ClusterCounter::LbSubsetsCreated),
                counter(ClusterCounter::LbSubsetsRemoved),
            )
        };
        assert_eq!(counts(), (2, 2, 0));
        let more = vec![
            labelled(1, &[("stage", "prod")]),
            labelled(5, &[("stage", "test")]),
        ];
        let config = Arc::clone(&cluster.config.borrow());
        cluster.set_hosts(&set(&config, more), &mut fastrand::Rng::with_seed(3));
        assert_eq!(counts(), (2, 3, 1));
        assert_eq!(chosen(&cluster, &[("stage", "test")]), [5]);
        assert!(chosen(&cluster, &[("stage", "dev")]).is_empty());
        cluster.retire();
        assert_eq!(counts(), (0, 3, 3));
    }
}
