//! `OutlierDetection` of a cluster, with Envoy's defaults.

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3 as pb;
use envoy_types::pb::envoy::config::common::matcher::v3::MatchPredicate;
use envoy_types::pb::envoy::config::common::matcher::v3::match_predicate::Rule;
use envoy_types::pb::envoy::config::route::v3::header_matcher::HeaderMatchSpecifier;
use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
use envoy_types::pb::google::protobuf::UInt32Value;

use super::duration::millis_or;
use crate::problem::Problems;
use crate::resources::outlier::{Consecutive, FailurePercentage, OutlierDetection, SuccessRate};

const INTERVAL: Duration = Duration::from_secs(10);
const BASE_EJECTION_TIME: Duration = Duration::from_secs(30);
const MAX_EJECTION_TIME: Duration = Duration::from_secs(300);

/// `None`: it was refused.
pub(super) fn compile(
    message: &pb::OutlierDetection,
    close_connections: bool,
    problems: &mut Problems,
) -> Option<OutlierDetection> {
    let mut time = |field, value, default| millis_or(field, value, default, problems);
    let interval = time("interval", message.interval.as_ref(), INTERVAL);
    let base = message.base_ejection_time.as_ref();
    let base = time("base_ejection_time", base, BASE_EJECTION_TIME);
    let max = message.max_ejection_time.as_ref();
    let max = time("max_ejection_time", max, MAX_EJECTION_TIME.max(base));
    let jitter = message.max_ejection_time_jitter.as_ref();
    let jitter = time("max_ejection_time_jitter", jitter, Duration::ZERO);
    if max < base {
        problems.report(
            "outlier detector's max_ejection_time cannot be smaller than base_ejection_time",
        );
        return None;
    }
    let number = |value: &Option<UInt32Value>, default| value.as_ref().map_or(default, |v| v.value);
    Some(OutlierDetection {
        // One that is shorter than Envoy can say is its shortest.
        interval: interval.max(Duration::from_millis(1)),
        base_ejection_time: base,
        max_ejection_time: max,
        max_ejection_time_jitter: jitter,
        max_ejection_percent: number(&message.max_ejection_percent, 10),
        always_eject_one_host: message
            .always_eject_one_host
            .as_ref()
            .is_some_and(|v| v.value),
        split_external_local_origin_errors: message.split_external_local_origin_errors,
        consecutive_5xx: Consecutive {
            failures: number(&message.consecutive_5xx, 5),
            enforcing: number(&message.enforcing_consecutive_5xx, 100),
        },
        consecutive_gateway_failure: Consecutive {
            failures: number(&message.consecutive_gateway_failure, 5),
            enforcing: number(&message.enforcing_consecutive_gateway_failure, 0),
        },
        consecutive_local_origin_failure: Consecutive {
            failures: number(&message.consecutive_local_origin_failure, 5),
            enforcing: number(&message.enforcing_consecutive_local_origin_failure, 100),
        },
        success_rate: SuccessRate {
            minimum_hosts: number(&message.success_rate_minimum_hosts, 5),
            request_volume: number(&message.success_rate_request_volume, 100),
            stdev_factor: number(&message.success_rate_stdev_factor, 1900),
            enforcing: number(&message.enforcing_success_rate, 100),
            enforcing_local_origin: number(&message.enforcing_local_origin_success_rate, 100),
        },
        failure_percentage: FailurePercentage {
            threshold: number(&message.failure_percentage_threshold, 85),
            minimum_hosts: number(&message.failure_percentage_minimum_hosts, 5),
            request_volume: number(&message.failure_percentage_request_volume, 50),
            enforcing: number(&message.enforcing_failure_percentage, 0),
            enforcing_local_origin: number(&message.enforcing_failure_percentage_local_origin, 0),
        },
        close_connections,
        error_statuses: None,
    })
}

/// `error_matcher` of a cluster's HTTP options, as far as it is a list of statuses: what Istio makes
/// of `outlierDetectionHttpErrorCodes`. Other shapes are refused.
pub(super) fn error_statuses(
    message: &MatchPredicate,
    problems: &mut Problems,
) -> Option<Box<[u16]>> {
    let found = match message.rule.as_ref()? {
        Rule::OrMatch(set) => set.rules.iter().map(status).collect::<Option<Vec<_>>>(),
        _ => status(message).map(|one| vec![one]),
    };
    if found.is_none() {
        problems.report(
            "only exact values of `:status`, one or several of them (or_match), are implemented",
        );
    }
    found.map(Vec::into_boxed_slice)
}

fn status(message: &MatchPredicate) -> Option<u16> {
    let Rule::HttpResponseHeadersMatch(wanted) = message.rule.as_ref()? else {
        return None;
    };
    let [header] = wanted.headers.as_slice() else {
        return None;
    };
    let Some(HeaderMatchSpecifier::StringMatch(text)) = header.header_match_specifier.as_ref()
    else {
        return None;
    };
    let Some(MatchPattern::Exact(code)) = text.match_pattern.as_ref() else {
        return None;
    };
    let is_plain = header.name == ":status" && !header.invert_match;
    code.parse().ok().filter(|_| is_plain)
}
