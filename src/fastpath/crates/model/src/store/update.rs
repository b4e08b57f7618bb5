//! Updates: resource by resource, as Envoy applies a response in part.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::slot::{Slot, Version};
use super::{Applied, Store, duplicate_address};
use crate::compile::{
    self, CLUSTER, Compiled, ENDPOINTS, EXTENSION, LISTENER, Needs, ROUTES, SECRET, Source,
};
use crate::problem::Problem;
use crate::resources::address::Address;
use crate::resources::cluster::{Discovery, LocalityWeights};
use crate::resources::listener::Listener;

impl Store {
    /// Removes, then compiles and accepts what is new; refuses what is wrong and keeps the
    /// version it has of that. `is_static`: from the bootstrap, never to be changed.
    pub fn apply(
        &mut self,
        type_url: &str,
        updated: &[(String, Vec<u8>)],
        removed: &[String],
        is_static: bool,
    ) -> Applied {
        let mut applied = Applied::default();
        for name in removed {
            if self.remove(type_url, name) {
                applied.removed.push(name.clone());
            }
        }
        let mut seen = HashSet::new();
        for (name, bytes) in updated {
            let outcome = if seen.insert(name.as_str()) {
                self.update(type_url, name, bytes, is_static)
            } else {
                let kind = match type_url {
                    LISTENER => "listener",
                    SECRET => "secret",
                    EXTENSION => "extension configuration",
                    _ => "cluster",
                };
                let reason = format!("duplicate {kind} {name} found");
                Err(vec![Problem {
                    path: String::new(),
                    reason,
                }])
            };
            match outcome {
                Ok(true) => applied.accepted.push(name.clone()),
                Ok(false) => applied.unchanged.push(name.clone()),
                Err(problems) => applied.rejected.extend(
                    problems
                        .into_iter()
                        .map(|p| (name.clone(), p.path, p.reason)),
                ),
            }
        }
        if type_url == ENDPOINTS {
            applied.only_endpoints = self.settle_endpoints(&applied.accepted);
        }
        if applied.only_endpoints.is_none() {
            self.settle();
        }
        if type_url == LISTENER {
            applied.conflicts = self.conflicts(&applied.accepted);
        }
        applied.wanted = Arc::clone(&self.wanted);
        applied.revision = self.revision;
        applied.watched = self.watched();
        applied
    }

    /// An accepted listener cannot be served (its address is taken, its log cannot be opened):
    /// back to the version before, or out.
    pub fn reject_listener(&mut self, name: &str) {
        let kept = self.listeners.get_mut(name).is_some_and(Slot::revert);
        if !kept {
            self.listeners.remove(name);
        }
        self.settle();
    }

    /// Static resources stay; routes, assignments and secrets go with what refers to them.
    fn remove(&mut self, type_url: &str, name: &str) -> bool {
        match type_url {
            LISTENER => remove(&mut self.listeners, name),
            CLUSTER => remove(&mut self.clusters, name),
            EXTENSION => self.remove_extension(name),
            _ => false,
        }
    }

    /// Whether there is a new version now.
    fn update(
        &mut self,
        type_url: &str,
        name: &str,
        bytes: &[u8],
        is_static: bool,
    ) -> Result<bool, Vec<Problem>> {
        match type_url {
            LISTENER => {
                if is_known(&self.listeners, name, bytes) {
                    return Ok(false);
                }
                let compiled = compile::listener(bytes)?;
                self.check_address(name, &compiled.resource)?;
                self.check_clusters(&compiled)?;
                self.check_sources(&compiled.needs, is_static)?;
                self.check_secrets(LISTENER, name, &compiled.secrets)?;
                self.check_extension_sources(name, &compiled.needs)?;
                accept(&mut self.listeners, name, bytes, is_static, compiled.into());
            }
            CLUSTER => {
                if is_known(&self.clusters, name, bytes) {
                    return Ok(false);
                }
                let mut compiled = compile::cluster(bytes)?;
                let bind = &mut compiled.resource.bind;
                *bind = bind.take().or_else(|| self.upstream_bind.clone());
                self.check_sources(&compiled.needs, is_static)?;
                self.check_secrets(CLUSTER, name, &compiled.secrets)?;
                accept(&mut self.clusters, name, bytes, is_static, compiled.into());
            }
            ROUTES => {
                if is_known(&self.routes, name, bytes) {
                    return Ok(false);
                }
                let before = self.routes.get(name).map(|slot| compile::Before {
                    bytes: &slot.bytes,
                    config: &slot.newest.resource,
                });
                let compiled = compile::route_config_after(bytes, before)?;
                self.check_clusters(&compiled)?;
                accept(&mut self.routes, name, bytes, is_static, compiled.into());
                self.timed_out.remove(&(ROUTES, name.to_owned()));
            }
            ENDPOINTS => {
                if is_known(&self.assignments, name, bytes) {
                    return Ok(false);
                }
                let assignment = compile::endpoints(bytes)?;
                let version = Version {
                    resource: assignment.into(),
                    needs: [].into(),
                    clusters: [].into(),
                    secrets: [].into(),
                    locality_weights: LocalityWeights::default(),
                };
                accept(&mut self.assignments, name, bytes, is_static, version);
                self.timed_out.remove(&(ENDPOINTS, name.to_owned()));
            }
            SECRET => return self.update_secret(name, bytes, is_static),
            EXTENSION => return self.update_extension(name, bytes, is_static),
            _ => {
                let reason = format!("resources of type {type_url} are not implemented");
                return Err(vec![Problem {
                    path: String::new(),
                    reason,
                }]);
            }
        }
        Ok(true)
    }

    /// No two listeners on one address.
    fn check_address(&self, name: &str, listener: &Listener) -> Result<(), Vec<Problem>> {
        let others = self.listeners.iter().filter(|(other, _)| *other != name);
        let taken: HashSet<&Address> = others
            .flat_map(|(_, slot)| slot.newest.resource.addresses())
            .map(|bind| &bind.address)
            .filter(|address| !address.is_ephemeral())
            .collect();
        let mut own = listener.addresses().map(|bind| &bind.address);
        match own.find(|address| taken.contains(address)) {
            Some(address) => Err(vec![Problem {
                path: "address".to_owned(),
                reason: duplicate_address(name, address),
            }]),
            None => Ok(()),
        }
    }

    /// Whether there are the servers that resources are to come from. Those of the bootstrap were
    /// checked with it.
    fn check_sources(&self, needs: &[Needs], is_static: bool) -> Result<(), Vec<Problem>> {
        let reason = |need: &Needs| match &need.source {
            Source::Ads if !self.has_ads => Some(NO_ADS.to_owned()),
            Source::Grpc(server) if !self.is_server(&server.cluster) => {
                Some(not_a_server(&server.cluster))
            }
            _ => None,
        };
        let needs = needs.iter().filter(|_| !is_static);
        let problems: Vec<Problem> = needs
            .filter_map(reason)
            .map(|reason| Problem {
                path: String::new(),
                reason,
            })
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    /// Whether a cluster can be one that resources come from.
    fn is_server(&self, cluster: &str) -> bool {
        self.clusters.get(cluster).is_some_and(|slot| {
            let discovery = &slot.newest.resource.discovery;
            slot.is_static && !matches!(discovery, Discovery::Eds { .. })
        })
    }

    /// Clusters that must be known for the resource to be accepted.
    fn check_clusters<T>(&self, compiled: &Compiled<T>) -> Result<(), Vec<Problem>> {
        let required = compiled
            .clusters
            .iter()
            .filter(|reference| reference.required);
        let unknown: Vec<Problem> = required
            .filter(|reference| !self.clusters.contains_key(&*reference.name))
            .map(compile::ClusterRef::unknown)
            .collect();
        if unknown.is_empty() {
            Ok(())
        } else {
            Err(unknown)
        }
    }
}

pub(crate) const NO_ADS: &str = "ADS must be configured to support an ADS config source: \
    dynamic_resources.ads_config is missing";

/// Envoy's words for a cluster that resources cannot come from.
pub(crate) fn not_a_server(cluster: &str) -> String {
    format!(
        "ApiConfigSource must have a statically defined non-EDS cluster: '{cluster}' does not \
         exist, was added via api, or is an EDS cluster"
    )
}

pub(super) fn remove<T>(slots: &mut BTreeMap<String, Slot<T>>, name: &str) -> bool {
    let removable = slots.get(name).is_some_and(|slot| !slot.is_static);
    removable && slots.remove(name).is_some()
}

/// Nothing to do: the same bytes, or a static resource, which Envoy does not let be changed.
pub(super) fn is_known<T>(slots: &BTreeMap<String, Slot<T>>, name: &str, bytes: &[u8]) -> bool {
    slots
        .get(name)
        .is_some_and(|slot| slot.is_static || slot.bytes == bytes)
}

pub(super) fn accept<T>(
    slots: &mut BTreeMap<String, Slot<T>>,
    name: &str,
    bytes: &[u8],
    is_static: bool,
    newest: Version<T>,
) {
    let serving = slots.remove(name).and_then(|slot| slot.serving);
    let previous = serving.clone();
    let slot = Slot {
        bytes: bytes.to_vec(),
        is_static,
        newest,
        serving,
        previous,
    };
    slots.insert(name.to_owned(), slot);
}
