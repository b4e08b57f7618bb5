//! Envoy's `/stats/prometheus`: tag-extracted names, `# TYPE` lines only.

use std::fmt::Write;

use super::histogram::{BOUNDS, Summary};
use super::labelled::NAMESPACE;
use super::row::{Row, Value};
use super::tags::{Tagged, extract};

/// All counters, then gauges, then histograms, each grouped by name. Text readouts have no place.
pub(super) fn prometheus(rows: &[Row]) -> String {
    let mut out = String::with_capacity(rows.len().saturating_mul(120));
    for kind in ["counter", "gauge", "histogram"] {
        let mut group: Vec<(Tagged, &Row)> = rows
            .iter()
            .filter(|row| type_of(&row.value) == kind)
            .map(|row| (tagged(row), row))
            .collect();
        group.sort_by(|a, b| a.0.name.cmp(&b.0.name).then_with(|| a.1.cmp_name(b.1)));
        let mut last = String::new();
        for (tagged, row) in &group {
            let name = metric_name(&tagged.name);
            if name != last {
                let _ = writeln!(out, "# TYPE {name} {kind}");
            }
            let tags = labels(tagged);
            let _ = match &row.value {
                Value::Counter(n) | Value::Gauge(n) => writeln!(out, "{name}{{{tags}}} {n}"),
                Value::Histogram(both) => histogram(&mut out, &name, &tags, &both.0),
                Value::Text(_) => Ok(()),
            };
            last = name;
        }
    }
    out
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Counter(_) => "counter",
        Value::Gauge(_) => "gauge",
        Value::Histogram(_) => "histogram",
        Value::Text(_) => "",
    }
}

fn tagged(row: &Row) -> Tagged {
    if let Some(labels) = &row.labels {
        let pairs = labels.pairs.iter();
        return Tagged {
            name: format!("{NAMESPACE}{}", labels.metric),
            tags: pairs
                .map(|(name, value)| (clean(name).into(), value.to_string()))
                .collect(),
        };
    }
    let mut name = String::with_capacity(row.prefix.len().saturating_add(row.name.len()));
    row.write_name(&mut name);
    extract(&name)
}

/// `envoy_` and the name, with everything that Prometheus does not allow replaced. Metrics that are
/// not Envoy's have their own name.
fn metric_name(name: &str) -> String {
    match name.strip_prefix(NAMESPACE) {
        Some(own) => clean(own),
        None => format!("envoy_{}", clean(name)),
    }
}

fn clean(name: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(clean).collect()
}

fn labels(tagged: &Tagged) -> String {
    let mut out = String::new();
    for (n, (tag, value)) in tagged.tags.iter().enumerate() {
        if n != 0 {
            out.push(',');
        }
        out.push_str(tag);
        out.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out
}

fn histogram(out: &mut String, name: &str, tags: &str, summary: &Summary) -> std::fmt::Result {
    let comma = if tags.is_empty() { "" } else { "," };
    for bound in BOUNDS {
        writeln!(
            out,
            "{name}_bucket{{{tags}{comma}le=\"{bound}\"}} {}",
            summary.count_to(bound)
        )?;
    }
    let count = summary.count();
    writeln!(out, "{name}_bucket{{{tags}{comma}le=\"+Inf\"}} {count}")?;
    writeln!(
        out,
        "{name}_sum{{{tags}}} {}",
        thirty_two_digits(summary.sum())
    )?;
    writeln!(out, "{name}_count{{{tags}}} {count}")
}

/// C's `%.32g` for numbers that are not tiny.
fn thirty_two_digits(value: f64) -> String {
    let whole = format!("{}", value.trunc()).len();
    let before = if value < 1.0 { 0 } else { whole };
    let text = format!("{value:.*}", 32_usize.saturating_sub(before));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_32_digits() {
        assert_eq!(thirty_two_digits(0.0), "0");
        assert_eq!(
            thirty_two_digits(219.471_447_017_402_88),
            "219.47144701740288041946769226342"
        );
        assert_eq!(
            thirty_two_digits(10.476_190_476_190_476),
            "10.476190476190476275064611400012"
        );
        assert_eq!(thirty_two_digits(41.0), "41");
    }

    #[test]
    fn labels_are_escaped() {
        let tagged = extract("cluster.dns_c\"q\\w\n.version");
        assert_eq!(labels(&tagged), "envoy_cluster_name=\"dns_c\\\"q\\\\w\\n\"");
        assert_eq!(
            metric_name("http.b.rds.r1.x-y.version"),
            "envoy_http_b_rds_r1_x_y_version"
        );
    }
}
