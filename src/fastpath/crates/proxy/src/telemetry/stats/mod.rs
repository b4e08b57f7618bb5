//! Statistics: each worker counts in shards of its own, a scrape adds the shards up.
//!
//! The process knows an entity (cluster, connection manager, listener, route) by its stat name. A
//! worker asks for a shard when it first touches the entity; until then the entity costs its name,
//! and a scrape prints zeros from the tables in `*_names`. Resets keep a baseline on the reading
//! side: no thread but its owner ever writes to a shard.

mod cluster_names;
mod codes;
mod control;
mod declared;
mod entity;
mod grpc_names;
mod hcm_names;
mod histogram;
mod http2_names;
mod http_filter_names;
mod labelled;
mod listener_filter_names;
mod listener_names;
mod names;
mod outlier_names;
mod prefixes;
mod process_names;
mod prometheus;
mod registry;
mod route_names;
mod row;
mod shard;
mod shards;
mod tags;
mod tcp_names;
mod text;
mod tls_names;

use std::sync::{Arc, Mutex, PoisonError};

pub use cluster_names::{ClusterCounter, ClusterGauge, ClusterHistogram};
pub use declared::Declared;
pub use grpc_names::{GrpcCounter, GrpcHistogram};
pub use hcm_names::{HcmCounter, HcmGauge, HcmHistogram};
pub use http_filter_names::{
    CorsCounter, ExtAuthzClusterCounter, ExtAuthzCounter, FaultAbortCounter, FaultCounter,
    FaultDelayCounter, FaultGauge, JwtAuthnCounter,
};
pub use http2_names::{Http2Counter, Http2Gauge};
pub use labelled::{
    CounterSeries, ExchangeCounter, ExchangeShard, HistogramSeries, IstioStatsShard, Labels,
};
pub use labelled::{IstioStatsCounter, SeriesCounter, SeriesHistogram};
pub use listener_filter_names::{
    HttpInspectorCounter, ProxyProtocolCounter, TlsInspectorCounter, TlsInspectorHistogram,
};
pub use listener_names::{ListenerCounter, ListenerGauge, ListenerHistogram, ListenerHttpCounter};
pub use names::{NoStat, StatName};
pub use outlier_names::{OutlierCounter, OutlierGauge};
pub use prefixes::TlsOwner;
pub use registry::Membership;
pub use route_names::{RouteCounter, RouteHistogram};
pub use shards::{
    ClusterShard, ConnectionLimitShard, CorsShard, ExtAuthzClusterShard, ExtAuthzShard,
    FaultAbortShard, FaultDelayShard, FaultShard, GrpcShard, HcmShard, Http2Shard,
    HttpInspectorShard, JwtAuthnShard, ListenerHttpShard, ListenerShard, NetworkExtAuthzShard,
    OutlierShard, ProxyProtocolShard, RbacShadowShard, RbacShard, RouteShard, TcpShard,
    TlsContextShard, TlsInspectorShard, TlsShard,
};
pub use tcp_names::{ConnectionLimitCounter, ConnectionLimitGauge, TcpCounter, TcpGauge};
pub use tcp_names::{NetworkExtAuthzCounter, NetworkExtAuthzGauge};
pub use tcp_names::{RbacCounter, RbacShadowCounter};
pub use tls_names::{TlsContextCounter, TlsCounter};

use prefixes::{
    HTTP_INSPECTOR, HTTP2, TLS_INSPECTOR, ext_authz_name, http_prefix, jwt_authn_name,
    outliers_name, proxy_protocol_name, rbac_name, rbac_prefixed_name,
};
use registry::Registry;
use row::{Row, Value};

/// `/stats?type=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    All,
    Counters,
    Gauges,
    Histograms,
    TextReadouts,
}

impl Kind {
    /// Envoy's spelling; None for anything else (Envoy: 400, `invalid &type= param`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "All" => Self::All,
            "Counters" => Self::Counters,
            "Gauges" => Self::Gauges,
            "Histograms" => Self::Histograms,
            "TextReadouts" => Self::TextReadouts,
            _ => return None,
        })
    }

    fn covers(self, value: &Value) -> bool {
        match value {
            Value::Counter(_) => matches!(self, Self::All | Self::Counters),
            Value::Gauge(_) => matches!(self, Self::All | Self::Gauges),
            Value::Histogram(_) => matches!(self, Self::All | Self::Histograms),
            Value::Text(_) => matches!(self, Self::All | Self::TextReadouts),
        }
    }
}

/// A `filter=` that is no regular expression; `Display` is what Envoy answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError(String);

impl std::fmt::Display for FilterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Invalid re2 regex: {}", self.0)
    }
}

impl std::error::Error for FilterError {}

/// The statistics of the process. Cloning is cheap; all clones are the same statistics.
#[derive(Clone)]
pub struct Stats {
    registry: Arc<Mutex<Registry>>,
}

impl Stats {
    /// `concurrency` is the number of workers: the names per worker are printed for each.
    #[must_use]
    pub fn new(concurrency: usize) -> Self {
        let workers = u16::try_from(concurrency).unwrap_or(u16::MAX);
        Self {
            registry: Arc::new(Mutex::new(Registry::new(workers))),
        }
    }

    // -- shards: for workers, once per entity --

    /// A shard of `cluster.<stat_name>.` for one owner. Give it back by dropping it. The numbers
    /// of a name that is not declared go with its last shard.
    #[must_use]
    pub fn cluster(&self, stat_name: &str) -> Arc<ClusterShard> {
        self.with(|r| r.clusters.get(stat_name).shard(0))
    }

    /// A shard of `http.<stat_prefix>.`.
    #[must_use]
    pub fn hcm(&self, stat_prefix: &str) -> Arc<HcmShard> {
        self.with(|r| r.hcms.get(stat_prefix).shard(0))
    }

    /// A shard of `listener.<stat_prefix>.`; also counts for `worker_<worker>`.
    #[must_use]
    pub fn listener(&self, stat_prefix: &str, worker: usize) -> Arc<ListenerShard> {
        let worker = u16::try_from(worker).unwrap_or(u16::MAX);
        self.with(|r| r.listeners.get(stat_prefix).shard(worker))
    }

    /// A shard of `listener.<listener_prefix>.http.<hcm_prefix>.`.
    #[must_use]
    pub fn listener_http(&self, listener_prefix: &str, hcm_prefix: &str) -> Arc<ListenerHttpShard> {
        let name = format!("{listener_prefix}.http.{hcm_prefix}");
        self.with(|r| r.listener_http.get(&name).shard(0))
    }

    /// A shard of `tls_inspector.`.
    #[must_use]
    pub fn tls_inspector(&self) -> Arc<TlsInspectorShard> {
        self.with(|r| r.tls_inspectors.get(TLS_INSPECTOR).shard(0))
    }

    /// A shard of `http_inspector.`.
    #[must_use]
    pub fn http_inspector(&self) -> Arc<HttpInspectorShard> {
        self.with(|r| r.http_inspectors.get(HTTP_INSPECTOR).shard(0))
    }

    /// A shard of `proxy_proto.<stat_prefix>.`, or of `proxy_proto.` where that is empty.
    #[must_use]
    pub fn proxy_protocol(&self, stat_prefix: &str) -> Arc<ProxyProtocolShard> {
        let name = proxy_protocol_name(stat_prefix);
        self.with(|r| r.proxy_protocols.get(&name).shard(0))
    }

    /// A shard of `listener.<stat_prefix>.ssl.` or `cluster.<stat_name>.ssl.`.
    #[must_use]
    pub fn tls(&self, owner: TlsOwner<'_>) -> Arc<TlsShard> {
        self.with(|r| r.tls.get(&owner.handshakes()).shard(0))
    }

    /// A shard of `listener.<stat_prefix>.server_ssl_socket_factory.` or
    /// `cluster.<stat_name>.client_ssl_socket_factory.`.
    #[must_use]
    pub fn tls_contexts(&self, owner: TlsOwner<'_>) -> Arc<TlsContextShard> {
        self.with(|r| r.tls_contexts.get(&owner.contexts()).shard(0))
    }

    /// A shard of `http2.`.
    #[must_use]
    pub fn http2(&self) -> Arc<Http2Shard> {
        self.with(|r| r.http2.get(HTTP2).shard(0))
    }

    /// A shard of `cluster.<stat_name>.http2.`.
    #[must_use]
    pub fn cluster_http2(&self, stat_name: &str) -> Arc<Http2Shard> {
        let name = format!("cluster.{stat_name}.http2");
        self.with(|r| r.http2.get(&name).shard(0))
    }

    /// A shard of `tcp.<stat_prefix>.`.
    #[must_use]
    pub fn tcp(&self, stat_prefix: &str) -> Arc<TcpShard> {
        self.with(|r| r.tcps.get(stat_prefix).shard(0))
    }

    /// A shard of `ext_authz.<stat_prefix>.`.
    #[must_use]
    pub fn network_ext_authz(&self, stat_prefix: &str) -> Arc<NetworkExtAuthzShard> {
        self.with(|r| r.network_ext_authz.get(stat_prefix).shard(0))
    }

    /// A shard of `connection_limit.<stat_prefix>.`.
    #[must_use]
    pub fn connection_limit(&self, stat_prefix: &str) -> Arc<ConnectionLimitShard> {
        self.with(|r| r.connection_limits.get(stat_prefix).shard(0))
    }

    /// A shard of `cluster.<stat_name>.outlier_detection.`.
    #[must_use]
    pub fn outliers(&self, stat_name: &str) -> Arc<OutlierShard> {
        self.with(|r| r.outliers.get(&outliers_name(stat_name)).shard(0))
    }

    /// A shard of `<stat_prefix>.rbac.`.
    #[must_use]
    pub fn rbac(&self, stat_prefix: &str) -> Arc<RbacShard> {
        let name = rbac_name(stat_prefix);
        self.with(|r| r.rbac.get(&name).shard(0))
    }

    /// A shard of `<stat_prefix>.rbac.<shadow_prefix>.`.
    #[must_use]
    pub fn rbac_shadow(&self, stat_prefix: &str, shadow_prefix: &str) -> Arc<RbacShadowShard> {
        let name = rbac_prefixed_name(stat_prefix, shadow_prefix);
        self.with(|r| r.rbac_shadow.get(&name).shard(0))
    }

    /// A shard of `http.<hcm_prefix>.rbac.<prefix>.`
    #[must_use]
    pub fn http_rbac(&self, hcm_prefix: &str, prefix: &str) -> Arc<RbacShard> {
        let name = rbac_prefixed_name(&http_prefix(hcm_prefix), prefix);
        self.with(|r| r.rbac.get(&name).shard(0))
    }

    /// The same of its shadow rules.
    #[must_use]
    pub fn http_rbac_shadow(&self, hcm_prefix: &str, shadow_prefix: &str) -> Arc<RbacShadowShard> {
        self.rbac_shadow(&http_prefix(hcm_prefix), shadow_prefix)
    }

    /// A shard of `http.<hcm_prefix>.fault.`.
    #[must_use]
    pub fn fault(&self, hcm_prefix: &str) -> Arc<FaultShard> {
        let name = format!("{hcm_prefix}.fault");
        self.with(|r| r.faults.get(&name).shard(0))
    }

    /// A shard of `http.<hcm_prefix>.fault.<cluster>.`, of aborts.
    #[must_use]
    pub fn fault_aborts(&self, hcm_prefix: &str, cluster: &str) -> Arc<FaultAbortShard> {
        let name = format!("{hcm_prefix}.fault.{cluster}");
        self.with(|r| r.fault_aborts.get(&name).shard(0))
    }

    /// A shard of `http.<hcm_prefix>.fault.<cluster>.`, of delays.
    #[must_use]
    pub fn fault_delays(&self, hcm_prefix: &str, cluster: &str) -> Arc<FaultDelayShard> {
        let name = format!("{hcm_prefix}.fault.{cluster}");
        self.with(|r| r.fault_delays.get(&name).shard(0))
    }

    /// A shard of `http.<hcm_prefix>.jwt_authn.<stat_prefix>.`.
    #[must_use]
    pub fn jwt_authn(&self, hcm_prefix: &str, stat_prefix: &str) -> Arc<JwtAuthnShard> {
        let name = jwt_authn_name(hcm_prefix, stat_prefix);
        self.with(|r| r.jwt_authn.get(&name).shard(0))
    }

    /// A shard of `http.<hcm_prefix>.cors.`.
    #[must_use]
    pub fn cors(&self, hcm_prefix: &str) -> Arc<CorsShard> {
        let name = format!("{hcm_prefix}.cors");
        self.with(|r| r.cors.get(&name).shard(0))
    }

    /// A shard of `http.<hcm_prefix>.ext_authz.<stat_prefix>.`.
    #[must_use]
    pub fn ext_authz(&self, hcm_prefix: &str, stat_prefix: &str) -> Arc<ExtAuthzShard> {
        let name = ext_authz_name(hcm_prefix, stat_prefix);
        self.with(|r| r.ext_authz.get(&name).shard(0))
    }

    /// A shard of `cluster.<cluster>.ext_authz.<stat_prefix>.`.
    #[must_use]
    pub fn ext_authz_cluster(&self, cluster: &str, prefix: &str) -> Arc<ExtAuthzClusterShard> {
        // Envoy leaves a dot at the prefix's end here.
        let name = match prefix {
            "" => format!("{cluster}.ext_authz"),
            prefix => format!("{cluster}.ext_authz.{prefix}"),
        };
        self.with(|r| r.ext_authz_clusters.get(&name).shard(0))
    }

    /// A shard of `vhost.<virtual_host>.route.<stat_prefix>.`.
    #[must_use]
    pub fn route(&self, virtual_host: &str, stat_prefix: &str) -> Arc<RouteShard> {
        let name = format!("{virtual_host}.route.{stat_prefix}");
        self.with(|r| r.routes.get(&name).shard(0))
    }

    /// A shard of `cluster.<cluster>.<name>.`, of which `name` is `grpc.<service>.<method>`.
    #[must_use]
    pub fn grpc(&self, cluster: &str, name: &str) -> Arc<GrpcShard> {
        let name = format!("{cluster}.{name}");
        self.with(|r| r.grpc.get(&name).shard(0))
    }

    // -- names: for whoever applies a configuration --

    /// The `membership_*` gauges of a cluster; counts a `membership_change` for each
    /// priority that has other members.
    pub fn set_membership(&self, stat_name: &str, membership: Membership) {
        self.with(|r| r.set_membership(stat_name, membership));
    }

    /// The same if only the state of some changed, which is no change of members.
    pub fn set_health(&self, stat_name: &str, membership: Membership) {
        self.with(|r| r.set_health(stat_name, membership));
    }

    /// When the first of all certificates ends (seconds since 1970).
    pub fn set_first_expiration(&self, at: Option<i64>) {
        self.with(|r| r.first_expiration = at);
    }

    /// When the first OCSP response to staple expires (seconds since 1970).
    pub fn set_first_ocsp_expiration(&self, at: Option<i64>) {
        self.with(|r| r.first_ocsp_expiration = at);
    }

    // -- by name: for the control side, never per request --

    /// Adds to a counter.
    pub fn add(&self, name: &str, delta: i64) {
        self.with(|r| r.control.add(name, delta));
    }

    pub fn set_gauge(&self, name: &str, value: u64) {
        self.with(|r| r.control.set_gauge(name, value));
    }

    pub fn set_text(&self, name: &str, value: &str) {
        self.with(|r| r.control.set_text(name, value));
    }

    /// Records a value in a histogram, e.g. `server.initialization_time_ms`.
    pub fn record(&self, name: &str, value: u64) {
        self.with(|r| r.control.record(name, value));
    }

    /// Drops every control-side stat whose name begins with `prefix` (with its dot).
    pub fn forget_prefix(&self, prefix: &str) {
        self.with(|r| r.control.forget_prefix(prefix));
    }

    /// Closes the interval of every histogram and makes what it recorded visible.
    pub fn flush_histograms(&self) {
        self.with(Registry::flush);
    }

    /// Counters read zero from here on.
    pub fn reset_counters(&self) {
        self.with(Registry::reset);
    }

    // -- scrapes --

    /// Envoy's `/stats`.
    pub fn text(
        &self,
        filter: Option<&str>,
        used_only: bool,
        kind: Kind,
    ) -> Result<String, FilterError> {
        Ok(text::text(&self.rows(filter, used_only, kind)?))
    }

    /// Envoy's `/stats?format=json`.
    pub fn json(
        &self,
        filter: Option<&str>,
        used_only: bool,
        kind: Kind,
    ) -> Result<String, FilterError> {
        Ok(text::json(&self.rows(filter, used_only, kind)?))
    }

    /// Envoy's `/stats/prometheus`.
    pub fn prometheus(&self, filter: Option<&str>, used_only: bool) -> Result<String, FilterError> {
        Ok(prometheus::prometheus(&self.rows(
            filter,
            used_only,
            Kind::All,
        )?))
    }

    fn rows(
        &self,
        filter: Option<&str>,
        used_only: bool,
        kind: Kind,
    ) -> Result<Vec<Row>, FilterError> {
        let filter = filter.map(regex::Regex::new).transpose();
        let filter = filter.map_err(|error| FilterError(error.to_string()))?;
        // The lock is held while numbers are read; sorting and printing happen outside.
        let mut rows = self.with(|r| r.rows());
        let mut name = String::new();
        rows.retain(|row| {
            if (used_only && !row.used) || !kind.covers(&row.value) {
                return false;
            }
            let Some(filter) = &filter else { return true };
            name.clear();
            row.write_name(&mut name);
            filter.is_match(&name)
        });
        row::sort_and_merge(&mut rows);
        Ok(rows)
    }

    fn with<T>(&self, f: impl FnOnce(&mut Registry) -> T) -> T {
        // A panic elsewhere leaves numbers, not broken invariants: carry on.
        f(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;

impl std::fmt::Debug for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stats").finish_non_exhaustive()
    }
}
