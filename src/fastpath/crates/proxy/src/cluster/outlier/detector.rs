//! Judges the hosts of one cluster (`DetectorImpl`). Time is what the caller says it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::resources::address::Address;
use model::resources::cluster::{Endpoints, HealthStatus, Locality};
use model::resources::outlier::OutlierDetection;

use super::verdict::{Event, NOTHING, SuccessRates, Verdict, What};
use super::{Monitor, Origin, Reason, Report, Reports};
use crate::telemetry::stats::{OutlierCounter, OutlierGauge, OutlierShard};

#[derive(Debug)]
pub struct Detector {
    config: Arc<OutlierDetection>,
    cluster: Arc<str>,
    reports: Arc<Reports>,
    stats: Arc<OutlierShard>,
    random: fastrand::Rng,
    hosts: BTreeMap<Address, Watched>,
    ejected: usize,
    /// Of answers, of connections.
    success_rates: [SuccessRates; 2],
}

#[derive(Debug)]
struct Watched {
    monitor: Arc<Monitor>,
    locality: Arc<Locality>,
    is_out: bool,
    /// The last time.
    out_since: Option<Instant>,
    back_since: Option<Instant>,
    /// So often was it put out.
    ejections: u32,
    /// What the base time is multiplied with: one more each time, one less each good interval.
    factor: u32,
    jitter: Duration,
    /// Per cent, of the last interval; -1: too few requests.
    success_rates: [f64; 2],
}

/// A host's success rate in an interval with enough requests.
struct Rated {
    address: Address,
    rate: f64,
}

impl Detector {
    /// Of a cluster without hosts so far. `seed`: of what is left to chance.
    pub fn new(
        config: &Arc<OutlierDetection>,
        cluster: &Arc<str>,
        reports: &Arc<Reports>,
        stats: Arc<OutlierShard>,
        seed: u64,
    ) -> Self {
        stats.gauge_set(OutlierGauge::EjectionsActive, 0);
        Self {
            config: Arc::clone(config),
            cluster: Arc::clone(cluster),
            reports: Arc::clone(reports),
            stats,
            random: fastrand::Rng::with_seed(seed),
            hosts: BTreeMap::new(),
            ejected: 0,
            success_rates: [NOTHING; 2],
        }
    }

    pub fn interval(&self) -> Duration {
        self.config.interval
    }

    /// Hosts that stay keep what is known of them; one in another locality is another host, as in
    /// Envoy.
    pub fn set_hosts(&mut self, endpoints: &Endpoints) {
        let mut before = std::mem::take(&mut self.hosts);
        for endpoint in &endpoints.hosts {
            let kept = before.remove(&endpoint.address);
            let kept = kept.filter(|host| host.locality == endpoint.locality);
            let host = kept.unwrap_or_else(|| Watched {
                monitor: Arc::new(Monitor::new(
                    &self.config,
                    &self.reports,
                    &self.cluster,
                    endpoint.address.clone(),
                )),
                locality: Arc::clone(&endpoint.locality),
                is_out: false,
                out_since: None,
                back_since: None,
                ejections: 0,
                factor: 0,
                jitter: Duration::ZERO,
                success_rates: [-1.0; 2],
            });
            self.hosts.insert(endpoint.address.clone(), host);
        }
        let hosts = self.hosts.values();
        self.ejected = hosts.filter(|host| host.is_out).count();
        self.gauge();
    }

    /// Of each of these hosts, in their order.
    pub fn monitors(&self, endpoints: &Endpoints) -> Vec<Arc<Monitor>> {
        let monitor = |address| Some(Arc::clone(&self.hosts.get(address)?.monitor));
        let hosts = endpoints.hosts.iter();
        hosts.filter_map(|host| monitor(&host.address)).collect()
    }

    /// The same endpoints, where those that are out are not healthy. Whoever is leaving stays one
    /// that nobody misses.
    pub fn judged(&self, endpoints: &Arc<Endpoints>) -> Arc<Endpoints> {
        if self.ejected == 0 {
            return Arc::clone(endpoints);
        }
        let mut hosts = endpoints.hosts.clone();
        for host in &mut hosts {
            if host.health != HealthStatus::Draining && self.is_out(&host.address) {
                host.health = HealthStatus::Unhealthy;
            }
        }
        Arc::new(Endpoints {
            hosts,
            ..Endpoints::clone(endpoints)
        })
    }

    pub fn is_out(&self, address: &Address) -> bool {
        self.hosts.get(address).is_some_and(|host| host.is_out)
    }

    /// Of the last interval, per cent; -1: nothing is known.
    pub fn success_rate(&self, address: &Address, origin: Origin) -> f64 {
        let host = self.hosts.get(address);
        host.map_or(-1.0, |host| *of(&host.success_rates, origin))
    }

    pub fn success_rates(&self, origin: Origin) -> SuccessRates {
        *of(&self.success_rates, origin)
    }

    /// A row of failures is complete.
    pub fn judge(&mut self, report: &Report, now: Instant, verdict: &mut Verdict) {
        let address = &report.monitor.address;
        // It may have left meanwhile, or be another one of its address.
        let host = self.hosts.get(address);
        let host = host.filter(|host| Arc::ptr_eq(&host.monitor, &report.monitor));
        if host.is_none_or(|host| host.is_out) {
            return;
        }
        self.eject(address, report.reason, now, verdict);
        if report.reason == Reason::Consecutive5xx {
            self.stats.inc(OutlierCounter::EjectionsConsecutive5xx);
        }
        report.monitor.forget_row(report.reason);
    }

    /// The interval has passed.
    pub fn sweep(&mut self, now: Instant, verdict: &mut Verdict) {
        self.take_back(now, verdict);
        for host in self.hosts.values_mut() {
            host.success_rates = [-1.0; 2];
        }
        for origin in [Origin::External, Origin::Local] {
            self.compare(origin, now, verdict);
        }
        for host in self.hosts.values_mut() {
            let is_good = !host.is_out
                && host.back_since.is_some_and(|since| {
                    now.saturating_duration_since(since) >= self.config.interval
                });
            if is_good {
                host.factor = host.factor.saturating_sub(1);
            }
        }
    }

    /// Those whose time is over.
    fn take_back(&mut self, now: Instant, verdict: &mut Verdict) {
        let config = &self.config;
        for (address, host) in &mut self.hosts {
            let since = match host.out_since {
                Some(since) if host.is_out => now.saturating_duration_since(since),
                _ => continue,
            };
            let time = config.base_ejection_time.saturating_mul(host.factor);
            let time = time.min(config.max_ejection_time);
            if time.saturating_add(host.jitter) > since {
                continue;
            }
            host.is_out = false;
            host.back_since = Some(now);
            // A row that was nearly complete would put it out again at once.
            host.monitor.forget_rows();
            self.ejected = self.ejected.saturating_sub(1);
            verdict.events.push(Event {
                address: address.clone(),
                what: What::Returned,
                ejections: host.ejections,
                since_last: Some(since),
            });
        }
        self.gauge();
    }

    /// Puts those out that do worse than the others, and those that do badly.
    fn compare(&mut self, origin: Origin, now: Instant, verdict: &mut Verdict) {
        let config = Arc::clone(&self.config);
        let (relative, absolute) = (&config.success_rate, &config.failure_percentage);
        *of_mut(&mut self.success_rates, origin) = NOTHING;
        let enough = |count: usize, least: u32| count as u64 >= u64::from(least);
        let total = self.hosts.len();
        let is_worth_it =
            enough(total, relative.minimum_hosts) || enough(total, absolute.minimum_hosts);
        let (mut for_relative, mut for_absolute) = (Vec::new(), Vec::new());
        for (address, host) in &mut self.hosts {
            let (volume, good) = host.monitor.take(origin);
            if !is_worth_it || volume == 0 || host.is_out {
                continue;
            }
            let rate = f64::from(good) * 100.0 / f64::from(volume);
            if volume >= relative.request_volume.min(absolute.request_volume) {
                *of_mut(&mut host.success_rates, origin) = rate;
            }
            let rated = || Rated {
                address: address.clone(),
                rate,
            };
            if volume >= relative.request_volume {
                for_relative.push(rated());
            }
            if volume >= absolute.request_volume {
                for_absolute.push(rated());
            }
        }
        if !for_relative.is_empty() && enough(for_relative.len(), relative.minimum_hosts) {
            let rates = success_rates(&for_relative, f64::from(relative.stdev_factor) / 1000.0);
            *of_mut(&mut self.success_rates, origin) = rates;
            for host in for_relative.iter().filter(|h| h.rate < rates.threshold) {
                self.stats.inc(OutlierCounter::EjectionsSuccessRate);
                self.eject(&host.address, Reason::SuccessRate(origin), now, verdict);
            }
        }
        if !for_absolute.is_empty() && enough(for_absolute.len(), absolute.minimum_hosts) {
            let threshold = f64::from(absolute.threshold);
            for host in for_absolute.iter().filter(|h| 100.0 - h.rate >= threshold) {
                self.eject(
                    &host.address,
                    Reason::FailurePercentage(origin),
                    now,
                    verdict,
                );
            }
        }
    }

    /// Counts an outlier and, unless there are too many or chance says otherwise, puts it out.
    fn eject(&mut self, address: &Address, reason: Reason, now: Instant, verdict: &mut Verdict) {
        let (detected, enforced) = counters(reason);
        self.stats.inc(detected);
        let share = self.ejected.saturating_add(1) as f64 * 100.0 / self.hosts.len() as f64;
        let may_go = share <= f64::from(self.config.max_ejection_percent.min(100))
            || (self.config.always_eject_one_host && self.ejected == 0);
        if !may_go {
            self.stats.inc(OutlierCounter::EjectionsOverflow);
            return;
        }
        if matches!(
            reason,
            Reason::Consecutive5xx | Reason::SuccessRate(Origin::External)
        ) {
            self.stats.inc(OutlierCounter::EjectionsTotal);
        }
        let is_enforced = self.random.u32(..100) < enforcing(&self.config, reason);
        let origin = match reason {
            Reason::SuccessRate(origin) | Reason::FailurePercentage(origin) => origin,
            _ => Origin::External,
        };
        let all = self.success_rates(origin);
        let Some(host) = self.hosts.get_mut(address) else {
            return;
        };
        if is_enforced {
            host.ejections = host.ejections.saturating_add(1);
        }
        verdict.events.push(Event {
            address: address.clone(),
            what: What::Ejected {
                reason,
                is_enforced,
                success_rate: *of(&host.success_rates, origin),
                all,
            },
            ejections: host.ejections,
            since_last: host.back_since.map(|at| now.saturating_duration_since(at)),
        });
        if !is_enforced {
            return;
        }
        self.stats.inc(OutlierCounter::EjectionsEnforcedTotal);
        self.stats.inc(enforced);
        host.out_since = Some(now);
        // Envoy counts one that is out and fails by another rule of the same interval again, and
        // then never counts it off: here it is out once.
        if !std::mem::replace(&mut host.is_out, true) {
            self.ejected = self.ejected.saturating_add(1);
        }
        let most = self.config.max_ejection_time_jitter.as_millis();
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        host.jitter = Duration::from_millis(self.random.u64(..=most));
        let base = self.config.base_ejection_time;
        if base.saturating_mul(host.factor) < self.config.max_ejection_time.saturating_add(base) {
            host.factor = host.factor.saturating_add(1);
        }
        self.gauge();
    }

    fn gauge(&self) {
        let ejected = self.ejected as u64;
        self.stats.gauge_set(OutlierGauge::EjectionsActive, ejected);
    }
}

impl Drop for Detector {
    fn drop(&mut self) {
        self.stats.gauge_set(OutlierGauge::EjectionsActive, 0);
    }
}

fn of<T>([external, local]: &[T; 2], origin: Origin) -> &T {
    match origin {
        Origin::External => external,
        Origin::Local => local,
    }
}

fn of_mut<T>([external, local]: &mut [T; 2], origin: Origin) -> &mut T {
    match origin {
        Origin::External => external,
        Origin::Local => local,
    }
}

fn success_rates(hosts: &[Rated], factor: f64) -> SuccessRates {
    let count = hosts.len() as f64;
    let average = hosts.iter().map(|host| host.rate).sum::<f64>() / count;
    let squares = hosts.iter().map(|host| (host.rate - average).powi(2));
    let deviation = (squares.sum::<f64>() / count).sqrt();
    SuccessRates {
        average,
        threshold: average - factor * deviation,
    }
}

/// In so many of a hundred cases something follows.
fn enforcing(config: &OutlierDetection, reason: Reason) -> u32 {
    let (relative, absolute) = (&config.success_rate, &config.failure_percentage);
    match reason {
        Reason::Consecutive5xx => config.consecutive_5xx.enforcing,
        Reason::ConsecutiveGatewayFailure => config.consecutive_gateway_failure.enforcing,
        Reason::ConsecutiveLocalOriginFailure => config.consecutive_local_origin_failure.enforcing,
        Reason::SuccessRate(Origin::External) => relative.enforcing,
        Reason::SuccessRate(Origin::Local) => relative.enforcing_local_origin,
        Reason::FailurePercentage(Origin::External) => absolute.enforcing,
        Reason::FailurePercentage(Origin::Local) => absolute.enforcing_local_origin,
    }
}

/// (detected, enforced)
fn counters(reason: Reason) -> (OutlierCounter, OutlierCounter) {
    use OutlierCounter as C;
    match reason {
        Reason::Consecutive5xx => (
            C::EjectionsDetectedConsecutive5xx,
            C::EjectionsEnforcedConsecutive5xx,
        ),
        Reason::ConsecutiveGatewayFailure => (
            C::EjectionsDetectedConsecutiveGatewayFailure,
            C::EjectionsEnforcedConsecutiveGatewayFailure,
        ),
        Reason::ConsecutiveLocalOriginFailure => (
            C::EjectionsDetectedConsecutiveLocalOriginFailure,
            C::EjectionsEnforcedConsecutiveLocalOriginFailure,
        ),
        Reason::SuccessRate(Origin::External) => (
            C::EjectionsDetectedSuccessRate,
            C::EjectionsEnforcedSuccessRate,
        ),
        Reason::SuccessRate(Origin::Local) => (
            C::EjectionsDetectedLocalOriginSuccessRate,
            C::EjectionsEnforcedLocalOriginSuccessRate,
        ),
        Reason::FailurePercentage(Origin::External) => (
            C::EjectionsDetectedFailurePercentage,
            C::EjectionsEnforcedFailurePercentage,
        ),
        Reason::FailurePercentage(Origin::Local) => (
            C::EjectionsDetectedLocalOriginFailurePercentage,
            C::EjectionsEnforcedLocalOriginFailurePercentage,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, config};
    use super::*;
    use OutlierCounter as C;

    /// Fails as often in a row.
    fn fail(bench: &mut Bench, port: u16, times: u32) -> Verdict {
        for _ in 0..times {
            bench.monitor(port).answered(500);
        }
        bench.judge()
    }

    #[test]
    fn a_host_is_out_for_its_time_which_grows_and_shrinks() {
        let mut bench = Bench::new(
            3,
            config(|c| {
                c.consecutive_5xx.failures = 2;
                c.max_ejection_percent = 50;
                c.base_ejection_time = Duration::from_secs(30);
                c.max_ejection_time = Duration::from_secs(50);
            }),
        );
        assert!(!fail(&mut bench, 1, 1).is_change());
        assert_eq!(Bench::ports(fail(&mut bench, 1, 1).ejected()), [1]);
        let unhealthy = bench.judged_out();
        assert_eq!(unhealthy, [1]);
        assert!(!bench.after(29).is_change());
        assert_eq!(Bench::ports(bench.after(1).returned()), [1]);
        // The second time it is twice as long, but never longer than the most.
        fail(&mut bench, 1, 2);
        assert!(!bench.after(49).is_change());
        assert_eq!(Bench::ports(bench.after(1).returned()), [1]);
        // Good intervals make it shorter again.
        for _ in 0..3 {
            bench.after(10);
        }
        fail(&mut bench, 1, 2);
        assert_eq!(Bench::ports(bench.after(30).returned()), [1]);
        assert_eq!(bench.count(C::EjectionsEnforcedTotal), 3);
        assert_eq!(bench.count(C::EjectionsConsecutive5xx), 3);
        assert_eq!(bench.count(C::EjectionsTotal), 3);
        assert_eq!(bench.active(), 0);
    }

    #[test]
    fn not_more_than_a_share_is_out_but_always_one_where_that_is_asked() {
        for (always, expected) in [(false, 0), (true, 1)] {
            let mut bench = Bench::new(
                3,
                config(|c| {
                    c.consecutive_5xx.failures = 1;
                    c.max_ejection_percent = 33;
                    c.always_eject_one_host = always;
                }),
            );
            for port in [1, 2] {
                fail(&mut bench, port, 1);
            }
            assert_eq!(bench.active(), expected);
            assert_eq!(bench.count(C::EjectionsOverflow), 2 - expected);
            assert_eq!(bench.count(C::EjectionsDetectedConsecutive5xx), 2);
        }
    }

    #[test]
    fn what_is_not_enforced_is_only_counted() {
        let mut bench = Bench::new(
            2,
            config(|c| {
                c.consecutive_gateway_failure.failures = 1;
                c.consecutive_gateway_failure.enforcing = 0;
                c.max_ejection_percent = 100;
            }),
        );
        bench.monitor(1).answered(502);
        assert!(!bench.judge().is_change());
        assert_eq!(
            bench.count(C::EjectionsDetectedConsecutiveGatewayFailure),
            1
        );
        assert_eq!(
            bench.count(C::EjectionsEnforcedConsecutiveGatewayFailure),
            0
        );
        // The row began anew.
        bench.monitor(1).answered(502);
        bench.judge();
        assert_eq!(
            bench.count(C::EjectionsDetectedConsecutiveGatewayFailure),
            2
        );
    }

    #[test]
    fn hosts_that_stay_stay_out_and_those_that_leave_free_their_place() {
        let mut bench = Bench::new(
            4,
            config(|c| {
                c.consecutive_5xx.failures = 1;
                c.max_ejection_percent = 50;
            }),
        );
        fail(&mut bench, 1, 1);
        fail(&mut bench, 2, 1);
        let gone = Arc::clone(bench.monitor(2));
        bench.set_hosts(&[1, 3, 4]);
        assert_eq!(bench.judged_out(), [1]);
        assert_eq!(bench.active(), 1);
        bench.set_hosts(&[1, 2, 3, 4]);
        assert_eq!(bench.judged_out(), [1]);
        // Nobody listens to what was said of the one that left.
        gone.answered(200);
        gone.answered(500);
        assert!(!bench.judge().is_change());
        assert_eq!(Bench::ports(fail(&mut bench, 2, 1).ejected()), [2]);
        bench.move_host(1);
        assert_eq!(bench.judged_out(), [2]);
    }

    #[test]
    fn success_rates_are_compared() {
        let mut bench = Bench::new(
            5,
            config(|c| {
                c.consecutive_5xx.failures = 0;
                c.success_rate.request_volume = 10;
                c.max_ejection_percent = 100;
            }),
        );
        // Envoy's own example: 50 and four times 100 per cent have 52 as their threshold.
        for port in 1..=5 {
            for n in 0..10 {
                let is_bad = port == 1 && n % 2 == 0;
                bench.monitor(port).answered(if is_bad { 500 } else { 200 });
            }
        }
        assert_eq!(Bench::ports(bench.after(10).ejected()), [1]);
        let rates = bench.detector.success_rates(Origin::External);
        assert_eq!((rates.average, rates.threshold), (90.0, 52.0));
        assert_eq!(bench.rate(1), 50.0);
        assert_eq!(bench.rate(2), 100.0);
        assert_eq!(bench.count(C::EjectionsEnforcedSuccessRate), 1);
        assert_eq!(bench.count(C::EjectionsSuccessRate), 1);
        // Nothing is said of intervals with too few requests.
        bench.monitor(2).answered(200);
        assert!(!bench.after(10).is_change());
        assert_eq!(bench.rate(2), -1.0);
        assert_eq!(bench.detector.success_rates(Origin::External), NOTHING);
    }

    #[test]
    fn failures_have_a_limit_of_their_own() {
        let mut bench = Bench::new(
            2,
            config(|c| {
                c.consecutive_5xx.failures = 0;
                c.split_external_local_origin_errors = true;
                c.consecutive_local_origin_failure.failures = 0;
                c.failure_percentage.threshold = 50;
                c.failure_percentage.minimum_hosts = 2;
                c.failure_percentage.request_volume = 4;
                c.failure_percentage.enforcing_local_origin = 100;
                c.max_ejection_percent = 100;
            }),
        );
        for port in [1, 2] {
            for n in 0..4 {
                if n < port {
                    bench.monitor(port).failed();
                } else {
                    bench.monitor(port).connected();
                }
                bench.monitor(port).answered(500);
            }
        }
        // One of four is not enough; two are. All answers were bad, but that is not enforced.
        assert_eq!(Bench::ports(bench.after(10).ejected()), [2]);
        assert_eq!(
            bench.count(C::EjectionsDetectedLocalOriginFailurePercentage),
            1
        );
        assert_eq!(
            bench.count(C::EjectionsEnforcedLocalOriginFailurePercentage),
            1
        );
        assert_eq!(bench.count(C::EjectionsDetectedFailurePercentage), 2);
        assert_eq!(bench.count(C::EjectionsEnforcedFailurePercentage), 0);
    }

    #[test]
    fn two_rules_put_a_host_out_once() {
        let mut bench = Bench::new(
            1,
            config(|c| {
                c.consecutive_5xx.failures = 0;
                c.consecutive_gateway_failure = c.consecutive_5xx;
                c.success_rate.enforcing = 0;
                c.failure_percentage.minimum_hosts = 1;
                c.failure_percentage.request_volume = 1;
                c.failure_percentage.enforcing = 100;
                c.failure_percentage.enforcing_local_origin = 100;
                c.split_external_local_origin_errors = true;
                c.consecutive_local_origin_failure = c.consecutive_5xx;
                c.max_ejection_percent = 100;
            }),
        );
        bench.monitor(1).answered(500);
        bench.monitor(1).failed();
        assert_eq!(Bench::ports(bench.after(10).ejected()), [1]);
        assert_eq!(bench.active(), 1);
        assert_eq!(Bench::ports(bench.after(300).returned()), [1]);
        assert_eq!(bench.active(), 0);
    }

    #[test]
    fn jitter_makes_it_longer_at_most_by_so_much() {
        let mut bench = Bench::new(
            1,
            config(|c| {
                c.consecutive_5xx.failures = 1;
                c.max_ejection_percent = 100;
                c.max_ejection_time_jitter = Duration::from_secs(100_000);
            }),
        );
        fail(&mut bench, 1, 1);
        assert!(!bench.after(30).is_change());
        assert_eq!(Bench::ports(bench.after(100_000).returned()), [1]);
    }

    #[test]
    fn a_detector_that_goes_leaves_nobody_out() {
        let mut bench = Bench::new(
            1,
            config(|c| {
                c.consecutive_5xx.failures = 1;
                c.max_ejection_percent = 100;
            }),
        );
        fail(&mut bench, 1, 1);
        let stats = Arc::clone(&bench.stats);
        assert_eq!(bench.active(), 1);
        drop(bench);
        assert_eq!(stats.gauge(OutlierGauge::EjectionsActive), 0);
    }
}
