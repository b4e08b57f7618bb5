//! What a format string can ask for.

use super::time::TimeFormat;
use crate::resources::header_mutation::HeaderName;

/// An operator and how much of its value is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    pub operator: Operator,
    /// `:Z`: at most that many bytes. Also makes JSON write a string.
    pub max_len: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    Field(Field),
    StartTime(TimeFormat),
    EmitTime(TimeFormat),
    /// `REQ(main?alternative)`.
    Request(HeaderSource, Option<HeaderSource>),
    Response(HeaderSource, Option<HeaderSource>),
    Trailer(HeaderSource, Option<HeaderSource>),
    /// `REQ_WITHOUT_QUERY`: the header's value up to its `?`.
    RequestWithoutQuery(HeaderSource, Option<HeaderSource>),
    QueryParameter(Box<[u8]>),
    QueryParameters(PathSource),
    Path {
        query: bool,
        source: PathSource,
    },
    /// Resolved when parsed; an unset variable is `-`, as in Envoy.
    Environment(Box<[u8]>),
    /// None: a point that no request passes.
    Duration {
        from: Option<TimePoint>,
        to: Option<TimePoint>,
        unit: TimeUnit,
    },
    /// `…_PEER_CERT_V_START`, and `…_V_END`.
    CertificateTime {
        side: Side,
        end: bool,
        format: TimeFormat,
    },
    /// `DYNAMIC_METADATA(namespace:key:…)`: what filters set.
    DynamicMetadata {
        namespace: Box<str>,
        /// Keys, one inside the other; empty: all of the namespace.
        path: Vec<Box<str>>,
    },
    /// `FILTER_STATE(envoy.tcp_proxy.propagate_response_headers)`, and `…_trailers`.
    TunnelHeaders,
    TunnelTrailers,
    GrpcStatus(GrpcStatusStyle),
    /// `FILTER_STATE(envoy.filters.http.grpc_stats)`: messages that the filter has counted.
    GrpcMessages {
        /// `PLAIN`: two numbers; else (`TYPED`) the message `FilterObject`.
        plain: bool,
    },
    /// `RESPONSE_CODE_DETAILS`; unless asked to, white space becomes `_`.
    ResponseCodeDetails {
        keep_spaces: bool,
    },
    /// The first that is not missing.
    Coalesce(Vec<Command>),
}

/// Operators without arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// True of every request we serve: there is no such value.
    Missing,
    /// `DOWNSTREAM_TLS_…`, `UPSTREAM_PEER_…` and their like.
    Tls(Side, TlsField),
    /// `CUSTOM_FLAGS`: there are none.
    Nothing,
    AccessLogType,
    BytesReceived,
    BytesSent,
    ConnectionId,
    ConnectionTerminationDetails,
    DownstreamDirectLocalAddress,
    DownstreamDirectLocalAddressWithoutPort,
    DownstreamDirectLocalPort,
    DownstreamDirectRemoteAddress,
    DownstreamDirectRemoteAddressWithoutPort,
    DownstreamDirectRemotePort,
    DownstreamHeaderBytesReceived,
    DownstreamHeaderBytesSent,
    DownstreamLocalAddress,
    DownstreamLocalAddressWithoutPort,
    DownstreamLocalPort,
    DownstreamRemoteAddress,
    DownstreamRemoteAddressWithoutPort,
    DownstreamRemotePort,
    DownstreamTransportFailureReason,
    DownstreamWireBytesReceived,
    DownstreamWireBytesSent,
    Duration,
    FilterChainName,
    Hostname,
    Protocol,
    RequestedServerName,
    RequestDuration,
    RequestHeadersBytes,
    RequestTxDuration,
    ResponseCode,
    ResponseDuration,
    ResponseFlags,
    ResponseFlagsLong,
    ResponseHeadersBytes,
    ResponseTrailersBytes,
    ResponseTxDuration,
    RouteName,
    StreamId,
    TlsJa3Fingerprint,
    TlsJa4Fingerprint,
    UniqueId,
    UpstreamCluster,
    UpstreamClusterRaw,
    UpstreamConnectionId,
    UpstreamConnectionPoolReadyDuration,
    UpstreamHeaderBytesReceived,
    UpstreamHeaderBytesSent,
    UpstreamHost,
    UpstreamHostName,
    UpstreamHostNameWithoutPort,
    UpstreamLocalAddress,
    UpstreamLocalAddressWithoutPort,
    UpstreamLocalPort,
    UpstreamProtocol,
    UpstreamRemoteAddress,
    UpstreamRemoteAddressWithoutPort,
    UpstreamRemotePort,
    UpstreamRequestAttemptCount,
    UpstreamTransportFailureReason,
    UpstreamWireBytesReceived,
    UpstreamWireBytesSent,
    VirtualClusterName,
    VirtualHostName,
}

/// Whose connection: the client's, or ours to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    Downstream,
    Upstream,
}

/// What a TLS handshake settled, and what the certificates say. Lists are joined by commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsField {
    Cipher,
    Group,
    /// Hexadecimal.
    SessionId,
    Version,
    /// `UPSTREAM_SERVER_NAME`: the SNI we sent.
    ServerName,
    LocalDnsSan,
    LocalEmailSan,
    LocalIpSan,
    LocalOtherNameSan,
    LocalSubject,
    LocalUriSan,
    /// URL-encoded PEM.
    PeerCertificate,
    PeerChainFingerprints1,
    PeerChainFingerprints256,
    PeerChainSerials,
    PeerDnsSan,
    PeerEmailSan,
    PeerFingerprint1,
    PeerFingerprint256,
    PeerIpSan,
    PeerIssuer,
    PeerIssuerFingerprint256,
    PeerIssuerSerial,
    PeerOtherNameSan,
    PeerSerial,
    PeerSubject,
    PeerUriSan,
}

/// A header by name, or what HTTP/2 has as a pseudo-header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderSource {
    Method,
    Path,
    Authority,
    Scheme,
    Status,
    Header(HeaderName),
}

/// Which path `PATH` and `QUERY_PARAMS` look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathSource {
    /// As it goes upstream.
    Path,
    /// `x-envoy-original-path`.
    Original,
    OriginalOrPath,
}

/// A point in the life of a request, of `COMMON_DURATION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimePoint {
    DownstreamRxBegin,
    DownstreamRxEnd,
    UpstreamConnectBegin,
    UpstreamConnectEnd,
    UpstreamTxBegin,
    UpstreamTxEnd,
    UpstreamRxBegin,
    UpstreamRxBodyBegin,
    UpstreamRxEnd,
    DownstreamTxBegin,
    DownstreamTxEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrpcStatusStyle {
    /// `NotFound`
    Camel,
    /// `NOT_FOUND`
    Snake,
    Number,
}
