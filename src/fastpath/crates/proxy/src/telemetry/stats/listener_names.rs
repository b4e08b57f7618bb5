//! What Envoy counts per listener: `listener.<address>.*`.

use super::names::stat_names;

stat_names! {
    /// Counters of a listener.
    pub enum ListenerCounter {
        DownstreamCxDestroy = "downstream_cx_destroy",
        DownstreamCxOverflow = "downstream_cx_overflow",
        DownstreamCxOverloadReject = "downstream_cx_overload_reject",
        DownstreamCxTotal = "downstream_cx_total",
        DownstreamCxTransportSocketConnectTimeout = "downstream_cx_transport_socket_connect_timeout",
        DownstreamGlobalCxOverflow = "downstream_global_cx_overflow",
        DownstreamListenerFilterError = "downstream_listener_filter_error",
        DownstreamListenerFilterRemoteClose = "downstream_listener_filter_remote_close",
        DownstreamPreCxTimeout = "downstream_pre_cx_timeout",
        ExtensionConfigMissing = "extension_config_missing",
        NetworkExtensionConfigMissing = "network_extension_config_missing",
        NoFilterChainMatch = "no_filter_chain_match",
    }
}

stat_names! {
    /// Gauges of a listener.
    pub enum ListenerGauge {
        DownstreamCxActive = "downstream_cx_active",
        DownstreamPreCxActive = "downstream_pre_cx_active",
    }
}

stat_names! {
    /// Histograms of a listener.
    pub enum ListenerHistogram {
        ConnectionsAcceptedPerSocketEvent = "connections_accepted_per_socket_event",
        DownstreamCxLengthMs = "downstream_cx_length_ms",
    }
}

stat_names! {
    /// Counters of a connection manager on one listener: `listener.<address>.http.<stat_prefix>.*`.
    pub enum ListenerHttpCounter {
        DownstreamRq1xx = "downstream_rq_1xx",
        DownstreamRq2xx = "downstream_rq_2xx",
        DownstreamRq3xx = "downstream_rq_3xx",
        DownstreamRq4xx = "downstream_rq_4xx",
        DownstreamRq5xx = "downstream_rq_5xx",
        DownstreamRqCompleted = "downstream_rq_completed",
    }
}
