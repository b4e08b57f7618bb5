//! The criteria of `FilterChainMatch` as nested maps, one level per criterion, outermost first.
//!
//! Each level finds the branch of its most specific value and never comes back for another: that
//! is Envoy's rule, and what makes the choice one lookup per level.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Facts;
use super::ranges::Ranges;
use crate::resources::listener::{ChainMatch, SourceType};

/// A chain on its way into the tree.
pub(super) struct Leaf<'c> {
    pub criteria: &'c ChainMatch,
    /// Its index.
    pub chain: usize,
}

/// `Err`: the chain that is there already.
type Inserted = Result<(), usize>;

/// `destination_port`. A branch of that port hides every chain without one.
#[derive(Debug, Default)]
pub(super) struct Ports(Keyed<u16, Destinations>);

/// `prefix_ranges`, of the destination.
#[derive(Debug, Default)]
struct Destinations(Ranges<ServerNames>);

/// `server_names`: exact, then the longest `*.suffix` (kept as `.suffix`), then none.
#[derive(Debug, Default)]
struct ServerNames(Keyed<Box<[u8]>, Transports>);

/// `transport_protocol`.
#[derive(Debug, Default)]
struct Transports(Keyed<Box<[u8]>, Applications>);

/// `application_protocols`: the first of the client's that any chain names.
#[derive(Debug, Default)]
struct Applications(Keyed<Box<[u8]>, DirectSources>);

/// `direct_source_prefix_ranges`.
#[derive(Debug, Default)]
struct DirectSources(Ranges<SourceTypes>);

/// `source_type`.
#[derive(Debug, Default)]
struct SourceTypes {
    local: Option<Sources>,
    external: Option<Sources>,
    any: Option<Sources>,
}

/// `source_prefix_ranges`.
#[derive(Debug, Default)]
struct Sources(Ranges<SourcePorts>);

/// `source_ports`, and the chain.
#[derive(Debug, Default)]
struct SourcePorts(Keyed<u16, Option<usize>>);

impl Ports {
    pub(super) fn insert(&mut self, leaf: &Leaf<'_>) -> Inserted {
        let port = leaf.criteria.destination_port;
        self.0.entry(port).insert(leaf)
    }

    pub(super) fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        let port = facts.destination.map_or(0, |address| address.port());
        self.0.find(&port)?.find(facts)
    }
}

impl Destinations {
    fn insert(&mut self, leaf: &Leaf<'_>) -> Inserted {
        each(&leaf.criteria.prefix_ranges, |range| {
            self.0.entry(range).insert(leaf)
        })
    }

    fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        self.0.find(ip_of(facts.destination))?.find(facts)
    }
}

impl ServerNames {
    fn insert(&mut self, leaf: &Leaf<'_>) -> Inserted {
        each(&leaf.criteria.server_names, |name| {
            let key = name.map(|name| {
                let name = name.to_ascii_lowercase();
                match name.strip_prefix('*') {
                    Some(suffix) if suffix.starts_with('.') => suffix.into(),
                    _ => name,
                }
            });
            self.0.entry(non_empty(key.as_deref())).insert(leaf)
        })
    }

    fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        let name = facts.server_name;
        self.0
            .exact(name)
            .or_else(|| suffixes(name).find_map(|suffix| self.0.exact(suffix)))
            .or(self.0.any.as_ref())?
            .find(facts)
    }
}

impl Transports {
    fn insert(&mut self, leaf: &Leaf<'_>) -> Inserted {
        let protocol = non_empty(Some(&leaf.criteria.transport_protocol));
        self.0.entry(protocol).insert(leaf)
    }

    fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        self.0.find(facts.transport_protocol)?.find(facts)
    }
}

impl Applications {
    fn insert(&mut self, leaf: &Leaf<'_>) -> Inserted {
        each(&leaf.criteria.application_protocols, |protocol| {
            let key = non_empty(protocol.map(AsRef::as_ref));
            self.0.entry(key).insert(leaf)
        })
    }

    fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        facts
            .application_protocols
            .iter()
            .find_map(|protocol| self.0.exact(&**protocol))
            .or(self.0.any.as_ref())?
            .find(facts)
    }
}

impl DirectSources {
    fn insert(&mut self, leaf: &Leaf<'_>) -> Inserted {
        each(&leaf.criteria.direct_source_prefix_ranges, |range| {
            self.0.entry(range).insert(leaf)
        })
    }

    fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        self.0
            .find(facts.direct_source.unwrap_or(PIPE))?
            .find(facts)
    }
}

impl SourceTypes {
    fn insert(&mut self, leaf: &Leaf<'_>) -> Inserted {
        let branch = match leaf.criteria.source_type {
            SourceType::Any => &mut self.any,
            SourceType::SameIpOrLoopback => &mut self.local,
            SourceType::External => &mut self.external,
        };
        branch.get_or_insert_default().insert(leaf)
    }

    fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        let branch = if is_same_ip_or_loopback(facts) {
            &self.local
        } else {
            &self.external
        };
        branch.as_ref().or(self.any.as_ref())?.find(facts)
    }
}

impl Sources {
    fn insert(&mut self, leaf: &Leaf<'_>) -> Inserted {
        each(&leaf.criteria.source_prefix_ranges, |range| {
            self.0.entry(range).insert(leaf)
        })
    }

    fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        self.0.find(ip_of(facts.source))?.find(facts)
    }
}

impl SourcePorts {
    fn insert(&mut self, leaf: &Leaf<'_>) -> Inserted {
        each(&leaf.criteria.source_ports, |port| {
            match self.0.entry(port.copied()) {
                Some(other) => Err(*other),
                free @ None => {
                    *free = Some(leaf.chain);
                    Ok(())
                }
            }
        })
    }

    fn find(&self, facts: &Facts<'_>) -> Option<usize> {
        let port = facts.source.map_or(0, |address| address.port());
        *self.0.find(&port)?
    }
}

/// Branches by value, and that of the chains that name none.
#[derive(Debug)]
struct Keyed<K, T> {
    exact: HashMap<K, T>,
    any: Option<T>,
}

impl<K, T> Default for Keyed<K, T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            any: None,
        }
    }
}

impl<K: Eq + Hash, T: Default> Keyed<K, T> {
    /// The branch of a value, a new one if it has none.
    fn entry(&mut self, value: Option<impl Into<K>>) -> &mut T {
        match value {
            Some(value) => self.exact.entry(value.into()).or_default(),
            None => self.any.get_or_insert_default(),
        }
    }

    /// The branch of a value, else that of none.
    fn find<Q: Eq + Hash + ?Sized>(&self, value: &Q) -> Option<&T>
    where
        K: Borrow<Q>,
    {
        self.exact(value).or(self.any.as_ref())
    }

    fn exact<Q: Eq + Hash + ?Sized>(&self, value: &Q) -> Option<&T>
    where
        K: Borrow<Q>,
    {
        self.exact.get(value)
    }
}

/// Every value of a criterion, or `None` once where it has none.
fn each<V>(values: &[V], mut insert: impl FnMut(Option<&V>) -> Inserted) -> Inserted {
    if values.is_empty() {
        return insert(None);
    }
    values.iter().try_for_each(|value| insert(Some(value)))
}

/// Envoy keeps the empty text where it keeps "none".
fn non_empty(text: Option<&str>) -> Option<&[u8]> {
    text.map(str::as_bytes).filter(|text| !text.is_empty())
}

/// `.b.c` and `.c` of `a.b.c`; neither a leading dot nor a trailing one starts a suffix.
fn suffixes(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let inner = 1..name.len().saturating_sub(1);
    inner
        .filter(|at| name.get(*at) == Some(&b'.'))
        .filter_map(|at| name.get(at..))
}

/// What a pipe's end is to ranges of addresses, as in Envoy: only those of every address have it.
const PIPE: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);

fn ip_of(address: Option<SocketAddr>) -> IpAddr {
    address.map_or(PIPE, |address| address.ip())
}

/// Envoy's: a peer on a pipe is local, and of the IPv4 loopback addresses 127.0.0.1 only.
pub(in crate::matching) fn is_same_ip_or_loopback(facts: &Facts<'_>) -> bool {
    let Some(source) = facts.source.map(|address| address.ip().to_canonical()) else {
        return true;
    };
    let destination = facts.destination.map(|address| address.ip().to_canonical());
    source == IpAddr::V4(Ipv4Addr::LOCALHOST)
        || source == IpAddr::V6(Ipv6Addr::LOCALHOST)
        || Some(source) == destination
}
