//! Circuit breakers: how much of a cluster is in use over all workers, per routing priority.
//!
//! Envoy's limits are of the process, so these are the one thing workers share. A limit of
//! 2^32-1 (what Istio sets) is no limit, and then nothing is counted at all.

use std::sync::atomic::{AtomicU32, Ordering};

use model::resources::cluster::RoutingPriority;

#[derive(Debug, Default)]
pub struct Breakers {
    default: Usage,
    high: Usage,
}

#[derive(Debug, Default)]
pub struct Usage {
    pub connections: Resource,
    pub pending_requests: Resource,
    pub requests: Resource,
    pub retries: Resource,
}

impl Breakers {
    pub fn usage(&self, priority: RoutingPriority) -> &Usage {
        match priority {
            RoutingPriority::Default => &self.default,
            RoutingPriority::High => &self.high,
        }
    }
}

#[derive(Debug, Default)]
pub struct Resource(AtomicU32);

/// Whether a unit was taken and has to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Unlimited,
    Counted,
    Full,
}

impl Resource {
    /// Takes a unit unless `limit` are taken.
    pub fn take(&self, limit: u32) -> Taken {
        if limit == u32::MAX {
            return Taken::Unlimited;
        }
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        if before >= limit {
            self.0.fetch_sub(1, Ordering::Relaxed);
            return Taken::Full;
        }
        Taken::Counted
    }

    /// Takes a unit whatever the limit (Envoy always allows a first connection).
    pub fn take_anyway(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn give_back(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn in_use(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_resource_refuses_and_recovers() {
        let r = Resource::default();
        assert_eq!(r.take(1), Taken::Counted);
        assert_eq!(r.take(1), Taken::Full);
        assert_eq!(r.in_use(), 1);
        r.give_back();
        assert_eq!(r.take(1), Taken::Counted);
        assert_eq!(r.take(u32::MAX), Taken::Unlimited);
        assert_eq!(Resource::default().take(0), Taken::Full);
    }
}
