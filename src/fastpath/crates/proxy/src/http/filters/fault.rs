//! `envoy.filters.http.fault`: holds requests for a while, or answers them, to see what others make
//! of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use model::resources::http_filters::{
    Abort, AbortStatus, DelayDuration, Fault, Percentage, RouteFilterConfig,
};
use model::resources::route::ClusterChoice;
use proto::Known;

use super::{Configured, Flow, Reply};
use crate::http::deadlines::millis;
use crate::http::stream::Stream;
use crate::router::weighted_name;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::{
    FaultAbortCounter, FaultAbortShard, FaultCounter, FaultDelayCounter, FaultDelayShard,
    FaultGauge, FaultShard, Stats,
};
use crate::worker::Worker;

/// By name, for they are the clients' to choose; more are not counted.
const MOST_CLUSTERS: usize = 1024;

/// Faults at work in the process, by the stat prefix of their connection managers.
#[derive(Debug, Default)]
pub struct FaultCounts(Mutex<HashMap<Arc<str>, Weak<AtomicU64>>>);

impl FaultCounts {
    fn of(&self, prefix: &Arc<str>) -> Arc<AtomicU64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|_, count| count.strong_count() > 0);
        if let Some(count) = counts.get(prefix).and_then(Weak::upgrade) {
            return count;
        }
        let count = Arc::default();
        counts.insert(Arc::clone(prefix), Arc::downgrade(&count));
        count
    }
}

/// The numbers of requests from one cluster.
#[derive(Debug, Default)]
pub struct OfCluster {
    aborts: Option<Arc<FaultAbortShard>>,
    delays: Option<Arc<FaultDelayShard>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Abort,
    Delay,
}

#[derive(Debug)]
pub struct FaultFilter {
    config: Arc<Fault>,
    prefix: Arc<str>,
    stats: Arc<FaultShard>,
    active: Arc<AtomicU64>,
}

/// A request that has got a fault counts as one until it is over, however many it gets.
#[derive(Debug)]
pub struct Injected {
    stats: Arc<FaultShard>,
    active: Arc<AtomicU64>,
}

impl Drop for Injected {
    fn drop(&mut self) {
        self.stats.gauge_dec(FaultGauge::ActiveFaults);
        self.active.fetch_sub(1, Ordering::Relaxed);
    }
}

impl FaultFilter {
    pub fn new(
        config: &Arc<Fault>,
        prefix: &Arc<str>,
        stats: &Stats,
        counts: &FaultCounts,
    ) -> Self {
        let shard = stats.fault(prefix);
        shard.gauge_add(FaultGauge::ActiveFaults, 0);
        Self {
            config: Arc::clone(config),
            prefix: Arc::clone(prefix),
            stats: shard,
            active: counts.of(prefix),
        }
    }

    /// A request's head: what becomes of it, and what is to be kept until it is over.
    pub(super) fn begin(
        &self,
        of: &Configured,
        worker: &mut Worker,
        s: &mut Stream,
    ) -> (Flow, Option<Injected>) {
        let route = s.route.clone();
        let fault = match of.of_route(route.as_ref(), s.weighted) {
            Some(RouteFilterConfig::Fault(fault)) => fault,
            _ => &self.config,
        };
        let most = fault.max_active_faults;
        if most.is_some_and(|most| self.active.load(Ordering::Relaxed) >= most) {
            self.stats.inc(FaultCounter::FaultsOverflow);
            return (Flow::Pass, None);
        }
        if !concerns(fault, s) {
            return (Flow::Pass, None);
        }
        if let Some(ms) = delay_ms(fault, worker, s) {
            self.stats.inc(FaultCounter::DelaysInjected);
            self.count_cluster(What::Delay, fault, worker, s);
            s.info.flags.insert(ResponseFlags::DELAY_INJECTED);
            let until = worker.clock.now_ms().saturating_add(ms);
            return (Flow::Wait(until), Some(self.injected()));
        }
        match self.abort(fault, worker, s) {
            Some(reply) => (Flow::Reply(reply), Some(self.injected())),
            None => (Flow::Pass, None),
        }
    }

    /// The delay is over: an abort may follow.
    pub(super) fn resume(
        &self,
        of: &Configured,
        _: &mut Injected,
        worker: &mut Worker,
        s: &mut Stream,
    ) -> Flow {
        let route = s.route.clone();
        let fault = match of.of_route(route.as_ref(), s.weighted) {
            Some(RouteFilterConfig::Fault(fault)) => fault,
            _ => &self.config,
        };
        self.abort(fault, worker, s).map_or(Flow::Pass, Flow::Reply)
    }

    fn abort(&self, fault: &Fault, worker: &mut Worker, s: &mut Stream) -> Option<Reply> {
        let abort = fault.abort.as_ref()?;
        let of_header = (abort.status == AbortStatus::Header).then_some(ABORT_PERCENTAGE);
        if !worker.draw(asked(abort.percentage, of_header, s)) {
            return None;
        }
        let (status, grpc_status) = abort_status(abort, s)?;
        self.stats.inc(FaultCounter::AbortsInjected);
        self.count_cluster(What::Abort, fault, worker, s);
        s.info.flags.insert(ResponseFlags::FAULT_INJECTED);
        Some(Reply {
            status,
            body: Some(Arc::clone(&abort.body).into()),
            details: "fault_filter_abort".into(),
            grpc_status,
            as_it_is: false,
        })
    }

    fn injected(&self) -> Injected {
        self.stats.gauge_inc(FaultGauge::ActiveFaults);
        self.active.fetch_add(1, Ordering::Relaxed);
        Injected {
            stats: Arc::clone(&self.stats),
            active: Arc::clone(&self.active),
        }
    }

    /// Counts for the cluster that the request says it comes from.
    fn count_cluster(&self, what: What, fault: &Fault, worker: &mut Worker, s: &Stream) {
        if fault.disable_downstream_cluster_stats {
            return;
        }
        let cluster = s.request.headers.get(Known::XEnvoyDownstreamServiceCluster);
        let cluster = cluster.and_then(|cluster| std::str::from_utf8(cluster).ok());
        let Some(cluster) = cluster.filter(|cluster| !cluster.is_empty()) else {
            return;
        };
        let stats = &worker.stats;
        let all = match worker.fault_stats.get_mut(&*self.prefix) {
            Some(all) => all,
            None => worker.fault_stats.entry((*self.prefix).into()).or_default(),
        };
        let known = all.len();
        let of_cluster = match all.get_mut(cluster) {
            Some(of_cluster) => of_cluster,
            None if known >= MOST_CLUSTERS => return,
            None => all.entry(cluster.into()).or_default(),
        };
        match what {
            What::Abort => of_cluster
                .aborts
                .get_or_insert_with(|| stats.fault_aborts(&self.prefix, cluster))
                .inc(FaultAbortCounter::AbortsInjected),
            What::Delay => of_cluster
                .delays
                .get_or_insert_with(|| stats.fault_delays(&self.prefix, cluster))
                .inc(FaultDelayCounter::DelaysInjected),
        }
    }
}

const DELAY: &[u8] = b"x-envoy-fault-delay-request";
const DELAY_PERCENTAGE: &[u8] = b"x-envoy-fault-delay-request-percentage";
const ABORT: &[u8] = b"x-envoy-fault-abort-request";
const ABORT_GRPC: &[u8] = b"x-envoy-fault-abort-grpc-request";
const ABORT_PERCENTAGE: &[u8] = b"x-envoy-fault-abort-request-percentage";

/// Whether a request is one of those that faults are for.
fn concerns(fault: &Fault, s: &Stream) -> bool {
    let wanted = fault.upstream_cluster.as_deref();
    if wanted.is_some_and(|wanted| !goes_to(wanted, s)) {
        return false;
    }
    let node = s.request.headers.get(Known::XEnvoyDownstreamServiceNode);
    let mut nodes = fault.downstream_nodes.iter();
    let is_named = nodes.len() == 0 || nodes.any(|name| node == Some(name.as_bytes()));
    is_named
        && fault
            .headers
            .iter()
            .all(|header| header.matches(&s.request))
}

/// Whether the route leads to a cluster of this name, be there one or not.
fn goes_to(wanted: &str, s: &Stream) -> bool {
    if let Some(cluster) = &s.cluster {
        return *cluster.config.borrow().name == *wanted;
    }
    let forward = s.route.as_ref().and_then(|route| route.forward());
    let name = forward.and_then(|forward| match &forward.cluster {
        ClusterChoice::Named(name) => Some(&**name),
        choice => weighted_name(choice, s.weighted?),
    });
    name == Some(wanted)
}

fn delay_ms(fault: &Fault, worker: &mut Worker, s: &Stream) -> Option<u64> {
    let delay = fault.delay.as_ref()?;
    let of_header = (delay.duration == DelayDuration::Header).then_some(DELAY_PERCENTAGE);
    if !worker.draw(asked(delay.percentage, of_header, s)) {
        return None;
    }
    let ms = match delay.duration {
        DelayDuration::Fixed(duration) => millis(duration),
        DelayDuration::Header => number(s, DELAY)?,
    };
    Some(ms).filter(|ms| *ms > 0)
}

/// Status, and that of gRPC; `None`: the request names neither.
fn abort_status(abort: &Abort, s: &Stream) -> Option<(u16, Option<u32>)> {
    match abort.status {
        AbortStatus::Http(status) => Some((status, None)),
        AbortStatus::Grpc(status) => Some((200, Some(status))),
        AbortStatus::Header => {
            let status = number(s, ABORT).and_then(|n| u16::try_from(n).ok());
            if let Some(status) = status.filter(|status| (200..600).contains(status)) {
                return Some((status, None));
            }
            let status = number(s, ABORT_GRPC).and_then(|n| u32::try_from(n).ok());
            status.map(|status| (200, Some(status)))
        }
    }
}

/// A share of requests, of which the request may ask for less.
fn asked(percentage: Percentage, header: Option<&[u8]>, s: &Stream) -> Percentage {
    let numerator = header.and_then(|name| number(s, name));
    numerator.map_or(percentage, |numerator| {
        percentage.at_most(u32::try_from(numerator).unwrap_or(u32::MAX))
    })
}

fn number(s: &Stream, header: &[u8]) -> Option<u64> {
    let value = s.request.headers.get_name(header)?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

impl Worker {
    fn draw(&mut self, percentage: Percentage) -> bool {
        self.is_drawn(percentage.millionths)
    }

    /// Whether one of the requests of a share (in millionths) is meant.
    pub fn is_drawn(&mut self, millionths: u32) -> bool {
        const ALL: u32 = 1_000_000;
        match millionths {
            0 => false,
            ALL.. => true,
            share => self.rng.u32(..ALL) < share,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_managers_of_one_prefix_share_the_count() {
        let counts = FaultCounts::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let first = counts.of(&a);
        first.fetch_add(1, Ordering::Relaxed);
        assert_eq!(counts.of(&a).load(Ordering::Relaxed), 1);
        assert_eq!(counts.of(&b).load(Ordering::Relaxed), 0);
        drop(first);
        assert_eq!(counts.of(&a).load(Ordering::Relaxed), 0);
    }
}
