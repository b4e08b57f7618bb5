//! The operators by name.

use super::Field;
use super::Field as F;
use super::{Side, TlsField as T};

/// Operators without arguments that we answer.
pub(super) fn field(name: &str) -> Option<Field> {
    Some(match name {
        "ACCESS_LOG_TYPE" => F::AccessLogType,
        "BYTES_RECEIVED" => F::BytesReceived,
        "BYTES_SENT" => F::BytesSent,
        "CONNECTION_ID" => F::ConnectionId,
        "CONNECTION_TERMINATION_DETAILS" => F::ConnectionTerminationDetails,
        "CUSTOM_FLAGS" => F::Nothing,
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS" => F::DownstreamDirectLocalAddress,
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT" => {
            F::DownstreamDirectLocalAddressWithoutPort
        }
        "DOWNSTREAM_DIRECT_LOCAL_PORT" => F::DownstreamDirectLocalPort,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => F::DownstreamDirectRemoteAddress,
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => {
            F::DownstreamDirectRemoteAddressWithoutPort
        }
        "DOWNSTREAM_DIRECT_REMOTE_PORT" => F::DownstreamDirectRemotePort,
        "DOWNSTREAM_HEADER_BYTES_RECEIVED" | "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED" => {
            F::DownstreamHeaderBytesReceived
        }
        "DOWNSTREAM_HEADER_BYTES_SENT" | "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT" => {
            F::DownstreamHeaderBytesSent
        }
        "DOWNSTREAM_LOCAL_ADDRESS" => F::DownstreamLocalAddress,
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => F::DownstreamLocalAddressWithoutPort,
        "DOWNSTREAM_LOCAL_PORT" => F::DownstreamLocalPort,
        "DOWNSTREAM_REMOTE_ADDRESS" => F::DownstreamRemoteAddress,
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => F::DownstreamRemoteAddressWithoutPort,
        "DOWNSTREAM_REMOTE_PORT" => F::DownstreamRemotePort,
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON" => F::DownstreamTransportFailureReason,
        "DOWNSTREAM_WIRE_BYTES_RECEIVED" => F::DownstreamWireBytesReceived,
        "DOWNSTREAM_WIRE_BYTES_SENT" => F::DownstreamWireBytesSent,
        "DURATION" => F::Duration,
        "FILTER_CHAIN_NAME" => F::FilterChainName,
        "HOSTNAME" => F::Hostname,
        "PROTOCOL" => F::Protocol,
        "REQUESTED_SERVER_NAME" => F::RequestedServerName,
        "REQUEST_DURATION" => F::RequestDuration,
        "REQUEST_HEADERS_BYTES" => F::RequestHeadersBytes,
        "REQUEST_TX_DURATION" => F::RequestTxDuration,
        "RESPONSE_CODE" => F::ResponseCode,
        "RESPONSE_DURATION" => F::ResponseDuration,
        "RESPONSE_FLAGS" => F::ResponseFlags,
        "RESPONSE_FLAGS_LONG" => F::ResponseFlagsLong,
        "RESPONSE_HEADERS_BYTES" => F::ResponseHeadersBytes,
        "RESPONSE_TRAILERS_BYTES" => F::ResponseTrailersBytes,
        "RESPONSE_TX_DURATION" => F::ResponseTxDuration,
        "ROUTE_NAME" => F::RouteName,
        "STREAM_ID" => F::StreamId,
        "TLS_JA3_FINGERPRINT" => F::TlsJa3Fingerprint,
        "TLS_JA4_FINGERPRINT" => F::TlsJa4Fingerprint,
        "UNIQUE_ID" => F::UniqueId,
        "UPSTREAM_CLUSTER" => F::UpstreamCluster,
        "UPSTREAM_CLUSTER_RAW" => F::UpstreamClusterRaw,
        "UPSTREAM_CONNECTION_ID" => F::UpstreamConnectionId,
        "UPSTREAM_CONNECTION_POOL_READY_DURATION" => F::UpstreamConnectionPoolReadyDuration,
        "UPSTREAM_HEADER_BYTES_RECEIVED" | "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED" => {
            F::UpstreamHeaderBytesReceived
        }
        "UPSTREAM_HEADER_BYTES_SENT" | "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT" => {
            F::UpstreamHeaderBytesSent
        }
        "UPSTREAM_HOST" => F::UpstreamHost,
        "UPSTREAM_HOST_NAME" => F::UpstreamHostName,
        "UPSTREAM_HOST_NAME_WITHOUT_PORT" => F::UpstreamHostNameWithoutPort,
        "UPSTREAM_LOCAL_ADDRESS" => F::UpstreamLocalAddress,
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => F::UpstreamLocalAddressWithoutPort,
        "UPSTREAM_LOCAL_PORT" => F::UpstreamLocalPort,
        "UPSTREAM_PROTOCOL" => F::UpstreamProtocol,
        "UPSTREAM_REMOTE_ADDRESS" => F::UpstreamRemoteAddress,
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => F::UpstreamRemoteAddressWithoutPort,
        "UPSTREAM_REMOTE_PORT" => F::UpstreamRemotePort,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => F::UpstreamRequestAttemptCount,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => F::UpstreamTransportFailureReason,
        "UPSTREAM_WIRE_BYTES_RECEIVED" => F::UpstreamWireBytesReceived,
        "UPSTREAM_WIRE_BYTES_SENT" => F::UpstreamWireBytesSent,
        "VIRTUAL_CLUSTER_NAME" => F::VirtualClusterName,
        "VIRTUAL_HOST_NAME" => F::VirtualHostName,
        name if is_never_there(name) => F::Missing,
        name => return tls(name),
    })
}

/// What only HTTP/3, tracing or an internal listener would fill: we have none of them.
fn is_never_there(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
        "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
        "ROUNDTRIP_DURATION",
        "SPAN_ID",
        "TRACE_ID",
        "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    ];
    NAMES.contains(&name)
}

/// `DOWNSTREAM_` or `UPSTREAM_` and what follows.
pub(super) fn side(name: &str) -> Option<(Side, &str)> {
    let downstream = name.strip_prefix("DOWNSTREAM_");
    let upstream = || name.strip_prefix("UPSTREAM_");
    downstream
        .map(|rest| (Side::Downstream, rest))
        .or_else(|| upstream().map(|rest| (Side::Upstream, rest)))
}

fn tls(name: &str) -> Option<Field> {
    let (side, rest) = side(name)?;
    let field = of_both(rest).or_else(|| match side {
        Side::Downstream => of_downstream(rest),
        Side::Upstream => (rest == "SERVER_NAME").then_some(T::ServerName),
    })?;
    Some(F::Tls(side, field))
}

fn of_both(name: &str) -> Option<T> {
    Some(match name {
        "TLS_CIPHER" => T::Cipher,
        "TLS_GROUP" => T::Group,
        "TLS_SESSION_ID" => T::SessionId,
        "TLS_VERSION" => T::Version,
        "LOCAL_DNS_SAN" => T::LocalDnsSan,
        "LOCAL_IP_SAN" => T::LocalIpSan,
        "LOCAL_URI_SAN" => T::LocalUriSan,
        "PEER_CERT" => T::PeerCertificate,
        "PEER_DNS_SAN" => T::PeerDnsSan,
        "PEER_IP_SAN" => T::PeerIpSan,
        "PEER_ISSUER" => T::PeerIssuer,
        "PEER_SUBJECT" => T::PeerSubject,
        "PEER_URI_SAN" => T::PeerUriSan,
        _ => return None,
    })
}

fn of_downstream(name: &str) -> Option<T> {
    Some(match name {
        "LOCAL_EMAIL_SAN" => T::LocalEmailSan,
        "LOCAL_OTHERNAME_SAN" => T::LocalOtherNameSan,
        "LOCAL_SUBJECT" => T::LocalSubject,
        "PEER_CHAIN_FINGERPRINTS_1" => T::PeerChainFingerprints1,
        "PEER_CHAIN_FINGERPRINTS_256" => T::PeerChainFingerprints256,
        "PEER_CHAIN_SERIALS" => T::PeerChainSerials,
        "PEER_EMAIL_SAN" => T::PeerEmailSan,
        "PEER_FINGERPRINT_1" => T::PeerFingerprint1,
        "PEER_FINGERPRINT_256" => T::PeerFingerprint256,
        "PEER_ISSUER_FINGERPRINT_256" => T::PeerIssuerFingerprint256,
        "PEER_ISSUER_SERIAL" => T::PeerIssuerSerial,
        "PEER_OTHERNAME_SAN" => T::PeerOtherNameSan,
        "PEER_SERIAL" => T::PeerSerial,
        _ => return None,
    })
}

/// Envoy's operators that we would have to answer with something untrue.
pub(super) fn is_not_implemented(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "BYTES_RETRANSMITTED",
        "CEL",
        "CLUSTER_METADATA",
        "DOWNSTREAM_CX_RTT",
        "DOWNSTREAM_DETECTED_CLOSE_TYPE",
        "DOWNSTREAM_HANDSHAKE_DURATION",
        "DOWNSTREAM_LOCAL_CLOSE_REASON",
        "EMIT_TIME_LOCAL",
        "FILE_CONTENT",
        "LOCAL_REPLY_BODY",
        "METADATA",
        "PACKETS_RETRANSMITTED",
        "ROUTE_RESOLUTION_COUNT",
        "ROUTE_RESOLUTION_TIME_US",
        "SECRET",
        "START_TIME_LOCAL",
        "STREAM_INFO_REQ",
        "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
        "UPSTREAM_DETECTED_CLOSE_TYPE",
        "UPSTREAM_FILTER_STATE",
        "UPSTREAM_HOSTS_ATTEMPTED",
        "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
        "UPSTREAM_HOST_NAMES_ATTEMPTED",
        "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
        "UPSTREAM_LOCAL_CLOSE_REASON",
        "UPSTREAM_METADATA",
        "XFCC_VALUE",
    ];
    NAMES.contains(&name)
}
