//! Tables of RING_HASH and MAGLEV: which host a hash belongs to.
//!
//! Made as Envoy makes them (`source/extensions/load_balancing_policies`), to the last slot, so
//! that proxies of both kinds send one key to one host. They are made once for all workers, where
//! configuration is installed; a look-up reads and allocates nothing.

mod maglev;
mod murmur;
mod ring;

use std::collections::BTreeMap;

use model::resources::cluster::{Endpoint, LbPolicy, Locality};

use super::availability::Availability;
use maglev::MaglevTable;
use ring::Ring;

#[derive(Debug)]
pub enum HashTable {
    Ring(Ring),
    Maglev(MaglevTable),
}

/// The fewest and the most places that a host has in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    pub fewest: u64,
    pub most: u64,
}

impl HashTable {
    /// `None`: the policy has no table. `members`: the hosts of one priority; those that take
    /// traffic are in the table, by their index.
    pub fn new(policy: &LbPolicy, panic: bool, members: &[Member<'_>]) -> Option<Self> {
        let keyed = |use_hostname| keyed(&normalized(members, panic), use_hostname);
        match policy {
            LbPolicy::RoundRobin
            | LbPolicy::LeastRequest { .. }
            | LbPolicy::Random
            | LbPolicy::ClusterProvided => None,
            LbPolicy::RingHash(config) => {
                let hosts = keyed(config.use_hostname);
                Some(Self::Ring(Ring::new(*config, &hosts)))
            }
            LbPolicy::Maglev(config) => {
                let hosts = keyed(config.use_hostname);
                Some(Self::Maglev(MaglevTable::new(*config, hosts)))
            }
        }
    }

    /// The index of the host that has `hash`, or of the `nth` other one to try; `None`: nobody
    /// takes traffic.
    pub fn find(&self, hash: u64, nth: u32) -> Option<usize> {
        let found = match self {
            Self::Ring(ring) => ring.find(hash, nth),
            Self::Maglev(table) => table.find(hash, nth),
        };
        found.and_then(|host| usize::try_from(host).ok())
    }

    pub fn places(&self) -> Places {
        match self {
            Self::Ring(ring) => ring.places,
            Self::Maglev(table) => table.places,
        }
    }

    /// `ring_hash_lb.size`, which Maglev does not have.
    pub fn ring_size(&self) -> Option<u64> {
        match self {
            Self::Ring(ring) => Some(ring.size),
            Self::Maglev(_) => None,
        }
    }
}

/// A host, as it is chosen from.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Among all of the cluster.
    pub index: u32,
    pub endpoint: &'a Endpoint,
    pub availability: Availability,
}

/// A host that takes traffic, as tables place it.
#[derive(Debug, Clone)]
struct Keyed {
    key: Box<str>,
    /// In the host set.
    host: u32,
    /// Of one; all have more than nothing.
    weight: f64,
}

/// What hosts are placed by: `hash_key` of their metadata, else hostname or address.
fn keyed(weights: &[(Member<'_>, f64)], use_hostname: bool) -> Vec<Keyed> {
    let key = |host: &Endpoint| -> Box<str> {
        let given = host.metadata.as_ref().and_then(|m| m.hash_key.as_deref());
        match given {
            Some(key) => key.into(),
            None if use_hostname => host.hostname.as_deref().unwrap_or_default().into(),
            None => host.address.to_string().into(),
        }
    };
    let each = |(member, weight): &(Member<'_>, f64)| Keyed {
        key: key(member.endpoint),
        host: member.index,
        weight: *weight,
    };
    weights.iter().map(each).collect()
}

/// The hosts that take traffic, with their shares: the healthy ones (DEGRADED never, as in Envoy),
/// in panic all. Where the weights of localities are kept they come first, and the order is that
/// of localities.
fn normalized<'a>(all: &[Member<'a>], panic: bool) -> Vec<(Member<'a>, f64)> {
    let takes_traffic = |availability| panic || availability == Availability::Healthy;
    let mut localities: BTreeMap<&Locality, (f64, Vec<Member<'a>>)> = BTreeMap::new();
    let none = Locality::default();
    for member in all {
        let host = member.endpoint;
        let (locality, weight) = match host.locality_weight {
            Some(weight) => (&*host.locality, f64::from(weight)),
            None => (&none, 1.0),
        };
        let entry = localities.entry(locality).or_default();
        entry.0 = weight;
        if takes_traffic(member.availability) {
            entry.1.push(*member);
        }
    }
    let total: f64 = localities.values().map(|(weight, _)| weight).sum();
    let mut out = Vec::with_capacity(all.len());
    for (weight, members) in localities.values().filter(|(weight, _)| *weight > 0.0) {
        let share = weight / total;
        let weight_of = |member: &Member<'_>| f64::from(member.endpoint.weight);
        let sum: f64 = members.iter().map(weight_of).sum();
        out.extend(members.iter().map(|m| (*m, weight_of(m) * share / sum)));
    }
    out
}

#[cfg(test)]
mod tests;
