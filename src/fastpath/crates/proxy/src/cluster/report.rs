//! `/clusters`, as text and as JSON, in Envoy's form (`source/server/admin/clusters_handler.cc`).

use std::fmt::Write;

use model::resources::address::Address;
use model::resources::cluster::{
    Cluster, Endpoint, Endpoints, HealthStatus, RoutingPriority, Thresholds,
};

use super::ClusterShared;
use super::host::{HostCounter, HostShard};
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
    /// Not from the bootstrap.
    pub added_via_api: bool,
}

/// Appends the lines of one cluster. Writing to a `String` cannot fail.
pub fn as_text(view: ClusterView<'_>, out: &mut String) {
    let name = &view.config.name;
    let _ = writeln!(out, "{name}::observability_name::{}", view.config.stat_name);
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
        let _ = writeln!(out, "{prefix}::health_flags::{}", health_flags(host.health));
        let _ = writeln!(out, "{prefix}::weight::{}", host.weight);
        let _ = writeln!(out, "{prefix}::region::{}", host.locality.region);
        let _ = writeln!(out, "{prefix}::zone::{}", host.locality.zone);
        let _ = writeln!(out, "{prefix}::sub_zone::{}", host.locality.sub_zone);
        let _ = writeln!(out, "{prefix}::canary::false");
        let _ = writeln!(out, "{prefix}::priority::{}", host.priority);
        let _ = writeln!(out, "{prefix}::success_rate::-1");
        let _ = writeln!(out, "{prefix}::local_origin_success_rate::-1");
    }
}

/// Appends one element of `cluster_statuses`.
pub fn as_json(view: ClusterView<'_>, out: &mut String) {
    let _ = write!(out, "{{\"name\":{}", quoted(&view.config.name));
    if view.added_via_api {
        out.push_str(",\"added_via_api\":true");
    }
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
    let _ = write!(
        out,
        "],\"health_status\":{{\"eds_health_status\":\"{}\"}},\"weight\":{}",
        eds_status(host.health),
        host.weight
    );
    if let Some(hostname) = &host.hostname {
        let _ = write!(out, ",\"hostname\":{}", quoted(hostname));
    }
    if host.priority != 0 {
        let _ = write!(out, ",\"priority\":{}", host.priority);
    }
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

fn health_flags(health: HealthStatus) -> &'static str {
    match health {
        HealthStatus::Unknown | HealthStatus::Healthy => "healthy",
        HealthStatus::Degraded => "/degraded_eds_health",
        HealthStatus::Unhealthy | HealthStatus::Timeout => "/failed_eds_health",
        HealthStatus::Draining => "/eds_status_draining",
    }
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
