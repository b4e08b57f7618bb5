//! What all workers count of one host, and the events that they count it by
//! (`DetectorHostMonitorImpl`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use model::resources::address::Address;
use model::resources::outlier::OutlierDetection;

use super::{Origin, Reason, Report, Reports};

/// Shared by all workers. What they write has a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
pub struct Monitor {
    counts: Counts,
    config: Arc<OutlierDetection>,
    reports: Arc<Reports>,
    cluster: Arc<str>,
    pub(super) address: Address,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Counts {
    /// In a row.
    all_5xx: AtomicU32,
    gateway: AtomicU32,
    local: AtomicU32,
    /// Since the last interval.
    of_answers: Volume,
    of_connections: Volume,
}

impl Monitor {
    pub(super) fn new(
        config: &Arc<OutlierDetection>,
        reports: &Arc<Reports>,
        cluster: &Arc<str>,
        address: Address,
    ) -> Self {
        Self {
            counts: Counts::default(),
            config: Arc::clone(config),
            reports: Arc::clone(reports),
            cluster: Arc::clone(cluster),
            address,
        }
    }

    pub fn cluster(&self) -> &Arc<str> {
        &self.cluster
    }

    /// It answered a request with this status (of HTTP, or as gRPC's says in HTTP's terms).
    pub fn answered(self: &Arc<Self>, status: u16) {
        let (counts, config) = (&self.counts, &self.config);
        if !(500..600).contains(&status) {
            counts.of_answers.add(true);
            clear(&counts.all_5xx);
            clear(&counts.gateway);
            return;
        }
        counts.of_answers.add(false);
        if !(502..=504).contains(&status) {
            clear(&counts.gateway);
        } else if reaches(&counts.gateway, config.consecutive_gateway_failure.failures) {
            self.report(Reason::ConsecutiveGatewayFailure);
        }
        if reaches(&counts.all_5xx, config.consecutive_5xx.failures) {
            self.report(Reason::Consecutive5xx);
        }
    }

    /// Whether the cluster says that this status of a response is an error; `None`: it does not say
    /// which ones are.
    pub fn lists(&self, status: u16) -> Option<bool> {
        let errors = self.config.error_statuses.as_ref()?;
        Some(errors.contains(&status))
    }

    /// A request has its connection; the answer will say more.
    pub fn connected(self: &Arc<Self>) {
        if self.splits() {
            self.local_success();
        }
    }

    /// A TCP tunnel has its connection, and nothing will say more.
    pub fn carries_tunnel(self: &Arc<Self>) {
        if self.splits() {
            self.local_success();
        } else {
            self.answered(200);
        }
    }

    /// No connection could be made, or it ended under a request.
    pub fn failed(self: &Arc<Self>) {
        if self.splits() {
            self.local_failure();
        } else {
            self.answered(503);
        }
    }

    /// It took too long. `status`: what its client is told.
    pub fn timed_out(self: &Arc<Self>, status: u16) {
        if self.splits() {
            self.local_failure();
        } else {
            self.answered(status);
        }
    }

    fn splits(&self) -> bool {
        self.config.split_external_local_origin_errors
    }

    fn local_success(&self) {
        self.counts.of_connections.add(true);
        clear(&self.counts.local);
    }

    fn local_failure(self: &Arc<Self>) {
        self.counts.of_connections.add(false);
        let most = self.config.consecutive_local_origin_failure.failures;
        if reaches(&self.counts.local, most) {
            self.report(Reason::ConsecutiveLocalOriginFailure);
        }
    }

    #[cold]
    fn report(self: &Arc<Self>, reason: Reason) {
        let is_left = self.reports.push(Report {
            monitor: Arc::clone(self),
            reason,
        });
        if !is_left {
            // So that it is complete again.
            self.forget_row(reason);
        }
    }

    /// A row begins anew.
    pub(super) fn forget_row(&self, reason: Reason) {
        match reason {
            Reason::Consecutive5xx => clear(&self.counts.all_5xx),
            Reason::ConsecutiveGatewayFailure => clear(&self.counts.gateway),
            Reason::ConsecutiveLocalOriginFailure => clear(&self.counts.local),
            Reason::SuccessRate(_) | Reason::FailurePercentage(_) => {}
        }
    }

    /// All of them do.
    pub(super) fn forget_rows(&self) {
        clear(&self.counts.all_5xx);
        clear(&self.counts.gateway);
        clear(&self.counts.local);
    }

    /// (how many, how many of them well) since it was last asked.
    pub(super) fn take(&self, origin: Origin) -> (u32, u32) {
        match origin {
            Origin::External => self.counts.of_answers.take(),
            Origin::Local => self.counts.of_connections.take(),
        }
    }
}

/// A success: seldom anything to write.
fn clear(row: &AtomicU32) {
    if row.load(Ordering::Relaxed) != 0 {
        row.store(0, Ordering::Relaxed);
    }
}

/// Another failure: whether it is the one that is too many.
fn reaches(row: &AtomicU32, most: u32) -> bool {
    let count = row.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    count == most && most != 0
}

/// How many there were in the upper half, how many of them went well in the lower one: one
/// instruction counts both. 2^32 in one interval are more than a host can answer.
#[derive(Debug, Default)]
struct Volume(AtomicU64);

impl Volume {
    fn add(&self, success: bool) {
        let one = (1 << 32) | u64::from(success);
        self.0.fetch_add(one, Ordering::Relaxed);
    }

    fn take(&self) -> (u32, u32) {
        if self.0.load(Ordering::Relaxed) == 0 {
            return (0, 0);
        }
        let both = self.0.swap(0, Ordering::Relaxed);
        let total = u32::try_from(both >> 32).unwrap_or(u32::MAX);
        let good = u32::try_from(both & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        (total, good.min(total))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, monitor};
    use super::*;

    fn reasons(reports: &Reports) -> Vec<Reason> {
        reports.take().iter().map(|r| r.reason).collect()
    }

    #[test]
    fn rows_of_failures_are_reported_once() {
        let (monitor, reports) = monitor(config(|c| {
            c.consecutive_5xx.failures = 3;
            c.consecutive_gateway_failure.failures = 2;
        }));
        for status in [500, 503, 200, 500, 502] {
            monitor.answered(status);
        }
        assert!(reasons(&reports).is_empty());
        monitor.answered(503);
        let both = [Reason::ConsecutiveGatewayFailure, Reason::Consecutive5xx];
        assert_eq!(reasons(&reports), both);
        monitor.answered(503);
        assert!(reasons(&reports).is_empty());
        assert_eq!(monitor.take(Origin::External), (7, 1));
        assert_eq!(monitor.take(Origin::External), (0, 0));
    }

    #[test]
    fn events_are_statuses_where_they_are_not_split() {
        let (monitor, reports) = monitor(config(|c| {
            c.consecutive_gateway_failure.failures = 2;
            c.consecutive_5xx.failures = 4;
        }));
        monitor.failed();
        monitor.connected();
        monitor.timed_out(504);
        assert_eq!(reasons(&reports), [Reason::ConsecutiveGatewayFailure]);
        // `x-envoy-upstream-rq-timeout-alt-response`.
        monitor.timed_out(204);
        monitor.carries_tunnel();
        assert_eq!(monitor.take(Origin::External), (4, 2));
        assert_eq!(monitor.take(Origin::Local), (0, 0));
    }

    #[test]
    fn connections_have_their_own_row_where_they_are_split() {
        let (monitor, reports) = monitor(config(|c| {
            c.split_external_local_origin_errors = true;
            c.consecutive_local_origin_failure.failures = 2;
            c.consecutive_5xx.failures = 1;
        }));
        monitor.failed();
        monitor.connected();
        monitor.failed();
        assert!(reasons(&reports).is_empty());
        monitor.timed_out(504);
        assert_eq!(reasons(&reports), [Reason::ConsecutiveLocalOriginFailure]);
        monitor.answered(500);
        assert_eq!(reasons(&reports), [Reason::Consecutive5xx]);
        monitor.carries_tunnel();
        assert_eq!(monitor.take(Origin::Local), (5, 2));
        assert_eq!(monitor.take(Origin::External), (1, 0));
    }

    #[test]
    fn a_row_of_none_is_never_reached() {
        let (monitor, reports) = monitor(config(|c| c.consecutive_5xx.failures = 0));
        for _ in 0..10 {
            monitor.answered(500);
        }
        assert!(reasons(&reports).is_empty());
    }
}
