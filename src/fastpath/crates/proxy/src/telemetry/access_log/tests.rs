//! Files, filters and what happens when writing fails.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stats::{Kind, Stats};
use crate::telemetry::stream_info::StreamInfo;
use model::format::Format;
use model::resources::access_log::{Comparison, Filter};
use model::resources::header_mutation::HeaderName;
use model::resources::route::{HeaderMatchKind, HeaderMatcher, StringMatcher, StringPattern};
use proto::h1::RequestHead;

const WAIT: Duration = Duration::from_secs(20);

/// A path of this test's own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("fastmesh-log-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    fn sink(&self) -> Sink {
        Sink::File(self.0.clone())
    }

    fn read(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn log_to(sink: Sink, format: &str, filter: Option<Filter>) -> AccessLog {
    AccessLog {
        sink,
        format: LogFormat::Text(Format::parse(format).unwrap()),
        filter,
    }
}

fn with_context(code: u16, f: impl FnOnce(&LogContext<'_>)) {
    let mut request = RequestHead::new();
    assert!(request.set_method(b"GET") && request.set_path(b"/x"));
    for (name, value) in [("x-a", "One"), ("x-a", "2")] {
        assert!(request.headers.push(name.as_bytes(), value.as_bytes()));
    }
    let info = StreamInfo {
        response_code: Some(code),
        start: 1,
        end: 5_000_001,
        flags: ResponseFlags::NO_ROUTE_FOUND,
        ..StreamInfo::default()
    };
    f(&LogContext {
        request: &request,
        response: None,
        trailers: None,
        info: &info,
    });
}

#[test]
fn no_line_is_lost_by_flush_and_shutdown() {
    let scratch = Scratch::new("all");
    let stats = Stats::new(2);
    let sinks = Sinks::new(stats.clone()).unwrap();
    sinks.open(&scratch.sink()).unwrap();
    let log = Arc::new(log_to(scratch.sink(), "%PATH% %RESPONSE_CODE%\n", None));
    let workers: Vec<_> = (0..2_u16)
        .map(|worker| {
            let (mut logs, log) = (sinks.worker(), Arc::clone(&log));
            std::thread::spawn(move || {
                for _ in 0..20_000 {
                    with_context(200 + worker, |ctx| logs.log(&log, ctx));
                }
            })
        })
        .collect();
    workers
        .into_iter()
        .for_each(|worker| worker.join().unwrap());
    assert!(sinks.shutdown(WAIT));
    let text = scratch.read();
    assert_eq!(
        text.lines().filter(|line| *line == "/x 200").count(),
        20_000
    );
    assert_eq!(
        text.lines().filter(|line| *line == "/x 201").count(),
        20_000
    );
    let shown = stats.text(Some("^filesystem"), true, Kind::All).unwrap();
    assert!(
        shown.contains("filesystem.write_buffered: 40000\n"),
        "{shown}"
    );
}

#[test]
fn files_are_reopened_and_closed() {
    let scratch = Scratch::new("reopen");
    let moved = Scratch::new("moved");
    let sinks = Sinks::new(Stats::new(1)).unwrap();
    sinks.open(&scratch.sink()).unwrap();
    let mut logs = sinks.worker();
    let log = log_to(scratch.sink(), "%RESPONSE_CODE%\n", None);
    let mut write = |code| {
        with_context(code, |ctx| logs.log(&log, ctx));
        assert!(logs.is_pending());
        logs.tick();
        assert!(!logs.is_pending());
        assert!(sinks.flush_all(WAIT));
    };
    write(201);
    std::fs::rename(&scratch.0, &moved.0).unwrap();
    write(202);
    sinks.reopen();
    write(203);
    assert_eq!(
        (moved.read(), scratch.read()),
        ("201\n202\n".to_owned(), "203\n".to_owned())
    );
    // No longer configured: what comes late is still written, then the worker lets go.
    sinks.retain(&HashSet::new());
    write(204);
    assert_eq!(scratch.read(), "203\n204\n");
    assert!(logs.buffers.is_empty());
}

#[test]
fn a_sink_that_nobody_opened_is_opened_by_the_writer() {
    let scratch = Scratch::new("lazy");
    let stats = Stats::new(1);
    let sinks = Sinks::new(stats.clone()).unwrap();
    let mut logs = sinks.worker();
    let nowhere = Sink::File("/nonexistent/dir/file".into());
    with_context(200, |ctx| {
        logs.log(&log_to(scratch.sink(), "%RESPONSE_CODE%\n", None), ctx);
        logs.log(&log_to(nowhere, "%RESPONSE_CODE%\n", None), ctx);
    });
    drop(logs);
    assert!(sinks.shutdown(WAIT));
    assert_eq!(scratch.read(), "200\n");
    let shown = stats.text(Some("dropped"), true, Kind::All).unwrap();
    assert_eq!(shown, "access_log.dropped: 1\n");
}

#[test]
fn an_error_at_open_is_returned() {
    let sinks = Sinks::new(Stats::new(1)).unwrap();
    assert!(
        sinks
            .open(&Sink::File("/nonexistent/dir/file".into()))
            .is_err()
    );
    assert!(sinks.open(&Sink::Stdout).is_ok());
}

#[test]
fn a_full_disk_costs_lines_not_workers() {
    let stats = Stats::new(1);
    let sinks = Sinks::new(stats.clone()).unwrap();
    let full = Sink::File("/dev/full".into());
    sinks.open(&full).unwrap();
    let log = log_to(full, "%RESPONSE_CODE%\n", None);
    let mut logs = sinks.worker();
    with_context(200, |ctx| (0..3).for_each(|_| logs.log(&log, ctx)));
    logs.flush();
    assert!(sinks.flush_all(WAIT));
    let shown = stats
        .text(Some("write_failed|dropped"), true, Kind::Counters)
        .unwrap();
    assert_eq!(shown, "access_log.dropped: 3\nfilesystem.write_failed: 1\n");
}

#[test]
fn a_writer_that_hangs_blocks_nobody() {
    // A pipe that nobody reads: the writer hangs in it as soon as it is full.
    let scratch = Scratch::new("fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&scratch.0)
        .status()
        .unwrap();
    assert!(made.success());
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&scratch.0)
        .unwrap();
    let sinks = Sinks::new(Stats::new(1)).unwrap();
    sinks.open(&scratch.sink()).unwrap();
    let log = log_to(scratch.sink(), &"x".repeat(FLUSH_AT), None);
    let mut logs = sinks.worker();
    // Until the pipe is full the writer still takes the losses into the statistics; from then on
    // every line is lost, and none of them waits.
    let lost = || sinks.shared.lost.load(Ordering::Relaxed);
    let written = (0..20_000)
        .take_while(|_| {
            with_context(200, |ctx| logs.log(&log, ctx));
            lost() < 200
        })
        .count();
    assert!(lost() >= 200, "after {written} lines: {} lost", lost());
    assert!(!sinks.shutdown(Duration::from_millis(20)));
    drop(reader);
}

#[test]
fn filters_choose() {
    let mut random = filter::seed();
    let mut passes = |code, filter: &Filter| {
        let mut passed = false;
        with_context(code, |ctx| {
            passed = filter::passes(filter, ctx, &mut random)
        });
        passed
    };
    let status = |op, value| Filter::StatusCode { op, value };
    assert!(passes(503, &status(Comparison::GreaterOrEqual, 500)));
    assert!(!passes(404, &status(Comparison::GreaterOrEqual, 500)));
    assert!(passes(404, &status(Comparison::NotEqual, 500)));
    assert!(passes(
        200,
        &Filter::Duration {
            op: Comparison::Equal,
            millis: 5
        }
    ));
    assert!(!passes(
        200,
        &Filter::Duration {
            op: Comparison::LessOrEqual,
            millis: 4
        }
    ));
    assert!(passes(200, &Filter::NotHealthCheck));
    for (types, exclude, expected) in [
        (1 << 6, false, true),
        (1 << 3, false, false),
        (1 << 3 | 1 << 6, true, false),
        (0, true, true),
    ] {
        let filter = Filter::LogType { types, exclude };
        assert_eq!(passes(200, &filter), expected, "{filter:?}");
    }
    assert!(passes(200, &Filter::ResponseFlag { flags: 0 }));
    assert!(passes(
        200,
        &Filter::ResponseFlag {
            flags: ResponseFlags::NO_ROUTE_FOUND.0
        }
    ));
    assert!(!passes(
        200,
        &Filter::ResponseFlag {
            flags: ResponseFlags::RATE_LIMITED.0
        }
    ));
    assert!(passes(
        200,
        &Filter::Runtime {
            millionths: 1_000_000
        }
    ));
    assert!(!passes(200, &Filter::Runtime { millionths: 0 }));
    let both = || {
        vec![
            status(Comparison::Equal, 200),
            Filter::ResponseFlag { flags: 1 },
        ]
    };
    assert!(!passes(200, &Filter::And(both())));
    assert!(passes(200, &Filter::Or(both())));
}

#[test]
fn headers_match_as_in_envoy() {
    let matches = |name: &str, kind, invert, treat_missing_as_empty| {
        let name = HeaderName {
            known: proto::Known::of(name.as_bytes()),
            text: name.into(),
        };
        let matcher = HeaderMatcher {
            name,
            kind,
            invert,
            treat_missing_as_empty,
        };
        let mut found = false;
        with_context(200, |ctx| found = header_matches(&matcher, ctx.request));
        found
    };
    let string = |pattern, ignore_case| {
        HeaderMatchKind::String(StringMatcher {
            pattern,
            ignore_case,
        })
    };
    let exact = |text: &str| StringPattern::Exact(text.as_bytes().into());
    assert!(matches("x-a", string(exact("One,2"), false), false, false));
    assert!(matches("x-a", string(exact("one,2"), true), false, false));
    assert!(!matches("x-a", string(exact("one,2"), false), false, false));
    assert!(matches(
        "x-a",
        string(StringPattern::Contains(b"ne,"[..].into()), false),
        false,
        false
    ));
    assert!(matches(":path", string(exact("/x"), false), false, false));
    assert!(matches("x-a", HeaderMatchKind::Present(true), false, false));
    assert!(matches(
        "x-b",
        HeaderMatchKind::Present(false),
        false,
        false
    ));
    assert!(matches("x-b", HeaderMatchKind::Present(true), true, false));
    assert!(!matches("x-b", string(exact("v"), false), true, false));
    assert!(matches("x-b", string(exact("v"), false), true, true));
    assert!(!matches(
        "x-a",
        HeaderMatchKind::Range { start: 0, end: 9 },
        false,
        false
    ));
}
