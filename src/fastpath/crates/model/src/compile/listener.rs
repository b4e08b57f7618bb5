//! `Listener`: one TCP address, one filter chain.

use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{
    TrafficDirection, TransportSocket, address, socket_address::PortSpecifier, transport_socket,
};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use pb::filter::ConfigType;
use pb::listener::DrainType;
use prost::Message as _;

use super::{Context, address::socket_address, hcm};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::listener::{
    FilterChain, FilterChains, Listener, NetworkFilter, SocketOptions,
};
use crate::schema::name_of_url;

const HCM: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const RAW_BUFFER: &str = "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";

/// Envoy's default of `per_connection_buffer_limit_bytes`.
const BUFFER_LIMIT: u32 = 1 << 20;
/// Linux' `net.core.somaxconn` of old, Envoy's default of `tcp_backlog_size`.
const BACKLOG: u32 = 128;

/// `name`, or the address for a listener without one (Envoy makes up a UUID).
pub(crate) fn name(message: &pb::Listener) -> String {
    if !message.name.is_empty() {
        return message.name.clone();
    }
    match message.address.as_ref().and_then(|a| a.address.as_ref()) {
        Some(address::Address::SocketAddress(socket)) => {
            let port = match socket.port_specifier {
                Some(PortSpecifier::PortValue(port)) => port,
                _ => 0,
            };
            format!("{}:{port}", socket.address)
        }
        _ => String::new(),
    }
}

pub(super) fn compile(message: &pb::Listener, hash: u64, cx: &mut Context) -> Option<Listener> {
    let problems = &mut cx.problems;
    let name: Arc<str> = name(message).into();
    let address = match message.address.as_ref() {
        Some(address) => socket_address("address", Some(address), "", problems),
        None => {
            problems.report_at("address", "address is necessary");
            None
        }
    };
    if message.bind_to_port.as_ref().is_some_and(|v| !v.value) {
        problems.report_at("bind_to_port", "false is not implemented");
    }
    let backlog = message
        .tcp_backlog_size
        .as_ref()
        .map_or(BACKLOG, |v| v.value);
    let buffer = message.per_connection_buffer_limit_bytes.as_ref();
    let buffer = buffer.map_or(BUFFER_LIMIT, |v| v.value);
    let filter_chain = match message.filter_chains.as_slice() {
        [chain] => {
            let level = cx.problems.enter_item("filter_chains", 0);
            let chain = filter_chain(chain, cx);
            cx.problems.leave(level);
            chain
        }
        [] => {
            cx.problems.report("no filter chains specified");
            None
        }
        [_, ..] => {
            let level = cx.problems.enter_item("filter_chains", 1);
            cx.problems
                .report("more than one filter chain is not implemented");
            cx.problems.leave(level);
            None
        }
    };
    let address = address?;
    let stat_prefix = match message.stat_prefix.as_str() {
        "" => address.to_string(),
        given => given.to_owned(),
    };
    let reuse_port = message.enable_reuse_port.as_ref().map(|v| v.value);
    Some(Listener {
        name,
        address,
        additional_addresses: Vec::new(),
        exact_balance: false,
        bind_to_port: true,
        use_original_dst: false,
        socket: SocketOptions::default(),
        filters: Vec::new(),
        filters_timeout: None,
        continue_on_filters_timeout: false,
        access_logs: Vec::new(),
        stat_prefix: stat_prefix.replace(':', "_").into(),
        per_connection_buffer_limit_bytes: usize::try_from(buffer).unwrap_or(usize::MAX),
        // The deprecated `reuse_port: true` asks for the default.
        reuse_port: reuse_port.unwrap_or(true),
        backlog: i32::try_from(backlog).unwrap_or(i32::MAX),
        drain_modify_only: message.drain_type == i32::from(DrainType::ModifyOnly),
        inbound: message.traffic_direction == i32::from(TrafficDirection::Inbound),
        chains: FilterChains {
            list: vec![Arc::new(filter_chain?)],
            ..FilterChains::default()
        },
        hash,
        frame_hash: hash,
    })
}

fn filter_chain(message: &pb::FilterChain, cx: &mut Context) -> Option<FilterChain> {
    transport_socket(
        "transport_socket",
        message.transport_socket.as_ref(),
        &mut cx.problems,
    );
    let network = match message.filters.as_slice() {
        [filter] => {
            let level = cx.problems.enter_item("filters", 0);
            let filter = network_filter(filter, cx);
            cx.problems.leave(level);
            filter
        }
        [] => {
            cx.problems
                .report("a filter chain without filters is not implemented");
            None
        }
        [first, ..] => {
            let level = cx.problems.enter_item("filters", 0);
            let reason = format!(
                "terminal filter named {} must be the last filter in a network filter chain",
                first.name
            );
            cx.problems.report(reason);
            cx.problems.leave(level);
            None
        }
    };
    Some(FilterChain {
        name: message.name.as_str().into(),
        tls: None,
        handshake_timeout: None,
        sni_cluster: false,
        connection_limit: None,
        network: network?,
        hash: 0,
    })
}

fn network_filter(message: &pb::Filter, cx: &mut Context) -> Option<NetworkFilter> {
    let Some(ConfigType::TypedConfig(any)) = message.config_type.as_ref() else {
        cx.problems.report(not_implemented(Some(&message.name), ""));
        return None;
    };
    let level = cx.problems.enter("typed_config");
    let filter = match name_of_url(&any.type_url).unwrap_or("") {
        HCM => {
            let decoded = hcm::Message::decode(any.value.as_slice()).ok();
            decoded
                .and_then(|message| hcm::compile(&message, cx))
                .map(|hcm| NetworkFilter::HttpConnectionManager(Arc::new(hcm)))
        }
        other => {
            let reason = not_implemented(Some(&message.name), other);
            cx.problems.report(format!("{reason} as a network filter"));
            None
        }
    };
    cx.problems.leave(level);
    filter
}

/// Plain TCP, said or unsaid.
pub(super) fn transport_socket(
    field: &str,
    message: Option<&TransportSocket>,
    problems: &mut Problems,
) {
    let Some(message) = message else { return };
    let url = match message.config_type.as_ref() {
        Some(transport_socket::ConfigType::TypedConfig(any)) => any.type_url.as_str(),
        None => "",
    };
    let name = name_of_url(url).unwrap_or("");
    let plain = name == RAW_BUFFER
        || (name.is_empty() && message.name == "envoy.transport_sockets.raw_buffer");
    if !plain {
        problems.report_at(field, not_implemented(Some(&message.name), name));
    }
}
