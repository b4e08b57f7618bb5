//! What the control side counts: members, changes, what is configured and what warms.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use model::compile::{CLUSTER, LISTENER};
use model::resources::Snapshot;
use model::resources::cluster::{Cluster, Endpoints};
use model::resources::hcm::Hcm;
use model::resources::http_filters::HttpFilter;
use model::resources::listener::{FilterChain, Guard, Listener, ListenerFilter};

use super::{ClusterEntry, Control, State};
use crate::cluster::availability::Availability;
use crate::cluster::host_set::{HostSet, count_subsets};
use crate::telemetry::stats::{ClusterShard, Declared, Membership, Stats};

impl Control {
    pub(super) fn count_members(&self, cluster: &Cluster, hosts: &HostSet) {
        let membership = membership(hosts);
        self.stats.set_membership(&cluster.stat_name, membership);
        self.gauge_tables(cluster, hosts);
    }

    /// The same if only their health is another.
    pub(super) fn count_health(&self, cluster: &Cluster, hosts: &HostSet) {
        let membership = membership(hosts);
        self.stats.set_health(&cluster.stat_name, membership);
        self.gauge_tables(cluster, hosts);
    }

    /// What tables and subsets say of themselves.
    fn gauge_tables(&self, cluster: &Cluster, hosts: &HostSet) {
        let set = |name: &str, value: u64| {
            let name = format!("cluster.{}.{name}", cluster.stat_name);
            self.stats.set_gauge(&name, value);
        };
        if let Some(table) = hosts.levels.shown_table() {
            let places = table.places();
            if let Some(size) = table.ring_size() {
                set("ring_hash_lb.size", size);
                set("ring_hash_lb.min_hashes_per_host", places.fewest);
                set("ring_hash_lb.max_hashes_per_host", places.most);
            } else {
                set("maglev_lb.min_entries_per_host", places.fewest);
                set("maglev_lb.max_entries_per_host", places.most);
            }
        }
        if let Some(subsets) = &hosts.subsets {
            let duplicates = subsets.single_duplicates;
            set("lb_subsets_single_host_per_subset_duplicate", duplicates);
        }
    }

    /// The control side's share of the subsets, as Envoy's main thread has one.
    pub(super) fn count_subsets(
        &self,
        cluster: &Cluster,
        hosts: &HostSet,
        old: Option<&ClusterEntry>,
    ) -> Option<Arc<ClusterShard>> {
        cluster.subsets.as_ref()?;
        let stats = old
            .and_then(|old| old.subset_stats.clone())
            .unwrap_or_else(|| self.stats.cluster(&cluster.stat_name));
        let none = HostSet::default();
        count_subsets(&stats, hosts, old.map_or(&none, |old| &old.hosts));
        Some(stats)
    }

    /// The cluster is gone or another one, and with it its tables.
    pub(super) fn forget_tables(&self, cluster: &Cluster, hosts: &HostSet) {
        if hosts.levels.shown_table().is_none() && hosts.subsets.is_none() {
            return;
        }
        for name in ["ring_hash_lb.", "maglev_lb.", "lb_subsets_single_host_"] {
            let prefix = format!("cluster.{}.{name}", cluster.stat_name);
            self.stats.forget_prefix(&prefix);
        }
    }

    /// Every configured entity is listed with its zeros, as in Envoy.
    pub(super) fn declare_stats(&self, now: &Snapshot) {
        let mut declared = Declared::default();
        for cluster in now.clusters.values() {
            declared.clusters.insert(cluster.stat_name.to_string());
            if cluster.outlier_detection.is_some() {
                declared.outliers.insert(cluster.stat_name.to_string());
            }
            if cluster.speaks_tls() {
                declared.tls_clusters.insert(cluster.stat_name.to_string());
            }
        }
        for listener in now.listeners.values() {
            let prefix = listener.stat_prefix.to_string();
            for hcm in listener.chains.hcms() {
                let filters = hcm.filters_in_use(&now.extensions);
                let hcm = hcm.stat_prefix.to_string();
                declared.hcms.insert(hcm.clone());
                declare_filters(&mut declared, &hcm, filters);
                declared.listener_http.insert((prefix.clone(), hcm));
            }
            for tcp in listener.chains.tcp_proxies() {
                declared.tcps.insert(tcp.stat_prefix.to_string());
            }
            let limits = listener
                .chains
                .iter()
                .filter_map(|chain| chain.connection_limit.as_ref());
            for limit in limits {
                let prefix = limit.stat_prefix.to_string();
                declared.connection_limits.insert(prefix);
            }
            for guard in listener.chains.iter().flat_map(|chain| &chain.guards) {
                match guard {
                    Guard::Rbac(filter) => {
                        let prefix = filter.stat_prefix.to_string();
                        let shadow_prefix = filter.shadow_prefix.to_string();
                        declared.rbac.insert((prefix, shadow_prefix));
                    }
                    Guard::ExtAuthz(filter) => {
                        let prefix = filter.stat_prefix.to_string();
                        declared.network_ext_authz.insert(prefix);
                    }
                }
            }
            for filter in &listener.filters {
                match &filter.filter {
                    ListenerFilter::TlsInspector(_) => declared.tls_inspector = true,
                    ListenerFilter::HttpInspector => declared.http_inspector = true,
                    ListenerFilter::ProxyProtocol(config) => {
                        let prefix = config.stat_prefix.to_string();
                        declared.proxy_protocols.insert(prefix);
                    }
                    ListenerFilter::OriginalDst | ListenerFilter::OriginalSrc(_) => {}
                }
            }
            if listener.chains.iter().any(|chain| chain.tls.is_some()) {
                declared.tls_listeners.insert(prefix.clone());
            }
            declared.listeners.insert(prefix);
        }
        self.stats.set_declared(&declared);
        let local = self.shared.local();
        let build = now.listeners.values().any(|l| reports_to_istio(l, now));
        self.stats
            .set_istio_build(build.then_some(&*local.istio_version));
        self.stats
            .set_gauge("cluster_manager.active_clusters", now.clusters.len() as u64);
        self.stats.set_gauge(
            "listener_manager.total_listeners_active",
            now.listeners.len() as u64,
        );
    }

    /// When the certificates of all contexts end, and how many secrets came for them.
    pub(super) fn count_contexts(&self, state: &mut State, now: &Snapshot) {
        for (counter, n) in state.contexts.take_updates() {
            self.stats.add(&counter, n);
        }
        let expirations = state.contexts.expirations(now);
        for gone in state.expirations.keys() {
            if !expirations.contains_key(gone) {
                self.stats.forget_prefix(gone);
            }
        }
        for (name, end) in &expirations {
            let seconds = u64::try_from(*end).unwrap_or(0);
            self.stats.set_gauge(name, seconds);
        }
        let first = expirations.values().min().copied();
        self.stats.set_first_expiration(first);
        let first = model::certs::first_ocsp_expiration(now);
        self.stats.set_first_ocsp_expiration(first);
        state.expirations = expirations;
    }

    pub(super) fn gauge_warming(&self, state: &State) {
        let warming = state.store.warming();
        let of = |kind: &str| {
            warming
                .iter()
                .filter(|(type_url, _)| *type_url == kind)
                .count()
        };
        let unresolved = state.clusters.values().filter(|c| c.unresolved).count();
        let clusters = of(CLUSTER).saturating_add(unresolved) as u64;
        self.stats
            .set_gauge("cluster_manager.warming_clusters", clusters);
        let listeners = of(LISTENER) as u64;
        self.stats
            .set_gauge("listener_manager.total_listeners_warming", listeners);
    }

    /// Envoy's counters of what happened to listeners and clusters.
    pub(super) fn count_changes(&self, before: &Snapshot, now: &Snapshot) {
        let mut clusters = Changes::default();
        for (name, config) in &now.clusters {
            clusters.see(before.clusters.get(name).map(|old| old.hash == config.hash));
        }
        clusters.removed = before
            .clusters
            .keys()
            .filter(|n| !now.clusters.contains_key(*n))
            .count();
        clusters.count(&self.stats, "cluster_manager.cluster");
        let mut listeners = Changes::default();
        for (name, config) in &now.listeners {
            listeners.see(
                before
                    .listeners
                    .get(name)
                    .map(|old| old.hash == config.hash),
            );
        }
        listeners.removed = before
            .listeners
            .keys()
            .filter(|n| !now.listeners.contains_key(*n))
            .count();
        listeners.count(&self.stats, "listener_manager.listener");
        let created = listeners
            .added
            .saturating_add(listeners.modified)
            .saturating_mul(self.mailboxes.len());
        self.stats.add(
            "listener_manager.listener_create_success",
            i64::try_from(created).unwrap_or(i64::MAX),
        );
        self.stats.set_gauge("listener_manager.workers_started", 1);
    }
}

/// Who is in each priority, in whatever order.
fn members(endpoints: &Endpoints) -> Vec<u64> {
    let mut members: Vec<u64> = Vec::new();
    for host in &endpoints.hosts {
        let at = usize::from(host.priority);
        if members.len() <= at {
            members.resize(at.saturating_add(1), 0);
        }
        let mut hasher = DefaultHasher::new();
        (&host.address, &host.locality).hash(&mut hasher);
        if let Some(sum) = members.get_mut(at) {
            *sum = sum.wrapping_add(hasher.finish());
        }
    }
    members
}

/// How many there are, in each state.
fn membership(hosts: &HostSet) -> Membership {
    let count = |wanted: Availability| {
        let found = hosts.availability.iter().filter(|a| **a == wanted);
        u32::try_from(found.count()).unwrap_or(u32::MAX)
    };
    Membership {
        total: u32::try_from(hosts.availability.len()).unwrap_or(u32::MAX),
        healthy: count(Availability::Healthy),
        degraded: count(Availability::Degraded),
        excluded: count(Availability::Excluded),
        max_host_weight: 0,
        members: members(&hosts.endpoints),
    }
}

/// Some filter chain has `istio.stats`.
fn reports_to_istio(listener: &Listener, now: &Snapshot) -> bool {
    let of_requests = |hcm: &Arc<Hcm>| {
        let mut filters = hcm.filters_in_use(&now.extensions);
        filters.any(|filter| matches!(filter, HttpFilter::IstioStats(_)))
    };
    let of_bytes = |chain: &Arc<FilterChain>| !chain.istio.stats.is_empty();
    listener.chains.iter().any(of_bytes) || listener.chains.hcms().any(of_requests)
}

/// The names of a connection manager's HTTP filters.
fn declare_filters<'f>(
    declared: &mut Declared,
    hcm: &str,
    filters: impl Iterator<Item = &'f HttpFilter>,
) {
    for filter in filters {
        match filter {
            HttpFilter::Rbac(rbac) => {
                let names = (
                    hcm.into(),
                    rbac.prefix.to_string(),
                    rbac.shadow_prefix.to_string(),
                );
                declared.http_rbac.insert(names);
            }
            HttpFilter::ExtAuthz(filter) => {
                let prefix = filter.stat_prefix.to_string();
                declared.ext_authz.insert((hcm.into(), prefix));
            }
            HttpFilter::JwtAuthn(jwt) => {
                let prefix = jwt.stat_prefix.to_string();
                declared.jwt_authn.insert((hcm.into(), prefix));
            }
            HttpFilter::Fault(_) => {
                declared.faults.insert(hcm.into());
            }
            HttpFilter::Cors => {
                declared.cors.insert(hcm.into());
            }
            // Counted for clusters, or not at all.
            HttpFilter::GrpcWeb
            | HttpFilter::GrpcHttp1Bridge { .. }
            | HttpFilter::GrpcStats { .. }
            | HttpFilter::HeaderMutation(_)
            | HttpFilter::IstioAlpn(_)
            | HttpFilter::PeerMetadata(_)
            | HttpFilter::IstioStats(_) => {}
        }
    }
}

#[derive(Default)]
struct Changes {
    added: usize,
    modified: usize,
    removed: usize,
}

impl Changes {
    /// `same`: None if it was not there before.
    fn see(&mut self, same: Option<bool>) {
        match same {
            None => self.added = self.added.saturating_add(1),
            Some(false) => self.modified = self.modified.saturating_add(1),
            Some(true) => {}
        }
    }

    fn count(&self, stats: &Stats, prefix: &str) {
        for (what, n) in [
            ("added", self.added),
            ("modified", self.modified),
            ("removed", self.removed),
        ] {
            stats.add(
                &format!("{prefix}_{what}"),
                i64::try_from(n).unwrap_or(i64::MAX),
            );
        }
    }
}
