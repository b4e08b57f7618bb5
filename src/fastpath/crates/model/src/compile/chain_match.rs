//! `FilterChainMatch` of every chain, and the matcher that they make together.

use envoy_types::pb::envoy::config::core::v3::CidrRange;
use envoy_types::pb::envoy::config::listener::v3 as pb;
use pb::filter_chain_match::ConnectionSourceType;

use super::address;
use crate::matching::filter_chain::{ChainMatcher, Overlap};
use crate::problem::Problems;
use crate::resources::listener::{ChainMatch, SourceType};

const CHAINS: &str = "filter_chains";
const MATCH: &str = "filter_chain_match";

/// Who chooses among the chains by their matches; chains that overlap are refused.
pub(super) fn matcher(chains: &[pb::FilterChain], problems: &mut Problems) -> Option<ChainMatcher> {
    let before = problems.count();
    let mut matches = Vec::with_capacity(chains.len());
    for (index, chain) in chains.iter().enumerate() {
        let level = problems.enter_item(CHAINS, index);
        let message = chain.filter_chain_match.as_ref();
        let criteria = message.map(|message| problems.within(MATCH, |p| compile(message, p)));
        matches.push(criteria.unwrap_or_default());
        problems.leave(level);
    }
    if problems.count() > before {
        return None;
    }
    match ChainMatcher::new(&matches) {
        Ok(matcher) => Some(matcher),
        Err(overlap) => {
            refuse(overlap, chains, &matches, problems);
            None
        }
    }
}

/// In Envoy's words, and which chains they are.
fn refuse(
    overlap: Overlap,
    chains: &[pb::FilterChain],
    matches: &[ChainMatch],
    problems: &mut Problems,
) {
    let Overlap { first, second } = overlap;
    let name = |index: usize| chains.get(index).map_or("", |chain| chain.name.as_str());
    let is_same = first != second && matches.get(first) == matches.get(second);
    let reason = if is_same {
        let (first, second) = (name(first), name(second));
        format!("filter chain '{second}' has the same matching rules defined as '{first}'")
    } else {
        "multiple filter chains with overlapping matching rules are defined".to_owned()
    };
    let whom = if first == second {
        "one of its values twice".to_owned()
    } else {
        format!("with {CHAINS}[{first}]")
    };
    problems.within_item(CHAINS, second, |p| {
        p.report_at(MATCH, format!("{reason} ({whom})"));
    });
}

fn compile(message: &pb::FilterChainMatch, problems: &mut Problems) -> ChainMatch {
    let source_type = match ConnectionSourceType::try_from(message.source_type) {
        Ok(ConnectionSourceType::SameIpOrLoopback) => SourceType::SameIpOrLoopback,
        Ok(ConnectionSourceType::External) => SourceType::External,
        Ok(ConnectionSourceType::Any) | Err(_) => SourceType::Any,
    };
    // Between 1 and 65535, by their rules.
    let port = |number: u32| u16::try_from(number).ok();
    let destination_port = message.destination_port.as_ref();
    let mut ranges =
        |field: &str, messages: &[CidrRange]| address::ranges(field, messages, problems);
    let prefix_ranges = ranges("prefix_ranges", &message.prefix_ranges);
    let direct_source = &message.direct_source_prefix_ranges;
    let direct_source_prefix_ranges = ranges("direct_source_prefix_ranges", direct_source);
    let source_prefix_ranges = ranges("source_prefix_ranges", &message.source_prefix_ranges);
    ChainMatch {
        destination_port: destination_port.and_then(|v| port(v.value)),
        prefix_ranges,
        server_names: server_names(&message.server_names, problems),
        transport_protocol: message.transport_protocol.as_str().into(),
        application_protocols: message
            .application_protocols
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        direct_source_prefix_ranges,
        source_type,
        source_prefix_ranges,
        source_ports: message
            .source_ports
            .iter()
            .filter_map(|p| port(*p))
            .collect(),
    }
}

/// `*.` may begin a name; an asterisk anywhere else is refused, `*` alone too.
fn server_names(names: &[String], problems: &mut Problems) -> Vec<Box<str>> {
    let mut out: Vec<Box<str>> = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        if name.contains('*') && !name.starts_with("*.") {
            problems.within_item("server_names", index, |p| {
                p.report("partial wildcards are not supported in \"server_names\"");
            });
        }
        out.push(name.as_str().into());
    }
    out
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::resources::hcm::Cidr;
    use crate::testing::resource;

    const TYPE: &str = "type.googleapis.com/envoy.config.listener.v3.FilterChainMatch";

    #[test]
    fn every_criterion_is_read() {
        let range = |prefix: &str| format!("[{{address_prefix: {prefix}, prefix_len: 8}}]");
        let yaml = format!(
            "{{destination_port: 443, prefix_ranges: {}, direct_source_prefix_ranges: {}, source_prefix_ranges: {}, source_type: EXTERNAL, source_ports: [1, 65535], server_names: [A.com, '*.b.com'], transport_protocol: tls, application_protocols: [h2, http/1.1]}}",
            range("10.1.1.1"),
            range("11.0.0.0"),
            range("'fd00::'"),
        );
        let message = pb::FilterChainMatch::decode(resource(TYPE, &yaml).as_slice()).unwrap();
        let mut problems = Problems::default();
        let compiled = compile(&message, &mut problems);
        assert!(problems.is_empty());
        let cidr = |address: &str| {
            vec![Cidr {
                address: address.parse().unwrap(),
                prefix_len: 8,
            }]
        };
        let expected = ChainMatch {
            destination_port: Some(443),
            prefix_ranges: cidr("10.1.1.1"),
            server_names: vec!["A.com".into(), "*.b.com".into()],
            transport_protocol: "tls".into(),
            application_protocols: vec!["h2".into(), "http/1.1".into()],
            direct_source_prefix_ranges: cidr("11.0.0.0"),
            source_type: SourceType::External,
            source_prefix_ranges: cidr("fd00::"),
            source_ports: vec![1, 65535],
        };
        assert_eq!(compiled, expected);
    }
}
