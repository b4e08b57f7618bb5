//! `FilterChain`: the transport, the network filters, and what ends them.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::network::connection_limit::v3 as limit;
use envoy_types::pb::google::protobuf::Any;
use pb::filter::ConfigType;
use prost::Message as _;

use super::duration::timeout;
use super::{Context, ext_authz, hcm, istio, rbac, tcp_proxy, tls};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::istio as istio_resources;
use crate::resources::listener::{ConnectionLimit, FilterChain, Guard, NetworkFilter};
use crate::resources::tls::DownstreamTls;
use crate::schema::name_of_url;

const HCM: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const TCP_PROXY: &str = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
const SNI_CLUSTER: &str = "envoy.extensions.filters.network.sni_cluster.v3.SniCluster";
const CONNECTION_LIMIT: &str =
    "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit";
const RBAC: &str = "envoy.extensions.filters.network.rbac.v3.RBAC";
const EXT_AUTHZ: &str = "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz";

/// `hash`: of the chain's bytes.
pub(super) fn compile(
    message: &pb::FilterChain,
    hash: u64,
    cx: &mut Context,
) -> Option<FilterChain> {
    let tls = match message.transport_socket.as_ref() {
        Some(socket) => {
            let level = cx.problems.enter("transport_socket");
            let tls = tls::downstream(socket, cx);
            cx.problems.leave(level);
            tls
        }
        None => Some(None),
    };
    let handshake_timeout = timeout(
        "transport_socket_connect_timeout",
        message.transport_socket_connect_timeout.as_ref(),
        None,
        &mut cx.problems,
    );
    let filters = NetworkFilters::compile(&message.filters, cx)?;
    let tls = tls?;
    if let Some(exchange) = &filters.istio.exchange
        && matches!(
            filters.terminal,
            Some(NetworkFilter::HttpConnectionManager(_))
        )
        && tls.as_ref().is_some_and(|tls| agrees_to(tls, exchange))
    {
        cx.problems.report(format!(
            "istio.metadata_exchange before a connection manager is not implemented for clients \
             that agree to '{}': take it out of alpn_protocols",
            exchange.protocol
        ));
    }
    Some(FilterChain {
        name: message.name.as_str().into(),
        hash: tls.as_ref().map_or(hash, |tls| with_files(hash, tls)),
        tls,
        handshake_timeout,
        sni_cluster: filters.sni_cluster,
        connection_limit: filters.connection_limit,
        guards: filters.guards,
        istio: filters.istio,
        network: filters.terminal?,
    })
}

fn agrees_to(tls: &DownstreamTls, exchange: &istio_resources::MetadataExchange) -> bool {
    let mut names = tls.common.alpn.iter();
    names.any(|name| **name == *exchange.protocol.as_bytes())
}

/// A certificate in a file may be another one while the chain's bytes are the same.
fn with_files(hash: u64, tls: &DownstreamTls) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(hash);
    tls::hash_content(&tls.common, &mut hasher);
    hasher.finish()
}

#[derive(Default)]
struct NetworkFilters {
    sni_cluster: bool,
    connection_limit: Option<Arc<ConnectionLimit>>,
    guards: Vec<Guard>,
    istio: istio_resources::NetworkFilters,
    terminal: Option<NetworkFilter>,
}

impl NetworkFilters {
    fn compile(messages: &[pb::Filter], cx: &mut Context) -> Option<Self> {
        let Some(last) = messages.len().checked_sub(1) else {
            cx.problems
                .report("a filter chain without filters is not implemented");
            return None;
        };
        let mut filters = Self::default();
        for (index, message) in messages.iter().enumerate() {
            let level = cx.problems.enter_item("filters", index);
            filters.add(message, index == last, cx);
            cx.problems.leave(level);
        }
        let is_http = matches!(
            filters.terminal,
            Some(NetworkFilter::HttpConnectionManager(_))
        );
        if is_http && !filters.istio.stats.is_empty() {
            cx.problems.report(
                "istio.stats as a network filter before a connection manager is not implemented: \
                 it is an HTTP filter there",
            );
        }
        Some(filters)
    }

    fn add(&mut self, message: &pb::Filter, is_last: bool, cx: &mut Context) {
        let Some(ConfigType::TypedConfig(any)) = message.config_type.as_ref() else {
            cx.problems.report(not_implemented(Some(&message.name), ""));
            return;
        };
        let type_name = name_of_url(&any.type_url).unwrap_or("");
        let kind = match type_name {
            HCM => "envoy.filters.network.http_connection_manager",
            TCP_PROXY => "envoy.filters.network.tcp_proxy",
            SNI_CLUSTER => "envoy.filters.network.sni_cluster",
            CONNECTION_LIMIT => "envoy.filters.network.connection_limit",
            RBAC => "envoy.filters.network.rbac",
            istio::STATS => "envoy.filters.network.istio_stats",
            istio::EXCHANGE => "envoy.filters.network.metadata_exchange",
            EXT_AUTHZ => "envoy.filters.network.ext_authz",
            other => {
                let reason = not_implemented(Some(&message.name), other);
                cx.problems.report(format!("{reason} as a network filter"));
                return;
            }
        };
        let is_terminal = matches!(type_name, HCM | TCP_PROXY);
        if is_terminal && !is_last {
            let reason = format!(
                "Error: terminal filter named {} of type {kind} must be the last filter in a network filter chain.",
                message.name
            );
            cx.problems.report(reason);
        } else if is_last && !is_terminal {
            let reason = format!(
                "Error: non-terminal filter named {} of type {kind} is the last filter in a network filter chain.",
                message.name
            );
            cx.problems.report(reason);
        }
        let level = cx.problems.enter("typed_config");
        match type_name {
            SNI_CLUSTER => self.sni_cluster = true,
            CONNECTION_LIMIT => self.limit(any, &mut cx.problems),
            RBAC => {
                let message = rbac::Message::decode(any.value.as_slice()).ok();
                let filter = message.and_then(|m| rbac::network(&m, &mut cx.problems));
                self.guards.extend(filter.map(|f| Guard::Rbac(f.into())));
            }
            EXT_AUTHZ => {
                let message = ext_authz::Network::decode(any.value.as_slice()).ok();
                let filter = message.and_then(|m| ext_authz::network(&m, cx));
                self.guards
                    .extend(filter.map(|f| Guard::ExtAuthz(f.into())));
            }
            istio::STATS => {
                let stats = istio::stats(&any.value, cx.inbound, &mut cx.problems);
                self.istio.stats.extend(stats.map(Arc::new));
            }
            istio::EXCHANGE => self.exchange(&any.value, &mut cx.problems),
            _ => self.terminal = terminal(type_name, any, cx),
        }
        cx.problems.leave(level);
    }

    fn exchange(&mut self, bytes: &[u8], problems: &mut Problems) {
        let exchange = istio::exchange(bytes, problems).map(Arc::new);
        let before = std::mem::replace(&mut self.istio.exchange, exchange);
        if before.is_some() || !self.guards.is_empty() {
            problems.report(
                "istio.metadata_exchange twice in a chain or behind rbac or ext_authz is not implemented",
            );
        }
    }

    fn limit(&mut self, any: &Any, problems: &mut Problems) {
        let Ok(message) = limit::ConnectionLimit::decode(any.value.as_slice()) else {
            return;
        };
        let delay = timeout("delay", message.delay.as_ref(), None, problems);
        let Some(max_connections) = message.max_connections.as_ref() else {
            problems.report("Field 'max_connections' is missing");
            return;
        };
        let limit = ConnectionLimit {
            stat_prefix: message.stat_prefix.as_str().into(),
            max_connections: max_connections.value,
            delay,
        };
        let flag = message.runtime_enabled.as_ref();
        let is_on = flag.and_then(|flag| flag.default_value.as_ref());
        if is_on.is_some_and(|on| !on.value) {
            return;
        }
        if self.connection_limit.replace(Arc::new(limit)).is_some() {
            problems.report("more than one connection_limit in a chain is not implemented");
        }
    }
}

fn terminal(type_name: &str, any: &Any, cx: &mut Context) -> Option<NetworkFilter> {
    if type_name == TCP_PROXY {
        let message = tcp_proxy::Message::decode(any.value.as_slice()).ok()?;
        let proxy = tcp_proxy::compile(&message, cx)?;
        return Some(NetworkFilter::TcpProxy(Arc::new(proxy)));
    }
    let message = hcm::Message::decode(any.value.as_slice()).ok()?;
    let hcm = hcm::compile(&message, cx)?;
    Some(NetworkFilter::HttpConnectionManager(Arc::new(hcm)))
}
