//! Warming, partial application, and what stays the same when little changes.

use std::sync::Arc;

use super::{Applied, Store};
use crate::compile::{CLUSTER, ENDPOINTS, LISTENER, ROUTES};
use crate::resources::cluster::Discovery;
use crate::testing::resource;

fn cluster(name: &str, rest: &str) -> (String, Vec<u8>) {
    (
        name.to_owned(),
        resource(CLUSTER, &format!("{{name: {name}, {rest}}}")),
    )
}

fn eds(name: &str) -> (String, Vec<u8>) {
    cluster(
        name,
        "type: EDS, eds_cluster_config: {eds_config: {path: /eds.yaml}}",
    )
}

fn assignment(name: &str, port: u16) -> (String, Vec<u8>) {
    let endpoint = format!(
        "{{endpoint: {{address: {{socket_address: {{address: 10.0.0.1, port_value: {port}}}}}}}}}"
    );
    let yaml = format!("{{cluster_name: {name}, endpoints: [{{lb_endpoints: [{endpoint}]}}]}}");
    (name.to_owned(), resource(ENDPOINTS, &yaml))
}

fn routes(name: &str, cluster: &str) -> (String, Vec<u8>) {
    let yaml = format!(
        "{{name: {name}, virtual_hosts: [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: {cluster}}}}}]}}]}}"
    );
    (name.to_owned(), resource(ROUTES, &yaml))
}

/// A listener; `source` is its route specifier.
fn listener(name: &str, port: u16, source: &str) -> (String, Vec<u8>) {
    let router = "{name: router, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";
    let hcm = format!(
        "{{'@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, {source}, http_filters: [{router}]}}"
    );
    let yaml = format!(
        "{{name: {name}, address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}, filter_chains: [{{filters: [{{name: hcm, typed_config: {hcm}}}]}}]}}"
    );
    (name.to_owned(), resource(LISTENER, &yaml))
}

fn rds(name: &str, port: u16, route: &str) -> (String, Vec<u8>) {
    let source = format!("rds: {{route_config_name: {route}, config_source: {{path: /rds.yaml}}}}");
    listener(name, port, &source)
}

fn inline(name: &str, port: u16, cluster: &str) -> (String, Vec<u8>) {
    let source = format!(
        "route_config: {{virtual_hosts: [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: {cluster}}}}}]}}]}}"
    );
    listener(name, port, &source)
}

fn apply(store: &mut Store, type_url: &str, updated: &[(String, Vec<u8>)]) -> Applied {
    store.apply(type_url, updated, &[], false)
}

fn hosts(store: &Store, cluster: &str) -> Option<usize> {
    match &store.snapshot().clusters.get(cluster)?.discovery {
        Discovery::Eds { endpoints, .. } => endpoints.as_ref().map(|e| e.hosts.len()),
        Discovery::Static(endpoints) => Some(endpoints.hosts.len()),
        Discovery::Dns(_) | Discovery::OriginalDst(_) => None,
    }
}

#[test]
fn eds_cluster_waits_for_its_assignment() {
    let mut store = Store::new();
    let applied = apply(&mut store, CLUSTER, &[eds("a")]);
    assert_eq!(applied.accepted, ["a"]);
    let wanted: Vec<_> = applied
        .wanted
        .iter()
        .map(|n| (n.type_url, &*n.name, n.source.to_string()))
        .collect();
    assert_eq!(wanted, [(ENDPOINTS, "a", "/eds.yaml".to_owned())]);
    assert!(store.snapshot().clusters.is_empty());
    assert_eq!(store.warming(), [(CLUSTER, "a".to_owned())]);

    apply(&mut store, ENDPOINTS, &[assignment("a", 1)]);
    assert_eq!(hosts(&store, "a"), Some(1));
    assert!(store.warming().is_empty());
}

#[test]
fn eds_cluster_goes_on_empty_when_its_time_is_up() {
    let mut store = Store::new();
    apply(&mut store, CLUSTER, &[eds("a")]);
    store.fetch_timed_out(ENDPOINTS, "other");
    assert!(store.snapshot().clusters.is_empty());
    store.fetch_timed_out(ENDPOINTS, "a");
    assert!(store.snapshot().clusters.contains_key("a"));
    assert_eq!(hosts(&store, "a"), None);
    apply(&mut store, ENDPOINTS, &[assignment("a", 1)]);
    assert_eq!(hosts(&store, "a"), Some(1));
}

#[test]
fn new_endpoints_make_only_their_cluster_new() {
    let mut store = Store::new();
    apply(
        &mut store,
        CLUSTER,
        &[eds("a"), eds("b"), cluster("s", "type: STATIC")],
    );
    apply(
        &mut store,
        ENDPOINTS,
        &[assignment("a", 1), assignment("b", 1)],
    );
    let before = store.snapshot();
    let applied = apply(
        &mut store,
        ENDPOINTS,
        &[assignment("a", 2), assignment("b", 1)],
    );
    assert_eq!(
        (applied.accepted, applied.unchanged),
        (vec!["a".into()], vec!["b".into()])
    );
    let after = store.snapshot();
    assert_eq!(after.generation, before.generation + 1);
    let same = |name: &str| Arc::ptr_eq(&before.clusters[name], &after.clusters[name]);
    assert!(!same("a") && same("b") && same("s"));
    assert_eq!(before.clusters["a"].hash, after.clusters["a"].hash);
}

#[test]
fn endpoints_alone_are_the_quick_way_and_come_to_the_same() {
    let mut store = Store::new();
    let clusters = [eds("a"), eds("b"), cluster("s", "type: STATIC")];
    let first = apply(&mut store, CLUSTER, &clusters);
    assert_eq!(first.only_endpoints, None);
    // The clusters wait: everything is looked at.
    let both = [assignment("a", 1), assignment("b", 1)];
    let applied = apply(&mut store, ENDPOINTS, &both);
    assert_eq!(applied.only_endpoints, None);
    assert_eq!(applied.revision, first.revision);

    let applied = apply(&mut store, ENDPOINTS, &[assignment("a", 2)]);
    assert_eq!(applied.only_endpoints, Some(vec!["a".into()]));
    let quick = store.snapshot();
    let served = store.cluster("a").unwrap();
    assert!(Arc::ptr_eq(served, &quick.clusters["a"]));
    // Looked at as a whole, nothing is different.
    store.settle();
    assert_eq!(store.snapshot().generation, quick.generation);
    let unchanged = apply(&mut store, ENDPOINTS, &[assignment("a", 2)]);
    assert_eq!(unchanged.only_endpoints, Some(vec![]));
    assert_eq!(store.snapshot().generation, quick.generation);

    // A new version of a cluster that waits for another assignment is no quick matter.
    let moved = "type: EDS, eds_cluster_config: {service_name: c, eds_config: {path: /eds.yaml}}";
    let applied = apply(&mut store, CLUSTER, &[cluster("a", moved)]);
    assert_eq!(applied.revision, first.revision + 1);
    let applied = apply(&mut store, ENDPOINTS, &[assignment("a", 3)]);
    assert_eq!(applied.only_endpoints, None);
    assert_eq!(hosts(&store, "a"), Some(1));
    assert_eq!(store.warming(), [(CLUSTER, "a".to_owned())]);
    apply(&mut store, ENDPOINTS, &[assignment("c", 4)]);
    assert!(store.warming().is_empty());
}

#[test]
fn same_bytes_change_nothing() {
    let mut store = Store::new();
    let clusters = [cluster("s", "type: STATIC")];
    apply(&mut store, CLUSTER, &clusters);
    apply(&mut store, LISTENER, &[inline("l", 1, "s")]);
    let before = store.snapshot();
    assert_eq!(apply(&mut store, CLUSTER, &clusters).unchanged, ["s"]);
    assert_eq!(
        apply(&mut store, LISTENER, &[inline("l", 1, "s")]).unchanged,
        ["l"]
    );
    assert_eq!(store.snapshot().generation, before.generation);
}

#[test]
fn listener_waits_for_its_routes_and_the_old_one_serves() {
    let mut store = Store::new();
    apply(&mut store, CLUSTER, &[cluster("s", "type: STATIC")]);
    apply(&mut store, LISTENER, &[inline("l", 1, "s")]);
    let first = store.snapshot().listeners["l"].clone();
    let applied = apply(&mut store, LISTENER, &[rds("l", 1, "r")]);
    assert_eq!(applied.wanted.len(), 1);
    assert!(Arc::ptr_eq(&store.snapshot().listeners["l"], &first));
    assert_eq!(store.warming(), [(LISTENER, "l".to_owned())]);
    apply(&mut store, ROUTES, &[routes("r", "s")]);
    assert!(!Arc::ptr_eq(&store.snapshot().listeners["l"], &first));
    assert!(store.snapshot().routes.contains_key("r"));

    // A new route configuration leaves the listener alone.
    let second = store.snapshot().listeners["l"].clone();
    apply(&mut store, ROUTES, &[routes("r", "unknown")]);
    assert!(Arc::ptr_eq(&store.snapshot().listeners["l"], &second));
}

#[test]
fn listener_goes_on_without_routes_when_their_time_is_up() {
    let mut store = Store::new();
    apply(&mut store, LISTENER, &[rds("l", 1, "r")]);
    assert!(store.snapshot().listeners.is_empty());
    store.fetch_timed_out(ROUTES, "r");
    assert!(store.snapshot().listeners.contains_key("l"));
    assert!(store.snapshot().routes.is_empty());
}

#[test]
fn routes_wait_for_clusters_that_are_on_their_way() {
    let mut store = Store::new();
    apply(&mut store, CLUSTER, &[cluster("s", "type: STATIC")]);
    apply(&mut store, LISTENER, &[rds("l", 1, "r")]);
    apply(&mut store, ROUTES, &[routes("r", "s")]);
    let before = store.snapshot().routes["r"].clone();
    apply(&mut store, CLUSTER, &[eds("e")]);
    apply(&mut store, ROUTES, &[routes("r", "e")]);
    assert!(Arc::ptr_eq(&store.snapshot().routes["r"], &before));
    apply(&mut store, ENDPOINTS, &[assignment("e", 1)]);
    assert!(!Arc::ptr_eq(&store.snapshot().routes["r"], &before));
}

#[test]
fn bad_resources_leave_the_good_ones_and_their_old_selves() {
    let mut store = Store::new();
    apply(
        &mut store,
        CLUSTER,
        &[cluster("a", "type: STATIC"), cluster("b", "type: STATIC")],
    );
    let before = store.snapshot();
    let bad = cluster("a", "type: STATIC, lb_policy: CLUSTER_PROVIDED");
    let applied = apply(
        &mut store,
        CLUSTER,
        &[bad, cluster("b", "connect_timeout: 1s")],
    );
    assert_eq!(applied.accepted, ["b"]);
    assert_eq!(
        applied.rejected,
        [(
            "a".into(),
            "lb_policy".into(),
            "cluster manager: cluster provided LB specified but cluster 'a' did not provide one. Check cluster documentation.".into()
        )]
    );
    let after = store.snapshot();
    assert!(Arc::ptr_eq(&before.clusters["a"], &after.clusters["a"]));
    assert!(!Arc::ptr_eq(&before.clusters["b"], &after.clusters["b"]));

    let twice = [
        cluster("c", "type: STATIC"),
        cluster("c", "connect_timeout: 1s"),
    ];
    let applied = apply(&mut store, CLUSTER, &twice);
    assert_eq!(applied.accepted, ["c"]);
    assert_eq!(applied.rejected[0].2, "duplicate cluster c found");
}

#[test]
fn wire_garbage_and_unknown_fields_are_refused() {
    let mut store = Store::new();
    let garbage = [("a".to_owned(), b"\x0a\xff".to_vec())];
    assert_eq!(apply(&mut store, CLUSTER, &garbage).rejected.len(), 1);
    let (name, mut bytes) = cluster("a", "type: STATIC");
    // Field 1000, a varint.
    bytes.extend_from_slice(&[0xc0, 0x3e, 0x01]);
    let applied = apply(&mut store, CLUSTER, &[(name, bytes)]);
    assert_eq!(
        applied.rejected[0].2,
        "field number 1000 of envoy.config.cluster.v3.Cluster is unknown"
    );
}

#[test]
fn static_resources_stay() {
    let mut store = Store::new();
    store.apply(CLUSTER, &[cluster("a", "type: STATIC")], &[], true);
    let before = store.snapshot();
    let applied = store.apply(
        CLUSTER,
        &[cluster("a", "connect_timeout: 9s")],
        &["a".into()],
        false,
    );
    assert_eq!(
        (applied.unchanged, applied.removed.len()),
        (vec!["a".into()], 0)
    );
    assert!(Arc::ptr_eq(
        &before.clusters["a"],
        &store.snapshot().clusters["a"]
    ));
}

#[test]
fn removal_forgets_what_only_the_removed_wanted() {
    let mut store = Store::new();
    apply(&mut store, CLUSTER, &[eds("a")]);
    apply(&mut store, ENDPOINTS, &[assignment("a", 1)]);
    let applied = store.apply(CLUSTER, &[], &["a".into()], false);
    assert_eq!(applied.removed, ["a"]);
    assert!(applied.wanted.is_empty() && store.snapshot().clusters.is_empty());
    // Old endpoints do not serve a new cluster of that name.
    apply(&mut store, CLUSTER, &[eds("a")]);
    assert!(store.snapshot().clusters.is_empty());
}

#[test]
fn listeners_need_their_own_addresses_and_known_clusters() {
    let mut store = Store::new();
    apply(&mut store, CLUSTER, &[cluster("s", "type: STATIC")]);
    let applied = apply(&mut store, LISTENER, &[inline("l", 1, "nope")]);
    assert_eq!(applied.rejected[0].2, "route: unknown cluster 'nope'");
    apply(&mut store, LISTENER, &[inline("l", 1, "s")]);
    let applied = apply(&mut store, LISTENER, &[inline("m", 1, "s")]);
    assert!(
        applied.rejected[0]
            .2
            .contains("duplicate address '127.0.0.1:1'")
    );
    // Removals come first: the address is free again.
    let applied = store.apply(LISTENER, &[inline("m", 1, "s")], &["l".into()], false);
    assert_eq!(
        (applied.accepted, applied.removed),
        (vec!["m".into()], vec!["l".into()])
    );
}

/// A listener of TCP proxies; `chains` are (name, rest of the match, cluster).
fn tcp(name: &str, more: &str, chains: &[(&str, &str, &str)]) -> (String, Vec<u8>) {
    let chain = |(name, criteria, cluster): &(&str, &str, &str)| {
        let proxy = format!(
            "{{'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: s, cluster: {cluster}}}"
        );
        format!(
            "{{name: {name}, filter_chain_match: {criteria}, filters: [{{name: tcp, typed_config: {proxy}}}]}}"
        )
    };
    let chains: Vec<String> = chains.iter().map(chain).collect();
    let yaml = format!(
        "{{name: {name}, address: {{socket_address: {{address: 127.0.0.1, port_value: 7}}}}, {more} filter_chains: [{}]}}",
        chains.join(", ")
    );
    (name.to_owned(), resource(LISTENER, &yaml))
}

#[test]
fn a_chain_that_did_not_change_is_known_by_its_hash() {
    let mut store = Store::new();
    let mut apply = |more: &str, chains: &[(&str, &str, &str)]| {
        let applied = store.apply(LISTENER, &[tcp("l", more, chains)], &[], false);
        assert_eq!(applied.accepted, ["l"]);
        let listener = Arc::clone(store.snapshot().listeners.get("l").unwrap());
        let hashes: Vec<u64> = listener.chains.list.iter().map(|c| c.hash).collect();
        (listener.frame_hash, hashes)
    };
    let port = "{destination_port: 1}";
    let (frame, chains) = apply("", &[("a", "{}", "c"), ("b", port, "c")]);
    // One chain changes, one comes, their order changes: the other one is the same.
    let (same_frame, others) = apply(
        "",
        &[
            ("x", "{destination_port: 2}", "c"),
            ("b", port, "d"),
            ("a", "{}", "c"),
        ],
    );
    assert_eq!(frame, same_frame);
    assert_eq!(others.last(), chains.first());
    assert!(others.iter().take(2).all(|hash| !chains.contains(hash)));
    // The frame changes.
    let (other_frame, same_chains) = apply(
        "tcp_backlog_size: 7,",
        &[("a", "{}", "c"), ("b", port, "c")],
    );
    assert_ne!(frame, other_frame);
    assert_eq!(chains, same_chains);
    // Who chooses is no part of the frame.
    let (same_frame, _) = apply(
        "filter_chain_matcher: {},",
        &[("a", "{}", "c"), ("b", port, "c")],
    );
    assert_eq!(frame, same_frame);
}

#[test]
fn tcp_proxies_wait_for_clusters_that_are_warming() {
    let mut store = Store::new();
    store.apply(CLUSTER, &[eds("c")], &[], false);
    let listener = tcp("l", "", &[("a", "{}", "c")]);
    let unknown = tcp("m", "use_original_dst: false,", &[("a", "{}", "not_there")]);
    store.apply(LISTENER, &[listener], &[], false);
    assert_eq!(
        store.warming(),
        [(CLUSTER, "c".to_owned()), (LISTENER, "l".to_owned())]
    );
    store.apply(ENDPOINTS, &[assignment("c", 1)], &[], false);
    assert_eq!(store.warming(), []);
    // On the address of `l`.
    let applied = store.apply(LISTENER, &[unknown], &["l".to_owned()], false);
    assert_eq!(
        (applied.removed, applied.accepted),
        (vec!["l".to_owned()], vec!["m".to_owned()])
    );
    assert_eq!(store.warming(), []);
}

#[test]
fn a_cluster_is_required_if_one_of_many_says_so() {
    let router = "{name: router, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";
    let routes = "route_config: {virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: c}}]}]}";
    let yaml = format!(
        "{{name: l, address: {{socket_address: {{address: 127.0.0.1, port_value: 7}}}}, filter_chains: [{{filters: [{{name: tcp, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: s, cluster: c}}}}]}}], default_filter_chain: {{filters: [{{name: hcm, typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, {routes}, http_filters: [{router}]}}}}]}}}}"
    );
    let mut store = Store::new();
    let listener = ("l".to_owned(), resource(LISTENER, &yaml));
    let applied = store.apply(LISTENER, &[listener], &[], false);
    let (_, path, reason) = applied.rejected.first().unwrap();
    assert_eq!(reason, "route: unknown cluster 'c'");
    assert!(
        path.starts_with("default_filter_chain.filters[0]"),
        "{path}"
    );
}

#[test]
fn additional_addresses_are_taken_too() {
    let mut store = Store::new();
    let more =
        "additional_addresses: [{address: {socket_address: {address: 127.0.0.1, port_value: 8}}}],";
    store.apply(LISTENER, &[tcp("l", more, &[("a", "{}", "c")])], &[], false);
    let applied = store.apply(LISTENER, &[inline("m", 8, "c")], &[], false);
    let (_, _, reason) = applied.rejected.first().unwrap();
    assert!(
        reason.contains("duplicate address '127.0.0.1:8'"),
        "{reason}"
    );
}
