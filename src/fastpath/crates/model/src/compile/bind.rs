//! `BindConfig`, of a cluster or of the bootstrap's `cluster_manager`.

use std::net::{IpAddr, SocketAddr};

use envoy_types::pb::envoy::config::core::v3 as pb;
use pb::socket_option::{SocketState, Value};

use crate::problem::Problems;
use crate::resources::bind::{BindConfig, BindSource, SocketOption};

/// `owner` as Envoy names it: `Cluster a`, or `Bootstrap`. `None`: it was refused.
pub(crate) fn compile(
    message: &pb::BindConfig,
    owner: &str,
    problems: &mut Problems,
) -> Option<BindConfig> {
    let before = problems.count();
    let options = socket_options(&message.socket_options, problems);
    let main = message.source_address.as_ref();
    let main = main.map(|address| source_address("source_address", address, problems));
    let mut sources = vec![BindSource {
        address: main.flatten(),
        options: options.clone(),
    }];
    for (index, extra) in message.extra_source_addresses.iter().enumerate() {
        problems.within_item("extra_source_addresses", index, |p| {
            let address = extra.address.as_ref();
            sources.push(BindSource {
                address: address.and_then(|address| source_address("address", address, p)),
                // Its own in place of the others.
                options: match extra.socket_options.as_ref() {
                    Some(own) => {
                        p.within("socket_options", |p| socket_options(&own.socket_options, p))
                    }
                    None => options.clone(),
                },
            });
        });
    }
    check(message, owner, &sources, problems);
    (problems.count() == before).then_some(BindConfig {
        sources,
        freebind: message.freebind.as_ref().is_some_and(|v| v.value),
    })
}

/// Envoy's rules for several addresses, in its words.
fn check(message: &pb::BindConfig, owner: &str, sources: &[BindSource], problems: &mut Problems) {
    match sources {
        [_] => {}
        _ if message.source_address.is_none() => problems.report(format!(
            "{owner}'s upstream binding config has extra/additional source addresses but no source_address. Extra/additional addresses cannot be specified if source_address is not set."
        )),
        [first, second] => {
            let is_v4 = |source: &BindSource| source.address.map(|address| address.is_ipv4());
            if is_v4(first).is_some() && is_v4(first) == is_v4(second) {
                problems.report(format!(
                    "{owner}'s upstream binding config has two same IP version source addresses. Only two different IP version source addresses can be supported in BindConfig's source_address and extra_source_addresses/additional_source_addresses fields"
                ));
            }
        }
        _ => problems.report(format!(
            "{owner}'s upstream binding config has more than one extra/additional source addresses. Only one extra/additional source can be supported in BindConfig's extra_source_addresses/additional_source_addresses field"
        )),
    }
}

fn source_address(
    field: &'static str,
    message: &pb::SocketAddress,
    problems: &mut Problems,
) -> Option<SocketAddr> {
    problems.within(field, |p| ip(message, p))
}

fn ip(message: &pb::SocketAddress, problems: &mut Problems) -> Option<SocketAddr> {
    let text = message.address.as_str();
    let port = match message.port_specifier {
        Some(pb::socket_address::PortSpecifier::PortValue(port)) => u16::try_from(port).ok()?,
        _ => 0,
    };
    match text.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, port)),
        Err(_) => {
            problems.report_at("address", format!("malformed IP address: {text}"));
            None
        }
    }
}

fn socket_options(messages: &[pb::SocketOption], problems: &mut Problems) -> Vec<SocketOption> {
    let each = |(index, message)| {
        problems.within_item("socket_options", index, |p| socket_option(message, p))
    };
    messages.iter().enumerate().filter_map(each).collect()
}

fn socket_option(message: &pb::SocketOption, problems: &mut Problems) -> Option<SocketOption> {
    if SocketState::try_from(message.state) != Ok(SocketState::StatePrebind) {
        let reason = "only STATE_PREBIND is implemented for connections to hosts";
        problems.report_at("state", reason);
        return None;
    }
    let mut number = |field, value: i64| match i32::try_from(value) {
        Ok(number) => Some(number),
        Err(_) => {
            problems.report_at(field, "is more than setsockopt(2) takes (32 bits)");
            None
        }
    };
    let (level, name) = (number("level", message.level), number("name", message.name));
    let value = match message.value.as_ref()? {
        Value::IntValue(value) => number("int_value", *value)?.to_ne_bytes().to_vec(),
        Value::BufValue(bytes) => bytes.clone(),
    };
    Some(SocketOption {
        level: level?,
        name: name?,
        value,
    })
}
