//! What a connection counts, under Envoy's names (`http2.*`).

use super::error::{ConnectionError, StreamFault};
use super::hpack::HpackError;

/// Counts since the owner took them last (`std::mem::take(&mut connection.stats)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub dropped_headers_with_underscores: u32,
    pub goaway_sent: u32,
    pub goaway_graceful_sent: u32,
    pub header_list_size_too_large: u32,
    pub header_overflow: u32,
    /// Header blocks that belong to no stream any more.
    pub headers_cb_no_stream: u32,
    pub inbound_empty_frames_flood: u32,
    pub inbound_priority_frames_flood: u32,
    pub inbound_window_update_frames_flood: u32,
    pub outbound_control_flood: u32,
    pub outbound_flood: u32,
    pub requests_rejected_with_underscores_in_headers: u32,
    pub rx_messaging_error: u32,
    pub rx_reset: u32,
    pub stream_refused_errors: u32,
    pub too_many_header_frames: u32,
    pub trailers: u32,
    pub tx_reset: u32,
    /// Not Envoy's: connections that were closed for too many resets.
    pub reset_flood: u32,
    /// `downstream_rq_too_many_premature_resets`.
    pub too_many_premature_resets: u32,
}

impl Stats {
    pub(super) fn count_fault(&mut self, fault: StreamFault) {
        let counter = match fault {
            StreamFault::HeaderOverflow => &mut self.header_list_size_too_large,
            StreamFault::TooManyHeaders => &mut self.header_overflow,
            StreamFault::Refused => &mut self.stream_refused_errors,
            fault if fault.is_malformed() => &mut self.rx_messaging_error,
            _ => return,
        };
        *counter = counter.saturating_add(1);
    }

    pub(super) fn count_hpack(&mut self, error: HpackError) -> ConnectionError {
        if error == HpackError::TooLong {
            self.header_overflow = self.header_overflow.saturating_add(1);
        }
        ConnectionError::Compression
    }
}
