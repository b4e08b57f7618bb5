//! What is counted, and the JSON it becomes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

const MINUTE_NS: u64 = 60_000_000_000;

pub struct Tally {
    began: Instant,
    cpu_began: Duration,
    ok: u64,
    mismatches: u64,
    statuses: BTreeMap<u16, u64>,
    errors: BTreeMap<&'static str, u64>,
    /// From when a request was due to the last byte of its answer.
    latency: Histogram<u64>,
    /// From when a request was due to when it was sent: the generator's own tardiness, and in open
    /// loop the wait for a free connection.
    lag: Histogram<u64>,
    /// Good answers of the warm-up too, for those who measure from outside.
    pub ok_in_all: u64,
    pub unfinished: u64,
}

impl Tally {
    pub fn new() -> Result<Self, String> {
        let histogram =
            || Histogram::new_with_bounds(1, MINUTE_NS, 3).map_err(|error| error.to_string());
        Ok(Self {
            began: Instant::now(),
            cpu_began: own_cpu(),
            ok: 0,
            mismatches: 0,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            latency: histogram()?,
            lag: histogram()?,
            ok_in_all: 0,
            unfinished: 0,
        })
    }

    /// Ends the warm-up: figures start anew, failures stay.
    pub fn restart(&mut self) {
        (self.began, self.cpu_began, self.ok) = (Instant::now(), own_cpu(), 0);
        self.latency.reset();
        self.lag.reset();
    }

    pub fn answer(&mut self, status: u16, good: bool, latency: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        if !good {
            self.mismatches += 1;
        } else if (200..300).contains(&status) {
            self.ok += 1;
            self.ok_in_all += 1;
            self.latency.saturating_record(nanos(latency));
        }
    }

    pub fn lag(&mut self, lag: Duration) {
        self.lag.saturating_record(nanos(lag));
    }

    pub fn error(&mut self, reason: &'static str) {
        *self.errors.entry(reason).or_default() += 1;
    }

    pub fn failures(&self) -> u64 {
        self.errors.values().sum()
    }

    pub fn json(&self) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        let cpu = (own_cpu() - self.cpu_began).as_secs_f64();
        let rps = self.ok as f64 / seconds;
        let statuses = object(self.statuses.iter());
        let errors = object(self.errors.iter());
        let latency = quantiles(&self.latency);
        let lag = quantiles(&self.lag);
        let Self { ok, ok_in_all, mismatches, unfinished, .. } = self;
        format!(
            "{{\"ok\": {ok}, \"ok_in_all\": {ok_in_all}, \"seconds\": {seconds:.6}, \
             \"rps\": {rps:.1}, \"statuses\": {statuses}, \"errors\": {errors}, \
             \"mismatches\": {mismatches}, \"unfinished\": {unfinished}, \
             \"latency_us\": {latency}, \"lag_us\": {lag}, \"own_cpu_seconds\": {cpu:.6}}}"
        )
    }
}

fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec.try_into().unwrap_or(0))
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

fn object<K: std::fmt::Display>(
    counts: impl Iterator<Item = (K, impl std::fmt::Display)>,
) -> String {
    let pairs: Vec<_> = counts.map(|(key, count)| format!("\"{key}\": {count}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn quantiles(histogram: &Histogram<u64>) -> String {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    format!(
        "{{\"mean\": {:.1}, \"p50\": {:.1}, \"p90\": {:.1}, \"p99\": {:.1}, \"p99_9\": {:.1}, \
         \"max\": {:.1}}}",
        histogram.mean() / 1000.0,
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        histogram.max() as f64 / 1000.0
    )
}
