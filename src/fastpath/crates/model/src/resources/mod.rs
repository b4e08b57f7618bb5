//! The compiled configuration: what `compile` makes of Envoy's protobufs and workers read.
//!
//! Everything here is immutable and shared by `Arc`; nothing refers to a runtime.

pub mod access_log;
pub mod address;
pub mod bind;
pub mod chain_tree;
pub mod cluster;
pub mod ext_authz;
pub mod extension;
pub mod hash_lb;
pub mod hash_policy;
pub mod hcm;
pub mod header_mutation;
pub mod http;
pub mod http_filters;
pub mod istio;
pub mod istio_stats;
pub mod jwt_authn;
pub mod lb_subset;
pub mod listener;
pub mod original_dst;
pub mod outlier;
pub mod rbac;
pub mod retry;
pub mod route;
pub mod tcp_proxy;
pub mod tls;

use std::collections::HashMap;
use std::sync::Arc;

/// One consistent configuration. Every name a listener or route refers to was resolved, or is
/// absent on purpose (an unknown cluster answers 503 `NC`, as in Envoy).
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    /// Grows by one with every swap.
    pub generation: u64,
    /// Listeners that are ready to serve, by name.
    pub listeners: HashMap<Arc<str>, Arc<listener::Listener>>,
    /// Warm clusters, by name.
    pub clusters: HashMap<Arc<str>, Arc<cluster::Cluster>>,
    /// Route configurations that came by RDS, by name.
    pub routes: HashMap<Arc<str>, Arc<route::RouteConfig>>,
    /// Secrets, static or by SDS, by name.
    pub secrets: HashMap<Arc<str>, Arc<tls::Secret>>,
    /// Configurations of HTTP filters that came by ECDS, by name.
    pub extensions: HashMap<Arc<str>, Arc<extension::Extension>>,
}
