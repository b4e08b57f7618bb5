//! What matches what. Every expectation was read off Envoy 1.40 with the same routes as direct
//! responses and the same requests on the wire.

use proto::h1::{RequestHead, Scheme};

use super::Peer;
use crate::compile::{self, ROUTES};
use crate::resources::route::RouteConfig;
use crate::testing::resource;

fn config(yaml: &str) -> RouteConfig {
    compile::route_config(&resource(ROUTES, yaml))
        .unwrap()
        .resource
}

/// A configuration of one virtual host; `routes` are (name, match).
fn routes(options: &str, routes: &[(&str, &str)]) -> RouteConfig {
    let route = |(name, matcher): &(&str, &str)| {
        format!("{{name: {name}, match: {matcher}, non_forwarding_action: {{}}}}")
    };
    let routes: Vec<String> = routes.iter().map(route).collect();
    config(&format!(
        "{{name: r, {options} virtual_hosts: [{{name: v, domains: ['*'], routes: [{}]}}]}}",
        routes.join(", ")
    ))
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::new();
    assert!(head.set_method(method.as_bytes()));
    assert!(path.is_empty() || head.set_path(path.as_bytes()), "{path}");
    for (name, value) in headers {
        assert!(head.headers.push(name.as_bytes(), value.as_bytes()));
    }
    head
}

/// The name of the route that a request gets.
fn found(config: &RouteConfig, head: &RequestHead) -> String {
    let host = config.hosts.find(head.authority(), false).unwrap();
    host.route(head, Peer::default(), 0)
        .map_or("404".to_owned(), |route| route.name.to_string())
}

fn by_headers(matcher: &str, cases: &[(&[(&str, &str)], bool)]) {
    let matcher = format!("{{prefix: /, headers: [{matcher}]}}");
    let config = routes("", &[("hit", &matcher), ("miss", "{prefix: /}")]);
    for (headers, want) in cases {
        let want = if *want { "hit" } else { "miss" };
        assert_eq!(
            found(&config, &request("GET", "/", headers)),
            want,
            "{matcher} {headers:?}"
        );
    }
}

const A: &[(&str, &str)] = &[("x", "a")];
const B: &[(&str, &str)] = &[("x", "b")];
const A_AND_B: &[(&str, &str)] = &[("x", "a"), ("x", "b")];
const NONE: &[(&str, &str)] = &[];

#[test]
fn several_values_match_one_by_one() {
    by_headers(
        "{name: X, string_match: {exact: b}}",
        &[(A, false), (B, true), (A_AND_B, true)],
    );
    by_headers(
        "{name: x, string_match: {exact: 'a,b'}}",
        &[(A_AND_B, false)],
    );
    by_headers(
        "{name: x, string_match: {exact: 'a,b'}}",
        &[(&[("x", "a,b")], true)],
    );
    by_headers(
        "{name: x, string_match: {contains: 'a,b'}}",
        &[(A_AND_B, false)],
    );
    by_headers(
        "{name: x, string_match: {safe_regex: {regex: b}}}",
        &[(A_AND_B, true)],
    );
    by_headers(
        "{name: x, string_match: {exact: aBc, ignore_case: true}}",
        &[(&[("x", "AbC")], true)],
    );
}

#[test]
fn inverted_and_missing() {
    let inverted = "{name: x, string_match: {exact: a}, invert_match: true}";
    by_headers(
        inverted,
        &[(A, false), (B, true), (A_AND_B, false), (NONE, false)],
    );
    let as_empty = "{name: x, string_match: {exact: a}, invert_match: true, treat_missing_header_as_empty: true}";
    by_headers(
        as_empty,
        &[(A, false), (B, true), (A_AND_B, false), (NONE, true)],
    );
}

#[test]
fn presence() {
    by_headers("{name: x}", &[(A, true), (NONE, false)]);
    by_headers(
        "{name: x, present_match: true}",
        &[(A, true), (NONE, false)],
    );
    by_headers(
        "{name: x, present_match: false}",
        &[(A, false), (NONE, true)],
    );
    by_headers(
        "{name: x, present_match: false, invert_match: true}",
        &[(A, true), (NONE, false)],
    );
    let empty = "treat_missing_header_as_empty: true";
    by_headers(
        &format!("{{name: x, present_match: true, {empty}}}"),
        &[(A, true), (NONE, true)],
    );
    by_headers(
        &format!("{{name: x, present_match: false, {empty}}}"),
        &[(A, false), (NONE, false)],
    );
    by_headers(
        &format!("{{name: x, present_match: true, invert_match: true, {empty}}}"),
        &[(A, false), (NONE, false)],
    );
}

#[test]
fn ranges() {
    let matcher = "{name: x, range_match: {start: -5, end: 10}}";
    for (value, want) in [
        ("5", true),
        ("-5", true),
        ("10", false),
        ("+5", true),
        ("5.0", false),
        ("a", false),
        ("", false),
        ("05", true),
        ("0x5", false),
        ("5,6", false),
    ] {
        by_headers(matcher, &[(&[("x", value)], want)]);
    }
    by_headers(matcher, &[(&[("x", "50"), ("x", "6")], true)]);
}

#[test]
fn pseudo_headers() {
    let by = |name: &str, value: &str| {
        format!("{{prefix: /, headers: [{{name: '{name}', string_match: {{exact: '{value}'}}}}]}}")
    };
    let config = routes(
        "",
        &[
            ("path", &by(":path", "/a?b=c")),
            ("method", &by(":method", "POST")),
            ("authority", &by(":authority", "Foo")),
            ("host", &by("host", "bar")),
            ("scheme", &by(":scheme", "https")),
            ("none", "{prefix: /}"),
        ],
    );
    assert_eq!(found(&config, &request("GET", "/a?b=c", &[])), "path");
    assert_eq!(found(&config, &request("POST", "/", &[])), "method");
    assert_eq!(
        found(&config, &request("GET", "/", &[("host", "Foo")])),
        "authority"
    );
    assert_eq!(
        found(&config, &request("GET", "/", &[("host", "bar")])),
        "host"
    );
    assert_eq!(
        found(
            &config,
            &request("GET", "/", &[("x-forwarded-proto", "https")])
        ),
        "scheme"
    );
    let mut absolute = request("GET", "/", &[]);
    absolute.scheme = Some(Scheme::Https);
    assert_eq!(found(&config, &absolute), "scheme");
    assert_eq!(found(&config, &request("GET", "/", &[])), "none");
}

#[test]
fn query_parameters() {
    let config = |matcher: &str| {
        let matcher = format!("{{prefix: /, query_parameters: [{matcher}]}}");
        routes("", &[("hit", &matcher), ("miss", "{prefix: /}")])
    };
    let check = |matcher: &str, cases: &[(&str, bool)]| {
        let config = config(matcher);
        for (path, want) in cases {
            let want = if *want { "hit" } else { "miss" };
            assert_eq!(
                found(&config, &request("GET", path, &[])),
                want,
                "{matcher} {path}"
            );
        }
    };
    let there = [("/?a", true), ("/?a=1", true), ("/?b", false), ("/", false)];
    check("{name: a}", &there);
    check("{name: a, present_match: true}", &there);
    check(
        "{name: a, present_match: false}",
        &there.map(|(path, want)| (path, !want)),
    );
    check(
        "{name: a, string_match: {exact: '1'}}",
        &[
            ("/?a=1", true),
            ("/?a=%31", false),
            ("/?%61=1", false),
            ("/?a=2&a=1", false),
            ("/?a=1&a=2", true),
            ("/?a", false),
            ("/?A=1", false),
            ("/?a=1=2", false),
            ("/?&&a=1", true),
            ("/?x&a=1", true),
            ("/?b=c?a=1", false),
            ("/?=1&a=1", true),
            ("/?a=1+", false),
        ],
    );
    check(
        "{name: a, string_match: {exact: ''}}",
        &[("/?a", true), ("/?a=", true), ("/", false)],
    );
}

#[test]
fn paths() {
    let config = routes(
        "",
        &[
            ("sep", "{path_separated_prefix: /api}"),
            ("ex", "{path: /x}"),
            ("pre", "{prefix: '/p?q'}"),
            ("pre2", "{prefix: /pp}"),
            ("re", "{safe_regex: {regex: '/r[0-9]+'}}"),
            ("ci", "{path: /CaSe, case_sensitive: false}"),
            ("cip", "{prefix: /ciP, case_sensitive: false}"),
            (
                "cisep",
                "{path_separated_prefix: /ciS, case_sensitive: false}",
            ),
            (
                "cire",
                "{safe_regex: {regex: '/CR'}, case_sensitive: false}",
            ),
            ("exq", "{path: '/q?a'}"),
            ("none", "{prefix: /}"),
            ("empty", "{prefix: ''}"),
        ],
    );
    for (path, want) in [
        ("/api", "sep"),
        ("/api/", "sep"),
        ("/api/x", "sep"),
        ("/apix", "none"),
        ("/api?x", "sep"),
        ("/x", "ex"),
        ("/x?y", "ex"),
        ("/x/", "none"),
        ("/p?q", "none"),
        ("/pp", "pre2"),
        ("/ppp", "pre2"),
        ("/r1", "re"),
        ("/r1?a", "re"),
        ("/r", "none"),
        ("/r1/", "none"),
        ("/case", "ci"),
        ("/CASE?x", "ci"),
        ("/cipx", "cip"),
        ("/CISX", "none"),
        ("/cis/x", "cisep"),
        ("/cis", "cisep"),
        ("/cr", "none"),
        ("/CR", "cire"),
        ("/q?a", "none"),
    ] {
        assert_eq!(found(&config, &request("GET", path, &[])), want, "{path}");
    }
    assert_eq!(found(&config, &request("OPTIONS", "*", &[])), "404");
    assert_eq!(found(&config, &request("CONNECT", "", &[])), "404");
}

#[test]
fn connect_and_grpc() {
    let config = routes(
        "",
        &[("con", "{connect_matcher: {}}"), ("none", "{prefix: ''}")],
    );
    assert_eq!(found(&config, &request("CONNECT", "", &[])), "con");
    assert_eq!(found(&config, &request("GET", "/", &[])), "none");
    let config = routes(
        "",
        &[("grpc", "{prefix: /, grpc: {}}"), ("none", "{prefix: /}")],
    );
    for (kind, want) in [
        ("application/grpc", "grpc"),
        ("application/grpc+proto", "grpc"),
        ("application/grpc-web", "none"),
        ("application/grpc; x=1", "none"),
        ("Application/grpc", "none"),
    ] {
        assert_eq!(
            found(&config, &request("POST", "/", &[("content-type", kind)])),
            want,
            "{kind}"
        );
    }
}

#[test]
fn path_parameters_are_ignored_where_asked() {
    let config = routes(
        "ignore_path_parameters_in_path_matching: true,",
        &[
            ("a", "{path: /a}"),
            ("ab", "{path: /a/b}"),
            ("pre", "{prefix: /p/q}"),
            ("re", "{safe_regex: {regex: /r/s}}"),
            ("none", "{prefix: /}"),
        ],
    );
    let long = format!("/a;{}/b", "x".repeat(5000));
    for (path, want) in [
        ("/a;x=1", "a"),
        ("/a;x/b", "ab"),
        ("/a/b;y?z", "ab"),
        ("/p;1/q;2/r", "pre"),
        ("/r;1/s;2", "re"),
        ("/a;", "a"),
        ("/;x/a", "none"),
        (&long, "ab"),
    ] {
        assert_eq!(found(&config, &request("GET", path, &[])), want, "{path}");
    }
}

#[test]
fn fractions() {
    let config = routes(
        "",
        &[
            (
                "half",
                "{prefix: /, runtime_fraction: {default_value: {numerator: 50}}}",
            ),
            ("rest", "{prefix: /}"),
        ],
    );
    let host = config.hosts.find(b"h", false).unwrap();
    let head = request("GET", "/", &[]);
    let halves = (0..1_000_000_u64)
        .step_by(1000)
        .filter(|random| &*host.route(&head, Peer::default(), *random).unwrap().name == "half")
        .count();
    assert_eq!(halves, 500);
}

#[test]
fn domains() {
    let domains = [
        "a.com",
        "*.com",
        "*.a.com",
        "a.*",
        "a.b*",
        "*",
        "*-x.com",
        "foo.*.com",
        "b.com:8080",
        "*.c.com:81",
        "[::1]",
    ];
    let hosts: Vec<String> = domains
        .iter()
        .enumerate()
        .map(|(at, domain)| format!("{{name: v{at}, domains: ['{domain}']}}"))
        .collect();
    let config = config(&format!(
        "{{name: r, virtual_hosts: [{}]}}",
        hosts.join(", ")
    ));
    for (host, want, without_port) in [
        ("a.com", 0, 0),
        ("A.COM", 0, 0),
        ("a.com:80", 3, 0),
        ("x.com", 1, 1),
        ("y.a.com", 2, 2),
        ("a.org", 3, 3),
        ("a.bc", 4, 4),
        ("a.b", 3, 3),
        ("zzz", 5, 5),
        (".com", 5, 5),
        ("com", 5, 5),
        ("y-x.com", 6, 6),
        ("-x.com", 1, 1),
        ("foo.bar.com", 1, 1),
        ("b.com:8080", 8, 1),
        ("b.com", 1, 1),
        ("b.com:80", 5, 1),
        ("z.c.com:81", 9, 1),
        ("[::1]", 10, 10),
        ("[::1]:80", 5, 10),
        ("a.", 5, 5),
        ("a.com.", 3, 3),
        ("a.com:", 3, 0),
        ("a.com:x", 3, 0),
    ] {
        let name = |ignore| {
            config
                .hosts
                .find(host.as_bytes(), ignore)
                .unwrap()
                .name
                .to_string()
        };
        assert_eq!(name(false), format!("v{want}"), "{host}");
        assert_eq!(
            name(true),
            format!("v{without_port}"),
            "{host} without port"
        );
    }
    let long = format!("A.{}", "b".repeat(1000));
    assert_eq!(
        &*config.hosts.find(long.as_bytes(), false).unwrap().name,
        "v4"
    );
}

#[test]
fn tls_contexts() {
    let config = routes(
        "",
        &[
            ("validated", "{prefix: /, tls_context: {validated: true}}"),
            (
                "untrusted",
                "{prefix: /, tls_context: {presented: true, validated: false}}",
            ),
            ("anonymous", "{prefix: /, tls_context: {presented: false}}"),
        ],
    );
    let head = request("GET", "/", &[]);
    let host = config.hosts.find(b"a", false).unwrap();
    for (presented, validated, name) in [
        (true, true, "validated"),
        (true, false, "untrusted"),
        (false, false, "anonymous"),
    ] {
        let peer = Peer {
            presented,
            validated,
        };
        assert_eq!(&*host.route(&head, peer, 0).unwrap().name, name);
    }
}

/// What CONNECT-UDP is by then: an upgrade, whatever its path.
#[test]
fn connect_matcher_takes_connect_and_connect_udp() {
    let config = routes(
        "",
        &[
            ("tunnel", "{connect_matcher: {}}"),
            ("other", "{prefix: /}"),
        ],
    );
    let upgrade = |token: &str, is_upgrade: bool| {
        let mut head = request("GET", "/a", &[("upgrade", token)]);
        head.upgrade = is_upgrade;
        found(&config, &head)
    };
    assert_eq!(found(&config, &request("CONNECT", "", NONE)), "tunnel");
    assert_eq!(upgrade("Connect-UDP", true), "tunnel");
    assert_eq!(upgrade("connect-udp", false), "other");
    assert_eq!(upgrade("websocket", true), "other");
    assert_eq!(found(&config, &request("GET", "/a", NONE)), "other");
}
