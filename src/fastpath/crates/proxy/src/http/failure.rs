//! What can go wrong with a request, and what that means: status, body, response flag, details.
//!
//! Each failure is *what* × *whose fault* × *retryable*; the table below is the one place where
//! that becomes an answer. Texts are Envoy's (they are parsed by people's tools).

use std::borrow::Cow;

use crate::telemetry::response_flags::ResponseFlags;

/// A request that cannot be answered by an upstream's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No virtual host or route matched.
    NoRoute,
    /// The route's cluster does not exist.
    ClusterNotFound { status: u16 },
    NoHealthyUpstream,
    /// A circuit breaker is open.
    Overflow,
    /// Connection refused, unreachable ...
    ConnectFailure,
    ConnectTimeout,
    /// The upstream closed or reset the connection.
    UpstreamClosed,
    /// The upstream's bytes are not HTTP.
    UpstreamProtocol,
    /// The route's timeout.
    ResponseTimeout,
    /// Nothing moved on the stream for `stream_idle_timeout`.
    StreamIdle,
    /// `request_timeout`.
    RequestTimeout,
    /// `max_stream_duration`.
    MaxDuration,
    /// `request_headers_timeout`.
    HeaderTimeout,
    /// The client went away.
    DownstreamGone,
    UpgradeRefused,
    PathNormalization,
}

impl Failure {
    pub fn status(self) -> u16 {
        match self {
            Self::NoRoute => 404,
            Self::ClusterNotFound { status } => status,
            Self::ResponseTimeout => 504,
            Self::StreamIdle | Self::RequestTimeout | Self::HeaderTimeout | Self::MaxDuration => 408,
            Self::UpgradeRefused => 403,
            Self::PathNormalization => 400,
            Self::UpstreamProtocol => 502,
            Self::DownstreamGone => 0,
            Self::NoHealthyUpstream
            | Self::Overflow
            | Self::ConnectFailure
            | Self::ConnectTimeout
            | Self::UpstreamClosed => 503,
        }
    }

    pub fn flags(self) -> ResponseFlags {
        match self {
            Self::NoRoute => ResponseFlags::NO_ROUTE_FOUND,
            Self::ClusterNotFound { .. } => ResponseFlags::NO_CLUSTER_FOUND,
            Self::NoHealthyUpstream => ResponseFlags::NO_HEALTHY_UPSTREAM,
            Self::Overflow => ResponseFlags::UPSTREAM_OVERFLOW,
            Self::ConnectFailure | Self::ConnectTimeout => {
                ResponseFlags::UPSTREAM_CONNECTION_FAILURE
            }
            Self::UpstreamClosed => ResponseFlags::UPSTREAM_CONNECTION_TERMINATION,
            Self::UpstreamProtocol => ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
            Self::ResponseTimeout => ResponseFlags::UPSTREAM_REQUEST_TIMEOUT,
            Self::StreamIdle => ResponseFlags::STREAM_IDLE_TIMEOUT,
            Self::MaxDuration => ResponseFlags::DURATION_TIMEOUT,
            Self::DownstreamGone => ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION,
            Self::RequestTimeout
            | Self::HeaderTimeout
            | Self::UpgradeRefused
            | Self::PathNormalization => ResponseFlags::NONE,
        }
    }

    /// The body of the local reply.
    pub fn body(self) -> &'static str {
        match self {
            Self::NoRoute | Self::ClusterNotFound { .. } | Self::UpgradeRefused => "",
            Self::PathNormalization | Self::DownstreamGone => "",
            Self::NoHealthyUpstream => "no healthy upstream",
            Self::Overflow => {
                "upstream connect error or disconnect/reset before headers. reset reason: overflow"
            }
            Self::ConnectFailure => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 remote connection failure"
            }
            Self::ConnectTimeout => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 connection timeout"
            }
            Self::UpstreamClosed => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 connection termination"
            }
            Self::UpstreamProtocol => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 protocol error"
            }
            Self::ResponseTimeout => "upstream request timeout",
            Self::StreamIdle => "stream timeout",
            Self::RequestTimeout => "request timeout",
            Self::HeaderTimeout => "request header timeout",
            Self::MaxDuration => "downstream duration timeout",
        }
    }

    /// `%RESPONSE_CODE_DETAILS%`.
    pub fn details(self, response_started: bool) -> Cow<'static, str> {
        let reason = match self {
            Self::NoRoute => return "route_not_found".into(),
            Self::ClusterNotFound { .. } => return "cluster_not_found".into(),
            Self::NoHealthyUpstream => return "no_healthy_upstream".into(),
            Self::ResponseTimeout => return "response_timeout".into(),
            Self::StreamIdle => return "stream_idle_timeout".into(),
            Self::RequestTimeout => return "request_overall_timeout".into(),
            Self::HeaderTimeout => return "request_header_timeout".into(),
            Self::MaxDuration => return "max_duration_timeout".into(),
            Self::DownstreamGone => return "downstream_remote_disconnect".into(),
            Self::UpgradeRefused => return "upgrade_failed".into(),
            Self::PathNormalization => return "path_normalization_failed".into(),
            Self::Overflow => "overflow",
            Self::ConnectFailure => "remote_connection_failure",
            Self::ConnectTimeout => "connection_timeout",
            Self::UpstreamClosed => "connection_termination",
            Self::UpstreamProtocol => "protocol_error",
        };
        let when = if response_started { "after" } else { "before" };
        format!("upstream_reset_{when}_response_started{{{reason}}}").into()
    }

    /// Failures that count as the upstream's, for its statistics.
    pub fn is_upstream(self) -> bool {
        matches!(
            self,
            Self::ConnectFailure
                | Self::ConnectTimeout
                | Self::UpstreamClosed
                | Self::UpstreamProtocol
                | Self::ResponseTimeout
        )
    }
}
