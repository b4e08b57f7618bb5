//! `FilterChainMatch` once more, for tests: a list of chains that each criterion narrows.

use std::net::{IpAddr, SocketAddr};

use super::Facts;
use crate::resources::hcm::Cidr;
use crate::resources::listener::{ChainMatch, SourceType};

/// The index of the chain that takes a connection, found the slow way.
pub(super) fn find(chains: &[ChainMatch], facts: &Facts<'_>) -> Option<usize> {
    let mut left: Vec<usize> = (0..chains.len()).collect();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();

    narrow(
        &mut left,
        chains,
        |c| list(&c.destination_port),
        |port| (Some(*port) == facts.destination.map(|a| a.port())).then_some(1),
    );
    narrow(
        &mut left,
        chains,
        |c| c.prefix_ranges.clone(),
        |range| range_fits(range, ip(facts.destination)),
    );
    let sni = text(facts.server_name);
    narrow(
        &mut left,
        chains,
        |c| names(&c.server_names),
        |name| name_fits(name, &sni),
    );
    let transport = text(facts.transport_protocol);
    narrow(
        &mut left,
        chains,
        |c| names(std::slice::from_ref(&c.transport_protocol)),
        |protocol| (**protocol == *transport).then_some(1),
    );
    narrow(
        &mut left,
        chains,
        |c| names(&c.application_protocols),
        |protocol| {
            let client = facts.application_protocols;
            let place = client.iter().position(|p| **p == *protocol.as_bytes())?;
            1000_usize.checked_sub(place)
        },
    );
    narrow(
        &mut left,
        chains,
        |c| c.direct_source_prefix_ranges.clone(),
        |range| range_fits(range, facts.direct_source.unwrap_or(PIPE)),
    );
    narrow(&mut left, chains, source_type, |kind| {
        let source = ip(facts.source).to_canonical();
        let local = facts.source.is_none()
            || ["127.0.0.1", "::1"]
                .iter()
                .any(|ip| source.to_string() == *ip)
            || source == ip(facts.destination).to_canonical();
        (local == (*kind == SourceType::SameIpOrLoopback)).then_some(1)
    });
    narrow(
        &mut left,
        chains,
        |c| c.source_prefix_ranges.clone(),
        |range| range_fits(range, ip(facts.source)),
    );
    narrow(
        &mut left,
        chains,
        |c| c.source_ports.clone(),
        |port| (Some(*port) == facts.source.map(|a| a.port())).then_some(1),
    );
    assert!(left.len() <= 1, "the matcher refuses overlaps");
    left.first().copied()
}

/// What is in no range but those of every address.
const PIPE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::BROADCAST);

fn ip(address: Option<SocketAddr>) -> IpAddr {
    address.map_or(PIPE, |address| address.ip())
}

/// Keeps the chains that name the value that fits best, else those that name none.
fn narrow<V: PartialEq>(
    left: &mut Vec<usize>,
    chains: &[ChainMatch],
    values: impl Fn(&ChainMatch) -> Vec<V>,
    fit: impl Fn(&V) -> Option<usize>,
) {
    let of = |chain: &usize| values(&chains[*chain]);
    let best = left.iter().flat_map(of).filter_map(|v| fit(&v)).max();
    left.retain(|chain| match best {
        Some(best) => of(chain).iter().any(|value| fit(value) == Some(best)),
        None => of(chain).is_empty(),
    });
}

fn list<T: Copy>(value: &Option<T>) -> Vec<T> {
    value.iter().copied().collect()
}

fn names(names: &[Box<str>]) -> Vec<String> {
    let names = names.iter().filter(|name| !name.is_empty());
    names.map(|name| name.to_ascii_lowercase()).collect()
}

fn source_type(chain: &ChainMatch) -> Vec<SourceType> {
    let kind = Some(chain.source_type).filter(|kind| *kind != SourceType::Any);
    list(&kind)
}

fn range_fits(range: &Cidr, ip: IpAddr) -> Option<usize> {
    range.contains(ip).then_some(usize::from(range.prefix_len))
}

fn name_fits(name: &str, sni: &str) -> Option<usize> {
    match name.strip_prefix('*') {
        Some(suffix) => {
            let proper = sni.len() > suffix.len() && sni.ends_with(suffix);
            proper.then_some(suffix.len())
        }
        None => (name == sni).then_some(1000),
    }
}
