//! Stats of the control side, by full name: rare writes, under the registry's lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::histogram::{Histogram, Summary};
use super::row::{Row, Value};

#[derive(Default)]
pub(super) struct Control {
    stats: BTreeMap<String, Stat>,
}

enum Stat {
    Counter {
        value: u64,
        baseline: u64,
    },
    Gauge(u64),
    Text(String),
    Histogram {
        recorder: Box<Histogram>,
        all: Summary,
        interval: Summary,
    },
}

impl Control {
    pub(super) fn add(&mut self, name: &str, delta: i64) {
        let stat = self.entry(name, || Stat::Counter {
            value: 0,
            baseline: 0,
        });
        if let Stat::Counter { value, .. } = stat {
            *value = value.saturating_add_signed(delta);
        }
    }

    pub(super) fn set_gauge(&mut self, name: &str, to: u64) {
        *self.entry(name, || Stat::Gauge(0)) = Stat::Gauge(to);
    }

    pub(super) fn set_text(&mut self, name: &str, to: &str) {
        *self.entry(name, || Stat::Text(String::new())) = Stat::Text(to.to_owned());
    }

    pub(super) fn record(&mut self, name: &str, value: u64) {
        let stat = self.entry(name, || Stat::Histogram {
            recorder: Box::default(),
            all: Summary::default(),
            interval: Summary::default(),
        });
        if let Stat::Histogram { recorder, .. } = stat {
            recorder.record(value);
        }
    }

    pub(super) fn forget_prefix(&mut self, prefix: &str) {
        self.stats.retain(|name, _| !name.starts_with(prefix));
    }

    pub(super) fn reset(&mut self) {
        for stat in self.stats.values_mut() {
            if let Stat::Counter { value, baseline } = stat {
                *baseline = *value;
            }
        }
    }

    pub(super) fn flush(&mut self) {
        for stat in self.stats.values_mut() {
            if let Stat::Histogram {
                recorder,
                all,
                interval,
            } = stat
            {
                let mut dense = Summary::dense();
                recorder.add_to(&mut dense);
                let now = Summary::from_dense(&dense);
                *interval = now.since(all);
                *all = now;
            }
        }
    }

    pub(super) fn rows(&self, rows: &mut Vec<Row>) {
        let prefix: Arc<str> = Arc::from("");
        for (name, stat) in &self.stats {
            let value = match stat {
                Stat::Counter { value, baseline } => {
                    Value::Counter(value.saturating_sub(*baseline))
                }
                Stat::Gauge(value) => Value::Gauge(*value),
                Stat::Text(text) => Value::Text(text.clone()),
                Stat::Histogram { all, interval, .. } => {
                    Value::histogram(all.clone(), interval.clone())
                }
            };
            let name = name.clone().into();
            rows.push(Row {
                prefix: Arc::clone(&prefix),
                name,
                value,
                used: true,
                labels: None,
            });
        }
    }

    fn entry(&mut self, name: &str, new: impl FnOnce() -> Stat) -> &mut Stat {
        self.stats.entry(name.to_owned()).or_insert_with(new)
    }
}
