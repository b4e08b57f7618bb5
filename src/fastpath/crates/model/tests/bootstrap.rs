//! Bootstraps: merged, from JSON, and back to JSON; responses from files; any input is answered.

use std::time::Duration;

use model::compile::{BOOTSTRAP, CLUSTER, LISTENER};
use model::text::UnknownFields;
use model::{bootstrap, discovery, json};
use proptest::prelude::*;

const BASE: &[u8] = b"
node: {id: base, cluster: mesh}
static_resources:
  clusters:
  - name: one
    type: STATIC
";

#[test]
fn merge_replaces_fields_and_grows_lists() {
    let base = bootstrap::load(BASE, "base.yaml").unwrap();
    assert_eq!(base.stats_flush_interval, Duration::from_secs(5));
    let over = b"{node: {id: over}, stats_flush_interval: 1s, static_resources: {clusters: [{name: two}]}}";
    let merged = bootstrap::merge(&base, over, "--config-yaml").unwrap();
    assert_eq!((&*merged.node_id, &*merged.node_cluster), ("over", "mesh"));
    assert_eq!(merged.stats_flush_interval, Duration::from_secs(1));
    let names: Vec<_> = merged
        .static_clusters
        .iter()
        .map(|(name, _)| &**name)
        .collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn problems_of_a_merge_are_where_they_were_written() {
    let base = bootstrap::load(BASE, "base.yaml").unwrap();
    let shown = |over: &str| {
        let problems = bootstrap::merge(&base, over.as_bytes(), "over").unwrap_err();
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let unsupported =
        "static_resources:\n  clusters:\n  - name: two\n    lb_policy: CLUSTER_PROVIDED\n";
    assert_eq!(
        shown(unsupported),
        [
            "over:4:5: static_resources.clusters[1].lb_policy: cluster manager: cluster provided LB specified but cluster 'two' did not provide one. Check cluster documentation."
        ]
    );
    let duplicate = "static_resources: {clusters: [{name: one}]}";
    assert_eq!(
        shown(duplicate),
        ["over:1:32: static_resources.clusters[1].name: cluster manager: duplicate cluster 'one'"]
    );
}

#[test]
fn json_is_read_and_written() {
    let text = br#"{"admin": {"address": {"socketAddress": {"address": "127.0.0.1", "portValue": 9901}}},
        "static_resources": {"clusters": [{"name": "a\u00e9\/", "connect_timeout": "0.250s",
        "metadata": {"filter_metadata": {"b": {"x": [1, null, true, "s"]}, "a": {}}},
        "per_connection_buffer_limit_bytes": 1024,
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
          {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
           "explicit_http_config": {"http_protocol_options": {}}}}}]}}"#;
    let bootstrap = bootstrap::load(text, "b.json").unwrap();
    assert_eq!(bootstrap.admin_address.unwrap().port(), 9901);
    let written = json::to_json(BOOTSTRAP, &bootstrap.body).unwrap();
    let again = bootstrap::load(written.as_bytes(), "again.json").unwrap();
    assert_eq!(again.body, bootstrap.body);
    let cluster = json::to_json(CLUSTER, &bootstrap.static_clusters[0].1).unwrap();
    let value: serde_json::Value = serde_json::from_str(&cluster).unwrap();
    assert_eq!(value["connect_timeout"], "0.250s");
    assert_eq!(
        value["metadata"]["filter_metadata"]["b"]["x"][1],
        serde_json::Value::Null
    );
    assert_eq!(value["per_connection_buffer_limit_bytes"], 1024);
}

#[test]
fn secrets_are_not_shown() {
    let secret = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.TlsCertificate";
    // TlsCertificate.private_key = 2: DataSource.inline_string = 3; certificate_chain = 1.
    let bytes = b"\x0a\x05\x1a\x03pub\x12\x08\x1a\x06secret";
    let text = json::to_json(secret, bytes).unwrap();
    assert!(
        text.contains("pub") && text.contains("[redacted]") && !text.contains("secret"),
        "{text}"
    );
}

#[test]
fn responses_from_files() {
    let yaml = b"version_info: '7'\nresources:\n- '@type': type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: a\n";
    let response = discovery::load(yaml, "cds.yaml", CLUSTER).unwrap();
    assert_eq!(response.version_info, "7");
    assert_eq!(response.resources[0].0, "a");

    let wrong = discovery::load(yaml, "lds.yaml", LISTENER).unwrap_err();
    assert!(
        wrong[0]
            .to_string()
            .starts_with("lds.yaml:3:3: resources[0]: expected"),
        "{}",
        wrong[0]
    );

    // version_info = 1; resources = 2: Any{type_url = 1, value = 2: Cluster{name = 1}}.
    let mut any = vec![0x0a, u8::try_from(CLUSTER.len()).unwrap()];
    any.extend_from_slice(CLUSTER.as_bytes());
    any.extend_from_slice(b"\x12\x03\x0a\x01b");
    let mut bytes = b"\x0a\x018\x12".to_vec();
    bytes.push(u8::try_from(any.len()).unwrap());
    bytes.extend_from_slice(&any);
    let response = discovery::load(&bytes, "cds.pb", CLUSTER).unwrap();
    assert_eq!(
        (&*response.version_info, &*response.resources[0].0),
        ("8", "b")
    );
    assert!(discovery::load(b"\xff\xff", "cds.pb", CLUSTER).is_err());
}

#[test]
fn a_bad_resource_of_a_file_leaves_the_others() {
    let head = "version_info: '7'\nresources:\n";
    let entry = |rest: &str| format!("- '@type': {CLUSTER}\n  {rest}\n");
    let load = |entries: &str| {
        let text = format!("{head}{entries}");
        discovery::load(text.as_bytes(), "cds.yaml", CLUSTER)
    };
    let one = |name: &str, path: &str, reason: &str| (name.into(), path.into(), reason.into());

    let tls = "transport_socket: {name: t, typed_config: {'@type': a/b.C}}";
    let bad = [
        entry("name: a"),
        entry("name: b\n  bogus: 1\n  connect_timeout: x"),
        entry("name: c"),
        entry(&format!("name: d\n  {tls}")),
    ];
    let response = load(&bad.concat()).unwrap();
    assert_eq!(response.version_info, "7");
    let names: Vec<&str> = response.resources.iter().map(|(n, _)| &**n).collect();
    assert_eq!(names, ["a", "c"]);
    let refused: Vec<(&str, &str)> = response
        .rejected
        .iter()
        .map(|(name, path, _)| (&**name, &**path))
        .collect();
    assert_eq!(
        refused,
        [
            ("b", "bogus"),
            ("b", "connect_timeout"),
            ("d", "transport_socket.typed_config"),
        ]
    );
    for ((_, _, reason), place) in response.rejected.iter().zip(["7:3", "8:20", "13:"]) {
        assert!(reason.starts_with(&format!("cds.yaml:{place}")), "{reason}");
    }

    // A hundred problems of one do not hide that its sibling is bad too.
    let many: String = (0..200).map(|n| format!("\n  f{n}: 1")).collect();
    let response = load(&[entry(&format!("name: a{many}")), entry("name: b\n  c: 1")].concat());
    let response = response.unwrap();
    assert_eq!(response.rejected.len(), 101);
    assert_eq!(response.rejected[100].0, "b");

    // In a wrapper the name is the inner one and the path starts there.
    let wrapper = "type.googleapis.com/envoy.service.discovery.v3.Resource";
    let wrapped = format!(
        "- '@type': {wrapper}\n  name: x\n  resource: {{'@type': {CLUSTER}, name: b, bogus: 1}}\n"
    );
    let response = load(&wrapped).unwrap();
    let (name, path, _) = &response.rejected[0];
    assert_eq!((&**name, &**path), ("b", "bogus"));

    // The load assignment's name is `cluster_name`, in either spelling.
    let endpoints = model::compile::ENDPOINTS;
    let text = format!("{head}- '@type': {endpoints}\n  clusterName: e\n  bogus: 1\n");
    let response = discovery::load(text.as_bytes(), "eds.yaml", endpoints).unwrap();
    assert_eq!(
        response.rejected,
        [one(
            "e",
            "bogus",
            "eds.yaml:5:3: no such field in envoy.config.endpoint.v3.ClusterLoadAssignment"
        )]
    );

    // Where it cannot be told what is bad, all of it is.
    let good = entry("name: a");
    for hopeless in [
        "bogus: 1\n".to_owned(),
        "- 5\n".to_owned(),
        "-\n".to_owned(),
        "- name: a\n".to_owned(),
        entry("bogus: 1"),
        entry("name: [a]"),
        "- '@type': type.googleapis.com/bogus.Type\n  name: a\n".to_owned(),
        format!("- '@type': {LISTENER}\n  name: a\n  bogus: 1\n"),
        format!("- '@type': {LISTENER}\n  name: a\n"),
    ] {
        let problems = load(&format!("{good}{hopeless}")).unwrap_err();
        assert!(problems[0].line >= 5, "{hopeless}: {}", problems[0]);
    }
}

#[test]
fn bombs_are_refused() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    for (text, reason) in [
        (laughs, "aliases add more than"),
        ("[".repeat(10_000), "recursion limit exceeded"),
        (
            format!("a: {}1", "{a: ".repeat(200)),
            "nested more than 100 deep",
        ),
    ] {
        let problems = bootstrap::load(text.as_bytes(), "bomb").unwrap_err();
        assert!(problems[0].reason.contains(reason), "{}", problems[0]);
    }
    let many: String = (0..10_000).map(|n| format!("f{n}: 1\n")).collect();
    assert_eq!(
        bootstrap::load(many.as_bytes(), "many").unwrap_err().len(),
        100
    );
}

/// Lines that a bootstrap is made of, so that random texts get past the first check.
fn line() -> impl Strategy<Value = String> {
    let words = [
        "static_resources:",
        "  clusters:",
        "  - name: a",
        "    type: EDS",
        "    type: STATIC",
        "    connect_timeout: 1s",
        "    load_assignment: {cluster_name: a}",
        "node: {id: x}",
        "    metadata: {filter_metadata: {a: [1, {}]}}",
        "- *x",
        "a: &x [1]",
        "  listeners: [{}]",
        "    typed_extension_protocol_options: {a: {'@type': b/c}}",
        "---",
        "...",
        "? {a: b}: c",
        "\t",
        "admin:",
        "  address: {socket_address: {address: '::', port_value: 1}}",
        "!!str 1: 2",
    ];
    prop_oneof![
        4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{0,20}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_answered(lines in prop::collection::vec(line(), 0..12)) {
        let text = lines.join("\n");
        if let Err(problems) = bootstrap::load(text.as_bytes(), "f") {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for type_url in [LISTENER, CLUSTER, model::compile::ROUTES, model::compile::ENDPOINTS] {
            let mut store = model::store::Store::new();
            let _ = store.apply(type_url, &[("a".to_owned(), bytes.clone())], &[], false);
            let _ = json::to_json(type_url, &bytes);
        }
        let _ = bootstrap::load(&bytes, "f");
        let _ = discovery::load(&bytes, "f.pb", CLUSTER);
    }
}

#[test]
fn json_with_tabs_and_its_own_escapes() {
    let text = "{\n\t\"node\": {\n\t\t\"id\": \"\\u00e9\\/\",\n\t\t\"cluster\":\"b\"}}\n";
    let bootstrap =
        bootstrap::load(text.as_bytes(), "b.json").unwrap_or_else(|p| panic!("{}", p[0]));
    assert_eq!(bootstrap.node_id, "\u{e9}/");
}

/// `--allow-unknown-static-fields`, `--ignore-unknown-dynamic-fields`: what the API does not have
/// is left out, what we do not have is refused as ever.
#[test]
fn unknown_fields_may_be_ignored() {
    let text = "\
node: {id: me, cluster: c, colour: red}
new_thing: {deep: [1, {a: null}]}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9}}}
static_resources:
  clusters:
  - name: a
    type: STATIC
    later: 1
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {shine: true}}
";
    let refused = bootstrap::load(text.as_bytes(), "b").unwrap_err();
    assert_eq!(refused.len(), 4, "{refused:?}");
    let ignored = UnknownFields::Ignored;
    let loaded = bootstrap::load_with(text.as_bytes(), "b", ignored).unwrap();
    let said: Vec<String> = loaded.ignored.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(
        said[0].starts_with("b:1:") && said[0].contains("node.colour"),
        "{said:?}"
    );
    assert!(said[3].contains("http2_protocol_options.shine"), "{said:?}");
    let without = text.replace(", colour: red", "");
    let without = without.replace("new_thing: {deep: [1, {a: null}]}\n", "");
    let without = without
        .replace("    later: 1\n", "")
        .replace("shine: true", "");
    let clean = bootstrap::load(without.as_bytes(), "b").unwrap();
    assert_eq!(loaded.body, clean.body);
    let over = bootstrap::merge_with(&loaded, b"node: {shape: round}", "over", ignored).unwrap();
    assert_eq!(over.ignored.len(), 5);
    assert_eq!(over.node_id, "me");
    // Not a field that Envoy has.
    let not_ours = text.replace("later: 1", "eds_cluster_config: {service_name: {}}");
    assert!(bootstrap::load_with(not_ours.as_bytes(), "b", ignored).is_err());

    let cds = format!("resources: [{{\"@type\": \"{CLUSTER}\", name: a, type: STATIC, later: 1}}]");
    let strict = discovery::load(cds.as_bytes(), "cds.yaml", CLUSTER).unwrap();
    assert_eq!((strict.resources.len(), strict.rejected.len()), (0, 1));
    let loose = discovery::load_with(cds.as_bytes(), "cds.yaml", CLUSTER, ignored).unwrap();
    assert_eq!((loose.resources.len(), loose.rejected.len()), (1, 0));
}
