//! The operators by name.

use super::Field;
use super::Field as F;

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
        "DOWNSTREAM_WIRE_BYTES_RECEIVED" => F::DownstreamWireBytesReceived,
        "DOWNSTREAM_WIRE_BYTES_SENT" => F::DownstreamWireBytesSent,
        "DURATION" => F::Duration,
        "FILTER_CHAIN_NAME" => F::FilterChainName,
        "HOSTNAME" => F::Hostname,
        "PROTOCOL" => F::Protocol,
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
        _ => return None,
    })
}

/// What only TLS, HTTP/3, tracing or an internal listener would fill: we have none of them yet.
fn is_never_there(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
        "DOWNSTREAM_HANDSHAKE_DURATION",
        "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
        "REQUESTED_SERVER_NAME",
        "ROUNDTRIP_DURATION",
        "SPAN_ID",
        "TLS_JA3_FINGERPRINT",
        "TLS_JA4_FINGERPRINT",
        "TRACE_ID",
        "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
        "UPSTREAM_SERVER_NAME",
    ];
    const TLS: &[&str] = &[
        "TLS_VERSION",
        "TLS_CIPHER",
        "TLS_GROUP",
        "TLS_SESSION_ID",
        "LOCAL_DNS_SAN",
        "LOCAL_EMAIL_SAN",
        "LOCAL_IP_SAN",
        "LOCAL_OTHERNAME_SAN",
        "LOCAL_SUBJECT",
        "LOCAL_URI_SAN",
        "PEER_CERT",
        "PEER_CERT_V_END",
        "PEER_CERT_V_START",
        "PEER_CHAIN_FINGERPRINTS_1",
        "PEER_CHAIN_FINGERPRINTS_256",
        "PEER_CHAIN_SERIALS",
        "PEER_DNS_SAN",
        "PEER_EMAIL_SAN",
        "PEER_FINGERPRINT_1",
        "PEER_FINGERPRINT_256",
        "PEER_IP_SAN",
        "PEER_ISSUER",
        "PEER_ISSUER_FINGERPRINT_256",
        "PEER_ISSUER_SERIAL",
        "PEER_OTHERNAME_SAN",
        "PEER_SERIAL",
        "PEER_SUBJECT",
        "PEER_URI_SAN",
    ];
    const UPSTREAM_TLS: &[&str] = &[
        "TLS_VERSION",
        "TLS_CIPHER",
        "TLS_GROUP",
        "TLS_SESSION_ID",
        "LOCAL_DNS_SAN",
        "LOCAL_IP_SAN",
        "LOCAL_URI_SAN",
        "PEER_CERT",
        "PEER_CERT_V_END",
        "PEER_CERT_V_START",
        "PEER_DNS_SAN",
        "PEER_IP_SAN",
        "PEER_ISSUER",
        "PEER_SUBJECT",
        "PEER_URI_SAN",
    ];
    EXACT.contains(&name)
        || name
            .strip_prefix("DOWNSTREAM_")
            .is_some_and(|rest| TLS.contains(&rest))
        || name
            .strip_prefix("UPSTREAM_")
            .is_some_and(|rest| UPSTREAM_TLS.contains(&rest))
}

/// Envoy's operators that we would have to answer with something untrue.
pub(super) fn is_not_implemented(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "BYTES_RETRANSMITTED",
        "CEL",
        "CLUSTER_METADATA",
        "DOWNSTREAM_CX_RTT",
        "DOWNSTREAM_DETECTED_CLOSE_TYPE",
        "DOWNSTREAM_LOCAL_CLOSE_REASON",
        "DYNAMIC_METADATA",
        "EMIT_TIME_LOCAL",
        "FILE_CONTENT",
        "FILTER_STATE",
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
