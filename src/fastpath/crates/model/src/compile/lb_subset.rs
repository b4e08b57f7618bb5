//! `LbSubsetConfig` and the extension `Subset`, which says the same.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::config::cluster::v3::cluster as pb;
use envoy_types::pb::envoy::extensions::load_balancing_policies::subset::v3 as typed;
use envoy_types::pb::google::protobuf::Struct;
use pb::LbSubsetConfig;
use pb::lb_subset_config::lb_subset_selector::LbSubsetSelectorFallbackPolicy as OfSelector;
use pb::lb_subset_config::{LbSubsetFallbackPolicy as OfCluster, LbSubsetMetadataFallbackPolicy};

use super::metadata;
use crate::problem::Problems;
use crate::resources::lb_subset::{LbSubsets, SelectorFallback, SubsetFallback, SubsetSelector};

/// `None`: it was refused. `Some(None)`: no selectors, no subsets.
#[allow(clippy::option_option)]
pub(super) fn compile(
    message: &LbSubsetConfig,
    problems: &mut Problems,
) -> Option<Option<LbSubsets>> {
    let selectors = message.subset_selectors.iter().map(|s| Selector {
        keys: &s.keys,
        fallback: s.fallback_policy,
        fallback_keys: &s.fallback_keys_subset,
        single_host_per_subset: s.single_host_per_subset,
    });
    let config = Config {
        fallback: message.fallback_policy,
        default_subset: message.default_subset.as_ref(),
        metadata_fallback: message.metadata_fallback_policy,
        list_as_any: message.list_as_any,
        panic_mode_any: message.panic_mode_any,
        allow_redundant_keys: false,
    };
    config.compile(selectors.collect(), problems)
}

/// As `compile`.
#[allow(clippy::option_option)]
pub(super) fn compile_typed(
    message: &typed::Subset,
    problems: &mut Problems,
) -> Option<Option<LbSubsets>> {
    let selectors = message.subset_selectors.iter().map(|s| Selector {
        keys: &s.keys,
        fallback: s.fallback_policy,
        fallback_keys: &s.fallback_keys_subset,
        single_host_per_subset: s.single_host_per_subset,
    });
    // The numbers of its enums are those of the older message.
    let config = Config {
        fallback: message.fallback_policy,
        default_subset: message.default_subset.as_ref(),
        metadata_fallback: message.metadata_fallback_policy,
        list_as_any: message.list_as_any,
        panic_mode_any: message.panic_mode_any,
        allow_redundant_keys: message.allow_redundant_keys,
    };
    config.compile(selectors.collect(), problems)
}

/// What both messages say.
struct Config<'a> {
    fallback: i32,
    default_subset: Option<&'a Struct>,
    metadata_fallback: i32,
    list_as_any: bool,
    panic_mode_any: bool,
    allow_redundant_keys: bool,
}

struct Selector<'a> {
    keys: &'a [String],
    fallback: i32,
    fallback_keys: &'a [String],
    single_host_per_subset: bool,
}

impl Config<'_> {
    #[allow(clippy::option_option)]
    fn compile(
        &self,
        given: Vec<Selector<'_>>,
        problems: &mut Problems,
    ) -> Option<Option<LbSubsets>> {
        let no_fallback = LbSubsetMetadataFallbackPolicy::MetadataNoFallback;
        if self.metadata_fallback != i32::from(no_fallback) {
            let reason = "FALLBACK_LIST is not implemented";
            problems.report_at("metadata_fallback_policy", reason);
            return None;
        }
        if given.is_empty() {
            return Some(None);
        }
        let mut selectors = Vec::with_capacity(given.len());
        let mut complete = true;
        for (index, selector) in given.iter().enumerate() {
            // Without keys it selects nothing.
            if !selector.keys.is_empty() {
                let compiled =
                    problems.within_item("subset_selectors", index, |p| selector.compile(p));
                complete &= compiled.is_some();
                selectors.extend(compiled);
            }
        }
        if self.allow_redundant_keys {
            selectors.sort_by_key(|s| std::cmp::Reverse(s.keys.len()));
        }
        forget_shadowed_fallbacks(&mut selectors);
        complete.then(|| {
            Some(LbSubsets {
                fallback: match OfCluster::try_from(self.fallback) {
                    Ok(OfCluster::AnyEndpoint) => SubsetFallback::AnyEndpoint,
                    Ok(OfCluster::DefaultSubset) => SubsetFallback::DefaultSubset,
                    Ok(OfCluster::NoFallback) | Err(_) => SubsetFallback::NoFallback,
                },
                default_subset: self
                    .default_subset
                    .map(metadata::entries)
                    .unwrap_or_default(),
                selectors,
                list_as_any: self.list_as_any,
                panic_mode_any: self.panic_mode_any,
                allow_redundant_keys: self.allow_redundant_keys,
            })
        })
    }
}

impl Selector<'_> {
    fn compile(&self, problems: &mut Problems) -> Option<SubsetSelector> {
        let keys = sorted(self.keys);
        let fallback_keys = sorted(self.fallback_keys);
        let fallback = OfSelector::try_from(self.fallback).ok()?;
        let reason = if fallback != OfSelector::KeysSubset {
            let reason = "fallback_keys_subset can be set only for KEYS_SUBSET fallback_policy";
            (!fallback_keys.is_empty()).then_some(reason)
        } else if fallback_keys.is_empty() {
            Some("fallback_keys_subset cannot be empty")
        } else if !fallback_keys.iter().all(|key| keys.contains(key)) {
            Some("fallback_keys_subset must be a subset of selector keys")
        } else if fallback_keys.len() == keys.len() {
            Some("fallback_keys_subset cannot be equal to keys")
        } else {
            None
        };
        if let Some(reason) = reason {
            problems.report_at("fallback_keys_subset", reason);
            return None;
        }
        Some(SubsetSelector {
            keys,
            fallback: match fallback {
                OfSelector::NotDefined => None,
                OfSelector::NoFallback => {
                    Some(SelectorFallback::Policy(SubsetFallback::NoFallback))
                }
                OfSelector::AnyEndpoint => {
                    Some(SelectorFallback::Policy(SubsetFallback::AnyEndpoint))
                }
                OfSelector::DefaultSubset => {
                    Some(SelectorFallback::Policy(SubsetFallback::DefaultSubset))
                }
                OfSelector::KeysSubset => Some(SelectorFallback::Keys(fallback_keys)),
            },
            single_host_per_subset: self.single_host_per_subset,
        })
    }
}

fn sorted(keys: &[String]) -> Vec<Box<str>> {
    let distinct: BTreeSet<&String> = keys.iter().collect();
    distinct
        .into_iter()
        .map(|key| key.as_str().into())
        .collect()
}

/// In Envoy a selector's fallback counts only if it is the first to go its way through the tree of
/// keys: not if those of an earlier one begin with its own (`initSubsetSelectorMap`).
fn forget_shadowed_fallbacks(selectors: &mut [SubsetSelector]) {
    for at in 0..selectors.len() {
        let (before, rest) = selectors.split_at_mut(at);
        if let Some(selector) = rest.first_mut()
            && before.iter().any(|b| b.keys.starts_with(&selector.keys))
        {
            selector.fallback = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_on_its_way_has_its_fallback() {
        let selector = |keys: &[&str]| SubsetSelector {
            keys: keys.iter().map(|key| (*key).into()).collect(),
            fallback: Some(SelectorFallback::Policy(SubsetFallback::AnyEndpoint)),
            single_host_per_subset: false,
        };
        let given: [&[&str]; 5] = [&["a", "b"], &["a"], &["b"], &["a", "b"], &["a", "c"]];
        let mut selectors: Vec<_> = given.into_iter().map(selector).collect();
        forget_shadowed_fallbacks(&mut selectors);
        let kept: Vec<bool> = selectors.iter().map(|s| s.fallback.is_some()).collect();
        assert_eq!(kept, [true, false, true, false, true]);
    }
}
