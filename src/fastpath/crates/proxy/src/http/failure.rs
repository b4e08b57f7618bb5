//! What can go wrong with a request, and what that means: status, body, response flag, details.
//!
//! Each failure is *what* × *whose fault* × *retryable*; the table below is the one place where
//! that becomes an answer. Texts are Envoy's (they are parsed by people's tools).

use std::borrow::Cow;
use std::net::SocketAddr;

use model::resources::address::Address;
use proto::h2::{ConnectionError, ErrorCode, StreamFault};
use proto::masque::CapsuleError;
use rustix::io::Errno;

use crate::net::socket::Refusal;
use crate::telemetry::response_flags::ResponseFlags;

/// A request that cannot be answered by an upstream's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No virtual host or route matched.
    NoRoute,
    /// The route's cluster does not exist.
    ClusterNotFound {
        status: u16,
    },
    NoHealthyUpstream,
    /// `drop_overloads` of its endpoints meant this request, or means all.
    DropOverload {
        all: bool,
    },
    /// A circuit breaker is open.
    Overflow,
    /// Connection refused, unreachable ...
    ConnectFailure(Errno),
    /// The same, known as soon as it was tried: no such pipe, no route.
    ImmediateConnectFailure(Errno),
    /// It was not tried: it cannot leave from where it should (`None`: its options were not taken).
    LocalConnectFailure(Option<(SocketAddr, Errno)>),
    ConnectTimeout,
    /// TLS with the host failed; the stream's info has the reason.
    TlsFailure,
    /// A secret that TLS with the host needs has not come.
    SecretsMissing,
    /// The upstream closed or reset the connection.
    UpstreamClosed,
    /// The same of one with many streams (HTTP/2).
    UpstreamGone,
    /// It reset the stream.
    UpstreamReset,
    /// It did not take the stream: nothing was done for the request.
    UpstreamRefused,
    /// The upstream's bytes are not HTTP.
    UpstreamProtocol,
    /// The route's timeout.
    ResponseTimeout,
    /// That of a single attempt, and of one in which nothing moves.
    PerTryTimeout,
    PerTryIdle,
    /// Nothing moved on the stream for `stream_idle_timeout`: 408 if the client's part was
    /// missing, 504 if the upstream's.
    StreamIdle {
        request_complete: bool,
    },
    /// `request_timeout`.
    RequestTimeout,
    /// `max_stream_duration`.
    MaxDuration,
    /// `request_headers_timeout`.
    HeaderTimeout,
    /// A filter has to hold the whole response, and it is more than the buffer limit.
    ResponseTooLarge,
    /// The client went away.
    DownstreamGone,
    /// The client reset its stream.
    DownstreamReset(ErrorCode),
    /// The client broke the rules of HTTP/2 in the request.
    DownstreamFault(StreamFault),
    /// Or elsewhere on its connection.
    DownstreamProtocol(ConnectionError),
    UpgradeRefused,
    /// The host speaks HTTP/2 without extended CONNECT (RFC 8441 §3).
    UpstreamTakesNoUpgrade,
    /// The path of a CONNECT-UDP names no host and port (RFC 9298 §3).
    UdpPath,
    /// A CONNECT-UDP whose stream has ended with its head.
    UdpEndedAtOnce,
    /// There is no UDP socket to the host.
    UdpSocket,
    /// A CONNECT-UDP that ends here: the client's capsules cannot be read.
    Capsule(CapsuleError),
    PathNormalization,
    /// A request-target that is no path (`OPTIONS *`).
    NoPath,
}

/// How the bodies of failures of the upstream's begin.
pub const BEFORE_HEADERS: &str = "upstream connect error or disconnect/reset before headers. ";

/// How an attempt ended without a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    ConnectFailure,
    Refused,
    Timeout,
    Other,
}

impl Failure {
    pub fn status(self) -> u16 {
        match self {
            Self::NoRoute | Self::NoPath | Self::UdpPath => 404,
            Self::ClusterNotFound { status } => status,
            Self::ResponseTimeout
            | Self::PerTryTimeout
            | Self::PerTryIdle
            | Self::MaxDuration
            | Self::StreamIdle {
                request_complete: true,
            } => 504,
            Self::StreamIdle {
                request_complete: false,
            }
            | Self::RequestTimeout
            | Self::HeaderTimeout => 408,
            Self::UpgradeRefused => 403,
            Self::PathNormalization | Self::UdpEndedAtOnce => 400,
            Self::UpstreamProtocol | Self::Capsule(_) => 502,
            Self::ResponseTooLarge => 500,
            Self::DownstreamGone
            | Self::DownstreamReset(_)
            | Self::DownstreamFault(_)
            | Self::DownstreamProtocol(_) => 0,
            Self::NoHealthyUpstream
            | Self::DropOverload { .. }
            | Self::Overflow
            | Self::ConnectFailure(_)
            | Self::ImmediateConnectFailure(_)
            | Self::LocalConnectFailure(_)
            | Self::ConnectTimeout
            | Self::TlsFailure
            | Self::SecretsMissing
            | Self::UpstreamReset
            | Self::UpstreamRefused
            | Self::UpstreamTakesNoUpgrade
            | Self::UpstreamGone
            | Self::UdpSocket
            | Self::UpstreamClosed => 503,
        }
    }

    /// `started`: the response had started.
    pub fn flags(self, started: bool) -> ResponseFlags {
        match self {
            Self::NoRoute => ResponseFlags::NO_ROUTE_FOUND,
            Self::ClusterNotFound { .. } => ResponseFlags::NO_CLUSTER_FOUND,
            Self::NoHealthyUpstream => ResponseFlags::NO_HEALTHY_UPSTREAM,
            Self::DropOverload { all: false } => ResponseFlags::DROP_OVERLOAD,
            Self::DropOverload { all: true } => ResponseFlags::UNCONDITIONAL_DROP_OVERLOAD,
            Self::Overflow => ResponseFlags::UPSTREAM_OVERFLOW,
            Self::ConnectFailure(_)
            | Self::ImmediateConnectFailure(_)
            | Self::LocalConnectFailure(_)
            | Self::ConnectTimeout
            | Self::TlsFailure
            | Self::SecretsMissing => ResponseFlags::UPSTREAM_CONNECTION_FAILURE,
            // To Envoy a body that ends too early is a fault of the protocol, in HTTP/1.
            Self::UpstreamClosed if started => ResponseFlags::UPSTREAM_PROTOCOL_ERROR,
            Self::UpstreamClosed | Self::UpstreamGone => {
                ResponseFlags::UPSTREAM_CONNECTION_TERMINATION
            }
            Self::UpstreamReset | Self::UpstreamRefused => ResponseFlags::UPSTREAM_REMOTE_RESET,
            Self::UpstreamProtocol | Self::UpstreamTakesNoUpgrade | Self::Capsule(_) => {
                ResponseFlags::UPSTREAM_PROTOCOL_ERROR
            }
            Self::ResponseTimeout | Self::PerTryTimeout | Self::PerTryIdle => {
                ResponseFlags::UPSTREAM_REQUEST_TIMEOUT
            }
            Self::StreamIdle { .. } => ResponseFlags::STREAM_IDLE_TIMEOUT,
            Self::DownstreamGone => ResponseFlags::DOWNSTREAM_CONNECTION_TERMINATION,
            Self::DownstreamReset(ErrorCode::PROTOCOL_ERROR)
            | Self::DownstreamProtocol(_)
            | Self::UdpEndedAtOnce
            | Self::UdpSocket => ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR,
            Self::DownstreamReset(_) => ResponseFlags::DOWNSTREAM_REMOTE_RESET,
            // As Envoy, though the reset was ours.
            Self::DownstreamFault(
                StreamFault::TooManyHeaders | StreamFault::HeaderOverflow | StreamFault::Underscore,
            ) => ResponseFlags::DOWNSTREAM_REMOTE_RESET,
            Self::DownstreamFault(_) => ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR,
            Self::RequestTimeout
            | Self::ResponseTooLarge
            | Self::HeaderTimeout
            | Self::MaxDuration
            | Self::UpgradeRefused
            | Self::UdpPath
            | Self::NoPath
            | Self::PathNormalization => ResponseFlags::NONE,
        }
    }

    /// The body of the local reply.
    pub fn body(self) -> &'static str {
        match self {
            Self::NoRoute | Self::ClusterNotFound { .. } | Self::UpgradeRefused => "",
            Self::PathNormalization | Self::NoPath | Self::UdpEndedAtOnce | Self::Capsule(_) => "",
            Self::UdpPath => "The path is incorrect for CONNECT-UDP",
            Self::UdpSocket => "Upstream socket connect failure.",
            Self::DownstreamGone
            | Self::DownstreamReset(_)
            | Self::DownstreamFault(_)
            | Self::DownstreamProtocol(_) => "",
            Self::NoHealthyUpstream => "no healthy upstream",
            Self::DropOverload { all: false } => "drop overload",
            Self::DropOverload { all: true } => "unconditional drop overload",
            Self::Overflow => {
                "upstream connect error or disconnect/reset before headers. reset reason: overflow"
            }
            Self::ConnectFailure(_)
            | Self::ImmediateConnectFailure(_)
            | Self::TlsFailure
            | Self::SecretsMissing => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 remote connection failure"
            }
            Self::LocalConnectFailure(_) => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 local connection failure"
            }
            Self::ConnectTimeout => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 connection timeout"
            }
            Self::UpstreamClosed | Self::UpstreamGone => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 connection termination"
            }
            Self::UpstreamReset => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 remote reset"
            }
            Self::UpstreamRefused => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 remote refused stream reset"
            }
            Self::UpstreamProtocol | Self::UpstreamTakesNoUpgrade => {
                "upstream connect error or disconnect/reset before headers. reset reason: \
                 protocol error"
            }
            Self::ResponseTimeout | Self::PerTryTimeout | Self::PerTryIdle => {
                "upstream request timeout"
            }
            Self::StreamIdle { .. } => "stream timeout",
            Self::RequestTimeout => "request timeout",
            Self::HeaderTimeout => "request header timeout",
            Self::ResponseTooLarge => "Internal Server Error",
            Self::MaxDuration => "downstream duration timeout",
        }
    }

    /// `%RESPONSE_CODE_DETAILS%`.
    pub fn details(self, response_started: bool) -> Cow<'static, str> {
        let reason = match self {
            Self::NoRoute => return "route_not_found".into(),
            Self::ClusterNotFound { .. } => return "cluster_not_found".into(),
            Self::NoHealthyUpstream => return "no_healthy_upstream".into(),
            Self::DropOverload { all: false } => return "drop_overload".into(),
            Self::DropOverload { all: true } => return "unconditional_drop_overload".into(),
            Self::PerTryTimeout => return "upstream_per_try_timeout".into(),
            Self::PerTryIdle => return "upstream_per_try_idle_timeout".into(),
            Self::ResponseTimeout => return "response_timeout".into(),
            Self::StreamIdle { .. } => return "stream_idle_timeout".into(),
            Self::RequestTimeout => return "request_overall_timeout".into(),
            Self::HeaderTimeout => return "request_header_timeout".into(),
            Self::ResponseTooLarge => return "response_payload_too_large".into(),
            Self::MaxDuration => return "max_duration_timeout".into(),
            Self::DownstreamGone => return "downstream_remote_disconnect".into(),
            Self::DownstreamReset(ErrorCode::REFUSED_STREAM) => {
                return "http2.remote_refuse".into();
            }
            Self::DownstreamReset(_) => return "http2.remote_reset".into(),
            Self::DownstreamFault(fault) => return fault.details().into(),
            Self::DownstreamProtocol(error) => {
                return format!("codec_error:{error}").replace(' ', "_").into();
            }
            Self::UpgradeRefused => return "upgrade_failed".into(),
            Self::UdpPath => return "invalid_path".into(),
            Self::UdpSocket => {
                return "filter_removed_required_request_headers{Upstream_socket_connect_failure.}"
                    .into();
            }
            Self::UdpEndedAtOnce => "remote_error_with_CONNECT_request",
            Self::Capsule(error) => error.details(),
            Self::PathNormalization => return "path_normalization_failed".into(),
            Self::NoPath => return "absolute_path_rejected".into(),
            Self::Overflow => "overflow",
            Self::ConnectFailure(_) | Self::ImmediateConnectFailure(_) => {
                return self.connect_details(None).unwrap_or_default();
            }
            Self::LocalConnectFailure(Some(_)) => {
                return self.connect_details(None).unwrap_or_default();
            }
            Self::LocalConnectFailure(None) => "local_connection_failure",
            Self::TlsFailure => "remote_connection_failure",
            Self::SecretsMissing => {
                "remote_connection_failure|TLS_error:_Secret_is_not_supplied_by_SDS"
            }
            Self::ConnectTimeout => "connection_timeout",
            Self::UpstreamClosed if response_started => "protocol_error",
            Self::UpstreamClosed | Self::UpstreamGone => "connection_termination",
            Self::UpstreamReset => "remote_reset",
            Self::UpstreamRefused => "remote_refused_stream_reset",
            Self::UpstreamProtocol => "protocol_error",
            Self::UpstreamTakesNoUpgrade => "extended_connect_not_allowed",
        };
        let when = if response_started { "after" } else { "before" };
        format!("upstream_reset_{when}_response_started{{{reason}}}").into()
    }

    /// Failures that count as the upstream's, for its statistics.
    pub fn is_upstream(self) -> bool {
        matches!(
            self,
            Self::ConnectFailure(_)
                | Self::ImmediateConnectFailure(_)
                | Self::LocalConnectFailure(_)
                | Self::ConnectTimeout
                | Self::TlsFailure
                | Self::SecretsMissing
                | Self::UpstreamClosed
                | Self::UpstreamGone
                | Self::UpstreamReset
                | Self::UpstreamRefused
                | Self::UpstreamProtocol
                | Self::UpstreamTakesNoUpgrade
                | Self::ResponseTimeout
                | Self::PerTryTimeout
                | Self::PerTryIdle
        )
    }

    /// The limit of time that the route sets for responses.
    pub fn is_timeout(self) -> bool {
        matches!(
            self,
            Self::ResponseTimeout | Self::PerTryTimeout | Self::PerTryIdle
        )
    }

    /// As what a retry policy takes it; `None`: no attempt follows.
    pub fn reset(self) -> Option<Reset> {
        match self {
            Self::ConnectFailure(_)
            | Self::ImmediateConnectFailure(_)
            | Self::LocalConnectFailure(_)
            | Self::ConnectTimeout
            | Self::TlsFailure
            | Self::SecretsMissing => Some(Reset::ConnectFailure),
            Self::UpstreamRefused => Some(Reset::Refused),
            Self::PerTryTimeout | Self::PerTryIdle => Some(Reset::Timeout),
            Self::UpstreamClosed
            | Self::UpstreamGone
            | Self::UpstreamReset
            | Self::UpstreamProtocol => Some(Reset::Other),
            _ => None,
        }
    }

    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%` of a connection that never was:
    /// `delayed_connect_error:_Connection_refused`, or
    /// `immediate_connect_error:_No_such_file_or_directory|remote_address:/run/a.sock`.
    pub fn connect_error(self, host: Option<&Address>) -> Option<String> {
        match (self, host) {
            (Self::ConnectFailure(errno), _) => {
                Some(format!("delayed_connect_error:_{}", words(errno)))
            }
            (Self::ImmediateConnectFailure(errno), None) => {
                Some(format!("immediate_connect_error:_{}", words(errno)))
            }
            (Self::ImmediateConnectFailure(errno), Some(host)) => Some(format!(
                "immediate_connect_error:_{}|remote_address:{host}",
                words(errno)
            )),
            (Self::LocalConnectFailure(Some((source, errno))), _) => {
                Some(format!("failed_to_bind_to_{source}:_{}", words(errno)))
            }
            _ => None,
        }
    }

    /// `%RESPONSE_CODE_DETAILS%` of the same.
    pub fn connect_details(self, host: Option<&Address>) -> Option<Cow<'static, str>> {
        let error = self.connect_error(host)?;
        let whose = match self {
            Self::LocalConnectFailure(_) => "local",
            _ => "remote",
        };
        let details =
            format!("upstream_reset_before_response_started{{{whose}_connection_failure|{error}}}");
        Some(details.into())
    }

    /// `%RESPONSE_CODE_DETAILS%` of a handshake that failed, with what TLS says of it.
    pub fn tls_details(self, reason: &str) -> Option<Cow<'static, str>> {
        if self != Self::TlsFailure {
            return None;
        }
        let reason = reason.replace(' ', "_");
        let details =
            format!("upstream_reset_before_response_started{{remote_connection_failure|{reason}}}");
        Some(details.into())
    }

    pub fn of_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Bind(source, errno) => Self::LocalConnectFailure(Some((source, errno))),
            Refusal::Option(_) => Self::LocalConnectFailure(None),
            Refusal::Other(errno) => Self::ImmediateConnectFailure(errno),
        }
    }
}

/// What the system says of an error, with `_` for spaces.
fn words(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.replace(' ', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_name_the_cause() {
        assert_eq!(
            Failure::ConnectFailure(Errno::CONNREFUSED).details(false),
            "upstream_reset_before_response_started{remote_connection_failure|\
             delayed_connect_error:_Connection_refused}"
        );
        let host = Address::Pipe("/run/a.sock".into());
        assert_eq!(
            Failure::ImmediateConnectFailure(Errno::NOENT).connect_details(Some(&host)),
            Some(
                "upstream_reset_before_response_started{remote_connection_failure|\
                 immediate_connect_error:_No_such_file_or_directory|remote_address:/run/a.sock}"
                    .into()
            )
        );
        let source = "10.99.0.1:0".parse().unwrap();
        assert_eq!(
            Failure::LocalConnectFailure(Some((source, Errno::ADDRNOTAVAIL))).details(false),
            "upstream_reset_before_response_started{local_connection_failure|\
             failed_to_bind_to_10.99.0.1:0:_Cannot_assign_requested_address}"
        );
        assert_eq!(
            Failure::UpstreamClosed.details(true),
            "upstream_reset_after_response_started{protocol_error}"
        );
        assert_eq!(
            Failure::UpstreamGone.details(true),
            "upstream_reset_after_response_started{connection_termination}"
        );
        assert_eq!(
            Failure::DownstreamProtocol(ConnectionError::StreamZero).details(false),
            "codec_error:frame_type_does_not_belong_on_this_stream_id"
        );
    }

    #[test]
    fn a_client_that_resets_is_told_from_one_that_breaks_rules() {
        use ResponseFlags as F;
        let reset = Failure::DownstreamReset;
        let fault = Failure::DownstreamFault;
        for (failure, flag, details) in [
            (
                reset(ErrorCode::CANCEL),
                F::DOWNSTREAM_REMOTE_RESET,
                "http2.remote_reset",
            ),
            (
                reset(ErrorCode::REFUSED_STREAM),
                F::DOWNSTREAM_REMOTE_RESET,
                "http2.remote_refuse",
            ),
            (
                reset(ErrorCode::PROTOCOL_ERROR),
                F::DOWNSTREAM_PROTOCOL_ERROR,
                "http2.remote_reset",
            ),
            (
                fault(StreamFault::FieldName),
                F::DOWNSTREAM_PROTOCOL_ERROR,
                "http2.invalid.header.field",
            ),
            (
                fault(StreamFault::TooManyHeaders),
                F::DOWNSTREAM_REMOTE_RESET,
                "http2.too_many_headers",
            ),
        ] {
            assert!(failure.flags(false) == flag, "{failure:?}");
            assert_eq!(failure.details(false), details);
        }
    }
}
