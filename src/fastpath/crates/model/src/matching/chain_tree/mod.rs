//! `filter_chain_matcher`: the way through the tree, in Envoy's order. Unlike `FilterChainMatch`
//! it goes back: what leads to no chain is as if it had not matched.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::filter_chain::{Facts, is_same_ip_or_loopback};
use crate::resources::chain_tree::{
    ChainTree, Domains, Input, IpRanges, OnMatch, Predicate, Question, RangesOfLength, Target,
};

/// Where a tree leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Chain(usize),
    /// A chain that does not exist: the default chain does not step in.
    UnknownChain,
}

impl ChainTree {
    /// `None`: nowhere.
    #[must_use]
    pub fn find(&self, facts: &Facts<'_>) -> Option<Answer> {
        let found = match &self.question {
            Question::None => None,
            Question::List(list) => list
                .iter()
                .filter(|(predicate, _)| predicate.matches(facts))
                .find_map(|(_, on_match)| on_match.find(facts)),
            Question::Exact(input, map) => {
                let text = input.text(facts);
                let on_match = text.and_then(|text| map.get(&*text));
                on_match.and_then(|on_match| on_match.find(facts))
            }
            Question::Prefix(input, lengths) => input.text(facts).and_then(|text| {
                lengths
                    .iter()
                    .filter_map(|(length, map)| map.get(text.get(..*length)?))
                    .find_map(|on_match| on_match.find(facts))
            }),
            Question::Ip(input, ranges) => {
                let address = input.address(facts);
                address.and_then(|address| ranges.find(address, facts))
            }
            Question::Domain(input, domains) => {
                let text = input.text(facts);
                text.and_then(|text| domains.find(&text, facts))
            }
        };
        found.or_else(|| self.on_no_match.as_ref()?.find(facts))
    }
}

impl OnMatch {
    fn find(&self, facts: &Facts<'_>) -> Option<Answer> {
        if self.keep_matching {
            return None;
        }
        match &self.to {
            Target::Tree(tree) => tree.find(facts),
            Target::Chain(Some(index)) => Some(Answer::Chain(*index)),
            Target::Chain(None) => Some(Answer::UnknownChain),
        }
    }
}

impl Predicate {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Value(input, matcher) => {
                let text = input.text(facts);
                text.is_some_and(|text| matcher.matches(&text))
            }
            Self::Ip(input, ranges) => {
                let address = input.address(facts);
                address.is_some_and(|ip| ranges.iter().any(|range| range.contains(ip)))
            }
            Self::And(all) => all.iter().all(|predicate| predicate.matches(facts)),
            Self::Or(any) => any.iter().any(|predicate| predicate.matches(facts)),
            Self::Not(predicate) => !predicate.matches(facts),
        }
    }
}

impl Input {
    fn text<'f>(self, facts: &Facts<'f>) -> Option<Cow<'f, [u8]>> {
        let owned = |text: String| Some(Cow::Owned(text.into_bytes()));
        let known = |bytes: &'f [u8]| Some(Cow::Borrowed(bytes)).filter(|b| !b.is_empty());
        match self {
            Self::DestinationIp | Self::SourceIp | Self::DirectSourceIp => {
                owned(self.address(facts)?.to_string())
            }
            Self::DestinationPort => owned(facts.destination?.port().to_string()),
            Self::SourcePort => owned(facts.source?.port().to_string()),
            Self::SourceType => known(if is_same_ip_or_loopback(facts) {
                b"local"
            } else {
                b""
            }),
            Self::ServerName => known(facts.server_name),
            Self::TransportProtocol => known(facts.transport_protocol),
            Self::ApplicationProtocol => quoted(facts.application_protocols).map(Cow::Owned),
        }
    }

    fn address(self, facts: &Facts<'_>) -> Option<IpAddr> {
        match self {
            Self::DestinationIp => Some(facts.destination?.ip().to_canonical()),
            Self::SourceIp => Some(facts.source?.ip().to_canonical()),
            Self::DirectSourceIp => Some(facts.direct_source?.to_canonical()),
            _ => std::str::from_utf8(&self.text(facts)?).ok()?.parse().ok(),
        }
    }
}

/// `'h2','http/1.1'`; `None` without any.
fn quoted(protocols: &[Box<[u8]>]) -> Option<Vec<u8>> {
    if protocols.is_empty() {
        return None;
    }
    let mut text = Vec::new();
    for protocol in protocols {
        text.extend_from_slice(if text.is_empty() { b"'" } else { b",'" });
        text.extend_from_slice(protocol);
        text.push(b'\'');
    }
    Some(text)
}

impl IpRanges {
    /// The longest range first, of one length in the order of declaration.
    fn find(&self, address: IpAddr, facts: &Facts<'_>) -> Option<Answer> {
        let address = address.to_canonical();
        let tables = match address {
            IpAddr::V4(_) => &self.v4,
            IpAddr::V6(_) => &self.v6,
        };
        tables
            .iter()
            .filter_map(|table| table.networks.get(&network(address, table.length)))
            .flatten()
            .filter_map(|place| self.matchers.get(*place))
            .enumerate()
            .filter(|(tried, matcher)| *tried == 0 || !matcher.exclusive)
            .find_map(|(_, matcher)| matcher.on_match.find(facts))
    }

    /// Adds a range for the matcher at `place` of `matchers`.
    pub fn insert(&mut self, address: IpAddr, length: u8, place: usize) {
        let (tables, width) = match address {
            IpAddr::V4(_) => (&mut self.v4, 32),
            IpAddr::V6(_) => (&mut self.v6, 128),
        };
        let length = length.min(width);
        let at = tables.partition_point(|table| table.length > length);
        if tables.get(at).is_none_or(|table| table.length != length) {
            let networks = BTreeMap::new();
            tables.insert(at, RangesOfLength { length, networks });
        }
        if let Some(table) = tables.get_mut(at) {
            let network = network(address, length);
            table.networks.entry(network).or_default().push(place);
        }
    }
}

/// The first `length` bits.
fn network(address: IpAddr, length: u8) -> u128 {
    let (bits, width): (u128, u8) = match address {
        IpAddr::V4(ip) => (ip.to_bits().into(), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let shift = width.saturating_sub(length);
    bits.checked_shr(shift.into()).unwrap_or(0)
}

impl Domains {
    fn find(&self, name: &[u8], facts: &Facts<'_>) -> Option<Answer> {
        let dots = name.iter().enumerate().filter(|(_, byte)| **byte == b'.');
        let suffixes = dots.filter_map(|(dot, _)| {
            let suffix = name.get(dot.checked_add(1)?..)?;
            self.suffix.get(suffix)
        });
        let exact = self.exact.get(name);
        exact
            .into_iter()
            .chain(suffixes)
            .chain(&self.any)
            .filter_map(|place| self.matchers.get(*place))
            .find_map(|on_match| on_match.find(facts))
    }
}
