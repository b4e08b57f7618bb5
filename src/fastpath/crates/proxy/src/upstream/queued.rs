//! A place in the queue of a host's pool, for what is no request of a client: a TCP tunnel, a gRPC
//! call. The pool makes one connection for all that wait.

use std::rc::Rc;

use model::resources::cluster::RoutingPriority;

use crate::cluster::breaker::Taken;
use crate::cluster::host::{Host, Pool};
use crate::cluster::{ClusterRuntime, Limit};
use crate::telemetry::stats::{ClusterCounter, ClusterGauge};

/// They have no routing priority.
pub const PRIORITY: RoutingPriority = RoutingPriority::Default;

#[derive(Debug)]
pub struct Queued {
    pub cluster: Rc<ClusterRuntime>,
    pub host: Rc<Host>,
    pub pool: Rc<Pool>,
    /// Of the limit of those that wait.
    unit: Taken,
}

impl Queued {
    /// A place, counted; `None`: too many wait already.
    pub fn join(cluster: &Rc<ClusterRuntime>, host: &Rc<Host>, pool: &Rc<Pool>) -> Option<Self> {
        let stats = cluster.stats();
        let usage = cluster.shared.breakers.usage(PRIORITY);
        let limit = cluster.limits(PRIORITY).max_pending_requests;
        let unit = usage.pending_requests.take(limit);
        if unit == Taken::Full {
            stats.inc(ClusterCounter::UpstreamRqPendingOverflow);
            cluster.breaker_open(PRIORITY, Limit::Pending, true);
            return None;
        }
        stats.inc(ClusterCounter::UpstreamRqPendingTotal);
        stats.gauge_inc(ClusterGauge::UpstreamRqPendingActive);
        pool.shard.rq_pending_active.inc();
        Some(Self {
            cluster: Rc::clone(cluster),
            host: Rc::clone(host),
            pool: Rc::clone(pool),
            unit,
        })
    }

    /// Takes the place out of the accounts.
    pub fn leave(&self) {
        let stats = self.cluster.stats();
        stats.gauge_dec(ClusterGauge::UpstreamRqPendingActive);
        self.pool.shard.rq_pending_active.dec();
        give_back(&self.cluster, Limit::Pending, self.unit);
    }
}

/// Counts what a host carries.
pub fn count_carried(cluster: &ClusterRuntime, host: &Host) {
    let stats = cluster.stats();
    stats.inc(ClusterCounter::UpstreamRqTotal);
    stats.gauge_inc(ClusterGauge::UpstreamRqActive);
    let pool = &host.pool;
    pool.active.set(pool.active.get().saturating_add(1));
    pool.shard.rq_total.inc();
    pool.shard.rq_active.inc();
}

/// Gives a unit of a limit back.
pub fn give_back(cluster: &ClusterRuntime, limit: Limit, unit: Taken) {
    if unit != Taken::Counted {
        return;
    }
    let usage = cluster.shared.breakers.usage(PRIORITY);
    match limit {
        Limit::Connections => usage.connections.give_back(),
        Limit::Pending => usage.pending_requests.give_back(),
        Limit::Requests => usage.requests.give_back(),
        Limit::Retries => usage.retries.give_back(),
    }
    cluster.breaker_open(PRIORITY, limit, false);
}
