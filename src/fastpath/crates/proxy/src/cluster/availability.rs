//! Whether a host can be used: asked here and nowhere else, once for each set of hosts.

use model::resources::cluster::{Endpoint, HealthStatus};

/// What a host is to load balancing (Envoy's `coarseHealth`, and who is excluded).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    Healthy,
    /// Serves what the healthy ones of all priorities cannot.
    Degraded,
    Unhealthy,
    /// It is leaving: neither usable nor missed.
    Excluded,
}

impl Availability {
    pub fn of(host: &Endpoint) -> Self {
        match host.health {
            HealthStatus::Unknown | HealthStatus::Healthy => Self::Healthy,
            HealthStatus::Degraded => Self::Degraded,
            HealthStatus::Unhealthy | HealthStatus::Timeout => Self::Unhealthy,
            HealthStatus::Draining => Self::Excluded,
        }
    }
}
