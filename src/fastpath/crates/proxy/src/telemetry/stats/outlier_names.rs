//! What Envoy counts per cluster with outlier detection: `cluster.<name>.outlier_detection.*`.

use super::names::stat_names;

stat_names! {
    /// Counters of outlier detection.
    pub enum OutlierCounter {
        EjectionsConsecutive5xx = "ejections_consecutive_5xx",
        EjectionsDetectedConsecutive5xx = "ejections_detected_consecutive_5xx",
        EjectionsDetectedConsecutiveGatewayFailure = "ejections_detected_consecutive_gateway_failure",
        EjectionsDetectedConsecutiveLocalOriginFailure = "ejections_detected_consecutive_local_origin_failure",
        EjectionsDetectedDegradation = "ejections_detected_degradation",
        EjectionsDetectedFailurePercentage = "ejections_detected_failure_percentage",
        EjectionsDetectedLocalOriginFailurePercentage = "ejections_detected_local_origin_failure_percentage",
        EjectionsDetectedLocalOriginSuccessRate = "ejections_detected_local_origin_success_rate",
        EjectionsDetectedSuccessRate = "ejections_detected_success_rate",
        EjectionsEnforcedConsecutive5xx = "ejections_enforced_consecutive_5xx",
        EjectionsEnforcedConsecutiveGatewayFailure = "ejections_enforced_consecutive_gateway_failure",
        EjectionsEnforcedConsecutiveLocalOriginFailure = "ejections_enforced_consecutive_local_origin_failure",
        EjectionsEnforcedFailurePercentage = "ejections_enforced_failure_percentage",
        EjectionsEnforcedLocalOriginFailurePercentage = "ejections_enforced_local_origin_failure_percentage",
        EjectionsEnforcedLocalOriginSuccessRate = "ejections_enforced_local_origin_success_rate",
        EjectionsEnforcedSuccessRate = "ejections_enforced_success_rate",
        EjectionsEnforcedTotal = "ejections_enforced_total",
        EjectionsOverflow = "ejections_overflow",
        EjectionsSuccessRate = "ejections_success_rate",
        EjectionsTotal = "ejections_total",
    }
}

stat_names! {
    /// Gauges of outlier detection.
    pub enum OutlierGauge {
        EjectionsActive = "ejections_active",
    }
}
