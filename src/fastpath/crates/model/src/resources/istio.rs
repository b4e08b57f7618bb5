//! Istio's own filters, compiled, and what they read of nodes, clusters and endpoints.

use std::sync::Arc;

use super::istio_stats::IstioStats;

/// What a workload says of itself, or is said of it. What is not known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Workload {
    pub name: Box<str>,
    pub namespace: Box<str>,
    pub canonical_name: Box<str>,
    pub canonical_revision: Box<str>,
    pub app: Box<str>,
    pub version: Box<str>,
    pub cluster: Box<str>,
    pub identity: Box<str>,
}

/// This sidecar's own, out of the bootstrap's node.
#[derive(Debug, Default, Clone)]
pub struct Local {
    pub workload: Workload,
    /// `ISTIO_VERSION`.
    pub istio_version: Box<str>,
    /// What of the node peers are told.
    pub told: Told,
}

/// What peers are told: the node, and labels that filters may add to those that are always told.
#[derive(Debug, Default, Clone)]
pub struct Told {
    /// `x-envoy-peer-metadata-id`.
    pub id: Box<str>,
    /// Strings of the metadata that are told, and the owner as far as its kind is known, sorted.
    pub fields: Vec<(Box<str>, Box<str>)>,
    /// All of `LABELS`, sorted.
    pub labels: Vec<(Box<str>, Box<str>)>,
}

/// `istio` of a cluster's metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// The first of `services`.
    pub service: Option<ServiceInfo>,
    /// `external`: outside the mesh.
    pub external: bool,
    /// `disable_mx`
    pub disable_mx: bool,
    /// `alpn_override: "false"`
    pub keeps_alpn: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInfo {
    pub host: Box<str>,
    /// If it is not said: `host` up to its first point.
    pub name: Box<str>,
    pub namespace: Box<str>,
}

/// `io.istio.http.peer_metadata.Config`. What is not read is not removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PeerMetadata {
    /// Where a client and a host say who they are: the first that says it holds.
    pub of_clients: Vec<Discovery>,
    pub of_hosts: Vec<Discovery>,
    pub to_clients: Vec<Propagation>,
    pub to_hosts: Vec<Propagation>,
    /// Labels that are told by Istio's headers, too.
    pub additional_labels: Vec<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discovery {
    /// `istio_headers`: they are not passed on.
    IstioHeaders,
    /// `baggage`, which is.
    Baggage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// To clients that have told us who they are, and to hosts.
    IstioHeaders {
        /// Nothing that has to do with clusters outside the mesh.
        skip_external_clusters: bool,
    },
    Baggage,
}

/// `istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig`: what is offered by what is spoken
/// with the host; empty: nothing else than the cluster says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct AlpnOverride {
    pub http11: Arc<Vec<Box<str>>>,
    pub http2: Arc<Vec<Box<str>>>,
}

/// `envoy.tcp.metadataexchange.config.MetadataExchange`: connections whose ALPN came to `protocol`
/// begin with both sides saying who they are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MetadataExchange {
    pub protocol: Box<str>,
    /// Labels that are told, too.
    pub additional_labels: Vec<Box<str>>,
}

/// Istio's network filters of a chain.
#[derive(Debug, Default)]
pub struct NetworkFilters {
    pub stats: Vec<Arc<IstioStats>>,
    pub exchange: Option<Arc<MetadataExchange>>,
}
