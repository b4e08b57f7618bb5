//! All that is known about one name: its shards, what was reset, its merged histograms.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codes::RETRIED;
use super::histogram::Summary;
use super::labelled::Labels;
use super::names::appears_when_touched;
use super::row::{Row, Value};
use super::shard::Readable;

/// A configured or still used cluster, connection manager, listener or route.
pub(super) struct Entity<S> {
    /// With its dot: `cluster.<name>.`.
    prefix: Arc<str>,
    /// Of a series, in place of tags that are found in its name.
    labels: Option<Arc<Labels>>,
    /// How many configured things have this name.
    declared: bool,
    /// (worker number where it matters, its numbers)
    shards: Vec<(u16, Arc<S>)>,
    /// What counters stood at when they were reset.
    baseline: Option<Box<Baseline>>,
    /// (histogram, all time, last interval), as of the last flush.
    histograms: Vec<(usize, Summary, Summary)>,
}

#[derive(Default)]
struct Baseline {
    counters: Vec<u64>,
    codes: BTreeMap<u16, (u64, u64)>,
}

/// Which rows a kind of entity derives from its response codes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeRows {
    /// None, and no row waits for its first number, whatever others of its name do.
    AllAtOnce,
    /// None are kept.
    None,
    /// `upstream_rq_*`, once seen.
    Plain,
    /// And their `external.` or `internal.` twins; `upstream_rq_completed` from the beginning.
    WithOrigin,
}

impl<S: Readable> Entity<S> {
    pub(super) fn new(prefix: String) -> Self {
        Self {
            prefix: prefix.into(),
            labels: None,
            declared: false,
            shards: Vec::new(),
            baseline: None,
            histograms: Vec::new(),
        }
    }

    /// A series.
    pub(super) fn labelled(name: String, labels: Arc<Labels>) -> Self {
        Self {
            labels: Some(labels),
            ..Self::new(name)
        }
    }

    pub(super) fn set_declared(&mut self, declared: bool) {
        self.declared = declared;
    }

    /// Nothing configured has this name and nobody counts any more.
    pub(super) fn is_over(&self) -> bool {
        !self.declared
            && self
                .shards
                .iter()
                .all(|(_, shard)| Arc::strong_count(shard) == 1)
    }

    /// A shard for one owner: one whose owner went away, or a new one.
    pub(super) fn shard(&mut self, worker: u16) -> Arc<S> {
        for (owner, shard) in &mut self.shards {
            // `get_mut` also orders us after the last write of the owner that dropped it.
            if *owner == worker && Arc::get_mut(shard).is_some() {
                return Arc::clone(shard);
            }
        }
        let shard = Arc::new(S::default());
        self.shards.push((worker, Arc::clone(&shard)));
        shard
    }

    pub(super) fn reset(&mut self) {
        if self.shards.is_empty() {
            return;
        }
        let counters = (0..S::COUNTERS.len())
            .map(|i| self.raw_counter(i))
            .collect();
        self.baseline = Some(Box::new(Baseline {
            counters,
            codes: self.raw_codes(),
        }));
    }

    pub(super) fn flush(&mut self) {
        for index in 0..S::HISTOGRAMS.len() {
            let mut dense = None;
            for (_, shard) in &self.shards {
                if let Some(recorder) = shard.histogram_at(index) {
                    recorder.add_to(dense.get_or_insert_with(Summary::dense));
                }
            }
            let Some(dense) = dense else { continue };
            let all = Summary::from_dense(&dense);
            match self.histograms.iter_mut().find(|(i, ..)| *i == index) {
                Some((_, before, interval)) => {
                    *interval = all.since(before);
                    *before = all;
                }
                None => self.histograms.push((index, all.clone(), all)),
            }
        }
    }

    pub(super) fn rows(&self, codes: CodeRows, rows: &mut Vec<Row>) {
        for (index, &name) in S::COUNTERS.iter().enumerate() {
            let (value, used) = self.counter(index);
            if used || codes == CodeRows::AllAtOnce || !appears_when_touched(name) {
                rows.push(self.row(name, Value::Counter(value), used));
            }
        }
        for (index, &name) in S::GAUGES.iter().enumerate() {
            let values = self
                .shards
                .iter()
                .filter_map(|(_, shard)| shard.gauge_at(index));
            let (sum, used) =
                values.fold((0_u64, false), |(sum, _), v| (sum.wrapping_add(v), true));
            rows.push(self.row(name, Value::Gauge(sum), used));
        }
        for (index, &name) in S::HISTOGRAMS.iter().enumerate() {
            match self.histograms.iter().find(|(i, ..)| *i == index) {
                Some((_, all, interval)) => {
                    let value = Value::histogram(all.clone(), interval.clone());
                    rows.push(self.row(name, value, true));
                }
                None if appears_when_touched(name) => {}
                None => {
                    let value = Value::histogram(Summary::default(), Summary::default());
                    rows.push(self.row(name, value, false));
                }
            }
        }
        if !matches!(codes, CodeRows::None | CodeRows::AllAtOnce) {
            self.code_rows(codes, rows);
        }
    }

    /// The rows of each worker on its own: `worker_<n>.<name>`.
    pub(super) fn worker_rows(
        &self,
        concurrency: u16,
        counters: &[usize],
        gauges: &[usize],
        rows: &mut Vec<Row>,
    ) {
        for worker in 0..concurrency {
            let own = || {
                self.shards
                    .iter()
                    .filter(|(w, _)| *w == worker)
                    .map(|(_, shard)| shard)
            };
            for &index in counters {
                let raw = own().fold(0_u64, |sum, s| sum.wrapping_add(s.counter_at(index)));
                if let Some(name) = S::COUNTERS.get(index) {
                    let name = format!("worker_{worker}.{name}");
                    rows.push(self.row(name, Value::Counter(raw), raw != 0));
                }
            }
            for &index in gauges {
                let values = own().filter_map(|s| s.gauge_at(index));
                let (sum, used) =
                    values.fold((0_u64, false), |(sum, _), v| (sum.wrapping_add(v), true));
                if let Some(name) = S::GAUGES.get(index) {
                    rows.push(self.row(format!("worker_{worker}.{name}"), Value::Gauge(sum), used));
                }
            }
        }
    }

    /// A row of this entity whose value comes from elsewhere.
    pub(super) fn row(
        &self,
        name: impl Into<std::borrow::Cow<'static, str>>,
        value: Value,
        used: bool,
    ) -> Row {
        Row {
            prefix: Arc::clone(&self.prefix),
            name: name.into(),
            value,
            used,
            labels: self.labels.clone(),
        }
    }

    /// A counter since it was reset, and whether it was ever written.
    pub(super) fn counter(&self, index: usize) -> (u64, bool) {
        let raw = self.raw_counter(index);
        let baseline = self.baseline.as_ref();
        let reset = baseline.and_then(|b| b.counters.get(index).copied());
        (raw.wrapping_sub(reset.unwrap_or(0)), raw != 0)
    }

    fn raw_counter(&self, index: usize) -> u64 {
        self.shards.iter().fold(0, |sum, (_, shard)| {
            sum.wrapping_add(shard.counter_at(index))
        })
    }

    fn raw_codes(&self) -> BTreeMap<u16, (u64, u64)> {
        let mut all: BTreeMap<u16, (u64, u64)> = BTreeMap::new();
        for codes in self.shards.iter().filter_map(|(_, shard)| shard.codes()) {
            codes.each(|code, internal, external| {
                let sums = all.entry(code).or_default();
                sums.0 = sums.0.wrapping_add(internal);
                sums.1 = sums.1.wrapping_add(external);
            });
        }
        all
    }

    /// `upstream_rq_<code>`, `_<class>xx` and `_completed`, in total and by origin.
    fn code_rows(&self, kind: CodeRows, rows: &mut Vec<Row>) {
        // (origin, code or class or "completed") -> (value, used)
        let mut sums: BTreeMap<String, (u64, bool)> = BTreeMap::new();
        let mut add = |name: String, value: u64, raw: u64| {
            if raw != 0 {
                let sum = sums.entry(name).or_default();
                *sum = (sum.0.wrapping_add(value), true);
            }
        };
        for (code, raw) in self.raw_codes() {
            let reset = self
                .baseline
                .as_ref()
                .and_then(|b| b.codes.get(&code).copied());
            let reset = reset.unwrap_or_default();
            let internal = raw.0.wrapping_sub(reset.0);
            let external = raw.1.wrapping_sub(reset.1);
            let total = internal.wrapping_add(external);
            if let Some(code) = code.checked_sub(RETRIED) {
                let raw = raw.0.wrapping_add(raw.1);
                add(format!("retry.upstream_rq_{code}"), total, raw);
                add(format!("retry.upstream_rq_{}xx", code / 100), total, raw);
                add("retry.upstream_rq_completed".to_owned(), total, raw);
                continue;
            }
            let origins = [
                ("", total, raw.0.wrapping_add(raw.1)),
                ("internal.", internal, raw.0),
                ("external.", external, raw.1),
            ];
            let wanted = if kind == CodeRows::WithOrigin { 3 } else { 1 };
            for (origin, value, raw) in origins.into_iter().take(wanted) {
                add(format!("{origin}upstream_rq_{code}"), value, raw);
                add(format!("{origin}upstream_rq_{}xx", code / 100), value, raw);
                add(format!("{origin}upstream_rq_completed"), value, raw);
            }
        }
        if kind == CodeRows::WithOrigin {
            sums.entry("upstream_rq_completed".to_owned()).or_default();
        }
        for (name, (value, used)) in sums {
            rows.push(self.row(name, Value::Counter(value), used));
        }
    }
}
