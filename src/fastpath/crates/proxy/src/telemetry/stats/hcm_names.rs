//! What Envoy counts per HTTP connection manager: `http.<stat_prefix>.*`.

use super::names::stat_names;

stat_names! {
    /// Counters of an HTTP connection manager, its router and its tracing.
    pub enum HcmCounter {
        DownstreamCxDelayedCloseTimeout = "downstream_cx_delayed_close_timeout",
        DownstreamCxDestroy = "downstream_cx_destroy",
        DownstreamCxDestroyActiveRq = "downstream_cx_destroy_active_rq",
        DownstreamCxDestroyLocal = "downstream_cx_destroy_local",
        DownstreamCxDestroyLocalActiveRq = "downstream_cx_destroy_local_active_rq",
        DownstreamCxDestroyRemote = "downstream_cx_destroy_remote",
        DownstreamCxDestroyRemoteActiveRq = "downstream_cx_destroy_remote_active_rq",
        DownstreamCxDrainClose = "downstream_cx_drain_close",
        DownstreamCxHttp1Total = "downstream_cx_http1_total",
        DownstreamCxHttp2Total = "downstream_cx_http2_total",
        DownstreamCxHttp3Total = "downstream_cx_http3_total",
        DownstreamCxIdleTimeout = "downstream_cx_idle_timeout",
        DownstreamCxMaxDurationReached = "downstream_cx_max_duration_reached",
        DownstreamCxMaxRequestsReached = "downstream_cx_max_requests_reached",
        DownstreamCxOverloadDisableKeepalive = "downstream_cx_overload_disable_keepalive",
        DownstreamCxProtocolError = "downstream_cx_protocol_error",
        DownstreamCxRxBytesTotal = "downstream_cx_rx_bytes_total",
        DownstreamCxSslTotal = "downstream_cx_ssl_total",
        DownstreamCxTotal = "downstream_cx_total",
        DownstreamCxTxBytesTotal = "downstream_cx_tx_bytes_total",
        DownstreamCxUpgradesTotal = "downstream_cx_upgrades_total",
        DownstreamFlowControlPausedReadingTotal = "downstream_flow_control_paused_reading_total",
        DownstreamFlowControlResumedReadingTotal = "downstream_flow_control_resumed_reading_total",
        DownstreamRq1xx = "downstream_rq_1xx",
        DownstreamRq2xx = "downstream_rq_2xx",
        DownstreamRq3xx = "downstream_rq_3xx",
        DownstreamRq4xx = "downstream_rq_4xx",
        DownstreamRq5xx = "downstream_rq_5xx",
        DownstreamRqCompleted = "downstream_rq_completed",
        DownstreamRqFailedPathNormalization = "downstream_rq_failed_path_normalization",
        DownstreamRqHeaderTimeout = "downstream_rq_header_timeout",
        DownstreamRqHttp1Total = "downstream_rq_http1_total",
        DownstreamRqHttp2Total = "downstream_rq_http2_total",
        DownstreamRqHttp3Total = "downstream_rq_http3_total",
        DownstreamRqIdleTimeout = "downstream_rq_idle_timeout",
        DownstreamRqMaxDurationReached = "downstream_rq_max_duration_reached",
        DownstreamRqNonRelativePath = "downstream_rq_non_relative_path",
        DownstreamRqOverloadClose = "downstream_rq_overload_close",
        DownstreamRqRedirectedWithNormalizedPath = "downstream_rq_redirected_with_normalized_path",
        DownstreamRqRejectedViaIpDetection = "downstream_rq_rejected_via_ip_detection",
        DownstreamRqResponseBeforeRqComplete = "downstream_rq_response_before_rq_complete",
        DownstreamRqRxReset = "downstream_rq_rx_reset",
        DownstreamRqTimeout = "downstream_rq_timeout",
        DownstreamRqTooLarge = "downstream_rq_too_large",
        DownstreamRqTooManyPrematureResets = "downstream_rq_too_many_premature_resets",
        DownstreamRqTotal = "downstream_rq_total",
        DownstreamRqTxReset = "downstream_rq_tx_reset",
        DownstreamRqWsOnNonWsRoute = "downstream_rq_ws_on_non_ws_route",
        NoCluster = "no_cluster",
        NoRoute = "no_route",
        PassthroughInternalRedirectBadLocation = "passthrough_internal_redirect_bad_location",
        PassthroughInternalRedirectNoRoute = "passthrough_internal_redirect_no_route",
        PassthroughInternalRedirectPredicate = "passthrough_internal_redirect_predicate",
        PassthroughInternalRedirectTooManyRedirects = "passthrough_internal_redirect_too_many_redirects",
        PassthroughInternalRedirectUnsafeScheme = "passthrough_internal_redirect_unsafe_scheme",
        RqDirectResponse = "rq_direct_response",
        RqOverloadLocalReply = "rq_overload_local_reply",
        RqRedirect = "rq_redirect",
        RqResetAfterDownstreamResponseStarted = "rq_reset_after_downstream_response_started",
        RqTotal = "rq_total",
        RsTooLarge = "rs_too_large",
        TracingClientEnabled = "tracing.client_enabled",
        TracingHealthCheck = "tracing.health_check",
        TracingNotTraceable = "tracing.not_traceable",
        TracingRandomSampling = "tracing.random_sampling",
        TracingServiceForced = "tracing.service_forced",
    }
}

stat_names! {
    /// Gauges of an HTTP connection manager.
    pub enum HcmGauge {
        DownstreamCxActive = "downstream_cx_active",
        DownstreamCxHttp1Active = "downstream_cx_http1_active",
        DownstreamCxHttp1SoftDrain = "downstream_cx_http1_soft_drain",
        DownstreamCxHttp2Active = "downstream_cx_http2_active",
        DownstreamCxHttp3Active = "downstream_cx_http3_active",
        DownstreamCxRxBytesBuffered = "downstream_cx_rx_bytes_buffered",
        DownstreamCxSslActive = "downstream_cx_ssl_active",
        DownstreamCxTxBytesBuffered = "downstream_cx_tx_bytes_buffered",
        DownstreamCxUpgradesActive = "downstream_cx_upgrades_active",
        DownstreamRqActive = "downstream_rq_active",
    }
}

stat_names! {
    /// Histograms of an HTTP connection manager, in milliseconds.
    pub enum HcmHistogram {
        DownstreamCxLengthMs = "downstream_cx_length_ms",
        DownstreamRqTime = "downstream_rq_time",
    }
}
