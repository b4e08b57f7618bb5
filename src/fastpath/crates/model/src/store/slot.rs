//! One resource: the version accepted last, and the one that serves.

use std::sync::Arc;

use super::Accepted;
use crate::compile::{Compiled, Needs, SecretRef};
use crate::resources::cluster::LocalityWeights;

#[derive(Debug)]
pub(super) struct Slot<T> {
    pub bytes: Vec<u8>,
    pub is_static: bool,
    pub newest: Version<T>,
    /// The newest or the one before it.
    pub serving: Option<Version<T>>,
    /// What served when the newest version was accepted.
    pub previous: Option<Version<T>>,
}

/// A compiled resource with what it refers to.
#[derive(Debug)]
pub(super) struct Version<T> {
    pub resource: Arc<T>,
    pub needs: Arc<[Needs]>,
    pub clusters: Arc<[Arc<str>]>,
    pub secrets: Arc<[SecretRef]>,
    pub locality_weights: LocalityWeights,
}

impl<T> Clone for Version<T> {
    fn clone(&self) -> Self {
        Self {
            resource: Arc::clone(&self.resource),
            needs: Arc::clone(&self.needs),
            clusters: Arc::clone(&self.clusters),
            secrets: Arc::clone(&self.secrets),
            locality_weights: self.locality_weights,
        }
    }
}

impl<T> From<Compiled<T>> for Version<T> {
    fn from(compiled: Compiled<T>) -> Self {
        Self {
            resource: Arc::new(compiled.resource),
            needs: compiled.needs.into(),
            clusters: compiled
                .clusters
                .into_iter()
                .map(|reference| reference.name)
                .collect(),
            secrets: compiled.secrets.into(),
            locality_weights: compiled.locality_weights,
        }
    }
}

impl<T> Slot<T> {
    pub fn is_warming(&self) -> bool {
        match &self.serving {
            Some(serving) => !Arc::ptr_eq(&serving.resource, &self.newest.resource),
            None => true,
        }
    }

    pub fn promote_if(&mut self, is_ready: impl FnOnce(&Version<T>) -> bool) {
        if self.is_warming() && is_ready(&self.newest) {
            self.serving = Some(self.newest.clone());
        }
    }

    /// Back to what served before; false if there was nothing. The next try with the same bytes
    /// is a new one.
    pub fn revert(&mut self) -> bool {
        let Some(previous) = self.previous.clone() else {
            return false;
        };
        self.bytes.clear();
        self.newest = previous.clone();
        self.serving = Some(previous);
        true
    }

    /// What the newest version needs, and the serving one as long as it serves.
    pub fn needs(&self) -> impl Iterator<Item = &Needs> {
        let serving = self.serving.iter().flat_map(|version| version.needs.iter());
        self.newest.needs.iter().chain(serving)
    }

    pub fn accepted<'s>(&'s self, name: &'s str) -> Accepted<'s> {
        Accepted {
            name,
            bytes: &self.bytes,
            is_static: self.is_static,
            is_warming: self.is_warming(),
        }
    }
}
