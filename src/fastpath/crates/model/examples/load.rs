//! Loads a bootstrap and times each step: `cargo run --release --example load -- envoy.yaml`.

use std::time::Instant;

use model::compile::{CLUSTER, LISTENER};
use model::store::Store;

fn main() -> std::process::ExitCode {
    let path = std::env::args().nth(1).unwrap_or_default();
    let text = std::fs::read(&path).unwrap_or_default();
    let mut out = String::new();
    let code = run(&path, &text, &mut out);
    let _ = std::io::Write::write_all(&mut std::io::stdout(), out.as_bytes());
    code
}

fn run(path: &str, text: &[u8], out: &mut String) -> std::process::ExitCode {
    use std::fmt::Write as _;
    let started = Instant::now();
    drop(model::schema::get());
    let _ = writeln!(out, "descriptors {:?}", started.elapsed());
    let started = Instant::now();
    let document = model::text::Document::parse(text, path);
    let _ = writeln!(out, "parse {:?}", started.elapsed());
    let schema = model::schema::get();
    let descriptor = schema.message_of_url(model::compile::BOOTSTRAP);
    if let (Ok(document), Some(descriptor)) = (document, descriptor) {
        let started = Instant::now();
        let message = document.message(&schema, &descriptor);
        let _ = writeln!(out, "convert {:?}", started.elapsed());
        drop(message);
    }
    let started = Instant::now();
    let bootstrap = match model::bootstrap::load(text, path) {
        Ok(bootstrap) => bootstrap,
        Err(problems) => {
            for problem in problems {
                let _ = writeln!(out, "{problem}");
            }
            return 1.into();
        }
    };
    let _ = writeln!(out, "load {:?}", started.elapsed());
    let started = Instant::now();
    let mut store = Store::new();
    for (type_url, resources) in
        [(CLUSTER, &bootstrap.static_clusters), (LISTENER, &bootstrap.static_listeners)]
    {
        let applied = store.apply(type_url, resources, &[], true);
        for (name, path, reason) in &applied.rejected {
            let _ = writeln!(out, "rejected {name}: {path}: {reason}");
        }
    }
    let _ = writeln!(out, "apply {:?}", started.elapsed());
    let snapshot = store.snapshot();
    let (clusters, listeners) = (snapshot.clusters.len(), snapshot.listeners.len());
    let _ = writeln!(out, "{clusters} clusters, {listeners} listeners");
    0.into()
}
