//! What Envoy counts per TCP proxy (`tcp.<stat_prefix>.*`), per connection limit
//! (`connection_limit.<stat_prefix>.*`), per `rbac` (`<stat_prefix>.rbac.*`) and per `ext_authz`
//! (`ext_authz.<stat_prefix>.*`).

use super::names::stat_names;

stat_names! {
    /// Counters of a TCP proxy.
    pub enum TcpCounter {
        DownstreamCxDrainClose = "downstream_cx_drain_close",
        DownstreamCxNoRoute = "downstream_cx_no_route",
        DownstreamCxOverloadClose = "downstream_cx_overload_close",
        DownstreamCxRxBytesTotal = "downstream_cx_rx_bytes_total",
        DownstreamCxTotal = "downstream_cx_total",
        DownstreamCxTxBytesTotal = "downstream_cx_tx_bytes_total",
        DownstreamFlowControlPausedReadingTotal = "downstream_flow_control_paused_reading_total",
        DownstreamFlowControlResumedReadingTotal = "downstream_flow_control_resumed_reading_total",
        EarlyDataReceivedCountTotal = "early_data_received_count_total",
        IdleTimeout = "idle_timeout",
        MaxDownstreamConnectionDuration = "max_downstream_connection_duration",
        RouteDelayedTotal = "route_delayed_total",
        UpstreamFlushTotal = "upstream_flush_total",
    }
}

stat_names! {
    /// Gauges of a TCP proxy.
    pub enum TcpGauge {
        DownstreamCxRxBytesBuffered = "downstream_cx_rx_bytes_buffered",
        DownstreamCxTxBytesBuffered = "downstream_cx_tx_bytes_buffered",
        UpstreamFlushActive = "upstream_flush_active",
    }
}

stat_names! {
    /// Counters of a connection limit.
    pub enum ConnectionLimitCounter {
        LimitedConnections = "limited_connections",
    }
}

stat_names! {
    /// Gauges of a connection limit.
    pub enum ConnectionLimitGauge {
        ActiveConnections = "active_connections",
    }
}

stat_names! {
    /// Counters of enforced RBAC rules.
    pub enum RbacCounter {
        Allowed = "allowed",
        Denied = "denied",
    }
}

stat_names! {
    /// Counters of RBAC rules that are not enforced.
    pub enum RbacShadowCounter {
        ShadowAllowed = "shadow_allowed",
        ShadowDenied = "shadow_denied",
    }
}

stat_names! {
    /// Counters of a network filter `ext_authz`.
    pub enum NetworkExtAuthzCounter {
        CxClosed = "cx_closed",
        Denied = "denied",
        Disabled = "disabled",
        Error = "error",
        FailureModeAllowed = "failure_mode_allowed",
        Ok = "ok",
        Total = "total",
    }
}

stat_names! {
    /// Gauges of a network filter `ext_authz`.
    pub enum NetworkExtAuthzGauge {
        Active = "active",
    }
}
