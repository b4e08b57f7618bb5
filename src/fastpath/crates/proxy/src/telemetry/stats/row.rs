//! One stat as a scrape sees it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::histogram::Summary;
use super::labelled::Labels;

/// A stat's name (in two parts, so that entities share the first) and value.
pub(super) struct Row {
    pub(super) prefix: Arc<str>,
    pub(super) name: Cow<'static, str>,
    pub(super) value: Value,
    /// Written since the process started: `usedonly` prints only these.
    pub(super) used: bool,
    /// Of a series.
    pub(super) labels: Option<Arc<Labels>>,
}

pub(super) enum Value {
    Counter(u64),
    Gauge(u64),
    Text(String),
    /// (all time, last interval)
    Histogram(Box<(Summary, Summary)>),
}

impl Value {
    pub(super) fn histogram(all: Summary, interval: Summary) -> Self {
        Self::Histogram(Box::new((all, interval)))
    }
}

impl Row {
    pub(super) fn write_name(&self, out: &mut String) {
        out.push_str(&self.prefix);
        out.push_str(&self.name);
    }

    pub(super) fn cmp_name(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.prefix, &other.prefix) {
            return self.name.cmp(&other.name);
        }
        let a = self.prefix.bytes().chain(self.name.bytes());
        let b = other.prefix.bytes().chain(other.name.bytes());
        a.cmp(b)
    }

    /// The order of Envoy's `/stats`: text readouts, then counters and gauges, then histograms.
    fn section(&self) -> u8 {
        match self.value {
            Value::Text(_) => 0,
            Value::Counter(_) | Value::Gauge(_) => 1,
            Value::Histogram(_) => 2,
        }
    }
}

/// Sorts as Envoy prints and adds up rows of one name (one from a table, one from control).
pub(super) fn sort_and_merge(rows: &mut Vec<Row>) {
    rows.sort_by(|a, b| a.section().cmp(&b.section()).then_with(|| a.cmp_name(b)));
    rows.dedup_by(|later, first| {
        let same = later.section() == first.section() && later.cmp_name(first).is_eq();
        if same {
            first.used |= later.used;
            match (&mut first.value, &mut later.value) {
                (
                    Value::Counter(sum) | Value::Gauge(sum),
                    Value::Counter(more) | Value::Gauge(more),
                ) => *sum = sum.wrapping_add(*more),
                (into @ (Value::Histogram(_) | Value::Text(_)), from) if later.used => {
                    std::mem::swap(into, from);
                }
                _ => {}
            }
        }
        same
    });
}
