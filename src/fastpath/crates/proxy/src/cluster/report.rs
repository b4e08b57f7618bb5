//! `/clusters`, as text and as JSON, in Envoy's form (`source/server/admin/clusters_handler.cc`).

use std::fmt::Write;

use model::resources::address::Address;
use model::resources::cluster::{
    Cluster, Endpoint, Endpoints, HealthStatus, RoutingPriority, Thresholds,
};

use super::ClusterShared;
use super::host::{HostCounter, HostShard};
use super::outlier::{Detector, Origin};
use crate::telemetry::json;

/// A counter of a host with its name.
type Named = (&'static str, fn(&HostShard) -> &HostCounter);

/// Counters, then gauges; the text form lists all by name.
const COUNTERS: &[Named] = &[
    ("cx_connect_fail", |s| &s.cx_connect_fail),
    ("cx_total", |s| &s.cx_total),
    ("rq_error", |s| &s.rq_error),
    ("rq_success", |s| &s.rq_success),
    ("rq_timeout", |s| &s.rq_timeout),
    ("rq_total", |s| &s.rq_total),
];
const GAUGES: &[Named] = &[
    ("cx_active", |s| &s.cx_active),
    ("rq_active", |s| &s.rq_active),
    ("rq_pending_active", |s| &s.rq_pending_active),
];

/// One cluster as the engine has it.
#[derive(Debug, Clone, Copy)]
pub struct ClusterView<'a> {
    pub config: &'a Cluster,
    pub shared: &'a ClusterShared,
    pub endpoints: &'a Endpoints,
    /// Outlier detection, if the cluster has it.
    pub detector: Option<&'a Detector>,
    /// Not from the bootstrap.
    pub added_via_api: bool,
}

impl ClusterView<'_> {
    fn is_out(&self, host: &Endpoint) -> bool {
        let detector = self.detector;
        detector.is_some_and(|detector| detector.is_out(&host.address))
    }

    /// Per cent; -1: nothing is known.
    fn success_rate(&self, host: &Endpoint, origin: Origin) -> f64 {
        let detector = self.detector;
        detector.map_or(-1.0, |detector| {
            detector.success_rate(&host.address, origin)
        })
    }
}

/// Appends the lines of one cluster. Writing to a `String` cannot fail.
pub fn as_text(view: ClusterView<'_>, out: &mut String) {
    let name = &view.config.name;
    let _ = writeln!(out, "{name}::observability_name::{}", view.config.stat_name);
    if let Some(detector) = view.detector {
        for (prefix, origin) in [("", Origin::External), ("local_origin_", Origin::Local)] {
            let rates = detector.success_rates(origin);
            let prefix = format!("{name}::outlier::{prefix}success_rate");
            let _ = writeln!(out, "{prefix}_average::{}", general(rates.average));
            let threshold = general(rates.threshold);
            let _ = writeln!(out, "{prefix}_ejection_threshold::{threshold}");
        }
    }
    for (priority, limits) in [
        ("default", view.config.thresholds(RoutingPriority::Default)),
        ("high", view.config.thresholds(RoutingPriority::High)),
    ] {
        for (what, value) in limit_values(limits) {
            let _ = writeln!(out, "{name}::{priority}_priority::{what}::{value}");
        }
    }
    let _ = writeln!(out, "{name}::added_via_api::{}", view.added_via_api);
    let mut counters: Vec<&Named> = COUNTERS.iter().chain(GAUGES).collect();
    counters.sort_by_key(|(name, _)| *name);
    for host in &view.endpoints.hosts {
        let prefix = format!("{name}::{}", host.address);
        for (what, counter) in &counters {
            let value = view.shared.hosts.sum(&host.address, counter);
            let _ = writeln!(out, "{prefix}::{what}::{value}");
        }
        let hostname = host.hostname.as_deref().unwrap_or_default();
        let _ = writeln!(out, "{prefix}::hostname::{hostname}");
        let flags = health_flags(host.health, view.is_out(host));
        let _ = writeln!(out, "{prefix}::health_flags::{flags}");
        let _ = writeln!(out, "{prefix}::weight::{}", host.weight);
        let _ = writeln!(out, "{prefix}::region::{}", host.locality.region);
        let _ = writeln!(out, "{prefix}::zone::{}", host.locality.zone);
        let _ = writeln!(out, "{prefix}::sub_zone::{}", host.locality.sub_zone);
        let is_canary = host.metadata.as_ref().is_some_and(|m| m.is_canary());
        let _ = writeln!(out, "{prefix}::canary::{is_canary}");
        let _ = writeln!(out, "{prefix}::priority::{}", host.priority);
        for (what, origin) in [
            ("success_rate", Origin::External),
            ("local_origin_success_rate", Origin::Local),
        ] {
            let rate = general(view.success_rate(host, origin));
            let _ = writeln!(out, "{prefix}::{what}::{rate}");
        }
    }
}

/// Appends one element of `cluster_statuses`.
pub fn as_json(view: ClusterView<'_>, out: &mut String) {
    let _ = write!(out, "{{\"name\":{}", quoted(&view.config.name));
    if view.added_via_api {
        out.push_str(",\"added_via_api\":true");
    }
    threshold_json(
        view,
        "success_rate_ejection_threshold",
        Origin::External,
        out,
    );
    if !view.endpoints.hosts.is_empty() {
        out.push_str(",\"host_statuses\":[");
        for (i, host) in view.endpoints.hosts.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            host_json(view, host, out);
        }
        out.push(']');
    }
    let name = "local_origin_success_rate_ejection_threshold";
    threshold_json(view, name, Origin::Local, out);
    out.push_str(",\"circuit_breakers\":{\"thresholds\":[");
    for (i, priority) in [RoutingPriority::Default, RoutingPriority::High]
        .into_iter()
        .enumerate()
    {
        if i > 0 {
            out.push_str(",{\"priority\":\"HIGH\",");
        } else {
            out.push('{');
        }
        let values = limit_values(view.config.thresholds(priority));
        let fields: Vec<String> = values.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
        out.push_str(&fields.join(","));
        out.push('}');
    }
    let _ = write!(
        out,
        "]}},\"observability_name\":{}}}",
        quoted(&view.config.stat_name)
    );
}

fn host_json(view: ClusterView<'_>, host: &Endpoint, out: &mut String) {
    let _ = write!(
        out,
        "{{\"address\":{},\"stats\":[",
        address_json(&host.address)
    );
    let mut first = true;
    for (gauge, named) in [(false, COUNTERS), (true, GAUGES)] {
        for (what, counter) in named {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            out.push('{');
            if gauge {
                out.push_str("\"type\":\"GAUGE\",");
            }
            match view.shared.hosts.sum(&host.address, counter) {
                0 => {}
                value => {
                    let _ = write!(out, "\"value\":\"{value}\",");
                }
            }
            let _ = write!(out, "\"name\":\"{what}\"}}");
        }
    }
    out.push_str("],\"health_status\":{");
    if view.is_out(host) {
        out.push_str("\"failed_outlier_check\":true,");
    }
    let status = eds_status(host.health);
    let _ = write!(out, "\"eds_health_status\":\"{status}\"}}");
    rate_json(view, host, "success_rate", Origin::External, out);
    let _ = write!(out, ",\"weight\":{}", host.weight);
    if let Some(hostname) = &host.hostname {
        let _ = write!(out, ",\"hostname\":{}", quoted(hostname));
    }
    if host.priority != 0 {
        let _ = write!(out, ",\"priority\":{}", host.priority);
    }
    rate_json(view, host, "local_origin_success_rate", Origin::Local, out);
    let parts: Vec<String> = [
        ("region", &host.locality.region),
        ("zone", &host.locality.zone),
        ("sub_zone", &host.locality.sub_zone),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| format!("\"{key}\":{}", quoted(value)))
    .collect();
    let _ = write!(out, ",\"locality\":{{{}}}}}", parts.join(","));
}

/// What Envoy leaves out where it is nothing or 0.
fn threshold_json(view: ClusterView<'_>, name: &str, origin: Origin, out: &mut String) {
    let threshold = view
        .detector
        .map_or(-1.0, |detector| detector.success_rates(origin).threshold);
    if threshold > 0.0 {
        let _ = write!(out, ",\"{name}\":{{\"value\":{threshold}}}");
    }
}

fn rate_json(view: ClusterView<'_>, host: &Endpoint, name: &str, origin: Origin, out: &mut String) {
    let rate = view.success_rate(host, origin);
    if rate > 0.0 {
        let _ = write!(out, ",\"{name}\":{{\"value\":{rate}}}");
    } else if rate == 0.0 {
        let _ = write!(out, ",\"{name}\":{{}}");
    }
}

fn address_json(address: &Address) -> String {
    match address {
        Address::Ip(address) => format!(
            "{{\"socket_address\":{{\"address\":\"{}\",\"port_value\":{}}}}}",
            address.ip(),
            address.port()
        ),
        Address::Pipe(path) => format!("{{\"pipe\":{{\"path\":{}}}}}", quoted(path)),
    }
}

fn limit_values(limits: &Thresholds) -> [(&'static str, u32); 4] {
    [
        ("max_connections", limits.max_connections),
        ("max_pending_requests", limits.max_pending_requests),
        ("max_requests", limits.max_requests),
        ("max_retries", limits.max_retries),
    ]
}

fn health_flags(health: HealthStatus, is_out: bool) -> &'static str {
    match (health, is_out) {
        (HealthStatus::Unknown | HealthStatus::Healthy, false) => "healthy",
        (HealthStatus::Unknown | HealthStatus::Healthy, true) => "/failed_outlier_check",
        (HealthStatus::Degraded, false) => "/degraded_eds_health",
        (HealthStatus::Degraded, true) => "/failed_outlier_check/degraded_eds_health",
        (HealthStatus::Unhealthy | HealthStatus::Timeout, false) => "/failed_eds_health",
        (HealthStatus::Unhealthy | HealthStatus::Timeout, true) => {
            "/failed_outlier_check/failed_eds_health"
        }
        (HealthStatus::Draining, false) => "/eds_status_draining",
        (HealthStatus::Draining, true) => "/failed_outlier_check/eds_status_draining",
    }
}

/// As C's `%g` has it: six digits at most, and no more than are needed.
fn general(number: f64) -> String {
    let whole = number.abs().trunc();
    let digits = if whole >= 100.0 {
        3
    } else if whole >= 10.0 {
        4
    } else {
        5
    };
    let text = format!("{number:.digits$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

fn eds_status(health: HealthStatus) -> &'static str {
    match health {
        HealthStatus::Unknown | HealthStatus::Healthy => "HEALTHY",
        HealthStatus::Degraded => "DEGRADED",
        HealthStatus::Unhealthy => "UNHEALTHY",
        HealthStatus::Draining => "DRAINING",
        HealthStatus::Timeout => "TIMEOUT",
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    json::string(&mut out, text);
    out
}
