//! Lines and values that Envoy 1.40 wrote for the same request, kept as goldens.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;

use super::*;
use crate::listener::ConnectionFacts;
use crate::telemetry::response_flags::ResponseFlags;
use crate::telemetry::stream_info::StreamInfo;
use model::format::JsonFormat;
use model::resources::address::Address;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value as Pb};
use proto::HeaderMap;
use proto::h1::{RequestHead, Version};

fn address(text: &str) -> Option<Address> {
    text.parse::<SocketAddr>().ok().map(Address::Ip)
}

/// What `POST /p/a?q=abc&b=%20` was for Envoy when the goldens were made.
struct Exchange {
    request: RequestHead,
    response: HeaderMap,
    info: StreamInfo,
}

impl Exchange {
    fn forwarded() -> Self {
        let mut request = RequestHead::new();
        assert!(request.set_method(b"POST") && request.set_path(b"/p/a?q=abc&b=%20"));
        assert!(request.set_authority(b"127.0.0.1:29301"));
        for (name, value) in [
            ("user-agent", "curl/7.88.1"),
            ("x-a", "hello"),
            ("x-dup", "1"),
            ("x-dup", "2"),
            ("x-request-id", "7dd46dfe-5aa6-468a-b1ff-83082799b740"),
        ] {
            assert!(request.headers.push(name.as_bytes(), value.as_bytes()));
        }
        let mut response = HeaderMap::new();
        assert!(response.push(b"x-up", b"upval"));
        assert!(response.push(b"x-envoy-upstream-service-time", b"0"));
        let client = address("127.0.0.1:58746");
        let upstream = address("127.0.0.1:29002");
        let info = StreamInfo {
            start_wall: 1_795_383_723_316_532_000,
            start: 1_000,
            downstream_rx_end: 301_000,
            upstream_pool_ready: 300_000,
            upstream_tx_begin: 378_000,
            upstream_tx_end: 400_000,
            upstream_rx_begin: 1_101_000,
            upstream_rx_end: 1_201_000,
            downstream_tx_begin: 1_200_000,
            downstream_tx_end: 1_251_129,
            end: 1_300_000,
            response_code: Some(200),
            details: Some(Cow::Borrowed("via_upstream")),
            bytes_received: 4,
            bytes_sent: 3,
            protocol: Some(Version::Http11),
            downstream_local: address("127.0.0.1:29301"),
            downstream_remote: client.clone(),
            downstream_direct_remote: client,
            filter_chain_name: Some("fc".into()),
            route_name: Some("rt".into()),
            upstream_cluster_raw: Some("c1".into()),
            upstream_host: upstream.clone(),
            upstream_local: address("127.0.0.1:58988"),
            upstream_remote: upstream,
            upstream_connection_id: 1,
            upstream_protocol: Some(Version::Http11),
            attempt_count: 1,
            ..StreamInfo::default()
        };
        Self {
            request,
            response,
            info,
        }
    }

    fn context(&self) -> LogContext<'_> {
        LogContext {
            request: &self.request,
            response: Some(&self.response),
            trailers: None,
            info: &self.info,
        }
    }

    fn text(&self, format: &str) -> String {
        self.render(&Format::parse(format).unwrap())
    }

    fn render(&self, format: &Format) -> String {
        let mut out = Vec::new();
        render(format, &self.context(), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn json(&self, format: &Struct, omit: bool) -> String {
        let mut out = Vec::new();
        render_json(
            &JsonFormat::from_struct(format, omit).unwrap(),
            &self.context(),
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }
}

#[test]
fn the_default_line_is_envoys() {
    let mut x = Exchange::forwarded();
    let format = Format::default_access_log();
    assert_eq!(
        x.render(&format),
        "[2026-11-22T21:42:03.316Z] \"POST /p/a?q=abc&b=%20 HTTP/1.1\" 200 - 4 3 1 0 \"-\" \"curl/7.88.1\" \
         \"7dd46dfe-5aa6-468a-b1ff-83082799b740\" \"127.0.0.1:29301\" \"127.0.0.1:29002\"\n"
    );
    // A request whose head could not be served (HTTP/1.0 is off).
    x.request.clear();
    x.response.clear();
    x.info = StreamInfo::default();
    x.info.start_wall = 1_795_383_723_336_900_000;
    x.info.start = 1;
    x.info.end = 41_953;
    x.info.protocol = Some(Version::Http11);
    x.info.response_code = Some(426);
    x.info.flags = ResponseFlags::DOWNSTREAM_PROTOCOL_ERROR;
    x.info.bytes_sent = 16;
    assert_eq!(
        x.render(&format),
        "[2026-11-22T21:42:03.336Z] \"- - HTTP/1.1\" 426 DPE 0 16 0 - \"-\" \"-\" \"-\" \"-\" \"-\"\n"
    );
}

/// operator=value, as Envoy's text log had them.
#[test]
fn every_operator_has_envoys_value() {
    let x = Exchange::forwarded();
    let golden = include_str!("golden_operators.txt");
    let mut checked = 0;
    for line in golden.lines() {
        let (operator, want) = line.split_once("\t").unwrap();
        match operator {
            // Not the same machine, moment or counting of bytes.
            "HOSTNAME" | "UNIQUE_ID" | "EMIT_TIME" | "ENVIRONMENT(HOME)" => continue,
            _ if operator.contains("_BYTES") && !operator.starts_with("BYTES_") => continue,
            _ => {}
        }
        match Format::parse(&format!("%{operator}%")) {
            Ok(format) => {
                assert_eq!(x.render(&format), want, "{operator}");
                checked += 1;
            }
            Err(error) => assert!(error.to_string().ends_with("not implemented"), "{error}"),
        }
    }
    assert!(checked > 85, "{checked}");
}

#[test]
fn missing_values_vanish_from_header_values() {
    let x = Exchange::forwarded();
    for (format, want) in [
        ("%REQ(nope)%", ""),
        ("a%REQ(nope)%b", "ab"),
        ("%REQ(nope?x-a):2%", "he"),
        ("%RESPONSE_FLAGS%", "-"),
        ("%REQUESTED_SERVER_NAME%", ""),
        ("%DOWNSTREAM_REMOTE_PORT%", "58746"),
        (
            "%UPSTREAM_CLUSTER% %START_TIME(%s)% %RESPONSE_CODE%",
            "c1 1795383723 200",
        ),
        ("%ENVIRONMENT(SURELY_NOT_SET)%", "-"),
    ] {
        assert_eq!(
            x.render(&Format::parse_header_value(format).unwrap()),
            want,
            "{format}"
        );
    }
}

/// In Envoy's words; what the differential test has of whole handshakes is not repeated.
#[test]
fn what_a_handshake_settled() {
    let mut x = Exchange::forwarded();
    let sans = ::tls::Sans {
        dns: ["a.test".into(), "b.test".into()].into(),
        uri: ["spiffe://t/a".into()].into(),
        ..::tls::Sans::default()
    };
    let local = ::tls::LocalCertificate {
        subject: "CN=a,O=o".into(),
        sans,
    };
    let info = ::tls::Info {
        version: Some(::tls::Version::V1_3),
        cipher: Some("TLS_AES_128_GCM_SHA256"),
        group: Some("X25519"),
        server_name: Some("sni.test".into()),
        local: Some(local.into()),
        ..::tls::Info::default()
    };
    x.info.downstream_tls = Some(info.into());
    x.info.downstream_transport_failure = Some("TLS_error:|1:SSL routines:X".into());
    for (operator, want) in [
        ("DOWNSTREAM_TLS_VERSION", "TLSv1.3"),
        ("DOWNSTREAM_TLS_CIPHER", "TLS_AES_128_GCM_SHA256"),
        ("DOWNSTREAM_TLS_GROUP", "X25519"),
        ("DOWNSTREAM_TLS_SESSION_ID", "-"),
        ("DOWNSTREAM_LOCAL_DNS_SAN", "a.test,b.test"),
        ("DOWNSTREAM_LOCAL_URI_SAN", "spiffe://t/a"),
        ("DOWNSTREAM_LOCAL_IP_SAN", "-"),
        ("DOWNSTREAM_LOCAL_SUBJECT", "CN=a,O=o"),
        ("DOWNSTREAM_PEER_SUBJECT", "-"),
        ("DOWNSTREAM_PEER_CERT_V_END(%s)", "-"),
        (
            "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
            "TLS_error:|1:SSL_routines:X",
        ),
        ("REQUESTED_SERVER_NAME", "sni.test"),
        ("UPSTREAM_TLS_VERSION", "-"),
        ("DYNAMIC_METADATA(a:b)", "-"),
    ] {
        assert_eq!(x.text(&format!("%{operator}%")), want, "{operator}");
    }
}

/// Read off Envoy 1.40.
#[test]
fn server_names_write_no_lines() {
    for (name, want) in [
        (&b"a_b.c-d"[..], "a_b.c-d"),
        (b"a\nline forged", "invalid:a_line_forged"),
        (b"\xc3\xa9.x", "invalid:__.x"),
        (b"a\xffb", "invalid:a_b"),
        (b"*.a", "invalid:_.a"),
        (b"a:1", "invalid:a_1"),
        (b"", "-"),
    ] {
        let mut x = Exchange::forwarded();
        let nowhere = Address::Pipe("".into());
        let mut facts = ConnectionFacts::new(nowhere.clone(), nowhere);
        facts.server_name = name.into();
        x.info.facts = Some(facts.into());
        assert_eq!(x.text("%REQUESTED_SERVER_NAME%"), want, "{name:?}");
    }
}

#[test]
fn what_a_tunnel_was_told_is_json_in_json() {
    let mut x = Exchange::forwarded();
    let operator = "%FILTER_STATE(envoy.tcp_proxy.propagate_response_headers)%";
    assert_eq!(x.text(operator), "-");
    let said = br#"{"headers":[{"key":":status","value":"200"}]}"#;
    x.info.tunnel_headers = Some(said[..].into());
    assert_eq!(x.text(operator).as_bytes(), said);
    assert_eq!(
        x.text(&operator.replace(")%", ":TYPED):10%")),
        "{\"headers\""
    );
    assert_eq!(x.text(&operator.replace(")%", ":PLAIN)%")), "-");
}

#[test]
fn grpc_messages() {
    const STATE: &str = "FILTER_STATE(envoy.filters.http.grpc_stats";
    let mut x = Exchange::forwarded();
    assert_eq!(x.text(&format!("%{STATE}:PLAIN)%")), "-");
    x.info.grpc_messages = Some((0, 3));
    for (rest, want) in [
        (":PLAIN)", "0,3"),
        (":PLAIN):2", "0,"),
        (")", "{\"responseMessageCount\":\"3\"}"),
        (":TYPED)", "{\"responseMessageCount\":\"3\"}"),
    ] {
        assert_eq!(x.text(&format!("%{STATE}{rest}%")), want, "{rest}");
    }
}

#[test]
fn odds_and_ends() {
    let mut x = Exchange::forwarded();
    x.info.details = Some("upstream_reset{delayed connect error: refused}".into());
    assert_eq!(
        x.text("%RESPONSE_CODE_DETAILS%"),
        "upstream_reset{delayed_connect_error:_refused}"
    );
    x.info.random = u128::MAX;
    assert_eq!(
        x.text("%UNIQUE_ID%"),
        "ffffffff-ffff-4fff-bfff-ffffffffffff"
    );
    assert_eq!(
        x.text("%REQ_WITHOUT_QUERY(:PATH)%|%QUERY_PARAM(b)%|%PATH(NQ)%"),
        "/p/a| |/p/a"
    );
    assert_eq!(x.text("%GRPC_STATUS%"), "-");
    assert!(
        x.request
            .headers
            .push(b"content-type", b"application/grpc+proto")
    );
    assert_eq!(x.text("%GRPC_STATUS% %GRPC_STATUS_NUMBER%"), "Unknown 2");
    let mut trailers = HeaderMap::new();
    assert!(trailers.push(b"grpc-status", b"5"));
    let format =
        Format::parse("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%").unwrap();
    let mut out = Vec::new();
    render(
        &format,
        &LogContext {
            trailers: Some(&trailers),
            ..x.context()
        },
        &mut out,
    );
    assert_eq!(out, b"NotFound NOT_FOUND 5");
    x.info.upstream_host_name = Some("api.test:80".into());
    assert_eq!(
        x.text("%UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%"),
        "api.test:80 api.test"
    );
}

/// Values that Envoy gave for the same request.
#[test]
fn empty_and_repeated_values() {
    let mut x = Exchange::forwarded();
    assert!(x.request.set_path(b"/direct?a=1&a=2&e=&nov&x=%41"));
    assert!(x.request.headers.push(b"x-empty", b""));
    let format = "%REQ(x-empty)%|%REQ(x-empty?x-a)%|%QUERY_PARAM(a)%|%QUERY_PARAM(e)%|%QUERY_PARAM(nov)%|%QUERY_PARAM(x)%|%REQ(x-dup)%|%REQ(x-a):0%|%QUERY_PARAMS%";
    assert_eq!(x.text(format), "||1|||A|1||a=1&a=2&e=&nov&x=%41");
    // But for the last, Envoy's: it decodes line ends too.
    assert!(
        x.request
            .set_path(b"/direct?x=%41+b%20c%zz&y=a=b&%41b=1&z=%0a%0d%22")
    );
    for (name, want) in [
        ("x", "A+b c%zz"),
        ("y", "a=b"),
        ("%41b", "-"),
        ("Ab", "1"),
        ("z", "%0a%0d\""),
    ] {
        assert_eq!(x.text(&format!("%QUERY_PARAM({name})%")), want, "{name}");
    }
}

fn text(value: &str) -> Pb {
    Pb {
        kind: Some(Kind::StringValue(value.to_owned())),
    }
}

fn object<const N: usize>(fields: [(&str, Pb); N]) -> Struct {
    Struct {
        fields: fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
    }
}

fn nested() -> Struct {
    let kind = |kind| Pb { kind: Some(kind) };
    let inner = object([
        ("a", kind(Kind::NumberValue(1.0))),
        ("b", kind(Kind::BoolValue(true))),
        ("c", kind(Kind::NullValue(0))),
        (
            "d",
            kind(Kind::ListValue(ListValue {
                values: vec![
                    kind(Kind::NumberValue(1.0)),
                    text("%PROTOCOL%"),
                    text("x%RESPONSE_CODE%y"),
                    kind(Kind::NumberValue(1.5)),
                    kind(Kind::StructValue(object([("z", text("%REQ(nope)%"))]))),
                ],
            })),
        ),
    ]);
    object([
        ("n", kind(Kind::StructValue(inner))),
        ("mixed", text("%REQ(nope)%|%RESPONSE_CODE%")),
        ("e", text("")),
        ("pct", text("100%%")),
        ("q", text("a\"bä")),
    ])
}

/// Both lines are Envoy's own.
#[test]
fn json_nests_and_omits_as_envoy_does() {
    let x = Exchange::forwarded();
    assert_eq!(
        x.json(&nested(), false),
        "{\"e\":\"\",\"mixed\":\"-|200\",\"n\":{\"a\":1,\"b\":true,\"c\":null,\"d\":[1,\"HTTP/1.1\",\"x200y\",1.5,{\"z\":null}]},\"pct\":\"100%\",\"q\":\"a\\\"bä\"}\n"
    );
    assert_eq!(
        x.json(&nested(), true),
        "{\"e\":\"\",\"mixed\":\"|200\",\"n\":{\"a\":1,\"b\":true,\"d\":[1,\"HTTP/1.1\",\"x200y\",1.5]},\"pct\":\"100%\",\"q\":\"a\\\"bä\"}\n"
    );
}

/// Numbers, strings and nulls: each operator has the type that Envoy's JSON log gave it.
#[test]
fn json_types_are_envoys() {
    let x = Exchange::forwarded();
    let golden: HashMap<&str, &str> = include_str!("golden_json_types.txt")
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    for (operator, want) in golden {
        let format = object([("k", text(&format!("%{operator}%")))]);
        let Ok(format) = JsonFormat::from_struct(&format, false) else {
            continue;
        };
        let mut out = Vec::new();
        render_json(&format, &x.context(), &mut out);
        let value = String::from_utf8(out).unwrap();
        let value = value.strip_prefix("{\"k\":").unwrap();
        let kind = match value.as_bytes().first() {
            Some(b'"') => "string",
            Some(b'n') => "null",
            _ => "number",
        };
        assert_eq!(kind, want, "{operator}");
    }
}
