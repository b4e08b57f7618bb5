//! `ClusterLoadAssignment`: endpoints by locality, flattened to hosts as the cluster weighs them.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as pb;
use pb::lb_endpoint::HostIdentifier;

use super::address::{bind, host_port};
use super::metadata;
use crate::problem::Problems;
use crate::resources::cluster::{
    DnsTarget, Endpoint, Endpoints, HealthStatus, Locality, LocalityWeights,
};

/// What Envoy says after `malformed IP address: x`.
const HINT: &str =
    ". Consider setting resolver_name or setting cluster type to 'STRICT_DNS' or 'LOGICAL_DNS'";

/// An assignment before it is known whether its cluster weighs localities.
#[derive(Debug)]
pub struct Assignment {
    pub cluster_name: String,
    localities: Vec<Hosts>,
    overprovisioning_factor: u32,
}

#[derive(Debug)]
struct Hosts {
    weight: u32,
    hosts: Vec<Endpoint>,
}

impl Assignment {
    pub(super) fn compile(message: &pb::ClusterLoadAssignment, problems: &mut Problems) -> Self {
        let mut localities = Vec::with_capacity(message.endpoints.len());
        for (index, group) in message.endpoints.iter().enumerate() {
            let level = problems.enter_item("endpoints", index);
            refuse_of_group(group, problems);
            let locality = Arc::new(locality(group.locality.as_ref()));
            let each = |(index, message): (usize, &pb::LbEndpoint)| {
                problems.within_item("lb_endpoints", index, |p| endpoint(message, &locality, p))
            };
            let hosts = group
                .lb_endpoints
                .iter()
                .enumerate()
                .filter_map(each)
                .collect();
            // No weight, no share of the load.
            let weight = group.load_balancing_weight.as_ref().map_or(0, |v| v.value);
            localities.push(Hosts { weight, hosts });
            problems.leave(level);
        }
        Self {
            cluster_name: message.cluster_name.clone(),
            localities,
            overprovisioning_factor: overprovisioning_factor(message),
        }
    }

    /// The hosts as a list. `distinct`: the first of several endpoints with one address counts, as
    /// in EDS.
    #[must_use]
    pub fn flatten(&self, weights: LocalityWeights, distinct: bool) -> Endpoints {
        let mut seen = std::collections::HashSet::new();
        let mut hosts = Vec::new();
        for locality in &self.localities {
            let sum: u64 = locality.hosts.iter().map(|h| u64::from(h.weight)).sum();
            for host in &locality.hosts {
                if distinct && !seen.insert(&host.address) {
                    continue;
                }
                match weights {
                    LocalityWeights::Ignored => hosts.push(host.clone()),
                    LocalityWeights::Kept => hosts.push(Endpoint {
                        locality_weight: Some(locality.weight),
                        ..host.clone()
                    }),
                    LocalityWeights::Shared if locality.weight == 0 => {}
                    LocalityWeights::Shared => hosts.push(Endpoint {
                        weight: share(host.weight, sum, locality.weight),
                        ..host.clone()
                    }),
                }
            }
        }
        if weights == LocalityWeights::Shared {
            reduce(&mut hosts);
        }
        Endpoints {
            hosts,
            overprovisioning_factor: self.overprovisioning_factor,
        }
    }
}

/// Of the assignment's `policy`.
pub(super) fn overprovisioning_factor(message: &pb::ClusterLoadAssignment) -> u32 {
    let policy = message.policy.as_ref();
    policy
        .and_then(|policy| policy.overprovisioning_factor.as_ref())
        .map_or(Endpoints::OVERPROVISIONING_FACTOR, |factor| factor.value)
}

/// Precision of a host's share of its locality's weight.
const SCALE: u64 = 1 << 16;

/// `weight` of `sum`, times the locality's weight, in fixed point; never zero.
fn share(weight: u32, sum: u64, locality: u32) -> u32 {
    let scaled = u64::from(locality).saturating_mul(SCALE);
    let share = u128::from(scaled)
        .saturating_mul(weight.into())
        .checked_div(sum.into())
        .unwrap_or(0);
    u32::try_from(share).unwrap_or(u32::MAX).max(1)
}

/// Divides by the greatest common divisor: equal weights become 1.
fn reduce(hosts: &mut [Endpoint]) {
    let gcd = |mut a: u32, mut b: u32| {
        while b != 0 {
            (a, b) = (b, a.checked_rem(b).unwrap_or(0));
        }
        a
    };
    let divisor = hosts.iter().map(|host| host.weight).fold(0, gcd);
    for host in hosts {
        host.weight = host.weight.checked_div(divisor).unwrap_or(host.weight);
    }
}

/// Endpoints of a DNS cluster: names to resolve.
pub(super) fn dns_targets(
    message: &pb::ClusterLoadAssignment,
    problems: &mut Problems,
) -> Vec<DnsTarget> {
    let mut targets = Vec::new();
    for (index, group) in message.endpoints.iter().enumerate() {
        let level = problems.enter_item("endpoints", index);
        refuse_of_group(group, problems);
        for (index, message) in group.lb_endpoints.iter().enumerate() {
            let target = problems.within_item("lb_endpoints", index, |p| dns_target(message, p));
            targets.extend(target);
        }
        problems.leave(level);
    }
    targets
}

fn dns_target(message: &pb::LbEndpoint, problems: &mut Problems) -> Option<DnsTarget> {
    let endpoint = endpoint_message(message, problems)?;
    let level = problems.enter("endpoint");
    if !endpoint.hostname.is_empty() {
        // Theirs is the name they are resolved by.
        problems.report_at(
            "hostname",
            "is not implemented for endpoints resolved by DNS",
        );
    }
    let found = problems.within("address", |p| host_port(endpoint.address.as_ref(), p));
    problems.leave(level);
    let (host, port) = found?;
    Some(DnsTarget {
        host: host.into(),
        port,
        weight: weight(message),
        health: health(message.health_status),
        metadata: metadata::of_endpoint(message.metadata.as_ref()),
    })
}

fn endpoint(
    message: &pb::LbEndpoint,
    locality: &Arc<Locality>,
    problems: &mut Problems,
) -> Option<Endpoint> {
    let endpoint = endpoint_message(message, problems)?;
    let level = problems.enter("endpoint");
    let address = bind("address", endpoint.address.as_ref(), HINT, problems);
    problems.leave(level);
    Some(Endpoint {
        // The mode is for who binds it.
        address: address?.address,
        hostname: Some(endpoint.hostname.as_str())
            .filter(|h| !h.is_empty())
            .map(Arc::from),
        weight: weight(message),
        health: health(message.health_status),
        locality: Arc::clone(locality),
        locality_weight: None,
        metadata: metadata::of_endpoint(message.metadata.as_ref()),
    })
}

fn endpoint_message<'m>(
    message: &'m pb::LbEndpoint,
    problems: &mut Problems,
) -> Option<&'m pb::Endpoint> {
    match message.host_identifier.as_ref() {
        Some(HostIdentifier::Endpoint(endpoint)) => Some(endpoint),
        // `endpoint_name` was refused by name.
        _ => {
            problems.report("endpoint: value is required");
            None
        }
    }
}

fn refuse_of_group(group: &pb::LocalityLbEndpoints, problems: &mut Problems) {
    let metadata = group.metadata.as_ref();
    if metadata.is_some_and(|m| {
        m.filter_metadata
            .contains_key(metadata::TRANSPORT_SOCKET_MATCH)
    }) {
        let reason = format!(
            "{} is not implemented for localities: set it on their endpoints",
            metadata::TRANSPORT_SOCKET_MATCH
        );
        problems.report_at("metadata", reason);
    }
    if group.priority != 0 {
        problems.report_at("priority", "priorities other than 0 are not implemented");
    }
}

fn weight(message: &pb::LbEndpoint) -> u32 {
    message
        .load_balancing_weight
        .as_ref()
        .map_or(1, |v| v.value)
}

fn locality(message: Option<&core::Locality>) -> Locality {
    message.map_or_else(Locality::default, |m| Locality {
        region: m.region.as_str().into(),
        zone: m.zone.as_str().into(),
        sub_zone: m.sub_zone.as_str().into(),
    })
}

fn health(number: i32) -> HealthStatus {
    match core::HealthStatus::try_from(number) {
        Ok(core::HealthStatus::Healthy) => HealthStatus::Healthy,
        Ok(core::HealthStatus::Unhealthy) => HealthStatus::Unhealthy,
        Ok(core::HealthStatus::Draining) => HealthStatus::Draining,
        Ok(core::HealthStatus::Timeout) => HealthStatus::Timeout,
        Ok(core::HealthStatus::Degraded) => HealthStatus::Degraded,
        Ok(core::HealthStatus::Unknown) | Err(_) => HealthStatus::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::address::Address;

    fn host(port: u16, weight: u32) -> Endpoint {
        Endpoint {
            address: Address::Ip(([127, 0, 0, 1], port).into()),
            hostname: None,
            weight,
            health: HealthStatus::Unknown,
            locality: Arc::default(),
            locality_weight: None,
            metadata: None,
        }
    }

    #[test]
    fn localities_share_by_weight() {
        let assignment = Assignment {
            cluster_name: "c".into(),
            overprovisioning_factor: 140,
            localities: vec![
                Hosts {
                    weight: 3,
                    hosts: vec![host(1, 1), host(2, 1)],
                },
                Hosts {
                    weight: 1,
                    hosts: vec![host(3, 5)],
                },
                Hosts {
                    weight: 0,
                    hosts: vec![host(4, 9)],
                },
            ],
        };
        let weights = |e: &Endpoints| e.hosts.iter().map(|h| h.weight).collect::<Vec<_>>();
        let shared = assignment.flatten(LocalityWeights::Shared, true);
        assert_eq!(weights(&shared), [3, 3, 2]);
        let ignored = assignment.flatten(LocalityWeights::Ignored, true);
        assert_eq!(weights(&ignored), [1, 1, 5, 9]);
        let kept = assignment.flatten(LocalityWeights::Kept, true);
        assert_eq!(weights(&kept), [1, 1, 5, 9]);
        let of_localities: Vec<_> = kept.hosts.iter().map(|h| h.locality_weight).collect();
        assert_eq!(of_localities, [Some(3), Some(3), Some(1), Some(0)]);
    }

    #[test]
    fn one_address_counts_once_where_asked() {
        let hosts = vec![host(1, 1), host(1, 7), host(2, 1)];
        let assignment = Assignment {
            cluster_name: "c".into(),
            localities: vec![Hosts { weight: 0, hosts }],
            overprovisioning_factor: 140,
        };
        assert_eq!(
            assignment
                .flatten(LocalityWeights::Ignored, true)
                .hosts
                .len(),
            2
        );
        assert_eq!(
            assignment
                .flatten(LocalityWeights::Ignored, false)
                .hosts
                .len(),
            3
        );
    }
}
