//! Log-linear histograms with the bins of Envoy's circllhist: two decimal digits, 90 a decade.
//!
//! The same bins and the same rules of reading them give the same quantiles and sums as Envoy.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shard::bump;

/// Bins of a decade: leading digits 10 to 99.
const BINS: usize = 90;
/// Decades that are told apart: 1 to 10^10 (in milliseconds, 115 days). Above, the last bin counts.
const DECADES: usize = 10;

/// What `/stats` prints, in percent.
pub const QUANTILES: [f64; 10] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0];

/// The upper bounds Envoy's Prometheus output has by default.
pub const BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// One worker's recorder; a decade's bins are allocated when first needed.
#[derive(Default)]
pub(super) struct Histogram {
    zero: AtomicU64,
    decades: [OnceLock<Box<[AtomicU64; BINS]>>; DECADES],
}

impl Histogram {
    pub(super) fn record(&self, value: u64) {
        let Some((decade, bin)) = place(value) else {
            bump(&self.zero, 1);
            return;
        };
        if let Some(cell) = self.decades.get(decade) {
            let bins = cell.get_or_init(|| Box::new([const { AtomicU64::new(0) }; BINS]));
            if let Some(cell) = bins.get(bin) {
                bump(cell, 1);
            }
        }
    }

    /// Adds this recorder's bins to `dense` (of `Summary::dense()`'s shape).
    pub(super) fn add_to(&self, dense: &mut [u64]) {
        let mut add = |index: usize, n: u64| {
            if let Some(cell) = dense.get_mut(index) {
                *cell = cell.wrapping_add(n);
            }
        };
        add(0, self.zero.load(Ordering::Relaxed));
        for (decade, bins) in self.decades.iter().enumerate() {
            let Some(bins) = bins.get() else { continue };
            let first = decade.saturating_mul(BINS).saturating_add(1);
            for (bin, cell) in bins.iter().enumerate() {
                add(first.saturating_add(bin), cell.load(Ordering::Relaxed));
            }
        }
    }
}

/// Decade and bin of a value; None for zero.
fn place(value: u64) -> Option<(usize, usize)> {
    let decade = usize::try_from(value.checked_ilog10()?).ok()?;
    if decade >= DECADES {
        return Some((DECADES.saturating_sub(1), BINS.saturating_sub(1)));
    }
    let leading = match decade {
        0 => value.saturating_mul(10),
        _ => {
            let exponent = u32::try_from(decade.saturating_sub(1)).ok()?;
            value.checked_div(10_u64.checked_pow(exponent)?)?
        }
    };
    Some((decade, usize::try_from(leading).ok()?.saturating_sub(10)))
}

/// A merged histogram: (bin, count) of the bins that are not empty, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    bins: Vec<(u16, u64)>,
}

impl Summary {
    /// Zeroes to add recorders to.
    pub(super) fn dense() -> Vec<u64> {
        vec![0; DECADES.saturating_mul(BINS).saturating_add(1)]
    }

    pub(super) fn from_dense(dense: &[u64]) -> Self {
        let bins = (0_u16..)
            .zip(dense.iter().copied())
            .filter(|&(_, n)| n != 0)
            .collect();
        Self { bins }
    }

    /// What was recorded since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let mut old = earlier.bins.iter().peekable();
        let mut bins = Vec::new();
        for &(bin, count) in &self.bins {
            while old.next_if(|(other, _)| *other < bin).is_some() {}
            let before = old
                .next_if(|(other, _)| *other == bin)
                .map_or(0, |&(_, n)| n);
            let new = count.saturating_sub(before);
            if new != 0 {
                bins.push((bin, new));
            }
        }
        Self { bins }
    }

    pub(super) fn count(&self) -> u64 {
        self.bins.iter().fold(0, |sum, &(_, n)| sum.wrapping_add(n))
    }

    /// circllhist's `approx_sum`.
    #[allow(clippy::cast_precision_loss, reason = "sums are estimates")]
    pub(super) fn sum(&self) -> f64 {
        self.bins
            .iter()
            .map(|&(bin, n)| midpoint(bin) * n as f64)
            .sum()
    }

    /// Values at or below `bound`, as Envoy attributes bins to bounds.
    pub(super) fn count_to(&self, bound: f64) -> u64 {
        self.bins
            .iter()
            .take_while(|&&(bin, _)| edges(bin).0 <= bound)
            .fold(0, |sum, &(_, n)| sum.wrapping_add(n))
    }

    /// The values at `QUANTILES`; None when nothing was recorded.
    ///
    /// The k-th of a bin's n values is taken to lie at k/(n+1) of its width.
    #[allow(clippy::cast_precision_loss, reason = "quantiles are estimates")]
    pub(super) fn quantiles(&self) -> Option<[f64; QUANTILES.len()]> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        Some(QUANTILES.map(|percent| {
            let rank = (percent / 100.0 * total as f64).ceil().max(1.0);
            let mut below = 0.0;
            let mut last = 0.0;
            for &(bin, n) in &self.bins {
                let (left, width) = edges(bin);
                let n = n as f64;
                let k = (rank - below).min(n);
                last = left + width * k / (n + 1.0);
                if below + n >= rank {
                    break;
                }
                below += n;
            }
            last
        }))
    }
}

/// Lower edge and width of a bin; zero has none.
fn edges(bin: u16) -> (f64, f64) {
    let Some(index) = bin.checked_sub(1) else {
        return (0.0, 0.0);
    };
    let (decade, digits) = (index / 90, index % 90);
    let digits = f64::from(digits) + 10.0;
    // Division keeps 1.1, 1.2 … as exact as they can be; multiplication by 0.1 does not.
    match decade.checked_sub(1) {
        None => (digits / 10.0, 0.1),
        Some(exponent) => {
            let scale = 10_f64.powi(i32::from(exponent));
            (digits * scale, scale)
        }
    }
}

/// circllhist's midpoint: pulled towards the lower edge, as the values in a bin are.
fn midpoint(bin: u16) -> f64 {
    let (left, width) = edges(bin);
    if width == 0.0 {
        return 0.0;
    }
    left + width * (left / (left + left + width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Summary {
        let recorder = Histogram::default();
        for &value in values {
            recorder.record(value);
        }
        let mut dense = Summary::dense();
        recorder.add_to(&mut dense);
        Summary::from_dense(&dense)
    }

    #[test]
    fn bins_have_two_digits() {
        assert_eq!(place(0), None);
        assert_eq!(place(1), Some((0, 0)));
        assert_eq!(place(9), Some((0, 80)));
        assert_eq!(place(10), Some((1, 0)));
        assert_eq!(place(129), Some((2, 2)));
        assert_eq!(place(u64::MAX), Some((9, 89)));
        for value in [1, 7, 42, 999, 1_234, 98_765_432, 9_999_999_999] {
            let (left, width) = edges(of(&[value]).bins[0].0);
            assert!(
                left <= value as f64 && (value as f64) < left + width,
                "{value}"
            );
            assert!(width / left <= 0.1 + 1e-9);
        }
    }

    /// Numbers that Envoy 1.40 printed for these values.
    #[test]
    fn quantiles_are_envoys() {
        let q = of(&[1; 8]).quantiles().unwrap();
        assert_eq!(q[0], 1.011111111111111);
        assert_eq!(q[1], 1.0222222222222221);
        assert_eq!(q[2], 1.0444444444444445);
        assert_eq!(q[9], 1.0888888888888888);
        assert_eq!(of(&[10]).quantiles().unwrap()[0], 10.5);
        let q = of(&[0, 41, 41, 43, 45, 47]).quantiles().unwrap();
        assert_eq!(q[0], 0.0);
        assert_eq!(q[1], 41.333333333333336);
        assert_eq!(q[2], 41.666666666666664);
        assert_eq!(q[3], 45.5);
        assert_eq!(q[4], 47.5);
        assert_eq!(Summary::default().quantiles(), None);
    }

    #[test]
    fn sums_and_bounds_are_envoys() {
        assert_eq!(of(&[1; 8]).sum(), 8.380952380952381);
        assert_eq!(of(&[10]).sum(), 10.476190476190476);
        assert_eq!(of(&[2]).sum(), 2.048780487804878);
        let h = of(&[0, 1, 1, 2, 41, 43]);
        assert_eq!([0.5, 1.0, 5.0, 50.0].map(|b| h.count_to(b)), [1, 3, 4, 6]);
    }

    #[test]
    fn an_interval_is_a_difference() {
        let (old, new) = (of(&[1, 5]), of(&[1, 3, 5, 5]));
        assert_eq!(new.since(&old), of(&[3, 5]));
        assert_eq!(new.since(&new).count(), 0);
    }
}
