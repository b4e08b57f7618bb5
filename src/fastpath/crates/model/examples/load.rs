//! Loads a bootstrap and times each step: `cargo run --release --example load -- envoy.yaml`.

use std::time::Instant;

use model::compile::{CLUSTER, LISTENER};
use model::matching::Peer;
use model::resources::hcm::RouteSource;
use model::resources::route::{PathMatch, RouteConfig};
use model::store::Store;
use proto::h1::RequestHead;

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
    for (type_url, resources) in [
        (CLUSTER, &bootstrap.static_clusters),
        (LISTENER, &bootstrap.static_listeners),
    ] {
        let applied = store.apply(type_url, resources, &[], true);
        for (name, path, reason) in &applied.rejected {
            let _ = writeln!(out, "rejected {name}: {path}: {reason}");
        }
    }
    let _ = writeln!(out, "apply {:?}", started.elapsed());
    let snapshot = store.snapshot();
    let (clusters, listeners) = (snapshot.clusters.len(), snapshot.listeners.len());
    let _ = writeln!(out, "{clusters} clusters, {listeners} listeners");
    for listener in snapshot.listeners.values() {
        for hcm in listener.chains.hcms() {
            if let RouteSource::Inline(config) = &hcm.routes {
                match_cost(config, out);
            }
        }
    }
    0.into()
}

/// What finding the last route costs.
fn match_cost(config: &RouteConfig, out: &mut String) {
    use std::fmt::Write as _;
    const ROUNDS: u32 = 1_000_000;
    let Some(host) = config.hosts.find(b"example.com", false) else {
        return;
    };
    let last = host.routes.last().map(|route| &route.matcher.path);
    let Some(PathMatch::Prefix(prefix) | PathMatch::Exact(prefix)) = last else {
        return;
    };
    let mut head = RequestHead::new();
    if !head.set_method(b"GET") || !head.set_path(prefix) || !head.set_authority(b"Example.com") {
        return;
    }
    let started = Instant::now();
    let mut found = 0_usize;
    for random in 0..ROUNDS {
        let host = config.hosts.find(head.authority(), false);
        let route = host.and_then(|host| {
            host.route(std::hint::black_box(&head), Peer::default(), random.into())
        });
        found = found.saturating_add(usize::from(route.is_some()));
    }
    let each = started.elapsed().checked_div(ROUNDS).unwrap_or_default();
    let _ = writeln!(
        out,
        "{} routes: {each:?} a match ({found} found)",
        host.routes.len()
    );
}
