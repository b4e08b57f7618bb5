//! All entities of the process; lives behind one lock that no request takes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::control::Control;
use super::entity::{CodeRows, Entity};
use super::histogram::Summary;
use super::labelled::{ExchangeShard, IstioStatsShard, Labelled};
use super::listener_filter_names::PROXY_PROTOCOL_ERRORS;
use super::names::StatName;
use super::row::{Row, Value};
use super::shard::Readable;
use super::{ClusterShard, HcmShard, ListenerHttpShard, ListenerShard, RouteShard, process_names};
use super::{
    ConnectionLimitShard, GrpcShard, NetworkExtAuthzShard, OutlierShard, RbacShadowShard,
    RbacShard, TcpShard,
};
use super::{
    CorsShard, ExtAuthzClusterShard, ExtAuthzShard, FaultAbortShard, FaultDelayShard, FaultShard,
    JwtAuthnShard,
};
use super::{Http2Shard, TlsContextShard, TlsShard};
use super::{HttpInspectorShard, ProxyProtocolShard, TlsInspectorShard};
use super::{ListenerCounter, ListenerGauge};

/// How many endpoints of a cluster there are, in each state.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Membership {
    pub total: u32,
    pub healthy: u32,
    pub degraded: u32,
    pub excluded: u32,
    /// Of one endpoint; 0 while there are none or their weights are not looked at.
    pub max_host_weight: u32,
    /// Who they are: a number for each priority.
    pub members: Vec<u64>,
}

impl Membership {
    /// Envoy counts a change for each priority whose members are others.
    fn changes_since(&self, before: &Self) -> u64 {
        let most = self.members.len().max(before.members.len());
        let differs = |at: &usize| {
            let of = |membership: &Self| membership.members.get(*at).copied().unwrap_or(0);
            of(self) != of(before)
        };
        match (0..most).filter(differs).count() as u64 {
            // Of members that nobody lists only the number is known.
            0 => u64::from(most == 0 && self.total != before.total),
            changes => changes,
        }
    }
}

/// Entities of one kind by name.
pub(super) struct Entities<S> {
    /// What their names begin with: `cluster.`.
    kind: &'static str,
    all: BTreeMap<String, Entity<S>>,
}

impl<S: Readable> Entities<S> {
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            all: BTreeMap::new(),
        }
    }

    pub(super) fn get(&mut self, name: &str) -> &mut Entity<S> {
        let kind = self.kind;
        self.all
            .entry(name.to_owned())
            .or_insert_with(|| Entity::new(format!("{kind}{}.", sanitise(name))))
    }

    pub(super) fn set_declared(&mut self, names: &HashSet<String>) {
        for name in names {
            self.get(name);
        }
        for (name, entity) in &mut self.all {
            entity.set_declared(names.contains(name));
        }
        self.collect();
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    /// Drops what was forgotten and is no longer in use.
    fn collect(&mut self) {
        self.all.retain(|_, entity| !entity.is_over());
    }

    fn reset(&mut self) {
        self.all.values_mut().for_each(Entity::reset);
    }

    fn flush(&mut self) {
        self.all.values_mut().for_each(Entity::flush);
    }

    fn rows(&self, codes: CodeRows, rows: &mut Vec<Row>) {
        for entity in self.all.values() {
            entity.rows(codes, rows);
        }
    }
}

/// As Envoy cleans names: a colon would end a tag in statsd.
fn sanitise(name: &str) -> String {
    name.replace("://", "_")
        .replace(":/", "_")
        .replace([':', '\0'], "_")
}

pub(super) struct Registry {
    concurrency: u16,
    started: Instant,
    /// Of all certificates (seconds since 1970).
    pub(super) first_expiration: Option<i64>,
    /// Of all OCSP responses to staple.
    pub(super) first_ocsp_expiration: Option<i64>,
    pub(super) clusters: Entities<ClusterShard>,
    pub(super) hcms: Entities<HcmShard>,
    pub(super) listeners: Entities<ListenerShard>,
    pub(super) listener_http: Entities<ListenerHttpShard>,
    pub(super) tls_inspectors: Entities<TlsInspectorShard>,
    pub(super) http_inspectors: Entities<HttpInspectorShard>,
    pub(super) proxy_protocols: Entities<ProxyProtocolShard>,
    pub(super) tls: Entities<TlsShard>,
    pub(super) tls_contexts: Entities<TlsContextShard>,
    pub(super) http2: Entities<Http2Shard>,
    pub(super) tcps: Entities<TcpShard>,
    pub(super) connection_limits: Entities<ConnectionLimitShard>,
    pub(super) outliers: Entities<OutlierShard>,
    pub(super) network_ext_authz: Entities<NetworkExtAuthzShard>,
    pub(super) rbac: Entities<RbacShard>,
    pub(super) rbac_shadow: Entities<RbacShadowShard>,
    pub(super) faults: Entities<FaultShard>,
    pub(super) fault_aborts: Entities<FaultAbortShard>,
    pub(super) fault_delays: Entities<FaultDelayShard>,
    pub(super) cors: Entities<CorsShard>,
    pub(super) ext_authz: Entities<ExtAuthzShard>,
    pub(super) ext_authz_clusters: Entities<ExtAuthzClusterShard>,
    pub(super) jwt_authn: Entities<JwtAuthnShard>,
    pub(super) routes: Entities<RouteShard>,
    pub(super) grpc: Entities<GrpcShard>,
    pub(super) labelled: Labelled,
    pub(super) istio_stats: Entities<IstioStatsShard>,
    pub(super) exchanges: Entities<ExchangeShard>,
    pub(super) control: Control,
    /// (endpoints, changes)
    pub(super) memberships: BTreeMap<String, (Membership, u64)>,
}

impl Registry {
    pub(super) fn new(concurrency: u16) -> Self {
        Self {
            concurrency,
            started: Instant::now(),
            first_expiration: None,
            first_ocsp_expiration: None,
            clusters: Entities::new("cluster."),
            hcms: Entities::new("http."),
            listeners: Entities::new("listener."),
            listener_http: Entities::new("listener."),
            tls_inspectors: Entities::new(""),
            http_inspectors: Entities::new(""),
            proxy_protocols: Entities::new(""),
            tls: Entities::new(""),
            tls_contexts: Entities::new(""),
            http2: Entities::new(""),
            tcps: Entities::new("tcp."),
            connection_limits: Entities::new("connection_limit."),
            outliers: Entities::new("cluster."),
            network_ext_authz: Entities::new("ext_authz."),
            rbac: Entities::new(""),
            rbac_shadow: Entities::new(""),
            faults: Entities::new("http."),
            fault_aborts: Entities::new("http."),
            fault_delays: Entities::new("http."),
            cors: Entities::new("http."),
            ext_authz: Entities::new("http."),
            ext_authz_clusters: Entities::new("cluster."),
            jwt_authn: Entities::new("http."),
            routes: Entities::new("vhost."),
            grpc: Entities::new("cluster."),
            labelled: Labelled::default(),
            istio_stats: Entities::new(""),
            exchanges: Entities::new(""),
            control: Control::default(),
            memberships: BTreeMap::new(),
        }
    }

    pub(super) fn set_membership(&mut self, stat_name: &str, now: Membership) {
        match self.memberships.get_mut(stat_name) {
            Some((before, changes)) => {
                *changes = changes.wrapping_add(now.changes_since(before));
                *before = now;
            }
            None => {
                let changes = now.changes_since(&Membership::default());
                self.memberships
                    .insert(stat_name.to_owned(), (now, changes));
            }
        }
    }

    /// Some endpoints are in another state; that is no change of members.
    pub(super) fn set_health(&mut self, stat_name: &str, now: Membership) {
        if let Some((before, _)) = self.memberships.get_mut(stat_name) {
            *before = now;
        }
    }

    pub(super) fn reset(&mut self) {
        self.clusters.reset();
        self.hcms.reset();
        self.listeners.reset();
        self.listener_http.reset();
        self.tls_inspectors.reset();
        self.http_inspectors.reset();
        self.proxy_protocols.reset();
        self.tls.reset();
        self.tls_contexts.reset();
        self.http2.reset();
        self.tcps.reset();
        self.connection_limits.reset();
        self.outliers.reset();
        self.network_ext_authz.reset();
        self.rbac.reset();
        self.rbac_shadow.reset();
        self.faults.reset();
        self.fault_aborts.reset();
        self.fault_delays.reset();
        self.cors.reset();
        self.ext_authz.reset();
        self.ext_authz_clusters.reset();
        self.jwt_authn.reset();
        self.routes.reset();
        self.grpc.reset();
        self.labelled.reset();
        self.istio_stats.reset();
        self.exchanges.reset();
        self.control.reset();
        self.memberships
            .values_mut()
            .for_each(|(_, changes)| *changes = 0);
    }

    pub(super) fn flush(&mut self) {
        self.clusters.flush();
        self.hcms.flush();
        self.listeners.flush();
        self.tls_inspectors.flush();
        self.routes.flush();
        self.grpc.flush();
        self.labelled.flush();
        self.control.flush();
    }

    pub(super) fn rows(&mut self) -> Vec<Row> {
        self.clusters.collect();
        self.hcms.collect();
        self.listeners.collect();
        self.listener_http.collect();
        self.tls_inspectors.collect();
        self.http_inspectors.collect();
        self.proxy_protocols.collect();
        self.tls.collect();
        self.tls_contexts.collect();
        self.http2.collect();
        self.tcps.collect();
        self.connection_limits.collect();
        self.outliers.collect();
        self.network_ext_authz.collect();
        self.rbac.collect();
        self.rbac_shadow.collect();
        self.faults.collect();
        self.fault_aborts.collect();
        self.fault_delays.collect();
        self.cors.collect();
        self.ext_authz.collect();
        self.ext_authz_clusters.collect();
        self.jwt_authn.collect();
        self.routes.collect();
        self.grpc.collect();
        let mut rows = Vec::new();
        self.clusters.rows(CodeRows::WithOrigin, &mut rows);
        self.membership_rows(&mut rows);
        self.hcms.rows(CodeRows::None, &mut rows);
        self.listeners.rows(CodeRows::None, &mut rows);
        self.listener_worker_rows(&mut rows);
        self.listener_http.rows(CodeRows::None, &mut rows);
        self.tls_inspectors.rows(CodeRows::None, &mut rows);
        self.http_inspectors.rows(CodeRows::None, &mut rows);
        self.proxy_protocols.rows(CodeRows::None, &mut rows);
        self.proxy_protocol_error_row(&mut rows);
        self.tls.rows(CodeRows::None, &mut rows);
        self.tls_contexts.rows(CodeRows::None, &mut rows);
        self.http2.rows(CodeRows::None, &mut rows);
        self.tcps.rows(CodeRows::None, &mut rows);
        self.connection_limits.rows(CodeRows::None, &mut rows);
        self.outliers.rows(CodeRows::None, &mut rows);
        self.network_ext_authz.rows(CodeRows::AllAtOnce, &mut rows);
        self.rbac.rows(CodeRows::None, &mut rows);
        self.rbac_shadow.rows(CodeRows::None, &mut rows);
        self.faults.rows(CodeRows::None, &mut rows);
        self.fault_aborts.rows(CodeRows::None, &mut rows);
        self.fault_delays.rows(CodeRows::None, &mut rows);
        self.cors.rows(CodeRows::None, &mut rows);
        self.ext_authz.rows(CodeRows::None, &mut rows);
        let before = rows.len();
        self.ext_authz_clusters.rows(CodeRows::None, &mut rows);
        // As in Envoy each appears when something is counted.
        let counted = rows.split_off(before).into_iter().filter(|row| row.used);
        rows.extend(counted);
        self.jwt_authn.rows(CodeRows::None, &mut rows);
        self.routes.rows(CodeRows::Plain, &mut rows);
        self.grpc.rows(CodeRows::None, &mut rows);
        self.labelled.rows(&mut rows);
        self.istio_stats.rows(CodeRows::None, &mut rows);
        self.exchanges.rows(CodeRows::None, &mut rows);
        self.control.rows(&mut rows);
        self.process_rows(&mut rows);
        rows
    }

    fn membership_rows(&self, rows: &mut Vec<Row>) {
        for (name, (now, changes)) in &self.memberships {
            let Some(entity) = self.clusters.all.get(name) else {
                continue;
            };
            rows.push(entity.row("membership_change", Value::Counter(*changes), true));
            for (name, value) in [
                ("membership_total", now.total),
                ("membership_healthy", now.healthy),
                ("membership_degraded", now.degraded),
                ("membership_excluded", now.excluded),
            ] {
                rows.push(entity.row(name, Value::Gauge(value.into()), true));
            }
            let weight = Value::Gauge(now.max_host_weight.into());
            rows.push(entity.row("max_host_weight", weight, now.max_host_weight != 0));
        }
    }

    fn listener_worker_rows(&self, rows: &mut Vec<Row>) {
        let counters = [ListenerCounter::DownstreamCxTotal.index()];
        let gauges = [ListenerGauge::DownstreamCxActive.index()];
        for entity in self.listeners.all.values() {
            entity.worker_rows(self.concurrency, &counters, &gauges, rows);
        }
    }

    /// What all PROXY protocol filters refused, whatever their prefix.
    fn proxy_protocol_error_row(&self, rows: &mut Vec<Row>) {
        if self.proxy_protocols.all.is_empty() {
            return;
        }
        let entities = self.proxy_protocols.all.values();
        let errors = entities.flat_map(|entity| {
            let counters = PROXY_PROTOCOL_ERRORS.iter();
            counters.map(|counter| entity.counter(counter.index()))
        });
        let (sum, used) = errors.fold((0_u64, false), |(sum, used), (value, was_used)| {
            (sum.wrapping_add(value), used || was_used)
        });
        rows.push(Row {
            prefix: Arc::from(""),
            name: "downstream_cx_proxy_proto_error".into(),
            value: Value::Counter(sum),
            used,
            labels: None,
        });
    }

    /// What every process has, and what only the process itself can say.
    fn process_rows(&self, rows: &mut Vec<Row>) {
        let prefix: Arc<str> = Arc::from("");
        let mut push = |name: std::borrow::Cow<'static, str>, value: Value, used: bool| {
            rows.push(Row {
                prefix: Arc::clone(&prefix),
                name,
                value,
                used,
                labels: None,
            });
        };
        let none = || Value::histogram(Summary::default(), Summary::default());
        for &name in process_names::COUNTERS {
            push(name.into(), Value::Counter(0), false);
        }
        for &name in process_names::GAUGES {
            push(name.into(), Value::Gauge(0), false);
        }
        for &name in process_names::HISTOGRAMS {
            push(name.into(), none(), false);
        }
        for worker in 0..self.concurrency {
            let named = |name: &str| name.replace('#', &worker.to_string()).into();
            for &name in process_names::WORKER_COUNTERS {
                push(named(name), Value::Counter(0), false);
            }
            for &name in process_names::WORKER_GAUGES {
                push(named(name), Value::Gauge(0), false);
            }
        }
        let own: [(&str, u64); 5] = [
            ("server.concurrency", self.concurrency.into()),
            ("server.uptime", self.started.elapsed().as_secs()),
            ("server.memory_allocated", resident_bytes()),
            ("server.memory_heap_size", resident_bytes()),
            ("server.memory_physical_size", resident_bytes()),
        ];
        for (name, value) in own {
            push(name.into(), Value::Gauge(value), true);
        }
        if let Some(at) = self.first_expiration {
            let days = Value::Gauge(days_until(at));
            push("server.days_until_first_cert_expiring".into(), days, true);
        }
        if let Some(at) = self.first_ocsp_expiration {
            let seconds = Value::Gauge(seconds_until(at));
            let name = "server.seconds_until_first_ocsp_response_expiring";
            push(name.into(), seconds, true);
        }
    }
}

/// Whole days from now; 0 for what is over.
fn days_until(at: i64) -> u64 {
    const SECONDS_A_DAY: u64 = 86_400;
    seconds_until(at) / SECONDS_A_DAY
}

fn seconds_until(at: i64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    u64::try_from(at).unwrap_or(0).saturating_sub(now)
}

/// Resident memory of this process; 0 where /proc cannot be read.
fn resident_bytes() -> u64 {
    let Ok(statm) = std::fs::read_to_string("/proc/self/statm") else {
        return 0;
    };
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|field| field.parse::<u64>().ok());
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    pages.unwrap_or(0).saturating_mul(page)
}
