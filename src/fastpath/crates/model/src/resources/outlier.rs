//! `OutlierDetection`, compiled: when hosts that answer badly are left out, and for how long.

use std::time::Duration;

/// Numbers are as Envoy's, defaults filled in; percentages are whole ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierDetection {
    /// Between two looks at all hosts. Default 10 s.
    pub interval: Duration,
    /// A host is out for as many of these as it was lately put out. Default 30 s.
    pub base_ejection_time: Duration,
    /// At most. Default 300 s, or the base time if that is longer.
    pub max_ejection_time: Duration,
    /// So much longer, at random. Default 0.
    pub max_ejection_time_jitter: Duration,
    /// Of all hosts of the cluster. Default 10.
    pub max_ejection_percent: u32,
    /// The first one whatever the percentage.
    pub always_eject_one_host: bool,
    /// Errors of connections are not those of answers.
    pub split_external_local_origin_errors: bool,
    /// Default 5.
    pub consecutive_5xx: Consecutive,
    /// Default 5, never enforced.
    pub consecutive_gateway_failure: Consecutive,
    /// Default 5; only where errors are split.
    pub consecutive_local_origin_failure: Consecutive,
    pub success_rate: SuccessRate,
    pub failure_percentage: FailurePercentage,
    /// `close_connections_on_host_health_failure` of the cluster: tunnels of TCP end with their
    /// host's ejection.
    pub close_connections: bool,
    /// `outlier_detection.error_matcher` of the HTTP options: the statuses that are errors, in place
    /// of those from 500 on.
    pub error_statuses: Option<Box<[u16]>>,
}

/// So many failures in a row are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consecutive {
    pub failures: u32,
    /// In so many of a hundred cases something follows.
    pub enforcing: u32,
}

/// A host whose rate is under mean - factor x standard deviation of all is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessRate {
    /// Default 5.
    pub minimum_hosts: u32,
    /// In one interval, for a host to be looked at. Default 100.
    pub request_volume: u32,
    /// In thousandths. Default 1900.
    pub stdev_factor: u32,
    /// Default 100.
    pub enforcing: u32,
    /// Of errors of connections, where they are split. Default 100.
    pub enforcing_local_origin: u32,
}

/// A host of whose requests so many fail is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePercentage {
    /// Default 85.
    pub threshold: u32,
    /// Default 5.
    pub minimum_hosts: u32,
    /// Default 50.
    pub request_volume: u32,
    /// Default 0.
    pub enforcing: u32,
    /// Default 0.
    pub enforcing_local_origin: u32,
}
