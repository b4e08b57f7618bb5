//! One worker's numbers about one entity: written by that worker only, read by scrapes.
//!
//! A write is a load, an addition and a store, all relaxed: no locked instruction, no shared
//! cache line. Two threads writing to one shard would lose counts (never more than that), so the
//! registry hands a shard to one owner at a time.

use std::marker::PhantomData;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::codes::Codes;
use super::histogram::Histogram;
use super::names::StatName;

/// `C`, `G` and `H` name the counters, gauges and histograms; `NC`, `NG`, `NH` are their numbers.
#[repr(align(64))]
pub struct Shard<C, G, H, const NC: usize, const NG: usize, const NH: usize> {
    counters: [AtomicU64; NC],
    /// Twice the value, plus one once it was ever written: Envoy's `usedonly` wants to know.
    gauges: [AtomicU64; NG],
    histograms: [OnceLock<Box<Histogram>>; NH],
    codes: OnceLock<Box<Codes>>,
    names: PhantomData<fn(C, G, H)>,
}

impl<C, G, H, const NC: usize, const NG: usize, const NH: usize> Default
    for Shard<C, G, H, NC, NG, NH>
{
    fn default() -> Self {
        Self {
            counters: [const { AtomicU64::new(0) }; NC],
            gauges: [const { AtomicU64::new(0) }; NG],
            histograms: [const { OnceLock::new() }; NH],
            codes: OnceLock::new(),
            names: PhantomData,
        }
    }
}

impl<C: StatName, G: StatName, H: StatName, const NC: usize, const NG: usize, const NH: usize>
    Shard<C, G, H, NC, NG, NH>
{
    /// Adds one.
    #[inline]
    pub fn inc(&self, counter: C) {
        self.add(counter, 1);
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, counter: C, n: u64) {
        if let Some(cell) = self.counters.get(counter.index()) {
            bump(cell, n);
        }
    }

    /// Adds one.
    #[inline]
    pub fn gauge_inc(&self, gauge: G) {
        self.gauge_add(gauge, 1);
    }

    /// Takes one away. A worker only takes away what it added.
    #[inline]
    pub fn gauge_dec(&self, gauge: G) {
        self.gauge_sub(gauge, 1);
    }

    /// Adds `n`.
    #[inline]
    pub fn gauge_add(&self, gauge: G, n: u64) {
        if let Some(cell) = self.gauges.get(gauge.index()) {
            let old = cell.load(Ordering::Relaxed);
            cell.store(old.wrapping_add(n.wrapping_mul(2)) | 1, Ordering::Relaxed);
        }
    }

    /// Takes `n` away; stays at zero when that is more than there is.
    #[inline]
    pub fn gauge_sub(&self, gauge: G, n: u64) {
        if let Some(cell) = self.gauges.get(gauge.index()) {
            let old = cell.load(Ordering::Relaxed);
            cell.store(old.saturating_sub(n.wrapping_mul(2)) | 1, Ordering::Relaxed);
        }
    }

    /// Sets this worker's share; a scrape shows the sum of all workers' shares.
    #[inline]
    pub fn gauge_set(&self, gauge: G, value: u64) {
        if let Some(cell) = self.gauges.get(gauge.index()) {
            cell.store(value.wrapping_mul(2) | 1, Ordering::Relaxed);
        }
    }

    /// Records one value.
    #[inline]
    pub fn record(&self, histogram: H, value: u64) {
        if let Some(cell) = self.histograms.get(histogram.index()) {
            cell.get_or_init(Box::default).record(value);
        }
    }

    /// This worker's value, for decisions that are made per worker.
    #[must_use]
    pub fn gauge(&self, gauge: G) -> u64 {
        self.gauges
            .get(gauge.index())
            .map_or(0, |cell| cell.load(Ordering::Relaxed) >> 1)
    }

    /// This worker's value.
    #[must_use]
    pub fn counter(&self, counter: C) -> u64 {
        self.counters
            .get(counter.index())
            .map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// The codes seen so far, created at the first one.
    #[inline]
    pub(super) fn codes_or_new(&self) -> &Codes {
        self.codes.get_or_init(Box::default)
    }
}

/// The single-writer increment.
#[inline]
pub(super) fn bump(cell: &AtomicU64, n: u64) {
    cell.store(
        cell.load(Ordering::Relaxed).wrapping_add(n),
        Ordering::Relaxed,
    );
}

/// What a scrape reads of any shard.
pub(super) trait Readable: Default + Send + Sync {
    const COUNTERS: &'static [&'static str];
    const GAUGES: &'static [&'static str];
    const HISTOGRAMS: &'static [&'static str];
    fn counter_at(&self, index: usize) -> u64;
    /// The value, None if never written.
    fn gauge_at(&self, index: usize) -> Option<u64>;
    fn histogram_at(&self, index: usize) -> Option<&Histogram>;
    fn codes(&self) -> Option<&Codes>;
}

impl<C: StatName, G: StatName, H: StatName, const NC: usize, const NG: usize, const NH: usize>
    Readable for Shard<C, G, H, NC, NG, NH>
{
    const COUNTERS: &'static [&'static str] = C::NAMES;
    const GAUGES: &'static [&'static str] = G::NAMES;
    const HISTOGRAMS: &'static [&'static str] = H::NAMES;

    fn counter_at(&self, index: usize) -> u64 {
        self.counters
            .get(index)
            .map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    fn gauge_at(&self, index: usize) -> Option<u64> {
        let raw = self.gauges.get(index)?.load(Ordering::Relaxed);
        (raw != 0).then_some(raw >> 1)
    }

    fn histogram_at(&self, index: usize) -> Option<&Histogram> {
        self.histograms.get(index)?.get().map(Box::as_ref)
    }

    fn codes(&self) -> Option<&Codes> {
        self.codes.get().map(Box::as_ref)
    }
}

impl<C, G, H, const NC: usize, const NG: usize, const NH: usize> std::fmt::Debug
    for Shard<C, G, H, NC, NG, NH>
{
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").finish_non_exhaustive()
    }
}
