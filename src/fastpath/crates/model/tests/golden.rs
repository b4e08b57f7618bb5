//! Golden tests: every `golden/<case>.yaml` is loaded and applied as the sidecar does it, and what
//! comes out, errors or the compiled snapshot, must be `golden/<case>.expected`.
//!
//! The first line of a case says what stock Envoy 1.40 does with it (`# envoy: accepts` or
//! `# envoy: rejects`, from `envoy --mode validate`); where we differ, a line `# differs:` says
//! why. `UPDATE_GOLDEN=1 cargo test -p model --test golden` rewrites the expectations.

// The lints allow these in tests only, and helpers of tests are none.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use model::bootstrap;
use model::compile::{CLUSTER, LISTENER, SECRET};
use model::store::Store;

#[test]
fn cases() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 40, "only {} cases", cases.len());
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut failures = Vec::new();
    for case in &cases {
        let (accepted, actual) = run(case);
        let text = std::fs::read_to_string(case).unwrap();
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let envoy_accepts = match text.lines().next().unwrap_or("") {
            line if line.starts_with("# envoy: accepts") => true,
            line if line.starts_with("# envoy: rejects") => false,
            line => panic!("{name}: the first line must say what Envoy does, not {line:?}"),
        };
        let differs = text.lines().any(|line| line.starts_with("# differs: "));
        if (accepted == envoy_accepts) == differs {
            failures.push(format!(
                "{name}: accepted={accepted}, as Envoy: {}",
                !differs
            ));
        }
        let expected = case.with_extension("expected");
        if update {
            std::fs::write(&expected, &actual).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != actual {
            failures.push(format!(
                "{name}: differs from {}:\n{actual}",
                expected.display()
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn run(case: &Path) -> (bool, String) {
    let text = std::fs::read(case).unwrap();
    let name = case.file_name().unwrap().to_string_lossy();
    match bootstrap::load(&text, &name) {
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(|p| format!("{p}\n")).collect();
            (false, lines.concat())
        }
        Ok(bootstrap) => (true, summary(&bootstrap)),
    }
}

fn summary(bootstrap: &bootstrap::Bootstrap) -> String {
    let mut store = Store::new();
    store.bind_upstreams(bootstrap.upstream_bind.clone());
    let secrets = store.apply(SECRET, &bootstrap.static_secrets, &[], true);
    assert!(secrets.rejected.is_empty(), "{:?}", secrets.rejected);
    let clusters = store.apply(CLUSTER, &bootstrap.static_clusters, &[], true);
    assert!(clusters.rejected.is_empty(), "{:?}", clusters.rejected);
    let listeners = store.apply(LISTENER, &bootstrap.static_listeners, &[], true);
    assert!(listeners.rejected.is_empty(), "{:?}", listeners.rejected);
    let snapshot = store.snapshot();
    let mut out = String::new();
    let bootstrap::Bootstrap {
        node_id,
        node_cluster,
        admin_address,
        dynamic,
        ..
    } = bootstrap;
    writeln!(
        out,
        "node {node_id:?} {node_cluster:?} admin {admin_address:?}"
    )
    .unwrap();
    writeln!(out, "stats every {:?}", bootstrap.stats_flush_interval).unwrap();
    for subscription in dynamic {
        writeln!(out, "{subscription:?}").unwrap();
    }
    for needs in listeners.wanted.iter() {
        writeln!(out, "{needs:?}").unwrap();
    }
    for (type_url, name) in store.warming() {
        writeln!(out, "warming {type_url} {name}").unwrap();
    }
    let mut secrets: Vec<_> = snapshot.secrets.into_iter().collect();
    secrets.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, secret) in secrets {
        writeln!(out, "secret {name}: {secret:#?}").unwrap();
    }
    let mut clusters: Vec<_> = snapshot.clusters.into_iter().collect();
    clusters.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, cluster) in clusters {
        writeln!(out, "cluster {name}: {cluster:#?}").unwrap();
    }
    let mut listeners: Vec<_> = snapshot.listeners.into_iter().collect();
    listeners.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, listener) in listeners {
        writeln!(out, "listener {name}: {listener:#?}").unwrap();
    }
    readable(&out)
}

fn is_hash(line: &str) -> bool {
    line.starts_with("hash: ") || line.starts_with("frame_hash: ")
}

/// Leaves out hashes, which are equal or not and mean nothing else; writes lists of bytes as
/// text and lists of nothing or one thing on one line.
fn readable(debug: &str) -> String {
    let lines: Vec<&str> = debug
        .lines()
        .filter(|line| !is_hash(line.trim_start()))
        .collect();
    let mut out = String::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let close = lines[at + 1..]
            .iter()
            .position(|l| l.trim_start().starts_with(']'));
        let inside = &lines[at + 1..at + 1 + close.unwrap_or(0)];
        let bytes: Option<Vec<u8>> = inside
            .iter()
            .map(|l| l.trim().trim_end_matches(',').parse().ok())
            .collect();
        match bytes {
            Some(bytes) if line.ends_with('[') && !bytes.is_empty() => {
                let end = lines[at + 1 + inside.len()]
                    .trim_start()
                    .trim_start_matches(']');
                let text = String::from_utf8_lossy(&bytes);
                writeln!(out, "{}{text:?}{end}", line.trim_end_matches('[')).unwrap();
                at += inside.len() + 2;
            }
            _ => {
                writeln!(out, "{line}").unwrap();
                at += 1;
            }
        }
    }
    out
}
