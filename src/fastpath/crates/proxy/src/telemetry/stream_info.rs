//! What is known about one request beyond its headers: filled by the data path, read by formats.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use model::matching::rbac::MetadataValue;
use model::resources::address::Address;
use proto::HeaderMap;
use proto::h1::{RequestHead, Version};

use super::dynamic_metadata::DynamicMetadata;
use super::response_flags::ResponseFlags;
use crate::listener::ConnectionFacts;

/// `%ACCESS_LOG_TYPE%`: why a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLogType {
    #[default]
    DownstreamEnd,
    TcpConnectionStart,
    TcpUpstreamConnected,
    TcpPeriodic,
    TcpConnectionEnd,
    /// Logs of a listener.
    NotSet,
}

impl AccessLogType {
    /// Envoy's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DownstreamEnd => "DownstreamEnd",
            Self::TcpConnectionStart => "TcpConnectionStart",
            Self::TcpUpstreamConnected => "TcpUpstreamConnected",
            Self::TcpPeriodic => "TcpPeriodic",
            Self::TcpConnectionEnd => "TcpConnectionEnd",
            Self::NotSet => "NotSet",
        }
    }

    /// Of the enum in Envoy's API, which filters name.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::NotSet => 0,
            Self::TcpUpstreamConnected => 1,
            Self::TcpPeriodic => 2,
            Self::TcpConnectionEnd => 3,
            Self::DownstreamEnd => 6,
            Self::TcpConnectionStart => 14,
        }
    }
}

/// One request. Plain fields: whoever learns something writes it.
///
/// Times are nanoseconds of the worker's own monotonic clock; 0 is "did not happen (yet)".
#[derive(Debug, Clone, Default)]
pub struct StreamInfo {
    pub log_type: AccessLogType,
    /// gRPC messages of the request and of the response, if `grpc_stats` emits its state.
    pub grpc_messages: Option<(u64, u64)>,
    /// Wall clock at `start`, nanoseconds since 1970.
    pub start_wall: u64,
    /// First byte of the request (Envoy: the head was complete).
    pub start: u64,
    /// Last byte of the request received.
    pub downstream_rx_end: u64,
    pub upstream_connect_begin: u64,
    pub upstream_connect_end: u64,
    /// A connection for the request was there.
    pub upstream_pool_ready: u64,
    pub upstream_tx_begin: u64,
    pub upstream_tx_end: u64,
    pub upstream_rx_begin: u64,
    pub upstream_rx_body_begin: u64,
    pub upstream_rx_end: u64,
    pub downstream_tx_begin: u64,
    pub downstream_tx_end: u64,
    /// The request is over, well or not.
    pub end: u64,

    /// None: no response was begun (`RESPONSE_CODE` is 0).
    pub response_code: Option<u16>,
    pub flags: ResponseFlags,
    /// `via_upstream`, `route_not_found` ...
    pub details: Option<Cow<'static, str>>,
    pub connection_termination_details: Option<Cow<'static, str>>,
    pub downstream_transport_failure: Option<Cow<'static, str>>,
    pub upstream_transport_failure: Option<Cow<'static, str>>,

    // -- bytes --
    /// Body received and sent downstream.
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub response_trailers_bytes: u64,
    pub downstream_wire_bytes_received: u64,
    pub downstream_wire_bytes_sent: u64,
    pub downstream_header_bytes_received: u64,
    pub downstream_header_bytes_sent: u64,
    pub upstream_wire_bytes_received: u64,
    pub upstream_wire_bytes_sent: u64,
    pub upstream_header_bytes_received: u64,
    pub upstream_header_bytes_sent: u64,

    // -- downstream --
    /// None: the head was not readable (`%PROTOCOL%` is `-`).
    pub protocol: Option<Version>,
    /// True: the request came by https (`:scheme`).
    pub scheme_https: bool,
    pub connection_id: u64,
    pub downstream_local: Option<Address>,
    /// The client as `x-forwarded-for` and trusted hops have it.
    pub downstream_remote: Option<Address>,
    /// The peer of the connection.
    pub downstream_direct_remote: Option<Address>,
    pub filter_chain_name: Option<Rc<str>>,
    /// What the handshake settled.
    pub downstream_tls: Option<Arc<tls::Info>>,
    /// What listener filters found out.
    pub facts: Option<Rc<ConnectionFacts>>,
    /// And what HTTP filters did.
    pub metadata: DynamicMetadata,

    // -- route --
    pub route_name: Option<Arc<str>>,
    pub virtual_host_name: Option<Arc<str>>,
    pub virtual_cluster_name: Option<Arc<str>>,
    pub health_check: bool,

    // -- upstream --
    /// The chosen cluster's name; its `alt_stat_name` if it has one goes to `upstream_cluster`.
    pub upstream_cluster_raw: Option<Arc<str>>,
    pub upstream_cluster: Option<Arc<str>>,
    /// The chosen endpoint, connected or not (`UPSTREAM_HOST`).
    pub upstream_host: Option<Address>,
    /// Its hostname (DNS clusters); None: its address.
    pub upstream_host_name: Option<Arc<str>>,
    /// Of the connection: set once connected.
    pub upstream_local: Option<Address>,
    pub upstream_remote: Option<Address>,
    pub upstream_connection_id: u64,
    pub upstream_tls: Option<Arc<tls::Info>>,
    pub upstream_protocol: Option<Version>,
    pub attempt_count: u32,
    /// What the host said of a TCP tunnel through HTTP, as JSON.
    pub tunnel_headers: Option<Rc<[u8]>>,
    pub tunnel_trailers: Option<Rc<[u8]>>,
    /// `STREAM_ID` of what has no request.
    pub stream_id: Option<u128>,
    /// Random per request: what `UNIQUE_ID` and runtime-fraction filters are made of. A worker
    /// fills it when a log format or filter asks; 0 is fine otherwise.
    pub random: u128,
}

impl StreamInfo {
    /// Forgets the request and the connection.
    pub fn reset(&mut self) {
        let mut metadata = std::mem::take(&mut self.metadata);
        metadata.clear();
        *self = Self {
            metadata,
            ..Self::default()
        };
    }

    /// Dynamic metadata: of the request, else of its connection.
    #[must_use]
    pub fn metadata(&self, namespace: &str, path: &[Box<str>]) -> Option<MetadataValue<'_>> {
        let of_connection = || match path {
            [key] => self.facts.as_ref()?.metadata(namespace, key),
            _ => None,
        };
        self.metadata.at(namespace, path).or_else(of_connection)
    }

    /// The server name that the client asked for, as it wrote it.
    #[must_use]
    pub fn requested_server_name(&self) -> Option<&[u8]> {
        let inspected = self.facts.as_ref().map(|facts| &*facts.server_name);
        let agreed = || {
            Some(
                self.downstream_tls
                    .as_ref()?
                    .server_name
                    .as_deref()?
                    .as_bytes(),
            )
        };
        inspected.filter(|name| !name.is_empty()).or_else(agreed)
    }

    /// Whole milliseconds from `start` to `point`; None if `point` did not happen.
    #[must_use]
    pub fn millis_to(&self, point: u64) -> Option<u64> {
        (point != 0).then(|| point.saturating_sub(self.start) / 1_000_000)
    }
}

/// All that a format can look at.
#[derive(Debug, Clone, Copy)]
pub struct LogContext<'a> {
    /// As it went upstream (after header work).
    pub request: &'a RequestHead,
    pub response: Option<&'a HeaderMap>,
    pub trailers: Option<&'a HeaderMap>,
    pub info: &'a StreamInfo,
}
