//! What has a stream of HTTP/2 without being a request of a client, and its place in the queue of a
//! host's pool, which makes one connection for all that wait.

use std::rc::Rc;

use model::resources::cluster::RoutingPriority;

use crate::cluster::breaker::Taken;
use crate::cluster::host::{Host, Pool};
use crate::cluster::{ClusterRuntime, Limit};
use crate::http::failure::Failure;
use crate::telemetry::stats::{ClusterCounter, ClusterGauge};
use crate::worker::Worker;
use crate::worker::slots::Key;

/// They have no routing priority.
pub const PRIORITY: RoutingPriority = RoutingPriority::Default;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rider {
    /// A TCP tunnel.
    Tunnel(Key),
    /// A gRPC call of our own.
    Call(Key),
}

/// A place in the queue.
#[derive(Debug)]
pub struct Queued {
    pub cluster: Rc<ClusterRuntime>,
    pub host: Rc<Host>,
    pool: Rc<Pool>,
    rider: Rider,
    /// Of the limit of those that wait.
    unit: Taken,
}

impl Queued {
    /// A place, counted; `None`: too many wait already.
    pub fn join(
        rider: Rider,
        cluster: &Rc<ClusterRuntime>,
        host: &Rc<Host>,
        pool: &Rc<Pool>,
    ) -> Option<Self> {
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
        pool.riders.borrow_mut().push_back(rider);
        Some(Self {
            cluster: Rc::clone(cluster),
            host: Rc::clone(host),
            pool: Rc::clone(pool),
            rider,
            unit,
        })
    }

    /// It waits no longer, for its own reasons.
    pub fn cancel(self) {
        self.pool.riders.borrow_mut().retain(|r| *r != self.rider);
        self.leave();
        let stats = self.cluster.stats();
        stats.inc(ClusterCounter::UpstreamRqCancelled);
    }

    /// It waits no longer, since there is no connection for it.
    pub fn eject(&self) {
        self.pool.riders.borrow_mut().retain(|r| *r != self.rider);
        self.leave();
        let stats = self.cluster.stats();
        stats.inc(ClusterCounter::UpstreamRqPendingFailureEject);
    }

    /// Takes the place, which is no longer in the queue, out of the accounts.
    pub fn leave(&self) {
        let stats = self.cluster.stats();
        stats.gauge_dec(ClusterGauge::UpstreamRqPendingActive);
        self.pool.shard.rq_pending_active.dec();
        give_back(&self.cluster, Limit::Pending, self.unit);
    }
}

impl Worker {
    /// A connection takes another stream: the first that waits gets it. False: nobody does.
    pub fn offer_to_rider(&mut self, pool: &Pool, connection: Key) -> bool {
        loop {
            let Some(rider) = pool.riders.borrow_mut().pop_front() else {
                return false;
            };
            let is_taken = match rider {
                Rider::Tunnel(key) => self.offer_to_tunnel(key, connection),
                Rider::Call(key) => self.offer_to_call(key, connection),
            };
            if is_taken {
                return true;
            }
        }
    }

    /// There is no connection for those that wait. `reason`: what TLS says of it.
    pub fn fail_riders(&mut self, pool: &Pool, failure: Failure, reason: Option<&str>) {
        if pool.riders.borrow().is_empty() {
            return;
        }
        let waiting: Vec<Rider> = pool.riders.borrow_mut().drain(..).collect();
        for rider in waiting {
            match rider {
                Rider::Tunnel(key) => self.fail_queued_tunnel(key, failure, reason),
                Rider::Call(key) => self.fail_queued_call(key, failure, reason),
            }
        }
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
