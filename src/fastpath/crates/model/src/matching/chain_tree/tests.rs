//! Every expectation is Envoy 1.40's (tests/differential/test_chain_matcher.py), but for
//! `keep_matching`, which ends it with a segmentation fault.

use std::net::SocketAddr;

use super::Facts;
use crate::compile::{self, LISTENER};
use crate::resources::listener::{FilterChains, Listener};
use crate::testing::resource;

const CHAIN: &str = "filters: [{name: tcp, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: s, cluster: c}}]";

/// Chains a, b, c and a default one, chosen by a matcher.
fn listener(matcher: &str) -> Listener {
    let chain = |name: &str| format!("{{name: {name}, {CHAIN}}}");
    let chains: Vec<String> = ["a", "b", "c"].map(chain).into();
    let yaml = format!(
        "{{name: l, address: {{socket_address: {{address: 127.0.0.1, port_value: 1}}}}, filter_chains: [{}], default_filter_chain: {}, filter_chain_matcher: {matcher}}}",
        chains.join(", "),
        chain("default"),
    );
    compile::listener(&resource(LISTENER, &yaml))
        .unwrap()
        .resource
}

fn to(chain: &str) -> String {
    format!(
        "{{action: {{name: chain, typed_config: {{'@type': type.googleapis.com/google.protobuf.StringValue, value: {chain}}}}}}}"
    )
}

fn input(name: &str) -> String {
    format!(
        "{{name: {name}, typed_config: {{'@type': type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.{name}Input}}}}"
    )
}

fn map(kind: &str, name: &str, entries: &[(&str, String)]) -> String {
    let entry = |(key, value): &(&str, String)| format!("\"{key}\": {value}");
    let entries: Vec<String> = entries.iter().map(entry).collect();
    format!(
        "{{matcher_tree: {{input: {}, {kind}: {{map: {{{}}}}}}}}}",
        input(name),
        entries.join(", ")
    )
}

fn custom(name: &str, kind: &str, rest: &str) -> String {
    format!(
        "{{matcher_tree: {{input: {}, custom_match: {{name: custom, typed_config: {{'@type': type.googleapis.com/xds.type.matcher.v3.{kind}, {rest}}}}}}}}}",
        input(name)
    )
}

/// To a chain, if the client's port is 7.
fn if_port_7(chain: &str) -> String {
    let tree = map("exact_match_map", "SourcePort", &[("7", to(chain))]);
    format!("{{matcher: {tree}}}")
}

#[derive(Clone, Copy)]
struct Client {
    source: &'static str,
    to: &'static str,
    sni: &'static str,
    alpn: &'static [&'static str],
}

const CLIENT: Client = Client {
    source: "192.168.1.1:4000",
    to: "10.0.0.1:80",
    sni: "",
    alpn: &[],
};

/// The name of the chain, or nothing for a connection that is closed.
fn chosen(chains: &FilterChains, client: Client) -> String {
    let alpn: Vec<Box<[u8]>> = client.alpn.iter().map(|a| a.as_bytes().into()).collect();
    let source: SocketAddr = client.source.parse().unwrap();
    let tls = !client.sni.is_empty() || !alpn.is_empty();
    let facts = Facts {
        destination: Some(client.to.parse().unwrap()),
        source: Some(source),
        direct_source: Some(source.ip()),
        server_name: client.sni.as_bytes(),
        transport_protocol: if tls { b"tls" } else { b"raw_buffer" },
        application_protocols: &alpn,
    };
    let place = chains.position(&facts);
    let chain = place.and_then(|place| chains.iter().nth(place));
    chain
        .map(|chain| chain.name.to_string())
        .unwrap_or_default()
}

fn check(matcher: &str, cases: &[(Client, &str)]) {
    let listener = listener(matcher);
    assert!(listener.chains.only().is_none());
    for (n, (client, chain)) in cases.iter().enumerate() {
        assert_eq!(chosen(&listener.chains, *client), *chain, "{matcher} {n}");
    }
}

#[test]
fn texts() {
    let port = [("80", to("a")), ("443", to("not_there"))];
    let with_port = |to| Client { to, ..CLIENT };
    check(
        &map("exact_match_map", "DestinationPort", &port),
        &[
            (CLIENT, "a"),
            (with_port("1.1.1.1:443"), ""),
            (with_port("1.1.1.1:81"), "default"),
        ],
    );
    let protocols = [("'h2','http/1.1'", to("a")), ("'h2'", to("b"))];
    let with_alpn = |alpn| Client { alpn, ..CLIENT };
    check(
        &map("exact_match_map", "ApplicationProtocol", &protocols),
        &[
            (with_alpn(&["h2", "http/1.1"]), "a"),
            (with_alpn(&["h2"]), "b"),
            (with_alpn(&["http/1.1", "h2"]), "default"),
            (CLIENT, "default"),
        ],
    );
    let transport = [("tls", to("a")), ("raw_buffer", to("b"))];
    check(
        &map("exact_match_map", "TransportProtocol", &transport),
        &[(with_alpn(&["x"]), "a"), (CLIENT, "b")],
    );
    let from = |source| Client { source, ..CLIENT };
    check(
        &map("exact_match_map", "SourceType", &[("local", to("a"))]),
        &[
            (from("127.0.0.1:1"), "a"),
            (from("10.0.0.1:1"), "a"),
            (from("10.0.0.2:1"), "default"),
        ],
    );
}

#[test]
fn the_longest_prefix_that_leads_somewhere() {
    let kept = to("c").replacen('{', "{keep_matching: true, ", 1);
    let prefixes = [
        ("10.", to("a")),
        ("10.1", if_port_7("b")),
        ("10.1.1.", kept),
    ];
    let from = |source| Client { source, ..CLIENT };
    check(
        &map("prefix_match_map", "SourceIP", &prefixes),
        &[
            (from("10.2.0.1:1"), "a"),
            (from("10.1.0.1:7"), "b"),
            (from("10.1.0.1:8"), "a"),
            (from("10.1.1.1:7"), "b"),
            (from("1.1.1.1:7"), "default"),
        ],
    );
}

#[test]
fn ranges() {
    let ranges = format!(
        "range_matchers: [{{ranges: [{{address_prefix: 0.0.0.0}}], exclusive: true, on_match: {}}}, {{ranges: [{{address_prefix: 10.0.0.0, prefix_len: 8}}], on_match: {}}}, {{ranges: [{{address_prefix: 10.9.9.9, prefix_len: 16}}, {{address_prefix: 192.0.0.0, prefix_len: 8}}], on_match: {}}}, {{ranges: [{{address_prefix: 'fe80::', prefix_len: 16}}], on_match: {}}}]",
        to("c"),
        to("a"),
        if_port_7("b"),
        to("b"),
    );
    let client = |to, source| Client {
        to,
        source,
        ..CLIENT
    };
    check(
        &custom("DestinationIP", "IPMatcher", &ranges),
        &[
            (client("10.1.1.1:1", "1.1.1.1:8"), "a"),
            (client("10.9.1.1:1", "1.1.1.1:7"), "b"),
            (client("10.9.1.1:1", "1.1.1.1:8"), "a"),
            (client("192.1.1.1:1", "1.1.1.1:7"), "b"),
            (client("192.1.1.1:1", "1.1.1.1:8"), "default"),
            (client("8.8.8.8:1", "1.1.1.1:8"), "c"),
            (client("[fe80::1]:1", "[fe80::2]:1"), "b"),
            (client("[2001:db8::1]:1", "[fe80::2]:1"), "default"),
        ],
    );
    // A server name may be an address.
    let named = Client {
        sni: "10.1.1.1",
        ..CLIENT
    };
    check(
        &custom("ServerName", "IPMatcher", &ranges),
        &[(named, "a"), (CLIENT, "default")],
    );
}

#[test]
fn domains() {
    let domains = format!(
        "domain_matchers: [{{domains: ['*.com', Upper.org], on_match: {}}}, {{domains: [a.b.com, '*.b.com'], on_match: {}}}, {{domains: ['*'], on_match: {}}}]",
        to("a"),
        if_port_7("b"),
        to("c"),
    );
    let named = |sni, source| Client {
        sni,
        source,
        ..CLIENT
    };
    check(
        &custom("ServerName", "ServerNameMatcher", &domains),
        &[
            (named("x.com", "1.1.1.1:8"), "a"),
            (named("com", "1.1.1.1:8"), "c"),
            (named("a.b.com", "1.1.1.1:7"), "b"),
            (named("a.b.com", "1.1.1.1:8"), "a"),
            (named("x.a.b.com", "1.1.1.1:7"), "b"),
            (named("b.com", "1.1.1.1:7"), "a"),
            (named("upper.org", "1.1.1.1:7"), "c"),
            (CLIENT, "default"),
        ],
    );
}

#[test]
fn lists() {
    let single = |name: &str, value: &str| {
        format!(
            "{{single_predicate: {{input: {}, value_match: {value}}}}}",
            input(name)
        )
    };
    let address = format!(
        "{{single_predicate: {{input: {}, custom_match: {{name: ip, typed_config: {{'@type': type.googleapis.com/envoy.extensions.matching.input_matchers.ip.v3.Ip, stat_prefix: ip, cidr_ranges: [{{address_prefix: 127.0.0.2, prefix_len: 32}}]}}}}}}}}",
        input("DirectSourceIP")
    );
    let list = format!(
        "{{matcher_list: {{matchers: [{{predicate: {}, on_match: {}}}, {{predicate: {{and_matcher: {{predicate: [{}, {{not_matcher: {}}}]}}}}, on_match: {}}}, {{predicate: {{or_matcher: {{predicate: [{}, {address}]}}}}, on_match: {}}}]}}, on_no_match: {}}}",
        single("ServerName", "{suffix: .Example.com, ignore_case: true}"),
        if_port_7("a"),
        single("ServerName", "{contains: ampl}"),
        single("ApplicationProtocol", "{contains: h2}"),
        to("b"),
        single(
            "SourceIP",
            "{safe_regex: {google_re2: {}, regex: '9[.].*'}}"
        ),
        to("c"),
        to("not_there"),
    );
    let named = |sni, source| Client {
        sni,
        source,
        ..CLIENT
    };
    let h2 = Client {
        alpn: &["h2"],
        ..named("www.example.com", "1.1.1.1:8")
    };
    check(
        &list,
        &[
            (named("www.example.com", "1.1.1.1:7"), "a"),
            (named("www.example.com", "1.1.1.1:8"), "b"),
            (h2, ""),
            (named("", "9.1.1.1:1"), "c"),
            (named("", "127.0.0.2:1"), "c"),
            (named("", "8.1.1.1:1"), ""),
        ],
    );
    let absent = format!(
        "{{matcher_list: {{matchers: [{{predicate: {{not_matcher: {}}}, on_match: {}}}]}}}}",
        single("ServerName", "{prefix: a}"),
        to("a"),
    );
    check(
        &absent,
        &[(CLIENT, "a"), (named("a.b", "1.1.1.1:1"), "default")],
    );
    check(&format!("{{on_no_match: {}}}", to("b")), &[(CLIENT, "b")]);
    check("{}", &[(CLIENT, "default")]);
}

/// A field that holds bytes or a message.
fn field(number: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for mut varint in [number << 3 | 2, value.len().try_into().unwrap()] {
        while varint >= 0x80 {
            out.push(u8::try_from(varint & 0x7f).unwrap() | 0x80);
            varint >>= 7;
        }
        out.push(u8::try_from(varint).unwrap());
    }
    out.extend_from_slice(value);
    out
}

/// Every `Any` begins a new count of protobuf's own limit.
#[test]
fn what_is_nested_too_deep_is_refused() {
    let mut matcher = Vec::new();
    for _ in 0..6 {
        for _ in 0..40 {
            // `on_no_match.matcher`
            matcher = field(3, &field(1, &matcher));
        }
        let ranges = field(1, &field(2, &field(1, &matcher)));
        let kind = field(1, b"type.googleapis.com/xds.type.matcher.v3.IPMatcher");
        let any = [kind, field(2, &ranges)].concat();
        // `matcher_tree.custom_match.typed_config`
        matcher = field(2, &field(4, &field(2, &any)));
    }
    let problems = compile::listener(&field(32, &matcher)).unwrap_err();
    let deep = problems.iter().filter(|p| p.reason.contains("deep"));
    let reasons: Vec<&str> = deep.map(|p| &*p.reason).collect();
    assert_eq!(reasons, ["messages nested more than 200 deep"]);
}
