//! `cluster_manager.outlier_detection.event_log_path`: a line of JSON for each host that is put out
//! or comes back (`envoy.data.cluster.v3.OutlierDetectionEvent`).

use std::fmt::Write;

use model::format::TimeFormat;

use super::verdict::{Event, What};
use super::{Origin, Reason};
use crate::telemetry::format::write_time;
use crate::telemetry::json;

/// Appends a line; `wall`: nanoseconds since 1970. Writing to a `String` cannot fail.
pub fn write(event: &Event, cluster: &str, wall: u64, out: &mut String) {
    // What no reason was given for is Envoy's first one.
    let (reason, is_enforced) = match &event.what {
        What::Ejected {
            reason,
            is_enforced,
            ..
        } => (*reason, *is_enforced),
        What::Returned => (Reason::Consecutive5xx, false),
    };
    let mut time = Vec::new();
    write_time(&TimeFormat::iso(), wall, &mut time);
    // Whole seconds have no fraction in the JSON of protobuf.
    let time = String::from_utf8_lossy(&time).replace(".000Z", "Z");
    let _ = write!(
        out,
        "{{\"type\":\"{}\",\"timestamp\":\"{time}\"",
        name(reason)
    );
    if let Some(since) = event.since_last {
        let seconds = since.as_secs();
        let _ = write!(out, ",\"secs_since_last_action\":\"{seconds}\"");
    }
    out.push_str(",\"cluster_name\":");
    json::string(out, cluster);
    out.push_str(",\"upstream_url\":");
    json::string(out, &event.address.to_string());
    let action = match &event.what {
        What::Ejected { .. } => "EJECT",
        What::Returned => "UNEJECT",
    };
    let _ = write!(
        out,
        ",\"action\":\"{action}\",\"num_ejections\":{},\"enforced\":{is_enforced}",
        event.ejections
    );
    if let What::Ejected {
        success_rate, all, ..
    } = &event.what
    {
        let host = whole(*success_rate);
        let _ = match reason {
            Reason::SuccessRate(_) => write!(
                out,
                ",\"eject_success_rate_event\":{{\"host_success_rate\":{host},\
                 \"cluster_average_success_rate\":{},\
                 \"cluster_success_rate_ejection_threshold\":{}}}",
                whole(all.average),
                whole(all.threshold)
            ),
            Reason::FailurePercentage(_) => write!(
                out,
                ",\"eject_failure_percentage_event\":{{\"host_success_rate\":{host}}}"
            ),
            Reason::Consecutive5xx
            | Reason::ConsecutiveGatewayFailure
            | Reason::ConsecutiveLocalOriginFailure => {
                write!(out, ",\"eject_consecutive_event\":{{}}")
            }
        };
    }
    out.push_str("}\n");
}

/// Per cent, cut off.
fn whole(rate: f64) -> u32 {
    rate as u32
}

fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::Consecutive5xx => "CONSECUTIVE_5XX",
        Reason::ConsecutiveGatewayFailure => "CONSECUTIVE_GATEWAY_FAILURE",
        Reason::ConsecutiveLocalOriginFailure => "CONSECUTIVE_LOCAL_ORIGIN_FAILURE",
        Reason::SuccessRate(Origin::External) => "SUCCESS_RATE",
        Reason::SuccessRate(Origin::Local) => "SUCCESS_RATE_LOCAL_ORIGIN",
        Reason::FailurePercentage(Origin::External) => "FAILURE_PERCENTAGE",
        Reason::FailurePercentage(Origin::Local) => "FAILURE_PERCENTAGE_LOCAL_ORIGIN",
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::SuccessRates;
    use super::*;
    use crate::cluster::testing::endpoint;
    use std::time::Duration;

    fn line(what: What, since_last: Option<Duration>) -> String {
        let event = Event {
            address: endpoint(80, 1).address,
            what,
            ejections: 2,
            since_last,
        };
        let mut out = String::new();
        write(&event, "a\"b", 1_700_000_000_250_000_000, &mut out);
        out
    }

    #[test]
    fn lines_are_those_of_envoy() {
        let ejected = |reason| What::Ejected {
            reason,
            is_enforced: true,
            success_rate: 12.9,
            all: SuccessRates {
                average: 90.0,
                threshold: 52.5,
            },
        };
        let begin = "\"timestamp\":\"2023-11-14T22:13:20.250Z\"";
        let who = "\"cluster_name\":\"a\\\"b\",\"upstream_url\":\"127.0.0.1:80\"";
        assert_eq!(
            line(ejected(Reason::ConsecutiveGatewayFailure), None),
            format!(
                "{{\"type\":\"CONSECUTIVE_GATEWAY_FAILURE\",{begin},{who},\"action\":\"EJECT\",\
                 \"num_ejections\":2,\"enforced\":true,\"eject_consecutive_event\":{{}}}}\n"
            )
        );
        let since = Some(Duration::from_millis(3900));
        assert_eq!(
            line(ejected(Reason::SuccessRate(Origin::Local)), since),
            format!(
                "{{\"type\":\"SUCCESS_RATE_LOCAL_ORIGIN\",{begin},\
                 \"secs_since_last_action\":\"3\",{who},\"action\":\"EJECT\",\
                 \"num_ejections\":2,\"enforced\":true,\"eject_success_rate_event\":\
                 {{\"host_success_rate\":12,\"cluster_average_success_rate\":90,\
                 \"cluster_success_rate_ejection_threshold\":52}}}}\n"
            )
        );
        let by_percentage = line(ejected(Reason::FailurePercentage(Origin::External)), None);
        let end = "\"eject_failure_percentage_event\":{\"host_success_rate\":12}}\n";
        assert!(by_percentage.ends_with(end), "{by_percentage}");
        assert_eq!(
            line(What::Returned, since),
            format!(
                "{{\"type\":\"CONSECUTIVE_5XX\",{begin},\"secs_since_last_action\":\"3\",{who},\
                 \"action\":\"UNEJECT\",\"num_ejections\":2,\"enforced\":false}}\n"
            )
        );
    }
}
