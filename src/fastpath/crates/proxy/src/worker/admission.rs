//! `connection_limit` of a filter chain: how many connections it may have, over all workers.
//!
//! The count belongs to the configuration of the filter, as in Envoy: chains that stay keep it.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::resources::listener::ConnectionLimit;

use super::Worker;
use super::config::ListenerRuntime;
use super::linger::Counted;
use super::pending::Arrival;
use crate::http::deadlines::after;
use crate::telemetry::stats::{
    ConnectionLimitCounter, ConnectionLimitGauge, ConnectionLimitShard, Stats,
};

/// The counts of the process.
#[derive(Debug, Default)]
pub struct ConnectionCounts(Mutex<Vec<(Weak<ConnectionLimit>, Arc<AtomicU64>)>>);

impl ConnectionCounts {
    /// The count of a filter, the same for every worker.
    fn of(&self, config: &Arc<ConnectionLimit>) -> Arc<AtomicU64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|(config, _)| config.strong_count() > 0);
        let known = counts
            .iter()
            .find(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(config)));
        if let Some((_, count)) = known {
            return Arc::clone(count);
        }
        let count = Arc::default();
        counts.push((Arc::downgrade(config), Arc::clone(&count)));
        count
    }
}

/// A limit with this worker's state of it.
#[derive(Debug)]
pub struct Limiter {
    config: Arc<ConnectionLimit>,
    count: Arc<AtomicU64>,
    stats: Arc<ConnectionLimitShard>,
}

impl Limiter {
    pub fn new(config: &Arc<ConnectionLimit>, counts: &ConnectionCounts, stats: &Stats) -> Self {
        let shard = stats.connection_limit(&config.stat_prefix);
        shard.gauge_add(ConnectionLimitGauge::ActiveConnections, 0);
        Self {
            config: Arc::clone(config),
            count: counts.of(config),
            stats: shard,
        }
    }

    /// Counts a connection in; whether it may stay is for the answer to say.
    fn admit(&self) -> Admission {
        let most = self.config.max_connections;
        let count = &self.count;
        let one_more = |n: u64| (n < most).then_some(n.saturating_add(1));
        let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        let stats = &self.stats;
        stats.gauge_inc(ConnectionLimitGauge::ActiveConnections);
        if taken.is_err() {
            stats.inc(ConnectionLimitCounter::LimitedConnections);
        }
        Admission {
            place: taken.is_ok().then(|| Arc::clone(count)),
            stats: Arc::clone(stats),
        }
    }
}

/// A connection as its limit counts it, until it is dropped.
#[derive(Debug)]
pub struct Admission {
    /// `None`: there was no room for it.
    place: Option<Arc<AtomicU64>>,
    stats: Arc<ConnectionLimitShard>,
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            place.fetch_sub(1, Ordering::Relaxed);
        }
        self.stats
            .gauge_dec(ConnectionLimitGauge::ActiveConnections);
    }
}

/// A connection too many, held for the delay of its limit.
#[derive(Debug)]
pub struct Surplus {
    pub listener: Rc<ListenerRuntime>,
    /// Dropped with it.
    _admission: Admission,
}

impl Worker {
    /// Lets a connection in; `None`: its chain has too many, and it is being closed.
    pub(super) fn admit(&mut self, mut arrival: Arrival) -> Option<Arrival> {
        let Some(limiter) = &arrival.chain.limiter else {
            return Some(arrival);
        };
        let admission = limiter.admit();
        if admission.place.is_some() {
            arrival.admission = Some(admission);
            return Some(arrival);
        }
        let Some(delay) = limiter.config.delay else {
            self.count_connection_closed(&arrival.listener);
            return None;
        };
        let until = after(self.clock.now_ms(), Some(delay));
        let surplus = Surplus {
            listener: arrival.listener,
            _admission: admission,
        };
        let surplus = Counted::Surplus(surplus);
        self.hold(arrival.io, arrival.is_watched, until, surplus);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(most: u64) -> Arc<ConnectionLimit> {
        Arc::new(ConnectionLimit {
            stat_prefix: "l".into(),
            max_connections: most,
            delay: None,
        })
    }

    #[test]
    fn workers_share_the_count_of_a_filter() {
        let (counts, stats) = (ConnectionCounts::default(), Stats::new(2));
        let two = config(2);
        let (a, b) = (
            Limiter::new(&two, &counts, &stats),
            Limiter::new(&two, &counts, &stats),
        );
        let (first, second) = (a.admit(), b.admit());
        assert!(first.place.is_some() && second.place.is_some());
        assert!(a.admit().place.is_none());
        drop(first);
        assert!(b.admit().place.is_some());
        assert!(
            Limiter::new(&config(1), &counts, &stats)
                .admit()
                .place
                .is_some()
        );
    }

    #[test]
    fn counts_go_with_their_filter() {
        let (counts, stats) = (ConnectionCounts::default(), Stats::new(1));
        drop(Limiter::new(&config(1), &counts, &stats));
        drop(Limiter::new(&config(1), &counts, &stats));
        assert_eq!(counts.0.lock().unwrap().len(), 1);
    }
}
