//! `ClusterLoadAssignment`: endpoints by locality, flattened to hosts as the cluster weighs them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::endpoint::v3 as pb;
use pb::cluster_load_assignment::policy::DropOverload;
use pb::lb_endpoint::HostIdentifier;

use super::address::{bind, host_port};
use super::matchers::{denominator, millionths};
use super::metadata;
use crate::problem::Problems;
use crate::resources::cluster::{
    DnsTarget, Endpoint, EndpointPolicy, Endpoints, HealthStatus, Locality, LocalityWeights,
    MAX_PRIORITY,
};

/// What Envoy says after `malformed IP address: x`.
const HINT: &str =
    ". Consider setting resolver_name or setting cluster type to 'STRICT_DNS' or 'LOGICAL_DNS'";

/// An assignment before it is known whether its cluster weighs localities.
#[derive(Debug)]
pub struct Assignment {
    pub cluster_name: String,
    /// In the order of the message.
    hosts: Vec<Endpoint>,
    weights: Weights,
    policy: EndpointPolicy,
}

/// Weights of localities, by priority. Only a locality that has a name has one; the last counts.
type Weights = BTreeMap<(u8, Arc<Locality>), u32>;

impl Assignment {
    pub(super) fn compile(message: &pb::ClusterLoadAssignment, problems: &mut Problems) -> Self {
        let mut hosts = Vec::new();
        for (index, group) in message.endpoints.iter().enumerate() {
            let level = problems.enter_item("endpoints", index);
            refuse_of_group(group, problems);
            let (priority, locality) = place(group);
            let each = |(index, message): (usize, &pb::LbEndpoint)| {
                problems.within_item("lb_endpoints", index, |p| {
                    endpoint(message, priority, &locality, p)
                })
            };
            hosts.extend(group.lb_endpoints.iter().enumerate().filter_map(each));
            problems.leave(level);
        }
        Self {
            cluster_name: message.cluster_name.clone(),
            hosts,
            weights: weights(message),
            policy: problems.within("policy", |p| policy(message, p)),
        }
    }

    /// The hosts as a list. `distinct`: the first of several endpoints with one address counts, as
    /// in EDS.
    #[must_use]
    pub fn flatten(&self, weights: LocalityWeights, distinct: bool) -> Endpoints {
        let mut seen = HashSet::new();
        let mut hosts: Vec<Endpoint> = Vec::with_capacity(self.hosts.len());
        for host in &self.hosts {
            if !distinct || seen.insert(&host.address) {
                hosts.push(Endpoint {
                    locality_weight: match weights {
                        LocalityWeights::Ignored => None,
                        LocalityWeights::Kept => {
                            Some(weight_of(&self.weights, host.priority, &host.locality))
                        }
                    },
                    ..host.clone()
                });
            }
        }
        hosts.sort_by_key(|host| host.priority);
        Endpoints {
            hosts,
            policy: self.policy,
        }
    }
}

/// Within `policy`.
pub(super) fn policy(
    message: &pb::ClusterLoadAssignment,
    problems: &mut Problems,
) -> EndpointPolicy {
    let default = EndpointPolicy::default();
    message.policy.as_ref().map_or(default, |policy| {
        let factor = policy.overprovisioning_factor.as_ref();
        EndpointPolicy {
            overprovisioning_factor: factor.map_or(default.overprovisioning_factor, |v| v.value),
            weighted_priority_health: policy.weighted_priority_health,
            drop_millionths: drops(&policy.drop_overloads, problems),
        }
    })
}

/// In millionths.
fn drops(overloads: &[DropOverload], problems: &mut Problems) -> u32 {
    let [overload] = overloads else {
        if !overloads.is_empty() {
            let reason = format!("only one is possible, there are {}", overloads.len());
            problems.report_at("drop_overloads", reason);
        }
        return 0;
    };
    let Some(share) = overload.drop_percentage.as_ref() else {
        return 0;
    };
    if share.numerator > denominator(share) {
        problems.report_at("drop_overloads[0].drop_percentage", "is more than all");
    }
    millionths(share)
}

fn weights(message: &pb::ClusterLoadAssignment) -> Weights {
    let named = message
        .endpoints
        .iter()
        .filter(|group| group.locality.is_some());
    let entry = |group: &pb::LocalityLbEndpoints| {
        Some((place(group), group.load_balancing_weight.as_ref()?.value))
    };
    named.filter_map(entry).collect()
}

/// No weight, no share of the load.
fn weight_of(weights: &Weights, priority: u8, locality: &Arc<Locality>) -> u32 {
    let key = (priority, Arc::clone(locality));
    weights.get(&key).copied().unwrap_or(0)
}

fn place(group: &pb::LocalityLbEndpoints) -> (u8, Arc<Locality>) {
    // The rules of the message bound it.
    let priority = u8::try_from(group.priority).unwrap_or(MAX_PRIORITY);
    (priority, Arc::new(locality(group.locality.as_ref())))
}

/// Endpoints of a DNS cluster: names to resolve.
pub(super) fn dns_targets(
    message: &pb::ClusterLoadAssignment,
    locality_weights: LocalityWeights,
    problems: &mut Problems,
) -> Vec<DnsTarget> {
    let weights = weights(message);
    let mut targets = Vec::new();
    for (index, group) in message.endpoints.iter().enumerate() {
        let level = problems.enter_item("endpoints", index);
        refuse_of_group(group, problems);
        let (priority, locality) = place(group);
        let weight = match locality_weights {
            LocalityWeights::Ignored => None,
            LocalityWeights::Kept => Some(weight_of(&weights, priority, &locality)),
        };
        for (index, message) in group.lb_endpoints.iter().enumerate() {
            let target = problems.within_item("lb_endpoints", index, |p| dns_target(message, p));
            targets.extend(target.map(|target| DnsTarget {
                priority,
                locality: Arc::clone(&locality),
                locality_weight: weight,
                ..target
            }));
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
        priority: 0,
        locality: Arc::default(),
        locality_weight: None,
        metadata: metadata::of_endpoint(message.metadata.as_ref()),
    })
}

fn endpoint(
    message: &pb::LbEndpoint,
    priority: u8,
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
        priority,
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

    fn host(port: u16, priority: u8, zone: &str) -> Endpoint {
        Endpoint {
            address: Address::Ip(([127, 0, 0, 1], port).into()),
            hostname: None,
            weight: 1,
            health: HealthStatus::Unknown,
            priority,
            locality: Arc::new(Locality {
                zone: zone.into(),
                ..Locality::default()
            }),
            locality_weight: None,
            metadata: None,
        }
    }

    fn assignment(hosts: Vec<Endpoint>, weights: Weights) -> Assignment {
        Assignment {
            cluster_name: "c".into(),
            hosts,
            weights,
            policy: EndpointPolicy::default(),
        }
    }

    #[test]
    fn hosts_are_listed_by_priority_with_the_weights_of_their_localities() {
        let hosts = vec![
            host(1, 1, "a"),
            host(2, 0, "b"),
            host(3, 0, "a"),
            host(4, 1, "a"),
        ];
        let weights = [(&hosts[0], 7), (&hosts[2], 3)]
            .map(|(host, weight)| ((host.priority, Arc::clone(&host.locality)), weight));
        let assignment = assignment(hosts, weights.into());
        let ports =
            |e: &Endpoints| -> Vec<_> { e.hosts.iter().filter_map(|h| h.address.port()).collect() };
        let kept = assignment.flatten(LocalityWeights::Kept, true);
        assert_eq!(ports(&kept), [2, 3, 1, 4]);
        let of_localities: Vec<_> = kept.hosts.iter().map(|h| h.locality_weight).collect();
        assert_eq!(of_localities, [Some(0), Some(3), Some(7), Some(7)]);
        let ignored = assignment.flatten(LocalityWeights::Ignored, true);
        assert_eq!(ports(&ignored), [2, 3, 1, 4]);
        assert!(ignored.hosts.iter().all(|h| h.locality_weight.is_none()));
    }

    #[test]
    fn one_address_counts_once_where_asked() {
        let hosts = vec![host(1, 1, ""), host(1, 0, ""), host(2, 0, "")];
        let assignment = assignment(hosts, Weights::new());
        let priorities = |distinct| -> Vec<u8> {
            let found = assignment.flatten(LocalityWeights::Ignored, distinct);
            found.hosts.iter().map(|h| h.priority).collect()
        };
        assert_eq!(priorities(true), [0, 1]);
        assert_eq!(priorities(false), [0, 0, 1]);
    }
}
