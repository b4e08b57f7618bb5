//! `envoy.config.listener.v3.Listener`, compiled.

use std::sync::Arc;
use std::time::Duration;

use super::access_log::AccessLog;
use super::address::Bind;
use super::chain_tree::ChainTree;
use super::ext_authz::NetworkExtAuthz;
use super::hcm::{Cidr, Hcm};
use super::istio::NetworkFilters;
use super::rbac::NetworkRbac;
use super::tcp_proxy::TcpProxy;
use super::tls::DownstreamTls;
use crate::matching::chain_tree::Answer;
use crate::matching::filter_chain::{ChainMatcher, Facts};

#[derive(Debug)]
pub struct Listener {
    pub name: Arc<str>,
    pub address: Bind,
    /// `additional_addresses`: the same listener on other sockets.
    pub additional_addresses: Vec<Bind>,
    /// Stat prefix: `stat_prefix` of the resource, else the address with `:` as `_`
    /// (`listener.127.0.0.1_8080.downstream_cx_total`), as in Envoy.
    pub stat_prefix: Arc<str>,
    /// Default 1 MiB.
    pub per_connection_buffer_limit_bytes: usize,
    /// A socket per worker (default true). False: one socket, shared by all workers.
    pub reuse_port: bool,
    /// `connection_balance_config.exact_balance`: the worker with the fewest connections of this
    /// listener takes the next one.
    pub exact_balance: bool,
    /// Default 128 (`tcp_backlog_size`).
    pub backlog: i32,
    /// `bind_to_port: false`: no socket; takes connections that another listener hands on.
    pub bind_to_port: bool,
    /// Connections redirected here go to the listener of their original destination, if any.
    pub use_original_dst: bool,
    pub socket: SocketOptions,
    /// `drain_type: MODIFY_ONLY` does not drain on `/healthcheck/fail`.
    pub drain_modify_only: bool,
    /// `traffic_direction: INBOUND`, for `/drain_listeners?inboundonly`.
    pub inbound: bool,
    /// In their order, before the filter chain is chosen.
    pub filters: Vec<ConditionalFilter>,
    /// Default 15 s; `None`: off.
    pub filters_timeout: Option<Duration>,
    pub continue_on_filters_timeout: bool,
    /// Of connections: those that no filter chain took, too.
    pub access_logs: Vec<Arc<AccessLog>>,
    pub chains: FilterChains,
    /// Hash of the resource's bytes: equal hash, nothing changed.
    pub hash: u64,
    /// The same without `filter_chains`, `default_filter_chain` and `filter_chain_matcher`: equal,
    /// and only chains changed.
    pub frame_hash: u64,
}

impl Listener {
    /// Every address, the first one first.
    pub fn addresses(&self) -> impl Iterator<Item = &Bind> {
        std::iter::once(&self.address).chain(&self.additional_addresses)
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// IP_TRANSPARENT (needs CAP_NET_ADMIN).
    pub transparent: bool,
    /// IP_FREEBIND.
    pub freebind: bool,
    /// TCP_FASTOPEN: handshakes with data that may wait (`tcp_fast_open_queue_length`); `None`:
    /// as the system has it.
    pub fast_open_queue: Option<u32>,
}

/// A listener filter, and the connections that pass it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionalFilter {
    pub filter: ListenerFilter,
    /// `filter_disabled`; `None`: it sees every connection.
    pub disabled: Option<ListenerPredicate>,
}

/// `ListenerFilterChainMatchPredicate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerPredicate {
    Any,
    /// `destination_port_range`: from the first up to but without the second.
    DestinationPort {
        start: i32,
        end: i32,
    },
    And(Vec<ListenerPredicate>),
    Or(Vec<ListenerPredicate>),
    Not(Box<ListenerPredicate>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerFilter {
    /// SO_ORIGINAL_DST becomes the local address.
    OriginalDst,
    TlsInspector(TlsInspector),
    HttpInspector,
    ProxyProtocol(ProxyProtocol),
    OriginalSrc(OriginalSrc),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsInspector {
    /// `enable_ja3_fingerprinting`.
    pub ja3: bool,
    /// `enable_ja4_fingerprinting`.
    pub ja4: bool,
    /// Bytes to look at first (default 16 KiB); grows up to `max_client_hello_bytes`.
    pub initial_read_bytes: u32,
    /// Default 16 KiB.
    pub max_client_hello_bytes: u32,
    /// `close_connection_on_client_hello_parsing_errors`: otherwise such a connection is plain.
    pub close_on_errors: bool,
}

/// `envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxyProtocol {
    /// A connection without a header passes as it is.
    pub allow_without_header: bool,
    pub allow_v1: bool,
    pub allow_v2: bool,
    /// TLV type → (metadata namespace, key).
    pub rules: Vec<TlvRule>,
    /// `stat_prefix`.
    pub stat_prefix: Box<str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlvRule {
    pub tlv_type: u8,
    /// `value_string_encoding: BASE64`; else what is no UTF-8 becomes `!`.
    pub base64: bool,
    pub namespace: Box<str>,
    pub key: Box<str>,
}

/// Upstream connections leave from the client's address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OriginalSrc {
    pub bind_port: bool,
    /// SO_MARK.
    pub mark: u32,
}

/// The chains in their order, the one for connections that match none, and who chooses.
#[derive(Debug, Default)]
pub struct FilterChains {
    pub list: Vec<Arc<FilterChain>>,
    pub default: Option<Arc<FilterChain>>,
    /// By `filter_chain_match`, unless there is a tree.
    pub matcher: ChainMatcher,
    /// `filter_chain_matcher`.
    pub tree: Option<ChainTree>,
}

impl FilterChains {
    /// The place in `iter` of a connection's chain; `None`: it is closed.
    #[must_use]
    pub fn position(&self, facts: &Facts<'_>) -> Option<usize> {
        let found = match &self.tree {
            None => self.matcher.find(facts),
            Some(tree) => match tree.find(facts) {
                Some(Answer::Chain(index)) => Some(index),
                Some(Answer::UnknownChain) => return None,
                None => None,
            },
        };
        found.or_else(|| self.default.as_ref().map(|_| self.list.len()))
    }

    /// The chain that takes every connection, if one does.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<FilterChain>> {
        match self.list.as_slice() {
            [] if self.tree.is_none() => self.default.as_ref(),
            [first, ..] if self.tree.is_none() && self.matcher.is_trivial() => Some(first),
            _ => None,
        }
    }

    /// Every chain, the default one last.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<FilterChain>> {
        self.list.iter().chain(&self.default)
    }

    /// The HTTP connection managers of all chains.
    pub fn hcms(&self) -> impl Iterator<Item = &Arc<Hcm>> {
        self.iter().filter_map(|chain| match &chain.network {
            NetworkFilter::HttpConnectionManager(hcm) => Some(hcm),
            NetworkFilter::TcpProxy(_) => None,
        })
    }

    /// The TCP proxies of all chains.
    pub fn tcp_proxies(&self) -> impl Iterator<Item = &Arc<TcpProxy>> {
        self.iter().filter_map(|chain| match &chain.network {
            NetworkFilter::TcpProxy(tcp) => Some(tcp),
            NetworkFilter::HttpConnectionManager(_) => None,
        })
    }
}

/// `FilterChainMatch`: what connections a chain takes. An empty list, an empty text, a `None`:
/// any. `ChainMatcher` chooses between the chains of a listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChainMatch {
    pub destination_port: Option<u16>,
    /// Of the destination.
    pub prefix_ranges: Vec<Cidr>,
    /// `a.b` or `*.b`, in any case. (`*` elsewhere is for the compiler to refuse.)
    pub server_names: Vec<Box<str>>,
    /// `tls`, `raw_buffer`.
    pub transport_protocol: Box<str>,
    /// ALPN names, compared as they are.
    pub application_protocols: Vec<Box<str>>,
    /// Of the peer of the socket.
    pub direct_source_prefix_ranges: Vec<Cidr>,
    pub source_type: SourceType,
    /// Of the source as PROXY protocol has it.
    pub source_prefix_ranges: Vec<Cidr>,
    pub source_ports: Vec<u16>,
}

/// `FilterChainMatch.ConnectionSourceType`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceType {
    #[default]
    Any,
    /// From 127.0.0.1, ::1, or the address it goes to.
    SameIpOrLoopback,
    External,
}

#[derive(Debug)]
pub struct FilterChain {
    pub name: Arc<str>,
    /// `transport_socket`; `None`: plain.
    pub tls: Option<Arc<DownstreamTls>>,
    /// `transport_socket_connect_timeout`: for the handshake.
    pub handshake_timeout: Option<Duration>,
    /// `sni_cluster` before `tcp_proxy`: the cluster is the server name.
    pub sni_cluster: bool,
    /// `connection_limit` before the terminal filter.
    pub connection_limit: Option<Arc<ConnectionLimit>>,
    /// `rbac` and `ext_authz` before the terminal filter, in their order.
    pub guards: Vec<Guard>,
    pub istio: NetworkFilters,
    pub network: NetworkFilter,
    /// Hash of the chain's bytes: an unchanged chain keeps its connections when others change.
    pub hash: u64,
}

/// A filter that decides whether the bytes of a client go on.
#[derive(Debug)]
pub enum Guard {
    Rbac(Arc<NetworkRbac>),
    ExtAuthz(Arc<NetworkExtAuthz>),
}

/// `envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit`.
#[derive(Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    pub stat_prefix: Box<str>,
    pub max_connections: u64,
    /// How long an excess connection is held before it is closed.
    pub delay: Option<Duration>,
}

/// The terminal network filter.
#[derive(Debug)]
pub enum NetworkFilter {
    HttpConnectionManager(Arc<Hcm>),
    TcpProxy(Arc<TcpProxy>),
}
