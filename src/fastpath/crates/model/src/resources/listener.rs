//! `envoy.config.listener.v3.Listener`, compiled.

use std::net::SocketAddr;
use std::sync::Arc;

use super::hcm::Hcm;

#[derive(Debug)]
pub struct Listener {
    pub name: Arc<str>,
    pub address: SocketAddr,
    /// Stat prefix: `stat_prefix` of the resource, else the address with `:` as `_`
    /// (`listener.127.0.0.1_8080.downstream_cx_total`), as in Envoy.
    pub stat_prefix: Arc<str>,
    /// Default 1 MiB.
    pub per_connection_buffer_limit_bytes: usize,
    /// A socket per worker (default true). False: one socket, shared by all workers.
    pub reuse_port: bool,
    /// Default 128 (`tcp_backlog_size`).
    pub backlog: i32,
    /// `drain_type: MODIFY_ONLY` does not drain on `/healthcheck/fail`.
    pub drain_modify_only: bool,
    /// `traffic_direction: INBOUND`, for `/drain_listeners?inboundonly`.
    pub inbound: bool,
    /// The one filter chain. Matching between several comes with the protocols issue; until then
    /// more than one chain, or a non-empty match, is refused by the compiler.
    pub filter_chain: FilterChain,
    /// Hash of the resource's bytes: equal hash, nothing changed.
    pub hash: u64,
}

#[derive(Debug)]
pub struct FilterChain {
    pub name: Arc<str>,
    pub network: NetworkFilter,
}

/// The terminal network filter.
#[derive(Debug)]
pub enum NetworkFilter {
    HttpConnectionManager(Arc<Hcm>),
}
