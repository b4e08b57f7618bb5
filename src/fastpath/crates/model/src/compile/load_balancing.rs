//! How a cluster's hosts are chosen: `lb_policy` with its options, or `load_balancing_policy`.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::core::v3::RuntimeDouble;
use envoy_types::pb::envoy::extensions::load_balancing_policies as policies;
use envoy_types::pb::google::protobuf::UInt64Value;
use pb::cluster::SlowStartConfig as LegacySlowStart;
use pb::cluster::common_lb_config::LocalityConfigSpecifier;
use pb::cluster::ring_hash_lb_config::HashFunction as LegacyHashFunction;
use pb::cluster::{ClusterDiscoveryType, DiscoveryType, LbConfig, LbPolicy as Policy};
use policies::common::v3::{LocalityLbConfig, SlowStartConfig, locality_lb_config};
use policies::least_request::v3::{LeastRequest, least_request::SelectionMethod};
use policies::ring_hash::v3::ring_hash::HashFunction as TypedHashFunction;
use policies::{maglev::v3::Maglev as TypedMaglev, ring_hash::v3::RingHash as TypedRingHash};
use policies::{random::v3::Random, round_robin::v3::RoundRobin, subset::v3::Subset};
use prost::Message as _;

use super::duration::millis_or;
use super::lb_subset;
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::cluster::{LbPolicy, LocalityWeights, SlowStart};
use crate::resources::hash_lb::{HashFunction, Maglev, RingHash};
use crate::resources::lb_subset::LbSubsets;
use crate::schema::name_of_url;

/// Envoy's defaults of `minimum_ring_size`, `maximum_ring_size` and `table_size`.
const MINIMUM_RING_SIZE: u32 = 1024;
const MAXIMUM_RING_SIZE: u32 = 8 << 20;
const TABLE_SIZE: u32 = 65_537;

pub(super) struct LoadBalancing {
    pub policy: LbPolicy,
    pub subsets: Option<Arc<LbSubsets>>,
    pub locality_weights: LocalityWeights,
    pub fail_on_panic: bool,
    pub slow_start: Option<SlowStart>,
}

/// What is done with localities.
#[derive(Debug, Clone, Copy, Default)]
struct Localities {
    weights: LocalityWeights,
    fail_on_panic: bool,
}

impl Localities {
    fn weighted(is_weighted: bool) -> Self {
        Self {
            weights: match is_weighted {
                true => LocalityWeights::Kept,
                false => LocalityWeights::Ignored,
            },
            fail_on_panic: false,
        }
    }

    fn legacy(message: &pb::Cluster) -> Self {
        let common = message.common_lb_config.as_ref();
        match common.and_then(|c| c.locality_config_specifier.as_ref()) {
            None => Self::default(),
            Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => Self::weighted(true),
            Some(LocalityConfigSpecifier::ZoneAwareLbConfig(zones)) => Self {
                fail_on_panic: zones.fail_traffic_on_panic,
                ..Self::default()
            },
        }
    }

    fn typed(message: Option<&LocalityLbConfig>) -> Self {
        use locality_lb_config::LocalityConfigSpecifier;
        match message.and_then(|m| m.locality_config_specifier.as_ref()) {
            None => Self::default(),
            Some(LocalityConfigSpecifier::LocalityWeightedLbConfig(_)) => Self::weighted(true),
            Some(LocalityConfigSpecifier::ZoneAwareLbConfig(zones)) => Self {
                fail_on_panic: zones.fail_traffic_on_panic,
                ..Self::default()
            },
        }
    }
}

impl LoadBalancing {
    fn new(policy: LbPolicy, localities: Localities, slow_start: Option<SlowStart>) -> Self {
        Self {
            policy,
            subsets: None,
            locality_weights: localities.weights,
            // Tables are of all hosts then, whatever it says.
            fail_on_panic: localities.fail_on_panic && !policy.is_hash(),
            slow_start,
        }
    }

    /// Within subsets Envoy forgets the weights of localities, unless `locality_weight_aware`.
    fn in_subsets(self, subsets: Option<LbSubsets>) -> Self {
        match subsets {
            None => self,
            Some(subsets) => Self {
                subsets: Some(Arc::new(subsets)),
                locality_weights: LocalityWeights::Ignored,
                ..self
            },
        }
    }
}

/// `None`: it was refused.
pub(super) fn compile(message: &pb::Cluster, problems: &mut Problems) -> Option<LoadBalancing> {
    if let Some(policy) = message.load_balancing_policy.as_ref() {
        refuse_beside_typed(message, problems);
        return problems.within("load_balancing_policy", |p| {
            let found = typed_policy(policy, p);
            if found.is_none() && policy.policies.is_empty() {
                p.report(format!(
                    "cluster: didn't find a registered load balancer factory implementation for cluster: '{}' with names from []",
                    message.name
                ));
            }
            found
        });
    }
    refuse_hostnames(message, problems);
    let policy = legacy_policy(message, problems)?;
    let slow_start = legacy_slow_start(message, problems);
    let subsets = message.lb_subset_config.as_ref();
    let subsets = match subsets {
        None => None,
        Some(config) => problems.within("lb_subset_config", |p| lb_subset::compile(config, p))?,
    };
    let localities = Localities::legacy(message);
    Some(LoadBalancing::new(policy, localities, slow_start).in_subsets(subsets))
}

fn legacy_policy(message: &pb::Cluster, problems: &mut Problems) -> Option<LbPolicy> {
    let common = message.common_lb_config.as_ref();
    let hashing = common.and_then(|c| c.consistent_hashing_lb_config.as_ref());
    let use_hostname = hashing.is_some_and(|h| h.use_hostname_for_hashing);
    let config = message.lb_config.as_ref();
    match Policy::try_from(message.lb_policy).ok()? {
        Policy::RoundRobin => Some(LbPolicy::RoundRobin),
        Policy::Random => Some(LbPolicy::Random),
        Policy::LeastRequest => Some(match config {
            Some(LbConfig::LeastRequestLbConfig(config)) => least_request(
                config.choice_count.as_ref().map(|v| v.value),
                config.active_request_bias.as_ref(),
            ),
            _ => least_request(None, None),
        }),
        Policy::RingHash => {
            let config = match config {
                Some(LbConfig::RingHashLbConfig(config)) => *config,
                _ => pb::cluster::RingHashLbConfig::default(),
            };
            let hash_function = match LegacyHashFunction::try_from(config.hash_function) {
                Ok(LegacyHashFunction::MurmurHash2) => HashFunction::MurmurHash2,
                Ok(LegacyHashFunction::XxHash) | Err(_) => HashFunction::XxHash,
            };
            let sizes = [config.minimum_ring_size, config.maximum_ring_size];
            problems.within("ring_hash_lb_config", |p| {
                ring_hash(sizes, hash_function, use_hostname, p)
            })
        }
        Policy::Maglev => {
            let size = match config {
                Some(LbConfig::MaglevLbConfig(config)) => config.table_size,
                _ => None,
            };
            problems.within("maglev_lb_config", |p| maglev(size, use_hostname, p))
        }
        Policy::LoadBalancingPolicyConfig => {
            problems.report("cluster: field load_balancing_policy need to be set");
            None
        }
        Policy::ClusterProvided => {
            if message.lb_subset_config.is_some() {
                let reason =
                    "cluster: LB policy CLUSTER_PROVIDED cannot be combined with lb_subset_config";
                problems.report_at("lb_subset_config", reason);
                return None;
            }
            if kind(message) != Some(DiscoveryType::OriginalDst) {
                let reason = format!(
                    "cluster manager: cluster provided LB specified but cluster '{}' did not provide one. Check cluster documentation.",
                    message.name
                );
                problems.report_at("lb_policy", reason);
                return None;
            }
            Some(LbPolicy::ClusterProvided)
        }
    }
}

fn kind(message: &pb::Cluster) -> Option<DiscoveryType> {
    match message.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(kind).ok(),
        Some(ClusterDiscoveryType::ClusterType(_)) => None,
        None => Some(DiscoveryType::Static),
    }
}

/// `use_hostname_for_hashing` is for STRICT_DNS, whatever the policy.
fn refuse_hostnames(message: &pb::Cluster, problems: &mut Problems) {
    let common = message.common_lb_config.as_ref();
    let hashing = common.and_then(|c| c.consistent_hashing_lb_config.as_ref());
    let name = match kind(message) {
        Some(DiscoveryType::Static) => "static",
        Some(DiscoveryType::Eds) => "eds",
        Some(DiscoveryType::LogicalDns) => "logical_dns",
        // Those that are not implemented are refused for that.
        Some(DiscoveryType::StrictDns | DiscoveryType::OriginalDst) | None => return,
    };
    if hashing.is_some_and(|h| h.use_hostname_for_hashing) {
        let reason = format!(
            "Cannot use hostname for consistent hashing loadbalancing for cluster of type: 'envoy.cluster.{name}'"
        );
        problems.report_at("common_lb_config", reason);
    }
}

/// Options of `lb_policy` that `load_balancing_policy` has of its own.
fn refuse_beside_typed(message: &pb::Cluster, problems: &mut Problems) {
    if message.lb_subset_config.is_some() {
        let reason = "cluster: load_balancing_policy cannot be combined with lb_subset_config";
        problems.report_at("lb_subset_config", reason);
    }
    let partial = message.common_lb_config.as_ref().is_some_and(|common| {
        common.locality_config_specifier.is_some() || common.consistent_hashing_lb_config.is_some()
    });
    if partial {
        let reason = "cluster: load_balancing_policy cannot be combined with partial fields \
                      (zone_aware_lb_config, locality_weighted_lb_config, \
                      consistent_hashing_lb_config) of common_lb_config";
        problems.report_at("common_lb_config", reason);
    }
}

/// The first of the list: Envoy takes the first it knows, and we refuse those we do not know.
fn typed_policy(
    message: &pb::LoadBalancingPolicy,
    problems: &mut Problems,
) -> Option<LoadBalancing> {
    let policy = message.policies.first()?;
    let level = problems.enter_item("policies", 0);
    let extension = problems.enter("typed_extension_config");
    let config = policy.typed_extension_config.as_ref();
    let any = config.and_then(|c| c.typed_config.as_ref());
    let name = config.map_or("", |c| c.name.as_str());
    let type_name = any.and_then(|any| name_of_url(&any.type_url)).unwrap_or("");
    let bytes = any.map(|any| any.value.as_slice()).unwrap_or_default();
    let found = match type_name {
        "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin" => {
            RoundRobin::decode(bytes).ok().map(|m| {
                let localities = Localities::typed(m.locality_lb_config.as_ref());
                let slow_start = slow_start(m.slow_start_config.as_ref(), problems);
                LoadBalancing::new(LbPolicy::RoundRobin, localities, slow_start)
            })
        }
        "envoy.extensions.load_balancing_policies.random.v3.Random" => {
            Random::decode(bytes).ok().map(|m| {
                let localities = Localities::typed(m.locality_lb_config.as_ref());
                LoadBalancing::new(LbPolicy::Random, localities, None)
            })
        }
        "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest" => {
            let message = LeastRequest::decode(bytes).ok();
            message.and_then(|m| typed_least_request(&m, problems))
        }
        "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash" => {
            let message = TypedRingHash::decode(bytes).ok();
            message.and_then(|m| typed_ring_hash(&m, problems))
        }
        "envoy.extensions.load_balancing_policies.maglev.v3.Maglev" => {
            let message = TypedMaglev::decode(bytes).ok();
            message.and_then(|m| typed_maglev(&m, problems))
        }
        "envoy.extensions.load_balancing_policies.subset.v3.Subset" => {
            let message = Subset::decode(bytes).ok();
            message.and_then(|m| typed_subset(&m, problems))
        }
        other => {
            let reason = not_implemented(Some(name), other);
            problems.report(format!("{reason} as a load-balancing policy"));
            None
        }
    };
    problems.leave(extension);
    problems.leave(level);
    found
}

fn typed_least_request(message: &LeastRequest, problems: &mut Problems) -> Option<LoadBalancing> {
    if message.selection_method == i32::from(SelectionMethod::FullScan) {
        problems.report_at("selection_method", "FULL_SCAN is not implemented");
        return None;
    }
    let policy = least_request(
        message.choice_count.as_ref().map(|v| v.value),
        message.active_request_bias.as_ref(),
    );
    let localities = Localities::typed(message.locality_lb_config.as_ref());
    let slow_start = slow_start(message.slow_start_config.as_ref(), problems);
    Some(LoadBalancing::new(policy, localities, slow_start))
}

fn typed_ring_hash(message: &TypedRingHash, problems: &mut Problems) -> Option<LoadBalancing> {
    let hash_function = match TypedHashFunction::try_from(message.hash_function) {
        Ok(TypedHashFunction::MurmurHash2) => HashFunction::MurmurHash2,
        Ok(TypedHashFunction::DefaultHash | TypedHashFunction::XxHash) | Err(_) => {
            HashFunction::XxHash
        }
    };
    let hashing = message.consistent_hashing_lb_config.as_ref();
    let use_hostname = hashing.map_or(
        // The field before it, which counts only without it.
        message.use_hostname_for_hashing,
        |h| h.use_hostname_for_hashing,
    );
    let sizes = [message.minimum_ring_size, message.maximum_ring_size];
    let policy = ring_hash(sizes, hash_function, use_hostname, problems)?;
    let localities = Localities::weighted(message.locality_weighted_lb_config.is_some());
    Some(LoadBalancing::new(policy, localities, None))
}

fn typed_maglev(message: &TypedMaglev, problems: &mut Problems) -> Option<LoadBalancing> {
    let hashing = message.consistent_hashing_lb_config.as_ref();
    let use_hostname = hashing.is_some_and(|h| h.use_hostname_for_hashing);
    let policy = maglev(message.table_size, use_hostname, problems)?;
    let localities = Localities::weighted(message.locality_weighted_lb_config.is_some());
    Some(LoadBalancing::new(policy, localities, None))
}

fn typed_subset(message: &Subset, problems: &mut Problems) -> Option<LoadBalancing> {
    let subsets = lb_subset::compile_typed(message, problems)?;
    problems.within("subset_lb_policy", |problems| {
        let Some(policy) = message.subset_lb_policy.as_ref() else {
            problems.report("value is required");
            return None;
        };
        if policy.policies.is_empty() {
            problems.report(
                "cluster: didn't find a registered load balancer factory implementation for subset lb with names from []",
            );
        }
        let inner = typed_policy(policy, problems)?;
        if inner.subsets.is_some() {
            problems.report("subsets of subsets are not implemented");
            return None;
        }
        Some(inner.in_subsets(subsets))
    })
}

/// Of the configuration of the policy that is asked for.
fn legacy_slow_start(message: &pb::Cluster, problems: &mut Problems) -> Option<SlowStart> {
    let policy = Policy::try_from(message.lb_policy).ok()?;
    let (field, config) = match (policy, message.lb_config.as_ref()?) {
        (Policy::RoundRobin, LbConfig::RoundRobinLbConfig(config)) => {
            ("round_robin_lb_config", config.slow_start_config.as_ref())
        }
        (Policy::LeastRequest, LbConfig::LeastRequestLbConfig(config)) => {
            ("least_request_lb_config", config.slow_start_config.as_ref())
        }
        _ => return None,
    };
    // The same fields.
    let config: &LegacySlowStart = config?;
    let config = SlowStartConfig {
        slow_start_window: config.slow_start_window,
        aggression: config.aggression.clone(),
        min_weight_percent: config.min_weight_percent,
    };
    problems.within(field, |p| slow_start(Some(&config), p))
}

/// `None`: there is none, or its window is nothing.
fn slow_start(message: Option<&SlowStartConfig>, problems: &mut Problems) -> Option<SlowStart> {
    let message = message?;
    let window = message.slow_start_window.as_ref();
    let window = problems.within("slow_start_config", |p| {
        millis_or("slow_start_window", window, Duration::ZERO, p)
    });
    let aggression = message.aggression.as_ref().map_or(1.0, |a| a.default_value);
    let least = message.min_weight_percent.as_ref();
    (!window.is_zero()).then_some(SlowStart {
        window,
        // What Envoy uses instead of such a one.
        aggression: if aggression > 0.0 && aggression.is_finite() {
            aggression
        } else {
            1.0
        },
        min_weight: least.map_or(10.0, |percent| percent.value) / 100.0,
    })
}

fn least_request(choice_count: Option<u32>, bias: Option<&RuntimeDouble>) -> LbPolicy {
    let bias = bias.map_or(1.0, |b| b.default_value);
    LbPolicy::LeastRequest {
        choice_count: choice_count.unwrap_or(2),
        // What Envoy uses instead of a negative one.
        active_request_bias: if bias >= 0.0 { bias } else { 1.0 },
    }
}

/// `sizes`: the least, the most; the rules of the messages bound both.
fn ring_hash(
    sizes: [Option<UInt64Value>; 2],
    hash_function: HashFunction,
    use_hostname: bool,
    problems: &mut Problems,
) -> Option<LbPolicy> {
    let [minimum_ring_size, maximum_ring_size] = sizes;
    let minimum_ring_size = size(minimum_ring_size, MINIMUM_RING_SIZE)?;
    let maximum_ring_size = size(maximum_ring_size, MAXIMUM_RING_SIZE)?;
    if minimum_ring_size > maximum_ring_size {
        problems.report(format!(
            "ring hash: minimum_ring_size ({minimum_ring_size}) > maximum_ring_size ({maximum_ring_size})"
        ));
        return None;
    }
    Some(LbPolicy::RingHash(RingHash {
        minimum_ring_size,
        maximum_ring_size,
        hash_function,
        use_hostname,
    }))
}

fn maglev(
    table_size: Option<UInt64Value>,
    use_hostname: bool,
    problems: &mut Problems,
) -> Option<LbPolicy> {
    let table_size = size(table_size, TABLE_SIZE)?;
    if !is_prime(table_size) {
        let reason = "The table size of maglev must be prime number";
        problems.report_at("table_size", reason);
        return None;
    }
    Some(LbPolicy::Maglev(Maglev {
        table_size,
        use_hostname,
    }))
}

/// `None`: the rules of its message refused it.
fn size(given: Option<UInt64Value>, default: u32) -> Option<u32> {
    given.map_or(Some(default), |size| u32::try_from(size.value).ok())
}

fn is_prime(number: u32) -> bool {
    let divides = |by: u32| number.checked_rem(by) == Some(0);
    let up_to_root = (2_u32..).take_while(|by| by.saturating_mul(*by) <= number);
    number >= 2 && !up_to_root.into_iter().any(divides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes() {
        let primes: Vec<u32> = (0..30).filter(|n| is_prime(*n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(TABLE_SIZE) && is_prime(5_000_011) && !is_prime(5_000_009));
    }
}
