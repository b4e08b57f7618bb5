//! Protocol options that both sides of HTTP share, compiled.

use std::time::Duration;

/// `envoy.config.core.v3.Http2ProtocolOptions`; defaults are Envoy 1.40's, but for the windows:
/// what a peer may send before it is taken is what it can make us hold (docs/differences.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2Options {
    pub hpack_table_size: u32,
    /// Default 1024 (upstream: of one connection, beside what the peer allows).
    pub max_concurrent_streams: u32,
    /// Default 1 MiB.
    pub initial_stream_window_size: u32,
    /// Default 2 MiB.
    pub initial_connection_window_size: u32,
    /// `allow_connect`: extended CONNECT (RFC 8441).
    pub allow_connect: bool,
    /// Default 10,000.
    pub max_outbound_frames: u32,
    /// Default 1,000.
    pub max_outbound_control_frames: u32,
    /// Default 1.
    pub max_consecutive_inbound_frames_with_empty_payload: u32,
    /// Default 100.
    pub max_inbound_priority_frames_per_stream: u32,
    /// Default 10.
    pub max_inbound_window_update_frames_per_data_frame_sent: u32,
    /// `override_stream_error_on_invalid_http_message`: the stream is reset, the connection stays.
    pub stream_error_on_invalid_http_message: bool,
    pub keepalive: Option<Keepalive>,
}

impl Default for Http2Options {
    fn default() -> Self {
        Self {
            hpack_table_size: 4096,
            max_concurrent_streams: 1024,
            initial_stream_window_size: 1 << 20,
            initial_connection_window_size: 2 << 20,
            allow_connect: false,
            max_outbound_frames: 10_000,
            max_outbound_control_frames: 1_000,
            max_consecutive_inbound_frames_with_empty_payload: 1,
            max_inbound_priority_frames_per_stream: 100,
            max_inbound_window_update_frames_per_data_frame_sent: 10,
            stream_error_on_invalid_http_message: false,
            keepalive: None,
        }
    }
}

/// `connection_keepalive`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepalive {
    /// `None`: only after `connection_idle_interval`.
    pub interval: Option<Duration>,
    pub timeout: Duration,
    /// Per cent of `interval`, default 15.
    pub interval_jitter_percent: u32,
    pub connection_idle_interval: Option<Duration>,
}

/// `UpgradeConfig` of a connection manager or a route, by name in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradeConfig {
    pub upgrade_type: Box<str>,
    pub enabled: bool,
    /// `connect_config` (routes only): we end the CONNECT and forward its bytes as TCP, the
    /// datagrams of a CONNECT-UDP as UDP.
    pub connect: Option<ConnectConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectConfig {
    /// `allow_post`: POST is taken for CONNECT.
    pub allow_post: bool,
}
