//! Accepted resources and the snapshot made of those that are ready.
//!
//! A new version of a resource serves once everything it waits for is there: a cluster its
//! assignment, a listener its route configuration and the extensions that it discovers, clusters
//! and listeners their secrets, and both routes and listeners the clusters they name that are known and not ready yet. Until then the version
//! before it serves.
//!
//! Configurations of HTTP filters (extensions) are no part of a listener's version: a new one serves
//! at once, in all listeners that discover it.

mod extensions;
mod secrets;
mod slot;
#[cfg(test)]
mod tests;
mod update;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::compile::{
    Assignment, CLUSTER, ENDPOINTS, EXTENSION, LISTENER, Needs, ROUTES, SECRET, SecretRef,
};
use crate::resources::Snapshot;
use crate::resources::address::Address;
use crate::resources::bind::BindConfig;
use crate::resources::cluster::{Cluster, Discovery, Endpoints};
use crate::resources::extension::Extension;
use crate::resources::hcm::RouteSource;
use crate::resources::listener::Listener;
use crate::resources::route::RouteConfig;
use crate::resources::tls::Secret;
pub(crate) use secrets::check_reference;
use slot::{Slot, Version};
pub(crate) use update::{NO_ADS, not_a_server};

/// What `Store::apply` did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Names whose new version is in use or warming.
    pub accepted: Vec<String>,
    /// Names whose bytes did not change, or that are static and cannot.
    pub unchanged: Vec<String>,
    pub removed: Vec<String>,
    /// (name, field path, reason): the last good version of these keeps serving.
    pub rejected: Vec<(String, String, String)>,
    /// Everything the configuration refers to and has to be fetched: the complete set each time.
    pub wanted: Arc<[Needs]>,
    /// Grows with every change of `wanted`.
    pub revision: u64,
    /// Directories in which a move means that a resource is to be offered again as it is, for
    /// the files that it names: the complete set each time.
    pub watched: Vec<Watched>,
    /// What the statistics of extensions begin with that are there and may not stand where a
    /// listener has them, once for each place.
    pub conflicts: Vec<String>,
    /// Nothing changed but the endpoints of these clusters, which serve.
    pub only_endpoints: Option<Vec<Arc<str>>>,
}

/// A directory that files of a resource are in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watched {
    pub type_url: &'static str,
    pub name: String,
    pub directory: PathBuf,
}

/// A resource as it was accepted.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'s> {
    pub name: &'s str,
    pub bytes: &'s [u8],
    pub is_static: bool,
    /// An older version serves, or none, until this one is ready.
    pub is_warming: bool,
}

#[derive(Debug, Default)]
pub struct Store {
    listeners: BTreeMap<String, Slot<Listener>>,
    clusters: BTreeMap<String, Slot<Cluster>>,
    routes: BTreeMap<String, Slot<RouteConfig>>,
    assignments: BTreeMap<String, Slot<Assignment>>,
    secrets: BTreeMap<String, Slot<Secret>>,
    extensions: BTreeMap<String, Slot<Extension>>,
    /// Directories that files of secrets are in which were refused last: with the files that are
    /// put there they may be taken.
    refused_secrets: BTreeMap<String, Vec<PathBuf>>,
    /// Clusters of the snapshot, with the endpoints of those that have them by EDS.
    assembled: BTreeMap<String, Assembled>,
    /// (type, name) that did not come within `initial_fetch_timeout`.
    timed_out: BTreeSet<(&'static str, String)>,
    wanted: Arc<[Needs]>,
    revision: u64,
    /// The bootstrap has an `ads_config`.
    has_ads: bool,
    /// Of clusters that have none of their own.
    upstream_bind: Option<Arc<BindConfig>>,
    snapshot: Snapshot,
}

/// A cluster of the snapshot and what it was made of.
#[derive(Debug)]
struct Assembled {
    from: Arc<Cluster>,
    assignment: Option<Arc<Assignment>>,
    cluster: Arc<Cluster>,
}

impl Store {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Resources may come by ADS.
    pub fn allow_ads(&mut self) {
        self.has_ads = true;
    }

    /// The bootstrap's `cluster_manager.upstream_bind_config`, for clusters that come from now on.
    pub fn bind_upstreams(&mut self, config: Option<Arc<BindConfig>>) {
        self.upstream_bind = config;
    }

    /// `initial_fetch_timeout` passed for something wanted: what waits for it goes on without.
    pub fn fetch_timed_out(&mut self, type_url: &str, name: &str) {
        let wanted = self
            .wanted
            .iter()
            .find(|n| n.type_url == type_url && n.name == name);
        let Some(Needs { type_url, .. }) = wanted else {
            return;
        };
        let type_url = *type_url;
        let is_there = match type_url {
            ROUTES => self.routes.contains_key(name),
            SECRET => self.secrets.contains_key(name),
            EXTENSION => self.extensions.contains_key(name),
            _ => self.assignments.contains_key(name),
        };
        if !is_there {
            self.timed_out.insert((type_url, name.to_owned()));
            self.settle();
        }
    }

    /// The configuration that is ready. Resources that did not change are the same `Arc`s.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// (type, name) of what still waits for something.
    #[must_use]
    pub fn warming(&self) -> Vec<(&'static str, String)> {
        fn of<'s, T>(
            type_url: &'static str,
            slots: &'s BTreeMap<String, Slot<T>>,
        ) -> impl Iterator<Item = (&'static str, String)> + 's {
            let warming = slots.iter().filter(|(_, slot)| slot.is_warming());
            warming.map(move |(name, _)| (type_url, name.clone()))
        }
        of(CLUSTER, &self.clusters)
            .chain(of(ROUTES, &self.routes))
            .chain(of(LISTENER, &self.listeners))
            .collect()
    }

    /// All accepted resources of a type, by name.
    #[must_use]
    pub fn accepted(&self, type_url: &str) -> Vec<Accepted<'_>> {
        fn of<T>(slots: &BTreeMap<String, Slot<T>>) -> Vec<Accepted<'_>> {
            slots
                .iter()
                .map(|(name, slot)| slot.accepted(name))
                .collect()
        }
        match type_url {
            LISTENER => of(&self.listeners),
            CLUSTER => of(&self.clusters),
            ROUTES => of(&self.routes),
            ENDPOINTS => of(&self.assignments),
            SECRET => of(&self.secrets),
            EXTENSION => of(&self.extensions),
            _ => Vec::new(),
        }
    }

    /// Everything wanted from elsewhere now.
    #[must_use]
    pub fn wanted(&self) -> &[Needs] {
        &self.wanted
    }

    /// A cluster of the snapshot.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Arc<Cluster>> {
        self.snapshot.clusters.get(name)
    }

    /// `settle` after new assignments, if all that they change is endpoints of clusters that serve:
    /// that is so most of the time, and must not cost a look at everything. `None`: something waits
    /// for one of them.
    fn settle_endpoints(&mut self, names: &[String]) -> Option<Vec<Arc<str>>> {
        let names: HashSet<&str> = names.iter().map(String::as_str).collect();
        let takes = |version: &Version<Cluster>| match &version.resource.discovery {
            Discovery::Eds { service_name, .. } => names.contains(&**service_name),
            Discovery::Static(_) | Discovery::Dns(_) | Discovery::OriginalDst(_) => false,
        };
        let mut concerned = Vec::new();
        for (name, slot) in &self.clusters {
            let serving = slot.serving.as_ref();
            if !takes(&slot.newest) && !serving.is_some_and(takes) {
                continue;
            }
            let serving = serving.filter(|_| !slot.is_warming())?;
            concerned.push((name.clone(), serving.clone()));
        }
        for name in names {
            if let Some(slot) = self.assignments.get_mut(name) {
                slot.promote_if(|_| true);
            }
        }
        let mut changed = Vec::with_capacity(concerned.len());
        for (name, serving) in concerned {
            let assembled = self.assembled_of(&serving);
            let cluster = Arc::clone(&assembled.cluster);
            self.assembled.insert(name, assembled);
            changed.push(Arc::clone(&cluster.name));
            self.snapshot
                .clusters
                .insert(Arc::clone(&cluster.name), cluster);
        }
        if !changed.is_empty() {
            self.snapshot.generation = self.snapshot.generation.saturating_add(1);
        }
        Some(changed)
    }

    /// Promotes what is ready, and makes the snapshot anew if anything changed.
    fn settle(&mut self) {
        self.promote();
        self.update_wanted();
        self.assemble();
        let next = Snapshot {
            generation: self.snapshot.generation,
            listeners: serving(&self.listeners),
            clusters: self
                .assembled
                .values()
                .map(|a| (Arc::clone(&a.cluster.name), Arc::clone(&a.cluster)))
                .collect(),
            routes: serving(&self.routes),
            secrets: serving(&self.secrets),
            extensions: serving(&self.extensions),
        };
        if !is_same(&self.snapshot, &next) {
            let generation = self.snapshot.generation.saturating_add(1);
            self.snapshot = Snapshot { generation, ..next };
        }
    }

    /// Secrets and assignments first, then the clusters that use them, then the routes that
    /// name those, then the listeners that name all of them.
    fn promote(&mut self) {
        for slot in self.assignments.values_mut() {
            slot.promote_if(|_| true);
        }
        for slot in self.secrets.values_mut() {
            slot.promote_if(|_| true);
        }
        for slot in self.extensions.values_mut() {
            slot.promote_if(|_| true);
        }
        let (assignments, timed_out) = (&self.assignments, &self.timed_out);
        let secrets = &self.secrets;
        // Without one that did not come in time the listener is there and shakes no hands.
        let secrets_ready = |references: &[SecretRef]| {
            references.iter().all(|reference| {
                secrets.contains_key(&*reference.name)
                    || timed_out.contains(&(SECRET, reference.name.to_string()))
            })
        };
        for slot in self.clusters.values_mut() {
            slot.promote_if(|version| {
                let has_endpoints = match &version.resource.discovery {
                    Discovery::Eds { service_name, .. } => {
                        assignments.contains_key(&**service_name)
                            || timed_out.contains(&(ENDPOINTS, service_name.to_string()))
                    }
                    _ => true,
                };
                has_endpoints && secrets_ready(&version.secrets)
            });
        }
        let clusters = &self.clusters;
        let clusters_ready = |names: &[Arc<str>]| {
            let ready = |name: &Arc<str>| {
                clusters
                    .get(&**name)
                    .is_none_or(|slot| slot.serving.is_some())
            };
            names.iter().all(ready)
        };
        for slot in self.routes.values_mut() {
            slot.promote_if(|version| clusters_ready(&version.clusters));
        }
        let (routes, extensions) = (&self.routes, &self.extensions);
        for slot in self.listeners.values_mut() {
            slot.promote_if(|version| {
                let discovered = version
                    .resource
                    .chains
                    .hcms()
                    .flat_map(|hcm| hcm.discovered());
                let mut awaited = discovered.filter(|(_, discovered)| discovered.warms);
                let filters_ready = awaited.all(|(name, _)| {
                    extensions.contains_key(name)
                        || timed_out.contains(&(EXTENSION, name.to_owned()))
                });
                let route_ready = version.resource.chains.hcms().all(|hcm| match &hcm.routes {
                    RouteSource::Inline(_) => true,
                    RouteSource::Rds { name } => {
                        routes
                            .get(&**name)
                            .is_some_and(|slot| slot.serving.is_some())
                            || timed_out.contains(&(ROUTES, name.to_string()))
                    }
                });
                filters_ready
                    && route_ready
                    && clusters_ready(&version.clusters)
                    && secrets_ready(&version.secrets)
            });
        }
    }

    /// Gathers what accepted and serving versions refer to; forgets what nothing refers to any
    /// more.
    fn update_wanted(&mut self) {
        let listeners = self.listeners.values().flat_map(Slot::needs);
        let clusters = self.clusters.values().flat_map(Slot::needs);
        let wanted: BTreeSet<&Needs> = listeners.chain(clusters).collect();
        if wanted.iter().copied().eq(self.wanted.iter()) {
            return;
        }
        let wanted: Arc<[Needs]> = wanted.into_iter().cloned().collect();
        let names = |needs: &[Needs]| -> BTreeSet<(&'static str, String)> {
            needs.iter().map(|n| (n.type_url, n.name.clone())).collect()
        };
        let (before, now) = (names(&self.wanted), names(&wanted));
        for (type_url, name) in before.difference(&now) {
            match *type_url {
                ROUTES => drop(self.routes.remove(name)),
                SECRET => self.forget_secret(name),
                EXTENSION => drop(self.extensions.remove(name)),
                _ => drop(self.assignments.remove(name)),
            }
        }
        self.timed_out.retain(|key| now.contains(key));
        self.wanted = wanted;
        self.revision = self.revision.saturating_add(1);
    }

    /// Puts endpoints into clusters, keeping what did not change.
    fn assemble(&mut self) {
        let clusters = &self.clusters;
        self.assembled.retain(|name, _| {
            clusters
                .get(name)
                .is_some_and(|slot| slot.serving.is_some())
        });
        for (name, slot) in &self.clusters {
            let Some(serving) = &slot.serving else {
                continue;
            };
            let is_same = self.assembled.get(name).is_some_and(|assembled| {
                Arc::ptr_eq(&assembled.from, &serving.resource)
                    && same_option(assembled.assignment.as_ref(), self.assignment_of(serving))
            });
            if !is_same {
                let assembled = self.assembled_of(serving);
                self.assembled.insert(name.clone(), assembled);
            }
        }
    }

    fn assignment_of(&self, cluster: &Version<Cluster>) -> Option<&Arc<Assignment>> {
        match &cluster.resource.discovery {
            Discovery::Eds { service_name, .. } => {
                let slot = self.assignments.get(&**service_name)?;
                Some(&slot.newest.resource)
            }
            Discovery::Static(_) | Discovery::Dns(_) | Discovery::OriginalDst(_) => None,
        }
    }

    fn assembled_of(&self, cluster: &Version<Cluster>) -> Assembled {
        let assignment = self.assignment_of(cluster);
        Assembled {
            from: Arc::clone(&cluster.resource),
            assignment: assignment.map(Arc::clone),
            cluster: match assignment {
                None => Arc::clone(&cluster.resource),
                Some(assignment) => {
                    let endpoints = assignment.flatten(cluster.locality_weights, true);
                    Arc::new(with_endpoints(&cluster.resource, endpoints))
                }
            },
        }
    }
}

fn same_option<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

fn with_endpoints(cluster: &Cluster, endpoints: Endpoints) -> Cluster {
    let service_name = match &cluster.discovery {
        Discovery::Eds { service_name, .. } => Arc::clone(service_name),
        _ => Arc::clone(&cluster.name),
    };
    Cluster {
        name: Arc::clone(&cluster.name),
        stat_name: Arc::clone(&cluster.stat_name),
        discovery: Discovery::Eds {
            service_name,
            endpoints: Some(Arc::new(endpoints)),
        },
        lb: cluster.lb,
        subsets: cluster.subsets.clone(),
        panic_threshold: cluster.panic_threshold,
        fail_on_panic: cluster.fail_on_panic,
        slow_start: cluster.slow_start,
        connect_timeout: cluster.connect_timeout,
        per_connection_buffer_limit_bytes: cluster.per_connection_buffer_limit_bytes,
        thresholds: cluster.thresholds,
        outlier_detection: cluster.outlier_detection.clone(),
        http: cluster.http.clone(),
        transport: cluster.transport.clone(),
        transport_matches: cluster.transport_matches.clone(),
        keepalive: cluster.keepalive,
        bind: cluster.bind.clone(),
        exchange: cluster.exchange.clone(),
        istio: cluster.istio.clone(),
        hash: cluster.hash,
    }
}

type Named<T> = std::collections::HashMap<Arc<str>, Arc<T>>;

fn serving<T>(slots: &BTreeMap<String, Slot<T>>) -> Named<T> {
    let entry = |(name, slot): (&String, &Slot<T>)| {
        let version: &Version<T> = slot.serving.as_ref()?;
        Some((Arc::from(name.as_str()), Arc::clone(&version.resource)))
    };
    slots.iter().filter_map(entry).collect()
}

fn is_same(a: &Snapshot, b: &Snapshot) -> bool {
    fn same<T>(a: &Named<T>, b: &Named<T>) -> bool {
        let is_in = |(name, value): (&Arc<str>, &Arc<T>)| {
            b.get(name).is_some_and(|other| Arc::ptr_eq(value, other))
        };
        a.len() == b.len() && a.iter().all(is_in)
    }
    same(&a.listeners, &b.listeners)
        && same(&a.clusters, &b.clusters)
        && same(&a.routes, &b.routes)
        && same(&a.secrets, &b.secrets)
        && same(&a.extensions, &b.extensions)
}

/// Envoy's words for a second listener on one address.
pub(crate) fn duplicate_address(name: &str, address: &Address) -> String {
    format!(
        "error adding listener: '{name}' has duplicate address '{address}' as existing listener"
    )
}
