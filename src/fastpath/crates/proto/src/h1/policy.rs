//! What one may send us: limits and options of heads.

use crate::head::Underscores;

/// Limits of one head; 431 (or 414) beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Start line, fields and the empty line. Envoy's `max_request_headers_kb`, 60 KiB.
    pub max_head_bytes: usize,
    /// Fields. Envoy's `max_headers_count`, 100.
    pub max_headers: usize,
    /// The request-target alone.
    pub max_target_bytes: usize,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits {
            max_head_bytes: 61_440,
            max_headers: 100,
            max_target_bytes: 61_440,
        }
    }
}

/// What Envoy lets one configure about HTTP/1 requests (`Http1ProtocolOptions`, HCM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPolicy {
    /// `accept_http_10`; 426 otherwise.
    pub accept_http_10: bool,
    /// `default_host_for_http_10`.
    pub default_host_for_http_10: Option<Box<[u8]>>,
    /// `allow_absolute_url`; 400 otherwise.
    pub allow_absolute_url: bool,
    /// `allow_chunked_length`: with both, content-length goes and the connection closes after.
    pub allow_chunked_length: bool,
    /// `allow_custom_methods`: any token is a method.
    pub allow_custom_methods: bool,
    /// `stream_error_on_invalid_http_message`: a request without Host is given to the caller, who
    /// must answer 400 (RFC 9112 §3.2) and may go on with the connection.
    pub allow_missing_host: bool,
    /// `headers_with_underscores_action`. Names that imitate framing names are refused always.
    pub underscores: Underscores,
}

impl Default for RequestPolicy {
    fn default() -> RequestPolicy {
        RequestPolicy {
            accept_http_10: false,
            default_host_for_http_10: None,
            allow_absolute_url: true,
            allow_chunked_length: false,
            allow_custom_methods: false,
            allow_missing_host: false,
            underscores: Underscores::Allow,
        }
    }
}
