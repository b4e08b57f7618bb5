//! What Envoy counts of HTTP/2: `http2.*` for all clients, `cluster.<name>.http2.*` for hosts.

use proto::h2::Stats;

use super::Http2Shard;
use super::names::stat_names;

stat_names! {
    /// Counters of HTTP/2 connections.
    pub enum Http2Counter {
        CookiesTotalBytesTooLarge = "cookies_total_bytes_too_large",
        DroppedHeadersWithUnderscores = "dropped_headers_with_underscores",
        GoawaySent = "goaway_sent",
        HeaderListSizeTooLarge = "header_list_size_too_large",
        HeaderOverflow = "header_overflow",
        HeadersCbNoStream = "headers_cb_no_stream",
        InboundEmptyFramesFlood = "inbound_empty_frames_flood",
        InboundPriorityFramesFlood = "inbound_priority_frames_flood",
        InboundWindowUpdateFramesFlood = "inbound_window_update_frames_flood",
        KeepaliveTimeout = "keepalive_timeout",
        MetadataEmptyFrames = "metadata_empty_frames",
        OutboundControlFlood = "outbound_control_flood",
        OutboundFlood = "outbound_flood",
        RequestsRejectedWithUnderscoresInHeaders = "requests_rejected_with_underscores_in_headers",
        RxMessagingError = "rx_messaging_error",
        RxReset = "rx_reset",
        StreamRefusedErrors = "stream_refused_errors",
        Trailers = "trailers",
        TxFlushTimeout = "tx_flush_timeout",
        TxReset = "tx_reset",
    }
}

stat_names! {
    /// Gauges of HTTP/2 connections.
    pub enum Http2Gauge {
        PendingSendBytes = "pending_send_bytes",
        StreamsActive = "streams_active",
    }
}

impl Http2Shard {
    /// Adds what a connection has seen since it was last asked.
    pub fn add_seen(&self, seen: &Stats) {
        use Http2Counter as C;
        let counted = [
            (
                C::DroppedHeadersWithUnderscores,
                seen.dropped_headers_with_underscores,
            ),
            // The notice before it (`goaway_graceful_sent`) is not counted.
            (C::GoawaySent, seen.goaway_sent),
            (C::HeaderListSizeTooLarge, seen.header_list_size_too_large),
            (
                C::HeaderOverflow,
                seen.header_overflow
                    .saturating_add(seen.too_many_header_frames),
            ),
            (C::HeadersCbNoStream, seen.headers_cb_no_stream),
            (C::InboundEmptyFramesFlood, seen.inbound_empty_frames_flood),
            (
                C::InboundPriorityFramesFlood,
                seen.inbound_priority_frames_flood,
            ),
            (
                C::InboundWindowUpdateFramesFlood,
                seen.inbound_window_update_frames_flood,
            ),
            (C::OutboundControlFlood, seen.outbound_control_flood),
            (C::OutboundFlood, seen.outbound_flood),
            (
                C::RequestsRejectedWithUnderscoresInHeaders,
                seen.requests_rejected_with_underscores_in_headers,
            ),
            (C::RxMessagingError, seen.rx_messaging_error),
            (C::RxReset, seen.rx_reset),
            (C::StreamRefusedErrors, seen.stream_refused_errors),
            (C::Trailers, seen.trailers),
            (C::TxReset, seen.tx_reset),
        ];
        for (counter, n) in counted {
            if n > 0 {
                self.add(counter, n.into());
            }
        }
    }
}
