//! `FilterChainMatch`, and the matcher made of those of all chains.

use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::listener::v3 as pb;
use pb::filter_chain_match::ConnectionSourceType;

use super::address;
use crate::matching::filter_chain::ChainMatcher;
use crate::problem::Problems;
use crate::resources::hcm::Cidr;
use crate::resources::listener::{ChainMatch, SourceType};

/// Who chooses among the chains by their matches.
pub(super) fn matcher(chains: &[pb::FilterChain], problems: &mut Problems) -> Option<ChainMatcher> {
    let mut matches = Vec::with_capacity(chains.len());
    for (index, chain) in chains.iter().enumerate() {
        let Some(message) = chain.filter_chain_match.as_ref() else {
            matches.push(ChainMatch::default());
            continue;
        };
        let level = problems.enter_item("filter_chains", index);
        let inner = problems.enter("filter_chain_match");
        matches.push(compile(message, problems));
        problems.leave(inner);
        problems.leave(level);
    }
    Some(ChainMatcher::default())
}

/// The walk is in `filter_chain_match`.
fn compile(message: &pb::FilterChainMatch, problems: &mut Problems) -> ChainMatch {
    let source_type = match ConnectionSourceType::try_from(message.source_type) {
        Ok(ConnectionSourceType::SameIpOrLoopback) => SourceType::SameIpOrLoopback,
        Ok(ConnectionSourceType::External) => SourceType::External,
        Ok(ConnectionSourceType::Any) | Err(_) => SourceType::Any,
    };
    let port = |number: u32| u16::try_from(number).ok();
    let bytes = |text: &String| -> Box<[u8]> { text.as_bytes().into() };
    ChainMatch {
        destination_port: message
            .destination_port
            .as_ref()
            .and_then(|v| port(v.value)),
        destination: ranges("prefix_ranges", &message.prefix_ranges, problems),
        server_names: server_names(&message.server_names, problems),
        transport_protocol: bytes(&message.transport_protocol),
        application_protocols: message.application_protocols.iter().map(bytes).collect(),
        direct_source: ranges(
            "direct_source_prefix_ranges",
            &message.direct_source_prefix_ranges,
            problems,
        ),
        source_type,
        source: ranges(
            "source_prefix_ranges",
            &message.source_prefix_ranges,
            problems,
        ),
        source_ports: message
            .source_ports
            .iter()
            .filter_map(|p| port(*p))
            .collect(),
    }
}

fn ranges(field: &str, messages: &[CidrRange], problems: &mut Problems) -> Vec<Cidr> {
    let each = |(index, range)| problems.within_item(field, index, |p| address::cidr(range, p));
    messages
        .iter()
        .enumerate()
        .filter_map(each)
        .map(cut)
        .collect()
}

/// The range with no bit set beyond its prefix, so that equal ranges are equal.
fn cut(range: Cidr) -> Cidr {
    let address = match range.address {
        IpAddr::V4(ip) => {
            let shift = 32_u32.saturating_sub(range.prefix_len.into());
            let bits = ip.to_bits().checked_shr(shift).unwrap_or(0);
            IpAddr::V4(bits.checked_shl(shift).unwrap_or(0).into())
        }
        IpAddr::V6(ip) => {
            let shift = 128_u32.saturating_sub(range.prefix_len.into());
            let bits = ip.to_bits().checked_shr(shift).unwrap_or(0);
            IpAddr::V6(bits.checked_shl(shift).unwrap_or(0).into())
        }
    };
    Cidr { address, ..range }
}

/// Names in lower case. `*` alone is no restriction; one among others is kept as it is.
fn server_names(names: &[String], problems: &mut Problems) -> Vec<Box<[u8]>> {
    let mut out = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        if name.contains('*') && !is_wildcard(name) {
            let level = problems.enter_item("server_names", index);
            let reason = format!("partial wildcards are not supported in \"server_names\": {name}");
            problems.report(reason);
            problems.leave(level);
            continue;
        }
        out.push(name.to_ascii_lowercase().into_bytes().into());
    }
    out
}

/// `*.` and a name without another `*`.
fn is_wildcard(name: &str) -> bool {
    name.strip_prefix("*.")
        .is_some_and(|rest| !rest.contains('*'))
}
