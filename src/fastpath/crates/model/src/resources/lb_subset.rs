//! `LbSubsetConfig`: parts of a cluster by the `envoy.lb` metadata of its hosts.

use super::cluster::Metadata;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LbSubsets {
    /// Used where no selector's own one is.
    pub fallback: SubsetFallback,
    /// What hosts of the default subset have.
    pub default_subset: Metadata,
    pub selectors: Vec<SubsetSelector>,
    /// A host's list has each of its elements.
    pub list_as_any: bool,
    /// All hosts, when the fallback has none that can be used.
    pub panic_mode_any: bool,
    /// A request may have more keys than the first selector whose keys it has.
    pub allow_redundant_keys: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubsetFallback {
    NoFallback,
    AnyEndpoint,
    DefaultSubset,
}

/// Hosts with the same values of these keys are a subset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubsetSelector {
    /// Sorted, each once, at least one.
    pub keys: Vec<Box<str>>,
    /// What is done with requests that have these keys and find no subset; `None`: the cluster's.
    pub fallback: Option<SelectorFallback>,
    /// A subset is its first host.
    pub single_host_per_subset: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectorFallback {
    Policy(SubsetFallback),
    /// KEYS_SUBSET: asks again with only these keys, sorted; fewer than those of the selector.
    Keys(Vec<Box<str>>),
}
