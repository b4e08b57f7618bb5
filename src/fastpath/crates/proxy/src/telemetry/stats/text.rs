//! Envoy's `/stats` and `/stats?format=json`.

use std::fmt::Write;

use super::histogram::QUANTILES;
use super::row::{Row, Value};
use crate::telemetry::json;

/// One `name: value` a line.
pub(super) fn text(rows: &[Row]) -> String {
    let mut out = String::with_capacity(rows.len().saturating_mul(56));
    for row in rows {
        row.write_name(&mut out);
        out.push_str(": ");
        // Writing to a String cannot fail.
        let _ = match &row.value {
            Value::Counter(n) | Value::Gauge(n) => writeln!(out, "{n}"),
            Value::Text(text) => writeln!(out, "\"{text}\""),
            Value::Histogram(both) => {
                histogram_text(&mut out, both.0.quantiles(), both.1.quantiles())
            }
        };
    }
    out
}

type Quantiles = Option<[f64; QUANTILES.len()]>;

/// `P0(interval,cumulative) …`
fn histogram_text(out: &mut String, all: Quantiles, interval: Quantiles) -> std::fmt::Result {
    let Some(all) = all else {
        return writeln!(out, "No recorded values");
    };
    let interval = interval.unwrap_or([f64::NAN; QUANTILES.len()]);
    for (n, ((percent, now), ever)) in QUANTILES.iter().zip(interval).zip(all).enumerate() {
        let space = if n == 0 { "" } else { " " };
        write!(out, "{space}P{percent}({},{ever})", nan_or(now))?;
    }
    writeln!(out)
}

/// Rust writes `NaN` where Envoy writes `nan`.
fn nan_or(value: f64) -> String {
    if value.is_nan() {
        "nan".to_owned()
    } else {
        value.to_string()
    }
}

/// One object; all histograms in one element, as Envoy has them.
pub(super) fn json(rows: &[Row]) -> String {
    let mut out = String::with_capacity(rows.len().saturating_mul(72));
    out.push_str("{\"stats\":[");
    let mut histograms = String::new();
    let mut name = String::new();
    for row in rows {
        name.clear();
        row.write_name(&mut name);
        let target = match row.value {
            Value::Histogram(_) => &mut histograms,
            _ => &mut out,
        };
        if !target.is_empty() && !target.ends_with('[') {
            target.push(',');
        }
        target.push_str("{\"name\":");
        json::string(target, &name);
        let _ = match &row.value {
            Value::Counter(n) | Value::Gauge(n) => write!(target, ",\"value\":{n}}}"),
            Value::Text(text) => {
                target.push_str(",\"value\":");
                json::string(target, text);
                target.push('}');
                Ok(())
            }
            Value::Histogram(both) => {
                histogram_json(target, both.0.quantiles(), both.1.quantiles())
            }
        };
    }
    if !histograms.is_empty() {
        if !out.ends_with('[') {
            out.push(',');
        }
        out.push_str("{\"histograms\":{\"supported_quantiles\":[");
        for (n, percent) in QUANTILES.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let _ = write!(out, "{comma}{percent}");
        }
        out.push_str("],\"computed_quantiles\":[");
        out.push_str(&histograms);
        out.push_str("]}}");
    }
    out.push_str("]}");
    out
}

fn histogram_json(out: &mut String, all: Quantiles, interval: Quantiles) -> std::fmt::Result {
    let nulls = [f64::NAN; QUANTILES.len()];
    let pairs = all
        .unwrap_or(nulls)
        .into_iter()
        .zip(interval.unwrap_or(nulls));
    out.push_str(",\"values\":[");
    for (n, (ever, now)) in pairs.enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let null_or = |v: f64| {
            if v.is_nan() {
                "null".to_owned()
            } else {
                v.to_string()
            }
        };
        write!(
            out,
            "{comma}{{\"cumulative\":{},\"interval\":{}}}",
            null_or(ever),
            null_or(now)
        )?;
    }
    out.push_str("]}");
    Ok(())
}
