//! Prints what counting, an access-log line and a configured cluster cost:
//! `cargo run --release -p proxy --example telemetry_cost`.
#![allow(
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used
)]

use std::hint::black_box;
use std::time::Instant;

use model::format::Format;
use proto::h1::{HeadLimits, HeadReader, RequestHead, RequestPolicy};
use proxy::telemetry::stats::{
    ClusterCounter, ClusterGauge, ClusterHistogram, Declared, Membership, Stats,
};
use proxy::telemetry::{LogContext, StreamInfo, format};

const REQUEST: &[u8] = b"GET /api/v1/items/42?full=1 HTTP/1.1\r\nhost: shop.example.com\r\n\
user-agent: wrk/4.2.0\r\nx-request-id: 7b1f2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d\r\n\r\n";

/// Clusters that a mesh may configure and never use.
const CLUSTERS: usize = 10_000;

fn main() {
    counting();
    line();
    declaring();
}

fn time(what: &str, rounds: u32, mut act: impl FnMut()) {
    let begin = Instant::now();
    (0..rounds).for_each(|_| act());
    let each = begin.elapsed().as_secs_f64() * 1e9 / f64::from(rounds);
    println!("{what}: {each:.2} ns");
}

fn counting() {
    const ROUNDS: u32 = 100_000_000;
    let shard = Stats::new(1).cluster("a");
    let shard = black_box(&shard);
    time("counter", ROUNDS, || {
        shard.inc(ClusterCounter::UpstreamRqTotal)
    });
    time("gauge up and down", ROUNDS, || {
        shard.gauge_inc(ClusterGauge::UpstreamRqActive);
        shard.gauge_dec(ClusterGauge::UpstreamRqActive);
    });
    time("response code", ROUNDS, || shard.response_code(200, false));
    time("histogram", ROUNDS, || {
        shard.record(ClusterHistogram::UpstreamRqTime, black_box(12));
    });
}

fn line() {
    let mut request = RequestHead::new();
    HeadReader::new()
        .read_request(
            REQUEST,
            &HeadLimits::default(),
            &RequestPolicy::default(),
            &mut request,
        )
        .unwrap();
    let info = StreamInfo {
        response_code: Some(200),
        end: 1_000_000,
        ..StreamInfo::default()
    };
    let context = LogContext {
        request: &request,
        response: None,
        trailers: None,
        info: &info,
    };
    let log = Format::default_access_log();
    let mut out = Vec::with_capacity(1 << 16);
    time("default access-log line", 2_000_000, || {
        out.clear();
        format::render(black_box(&log), &context, &mut out);
        black_box(&out);
    });
}

fn declaring() {
    let resident = || -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let stats = Stats::new(2);
    let before = resident();
    let name = |n| format!("outbound|80||service-{n}.test");
    stats.set_declared(&Declared {
        clusters: (0..CLUSTERS).map(name).collect(),
        ..Declared::default()
    });
    for n in 0..CLUSTERS {
        stats.set_membership(
            &name(n),
            Membership {
                total: 3,
                healthy: 3,
                ..Membership::default()
            },
        );
    }
    println!(
        "a configured cluster without traffic: {} bytes",
        (resident() - before) / CLUSTERS
    );
}
