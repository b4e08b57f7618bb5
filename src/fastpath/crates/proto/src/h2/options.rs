//! What the owner of a connection may choose: our settings, and the limits of what is taken.

use super::flow::{INITIAL_WINDOW, MAX_WINDOW};
use super::frame::{MAX_MAX_FRAME_SIZE, MIN_MAX_FRAME_SIZE};
use crate::head::Underscores;

/// Options of one connection. `Default` is what a stock Envoy 1.40 does, but for
/// `stream_error_on_invalid_message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Streams the peer may have open at once (`max_concurrent_streams`); the server's.
    pub max_concurrent_streams: u32,
    /// Bytes of DATA the peer may send on a stream before we consume some; at most 2^31-1.
    pub initial_stream_window: u32,
    /// The same for all streams together; at least 65,535, which HTTP/2 begins with.
    pub initial_connection_window: u32,
    /// Bytes of the HPACK table the peer may keep here, and that we keep at the peer if it lets us.
    pub header_table_size: u32,
    /// The longest frame payload we take, 16,384 to 16,777,215. The owner must be able to keep
    /// that many bytes, and 9, of a frame that is not whole.
    pub max_frame_size: u32,
    /// Names plus values of one head or of trailers, decoded (`max_request_headers_kb`).
    pub max_header_bytes: usize,
    /// Fields of one head or of trailers (`max_headers_count`); each crumb of a cookie is one, as
    /// in Envoy since CVE-2026-47774.
    pub max_headers: usize,
    /// Name plus value of one field (`max_header_field_size_kb`).
    pub max_header_field_bytes: usize,
    /// The same for the heads of all requests that are open together: beyond it, streams are
    /// refused. One indexed byte may stand for kilobytes, and a stream keeps its head.
    pub max_open_head_bytes: usize,
    /// CONTINUATION frames of one header block; nghttp2's limit. More if `max_header_bytes` needs
    /// more.
    pub max_continuations: u32,
    /// Offer and take extended CONNECT (`allow_connect`, RFC 8441); the server's.
    pub allow_connect: bool,
    /// `headers_with_underscores_action`. Names that imitate framing names are refused always.
    pub underscores: Underscores,
    /// `override_stream_error_on_invalid_http_message`: a malformed message resets its stream
    /// (RFC 9113 §8.1.1). Envoy's default, `false`, closes the connection.
    pub stream_error_on_invalid_message: bool,
    /// Frames that may wait to be sent, DATA included (`max_outbound_frames`).
    pub max_outbound_frames: u32,
    /// Acknowledgements and resets that may wait to be sent (`max_outbound_control_frames`).
    pub max_outbound_control_frames: u32,
    /// HEADERS, CONTINUATION and DATA in a row that carry nothing and end nothing
    /// (`max_consecutive_inbound_frames_with_empty_payload`).
    pub max_consecutive_empty_frames: u32,
    /// PRIORITY frames for each stream (`max_inbound_priority_frames_per_stream`).
    pub max_priority_per_stream: u32,
    /// WINDOW_UPDATE frames for each DATA frame that we sent
    /// (`max_inbound_window_update_frames_per_data_frame_sent`).
    pub max_window_update_per_data: u32,
    /// Streams that may end in a reset at once, and
    pub reset_burst: u32,
    /// how many more for each second; the server's. nghttp2's `stream_reset_rate_limit`.
    pub reset_rate: u32,
    /// `overload.premature_reset_total_stream_count`: when half of as many streams (or of all,
    /// once there were more) were reset without a response within
    pub premature_reset_total: u32,
    /// as many milliseconds, the connection is closed; the server's.
    pub premature_reset_lifetime_ms: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_concurrent_streams: 1024,
            initial_stream_window: 16 << 20,
            initial_connection_window: 24 << 20,
            header_table_size: 4096,
            max_frame_size: 16_384,
            max_header_bytes: 61_440,
            max_headers: 100,
            max_header_field_bytes: 65_536,
            max_open_head_bytes: 3 << 19,
            max_continuations: 8,
            allow_connect: false,
            underscores: Underscores::Allow,
            stream_error_on_invalid_message: true,
            max_outbound_frames: 10_000,
            max_outbound_control_frames: 1000,
            max_consecutive_empty_frames: 1,
            max_priority_per_stream: 100,
            max_window_update_per_data: 10,
            reset_burst: 1000,
            reset_rate: 33,
            premature_reset_total: 500,
            premature_reset_lifetime_ms: 1000,
        }
    }
}

impl Options {
    /// The same with every value in the range that HTTP/2 allows.
    pub(super) fn clamped(mut self) -> Options {
        self.initial_stream_window = self.initial_stream_window.min(MAX_WINDOW);
        self.initial_connection_window = self
            .initial_connection_window
            .clamp(INITIAL_WINDOW, MAX_WINDOW);
        self.max_frame_size = self
            .max_frame_size
            .clamp(MIN_MAX_FRAME_SIZE, MAX_MAX_FRAME_SIZE);
        let frames = self.max_header_bytes >> 14; // of 16 KiB
        let frames = u32::try_from(frames).unwrap_or(u32::MAX);
        self.max_continuations = self.max_continuations.max(frames.saturating_add(1));
        self
    }
}
