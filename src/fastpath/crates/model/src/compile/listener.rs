//! `Listener`: its sockets, and the filter chains that its connections go to.

use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{
    TrafficDirection, address, socket_address::PortSpecifier,
};
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::google::protobuf::{BoolValue, UInt32Value};
use pb::listener::DrainType;
use pb::listener::connection_balance_config::BalanceType;

use super::address::bind;
use super::duration::timeout;
use super::protocol_options::limit;
use super::{
    Context, access_log, chain_match, chain_tree, filter_chain, hash, listener_filters, wire,
};
use crate::matching::filter_chain::ChainMatcher;
use crate::problem::Problems;
use crate::resources::address::Bind;
use crate::resources::chain_tree::ChainTree;
use crate::resources::listener::{FilterChains, Listener, SocketOptions};

/// Numbers of fields of `Listener`.
const FILTER_CHAINS: u64 = 3;
const DEFAULT_FILTER_CHAIN: u64 = 25;
const FILTER_CHAIN_MATCHER: u64 = 32;

/// What may change in place: the sockets, and the connections of other chains, stay.
const CHAINS: [u64; 3] = [FILTER_CHAINS, DEFAULT_FILTER_CHAIN, FILTER_CHAIN_MATCHER];

/// Envoy's default of `per_connection_buffer_limit_bytes`.
const BUFFER_LIMIT: u32 = 1 << 20;
/// Linux' `net.core.somaxconn` of old, Envoy's default of `tcp_backlog_size`.
const BACKLOG: u32 = 128;
/// Envoy's default of `listener_filters_timeout`.
const FILTERS_TIMEOUT: Duration = Duration::from_secs(15);

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
        Some(address::Address::Pipe(pipe)) => pipe.path.clone(),
        _ => String::new(),
    }
}

/// `bytes`: the message as it came, for its hashes.
pub(super) fn compile(message: &pb::Listener, bytes: &[u8], cx: &mut Context) -> Option<Listener> {
    let name: Arc<str> = name(message).into();
    let address = match message.address.as_ref() {
        Some(address) => bind("address", Some(address), "", &mut cx.problems),
        None => {
            cx.problems.report_at("address", "address is necessary");
            None
        }
    };
    let additional_addresses = additional_addresses(message, &mut cx.problems);
    let filters = listener_filters::compile(message, cx);
    cx.inbound = message.traffic_direction == i32::from(TrafficDirection::Inbound);
    let chains = chains(message, bytes, cx);
    let problems = &mut cx.problems;
    let filters_timeout = timeout(
        "listener_filters_timeout",
        message.listener_filters_timeout.as_ref(),
        Some(FILTERS_TIMEOUT),
        problems,
    );
    let access_logs = access_log::compile("access_log", &message.access_log, problems);
    let number = |value: &Option<UInt32Value>, default| value.as_ref().map_or(default, |v| v.value);
    let is_on = |value: &Option<BoolValue>, default| value.as_ref().map_or(default, |v| v.value);
    let backlog = number(&message.tcp_backlog_size, BACKLOG);
    let buffer = number(&message.per_connection_buffer_limit_bytes, BUFFER_LIMIT);
    let deprecated = message.deprecated_v1.as_ref();
    let address = address?;
    let stat_prefix = match message.stat_prefix.as_str() {
        "" => address.address.to_string(),
        given => given.to_owned(),
    };
    Some(Listener {
        name,
        address,
        additional_addresses,
        stat_prefix: stat_prefix.replace(':', "_").into(),
        per_connection_buffer_limit_bytes: limit(buffer),
        // The deprecated `reuse_port: true` asks for the default.
        reuse_port: is_on(&message.enable_reuse_port, true),
        exact_balance: matches!(balance(message), Some(BalanceType::ExactBalance(_))),
        backlog: i32::try_from(backlog).unwrap_or(i32::MAX),
        bind_to_port: is_on(&message.bind_to_port, true)
            && deprecated.is_none_or(|d| is_on(&d.bind_to_port, true)),
        use_original_dst: is_on(&message.use_original_dst, false),
        socket: SocketOptions {
            transparent: is_on(&message.transparent, false),
            freebind: is_on(&message.freebind, false),
            fast_open_queue: message.tcp_fast_open_queue_length.as_ref().map(|v| v.value),
        },
        drain_modify_only: message.drain_type == i32::from(DrainType::ModifyOnly),
        inbound: cx.inbound,
        filters,
        filters_timeout,
        continue_on_filters_timeout: message.continue_on_listener_filters_timeout,
        access_logs,
        chains: chains?,
        hash: hash(bytes),
        frame_hash: wire::hash_without(bytes, &CHAINS),
    })
}

fn additional_addresses(message: &pb::Listener, problems: &mut Problems) -> Vec<Bind> {
    let each = |(index, additional): (usize, &pb::AdditionalAddress)| {
        problems.within_item("additional_addresses", index, |p| {
            bind("address", additional.address.as_ref(), "", p)
        })
    };
    let addresses = message.additional_addresses.iter().enumerate();
    addresses.filter_map(each).collect()
}

fn balance(message: &pb::Listener) -> Option<&BalanceType> {
    message
        .connection_balance_config
        .as_ref()?
        .balance_type
        .as_ref()
}

/// The chains and who chooses among them.
fn chains(message: &pb::Listener, bytes: &[u8], cx: &mut Context) -> Option<FilterChains> {
    if message.filter_chains.is_empty() && message.default_filter_chain.is_none() {
        cx.problems.report("no filter chains specified");
        return None;
    }
    let mut list = Vec::with_capacity(message.filter_chains.len());
    let hashes = wire::hashes_of(bytes, FILTER_CHAINS);
    let hashes = hashes.into_iter().chain(std::iter::repeat(0));
    for ((index, chain), hash) in message.filter_chains.iter().enumerate().zip(hashes) {
        let level = cx.problems.enter_item("filter_chains", index);
        list.extend(filter_chain::compile(chain, hash, cx).map(Arc::new));
        cx.problems.leave(level);
    }
    let matcher = matcher(message, &mut cx.problems);
    let default = match message.default_filter_chain.as_ref() {
        Some(chain) => {
            let hash = wire::hashes_of(bytes, DEFAULT_FILTER_CHAIN);
            let hash = hash.first().copied().unwrap_or(0);
            let level = cx.problems.enter("default_filter_chain");
            let chain = filter_chain::compile(chain, hash, cx);
            cx.problems.leave(level);
            Some(Arc::new(chain?))
        }
        None => None,
    };
    if list.len() < message.filter_chains.len() {
        return None;
    }
    let (matcher, tree) = matcher?;
    Some(FilterChains {
        list,
        default,
        matcher,
        tree,
    })
}

/// Who chooses: the tree, with which the matches of the chains say nothing, or these.
fn matcher(
    message: &pb::Listener,
    problems: &mut Problems,
) -> Option<(ChainMatcher, Option<ChainTree>)> {
    let Some(tree) = message.filter_chain_matcher.as_ref() else {
        return Some((
            chain_match::matcher(&message.filter_chains, problems)?,
            None,
        ));
    };
    chain_tree::check_names(&message.filter_chains, problems);
    let level = problems.enter("filter_chain_matcher");
    let tree = chain_tree::compile(tree, &message.filter_chains, problems);
    problems.leave(level);
    Some((ChainMatcher::default(), Some(tree?)))
}
