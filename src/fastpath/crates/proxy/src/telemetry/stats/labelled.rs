//! Series of metrics with labels of their own (Istio's standard metrics): each is made when a
//! worker first counts in it, and there is a limit, since peers and clients choose labels.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entity::{CodeRows, Entity};
use super::names::stat_names;
use super::row::{Row, Value};
use super::shard::{Readable, Shard};
use super::{NoStat, Stats};
use crate::telemetry::log::Level;

/// Before the names of such metrics, as in Envoy; Prometheus does not see it.
pub(super) const NAMESPACE: &str = "istiocustom.";

/// Series of the process. What would make more is counted by `istio_stats.series_overflow`.
const MOST: usize = 16_384;
/// Of the names and values of their labels: some are as long as clients wish.
const MOST_BYTES: usize = 16 << 20;

stat_names! {
    /// The number of a series that counts.
    pub enum SeriesCounter {
        Value = "",
    }
}

stat_names! {
    /// The values of a series that measures.
    pub enum SeriesHistogram {
        Value = "",
    }
}

stat_names! {
    /// `istio_stats.*`
    pub enum IstioStatsCounter {
        SeriesOverflow = "series_overflow",
    }
}

stat_names! {
    /// `metadata_exchange.*`
    pub enum ExchangeCounter {
        AlpnProtocolFound = "alpn_protocol_found",
        AlpnProtocolNotFound = "alpn_protocol_not_found",
        HeaderNotFound = "header_not_found",
        InitialHeaderNotFound = "initial_header_not_found",
        MetadataAdded = "metadata_added",
    }
}

/// What is counted of introductions on connections.
pub type ExchangeShard = Shard<ExchangeCounter, NoStat, NoStat, { ExchangeCounter::COUNT }, 0, 0>;

/// One worker's share of a series that counts.
pub type CounterSeries = Shard<SeriesCounter, NoStat, NoStat, { SeriesCounter::COUNT }, 0, 0>;

/// One worker's share of a series that measures.
pub type HistogramSeries = Shard<NoStat, NoStat, SeriesHistogram, 0, 0, { SeriesHistogram::COUNT }>;

/// What is counted about the metrics themselves.
pub type IstioStatsShard =
    Shard<IstioStatsCounter, NoStat, NoStat, { IstioStatsCounter::COUNT }, 0, 0>;

/// A metric and its labels in their order: what makes a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// With its `istio_`.
    pub metric: Box<str>,
    pub pairs: Vec<(Box<str>, Box<str>)>,
}

impl Labels {
    /// As `/stats` prints it: names and values between points, of empty values not even those.
    fn full_name(&self) -> String {
        let mut name = format!("{NAMESPACE}{}", self.metric);
        for (label, value) in &self.pairs {
            for part in [label, value] {
                if !part.is_empty() {
                    name.push('.');
                    name.push_str(part);
                }
            }
        }
        name
    }

    /// Tells series apart; no text that a name or a value has contains its separators' neighbours
    /// in the same order.
    fn key(&self) -> String {
        let mut key = self.metric.to_string();
        for (label, value) in &self.pairs {
            for part in [label, value] {
                key.push('\0');
                // Lengths, so that no value can pretend to be two.
                key.push_str(&part.len().to_string());
                key.push('\0');
                key.push_str(part);
            }
        }
        key
    }
}

#[derive(Default)]
pub(super) struct Labelled {
    counters: BTreeMap<String, Entity<CounterSeries>>,
    histograms: BTreeMap<String, Entity<HistogramSeries>>,
    /// Of labels.
    bytes: usize,
    /// Said once.
    is_full: bool,
    /// `ISTIO_VERSION`, once something reports: the gauge `istio_build`.
    pub(super) build: Option<Arc<Labels>>,
}

impl Labelled {
    fn take_room(&mut self, key: &str) -> bool {
        let all = self.counters.len().saturating_add(self.histograms.len());
        let bytes = self.bytes.saturating_add(key.len());
        if all < MOST && bytes <= MOST_BYTES {
            self.bytes = bytes;
            return true;
        }
        if !std::mem::replace(&mut self.is_full, true) {
            crate::log!(
                Level::Warning,
                "stats",
                "Istio's metrics have {all} series of {bytes} bytes of labels, further ones are not made but counted by \
                 istio_stats.series_overflow: let a Telemetry remove a tag with too many values"
            );
        }
        false
    }

    pub(super) fn reset(&mut self) {
        self.counters.values_mut().for_each(Entity::reset);
        self.histograms.values_mut().for_each(Entity::reset);
    }

    pub(super) fn flush(&mut self) {
        self.histograms.values_mut().for_each(Entity::flush);
    }

    pub(super) fn rows(&self, rows: &mut Vec<Row>) {
        for entity in self.counters.values() {
            entity.rows(CodeRows::None, rows);
        }
        for entity in self.histograms.values() {
            entity.rows(CodeRows::None, rows);
        }
        if let Some(labels) = &self.build {
            rows.push(Row {
                prefix: labels.full_name().into(),
                name: "".into(),
                value: Value::Gauge(1),
                used: true,
                labels: Some(Arc::clone(labels)),
            });
        }
    }
}

fn share<S: Readable>(
    series: &mut BTreeMap<String, Entity<S>>,
    key: String,
    labels: Labels,
) -> Arc<S> {
    let new = || Entity::labelled(labels.full_name(), Arc::new(labels));
    series.entry(key).or_insert_with(new).shard(0)
}

impl Stats {
    /// A share of a series for one owner; `None`: there are too many.
    #[must_use]
    pub fn counter_series(&self, labels: Labels) -> Option<Arc<CounterSeries>> {
        let key = labels.key();
        self.with(|r| {
            let is_there = r.labelled.counters.contains_key(&key);
            (is_there || r.labelled.take_room(&key))
                .then(|| share(&mut r.labelled.counters, key, labels))
        })
    }

    /// The same of one that measures.
    #[must_use]
    pub fn histogram_series(&self, labels: Labels) -> Option<Arc<HistogramSeries>> {
        let key = labels.key();
        self.with(|r| {
            let is_there = r.labelled.histograms.contains_key(&key);
            (is_there || r.labelled.take_room(&key))
                .then(|| share(&mut r.labelled.histograms, key, labels))
        })
    }

    /// A shard of `istio_stats.`.
    #[must_use]
    pub fn istio_stats(&self) -> Arc<IstioStatsShard> {
        self.with(|r| r.istio_stats.get("istio_stats").shard(0))
    }

    /// A shard of `metadata_exchange.`.
    #[must_use]
    pub fn metadata_exchange(&self) -> Arc<ExchangeShard> {
        self.with(|r| r.exchanges.get("metadata_exchange").shard(0))
    }

    /// Whether something reports Istio's metrics, and the version that it says of itself.
    pub fn set_istio_build(&self, version: Option<&str>) {
        let pair = |name: &str, value: &str| (name.into(), value.into());
        let labels = version.map(|version| {
            let tag = if version.is_empty() {
                "unknown"
            } else {
                version
            };
            Arc::new(Labels {
                metric: "istio_build".into(),
                pairs: vec![pair("component", "proxy"), pair("tag", tag)],
            })
        });
        self.with(|r| r.labelled.build = labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::stats::Kind;

    fn labels(metric: &str, pairs: &[(&str, &str)]) -> Labels {
        let pairs = pairs.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        Labels {
            metric: metric.into(),
            pairs: pairs.collect(),
        }
    }

    #[test]
    fn series_are_shown_as_envoy_shows_them() {
        let stats = Stats::new(1);
        let of = |code: &str| {
            let pairs = [("reporter", "source"), ("status", ""), ("code", code)];
            labels("istio_requests_total", &pairs)
        };
        let (a, b) = (of("200"), of("5\"3"));
        stats
            .counter_series(a.clone())
            .unwrap()
            .add(SeriesCounter::Value, 2);
        stats.counter_series(a).unwrap().inc(SeriesCounter::Value);
        stats.counter_series(b).unwrap().inc(SeriesCounter::Value);
        let took = labels("istio_request_bytes", &[("reporter", "source")]);
        stats
            .histogram_series(took)
            .unwrap()
            .record(SeriesHistogram::Value, 7);
        stats.set_istio_build(Some(""));
        stats.flush_histograms();
        let text = stats.text(Some("^istiocustom"), false, Kind::All).unwrap();
        let name = "istiocustom.istio_requests_total.reporter.source.status.code.200: 3\n";
        assert!(text.contains(name), "{text}");
        let text = stats.prometheus(Some("^istiocustom"), false).unwrap();
        for line in [
            "# TYPE istio_requests_total counter",
            r#"istio_requests_total{reporter="source",status="",code="200"} 3"#,
            r#"istio_requests_total{reporter="source",status="",code="5\"3"} 1"#,
            "# TYPE istio_build gauge",
            r#"istio_build{component="proxy",tag="unknown"} 1"#,
            "# TYPE istio_request_bytes histogram",
            r#"istio_request_bytes_count{reporter="source"} 1"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn values_cannot_pretend_to_be_two() {
        let stats = Stats::new(1);
        let one = labels("m", &[("a", "b\x001\x00c")]);
        let two = labels("m", &[("a", "b"), ("c", "")]);
        assert_ne!(one.key(), two.key());
        let shard = stats.counter_series(one.clone()).unwrap();
        drop(shard);
        assert!(stats.counter_series(one).is_some());
    }

    #[test]
    fn there_is_a_limit() {
        let stats = Stats::new(1);
        for n in 0..MOST {
            let n = n.to_string();
            assert!(stats.counter_series(labels("m", &[("n", &n)])).is_some());
        }
        assert!(
            stats
                .counter_series(labels("m", &[("n", "more")]))
                .is_none()
        );
        assert!(stats.histogram_series(labels("h", &[])).is_none());
        assert!(stats.counter_series(labels("m", &[("n", "7")])).is_some());
    }
}
