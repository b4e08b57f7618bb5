//! What workers count in: a shard for each kind of entity, and how responses are counted.

use super::codes;
use super::shard::Shard;
use super::{
    ClusterCounter, ClusterGauge, ClusterHistogram, ConnectionLimitCounter, ConnectionLimitGauge,
    CorsCounter, ExtAuthzClusterCounter, ExtAuthzCounter, FaultAbortCounter, FaultCounter,
    FaultDelayCounter, FaultGauge, GrpcCounter, GrpcHistogram, HcmCounter, HcmGauge, HcmHistogram,
    Http2Counter, Http2Gauge, HttpInspectorCounter, JwtAuthnCounter, ListenerCounter,
    ListenerGauge, ListenerHistogram, ListenerHttpCounter, NetworkExtAuthzCounter,
    NetworkExtAuthzGauge, NoStat, OutlierCounter, OutlierGauge, ProxyProtocolCounter, RbacCounter,
    RbacShadowCounter, RouteCounter, RouteHistogram, TcpCounter, TcpGauge, TlsContextCounter,
    TlsCounter, TlsInspectorCounter, TlsInspectorHistogram,
};

/// One worker's numbers about a cluster.
pub type ClusterShard = Shard<
    ClusterCounter,
    ClusterGauge,
    ClusterHistogram,
    { ClusterCounter::COUNT },
    { ClusterGauge::COUNT },
    { ClusterHistogram::COUNT },
>;

/// One worker's numbers about an HTTP connection manager.
pub type HcmShard = Shard<
    HcmCounter,
    HcmGauge,
    HcmHistogram,
    { HcmCounter::COUNT },
    { HcmGauge::COUNT },
    { HcmHistogram::COUNT },
>;

/// One worker's numbers about a listener.
pub type ListenerShard = Shard<
    ListenerCounter,
    ListenerGauge,
    ListenerHistogram,
    { ListenerCounter::COUNT },
    { ListenerGauge::COUNT },
    { ListenerHistogram::COUNT },
>;

/// One worker's numbers about a connection manager on one listener.
pub type ListenerHttpShard =
    Shard<ListenerHttpCounter, NoStat, NoStat, { ListenerHttpCounter::COUNT }, 0, 0>;

/// One worker's numbers about TLS inspectors.
pub type TlsInspectorShard = Shard<
    TlsInspectorCounter,
    NoStat,
    TlsInspectorHistogram,
    { TlsInspectorCounter::COUNT },
    0,
    { TlsInspectorHistogram::COUNT },
>;

/// One worker's numbers about HTTP inspectors.
pub type HttpInspectorShard =
    Shard<HttpInspectorCounter, NoStat, NoStat, { HttpInspectorCounter::COUNT }, 0, 0>;

/// One worker's numbers about PROXY protocol filters with one `stat_prefix`.
pub type ProxyProtocolShard =
    Shard<ProxyProtocolCounter, NoStat, NoStat, { ProxyProtocolCounter::COUNT }, 0, 0>;

/// One worker's numbers about TLS with the clients of a listener, or the hosts of a cluster.
pub type TlsShard = Shard<TlsCounter, NoStat, NoStat, { TlsCounter::COUNT }, 0, 0>;

/// One worker's numbers about the TLS contexts of a listener or a cluster.
pub type TlsContextShard =
    Shard<TlsContextCounter, NoStat, NoStat, { TlsContextCounter::COUNT }, 0, 0>;

/// One worker's numbers about HTTP/2 with clients, or with the hosts of a cluster.
pub type Http2Shard =
    Shard<Http2Counter, Http2Gauge, NoStat, { Http2Counter::COUNT }, { Http2Gauge::COUNT }, 0>;

/// One worker's numbers about a TCP proxy.
pub type TcpShard =
    Shard<TcpCounter, TcpGauge, NoStat, { TcpCounter::COUNT }, { TcpGauge::COUNT }, 0>;

/// One worker's numbers about a connection limit.
pub type ConnectionLimitShard = Shard<
    ConnectionLimitCounter,
    ConnectionLimitGauge,
    NoStat,
    { ConnectionLimitCounter::COUNT },
    { ConnectionLimitGauge::COUNT },
    0,
>;

/// Numbers about the outliers of a cluster: those of the control side.
pub type OutlierShard = Shard<
    OutlierCounter,
    OutlierGauge,
    NoStat,
    { OutlierCounter::COUNT },
    { OutlierGauge::COUNT },
    0,
>;

/// One worker's numbers about a network filter `ext_authz`.
pub type NetworkExtAuthzShard = Shard<
    NetworkExtAuthzCounter,
    NetworkExtAuthzGauge,
    NoStat,
    { NetworkExtAuthzCounter::COUNT },
    { NetworkExtAuthzGauge::COUNT },
    0,
>;

/// One worker's numbers about enforced RBAC rules.
pub type RbacShard = Shard<RbacCounter, NoStat, NoStat, { RbacCounter::COUNT }, 0, 0>;

/// One worker's numbers about RBAC rules that are not enforced.
pub type RbacShadowShard =
    Shard<RbacShadowCounter, NoStat, NoStat, { RbacShadowCounter::COUNT }, 0, 0>;

/// One worker's numbers about the fault filters of connection managers with one stat prefix.
pub type FaultShard =
    Shard<FaultCounter, FaultGauge, NoStat, { FaultCounter::COUNT }, { FaultGauge::COUNT }, 0>;

/// One worker's numbers about faults of requests from one cluster.
pub type FaultAbortShard =
    Shard<FaultAbortCounter, NoStat, NoStat, { FaultAbortCounter::COUNT }, 0, 0>;
pub type FaultDelayShard =
    Shard<FaultDelayCounter, NoStat, NoStat, { FaultDelayCounter::COUNT }, 0, 0>;

/// One worker's numbers about the ext_authz filters of connection managers with one stat prefix, and
/// about the requests to one cluster that they decided on.
pub type ExtAuthzShard = Shard<ExtAuthzCounter, NoStat, NoStat, { ExtAuthzCounter::COUNT }, 0, 0>;
pub type ExtAuthzClusterShard =
    Shard<ExtAuthzClusterCounter, NoStat, NoStat, { ExtAuthzClusterCounter::COUNT }, 0, 0>;
/// One worker's numbers about the jwt_authn filters of connection managers with one stat prefix.
pub type JwtAuthnShard = Shard<JwtAuthnCounter, NoStat, NoStat, { JwtAuthnCounter::COUNT }, 0, 0>;

/// One worker's numbers about the CORS filters of connection managers with one stat prefix.
pub type CorsShard = Shard<CorsCounter, NoStat, NoStat, { CorsCounter::COUNT }, 0, 0>;

/// One worker's numbers about a route (or virtual cluster) with a stat prefix.
pub type RouteShard = Shard<
    RouteCounter,
    NoStat,
    RouteHistogram,
    { RouteCounter::COUNT },
    0,
    { RouteHistogram::COUNT },
>;

/// One worker's numbers about a gRPC method of a cluster, or all of them.
pub type GrpcShard =
    Shard<GrpcCounter, NoStat, GrpcHistogram, { GrpcCounter::COUNT }, 0, { GrpcHistogram::COUNT }>;

impl ClusterShard {
    /// Counts an upstream response (or the local one given in its place): `upstream_rq_completed`,
    /// `upstream_rq_<code>`, `upstream_rq_<class>xx` and their `internal.` or `external.` twins.
    #[inline]
    pub fn response_code(&self, code: u16, internal: bool) {
        self.codes_or_new().inc(code, internal);
    }

    /// Counts a response that was not passed on, since the request was sent again: `retry.*`.
    #[inline]
    pub fn retried_response_code(&self, code: u16, internal: bool) {
        self.codes_or_new()
            .inc(code.saturating_add(codes::RETRIED), internal);
    }

    /// Records how long an upstream took to answer, in milliseconds.
    #[inline]
    pub fn response_time(&self, ms: u64, internal: bool) {
        self.record(ClusterHistogram::UpstreamRqTime, ms);
        self.record(
            if internal {
                ClusterHistogram::InternalUpstreamRqTime
            } else {
                ClusterHistogram::ExternalUpstreamRqTime
            },
            ms,
        );
    }
}

impl HcmShard {
    /// Counts a finished request: `downstream_rq_completed` and its class.
    #[inline]
    pub fn response_class(&self, code: u16) {
        self.inc(HcmCounter::DownstreamRqCompleted);
        self.inc(match code / 100 {
            1 => HcmCounter::DownstreamRq1xx,
            2 => HcmCounter::DownstreamRq2xx,
            3 => HcmCounter::DownstreamRq3xx,
            4 => HcmCounter::DownstreamRq4xx,
            5 => HcmCounter::DownstreamRq5xx,
            _ => return,
        });
    }
}

impl ListenerHttpShard {
    /// Counts a finished request: `downstream_rq_completed` and its class.
    #[inline]
    pub fn response_class(&self, code: u16) {
        self.inc(ListenerHttpCounter::DownstreamRqCompleted);
        self.inc(match code / 100 {
            1 => ListenerHttpCounter::DownstreamRq1xx,
            2 => ListenerHttpCounter::DownstreamRq2xx,
            3 => ListenerHttpCounter::DownstreamRq3xx,
            4 => ListenerHttpCounter::DownstreamRq4xx,
            5 => ListenerHttpCounter::DownstreamRq5xx,
            _ => return,
        });
    }
}

impl RouteShard {
    /// Counts a response: `upstream_rq_completed`, `upstream_rq_<code>`, `upstream_rq_<class>xx`.
    #[inline]
    pub fn response_code(&self, code: u16) {
        self.codes_or_new().inc(code, false);
    }
}
