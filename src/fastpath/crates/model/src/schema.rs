//! Descriptors of the messages that configuration may contain, made on first use and released
//! when configuration has settled: they cost 6 MB while they live.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::plan::Plan;

/// Made by `build.rs` from the `.proto` files of the crate `envoy-types`.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

static CACHED: Mutex<Option<Arc<Schema>>> = Mutex::new(None);

/// The descriptors with what was derived from them.
#[derive(Debug)]
pub struct Schema {
    pool: DescriptorPool,
    plans: RwLock<HashMap<Box<str>, Arc<Plan>>>,
}

/// The shared schema; decodes it (7 ms) if nobody holds it.
#[must_use]
pub fn get() -> Arc<Schema> {
    let mut cached = CACHED.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(cached.get_or_insert_with(|| Arc::new(Schema::new())))
}

/// Drops the cached schema; the next use makes it again.
pub fn release() {
    *CACHED.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

impl Schema {
    fn new() -> Self {
        Self {
            // The bytes are ours, and a test decodes them.
            pool: DescriptorPool::decode(DESCRIPTORS).unwrap_or_default(),
            plans: RwLock::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// A message by its full name (`envoy.config.cluster.v3.Cluster`).
    #[must_use]
    pub fn message(&self, full_name: &str) -> Option<MessageDescriptor> {
        self.pool.get_message_by_name(full_name)
    }

    /// The message that an `Any` with this type URL holds.
    #[must_use]
    pub fn message_of_url(&self, type_url: &str) -> Option<MessageDescriptor> {
        self.message(name_of_url(type_url)?)
    }

    /// What to check in messages of this type, worked out once.
    pub(crate) fn plan(&self, message: &MessageDescriptor) -> Arc<Plan> {
        let name = message.full_name();
        let plans = self.plans.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(name) {
            return Arc::clone(plan);
        }
        drop(plans);
        let plan = Arc::new(Plan::new(&self.pool, message));
        let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(plans.entry(name.into()).or_insert(plan))
    }
}

/// `type.googleapis.com/a.B` → `a.B`; None without a `/`.
#[must_use]
pub fn name_of_url(type_url: &str) -> Option<&str> {
    type_url.rsplit_once('/').map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_is_released_and_made_again() {
        let first = get();
        assert!(
            first
                .message("envoy.config.bootstrap.v3.Bootstrap")
                .is_some()
        );
        assert!(Arc::ptr_eq(&first, &get()) || Arc::strong_count(&first) >= 1);
        release();
        let again = get();
        assert!(
            again
                .message_of_url("type.googleapis.com/envoy.config.cluster.v3.Cluster")
                .is_some()
        );
    }
}
