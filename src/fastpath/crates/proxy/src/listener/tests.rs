use std::net::SocketAddr;

use model::matching::rbac::MetadataValue;
use model::resources::address::Address;
use model::resources::listener::{
    ConditionalFilter, ListenerFilter, ListenerPredicate, OriginalSrc, ProxyProtocol, TlsInspector,
    TlvRule,
};
use proto::proxy_protocol::{Invalid, Skipped, Tlv, Version, write_v1, write_v2, write_v2_local};

use super::*;
use crate::telemetry::stats::Stats;

/// Filters at work on one connection.
struct Bench {
    filters: Vec<ConditionalFilter>,
    stats: Stats,
    counters: FilterStats,
    inspection: Inspection,
    facts: ConnectionFacts,
}

impl Bench {
    fn new(filters: Vec<ListenerFilter>) -> Self {
        let always = |filter| ConditionalFilter {
            filter,
            disabled: None,
        };
        Self::conditional(filters.into_iter().map(always).collect())
    }

    fn conditional(filters: Vec<ConditionalFilter>) -> Self {
        let stats = Stats::new(1);
        Self {
            counters: FilterStats::new(&filters, &stats),
            filters,
            stats,
            inspection: Inspection::default(),
            facts: ConnectionFacts::new(
                address("127.0.0.1:80").into(),
                address("127.0.0.9:9").into(),
            ),
        }
    }

    fn step(&mut self, bytes: &[u8]) -> Step {
        self.inspection
            .step(&self.filters, &self.counters, bytes, &mut self.facts)
    }

    /// The counters that are not zero, by name.
    fn counted(&self) -> String {
        use crate::telemetry::stats::Kind;
        let text = self.stats.text(
            Some("^(tls_inspector|http_inspector|proxy_proto|downstream_cx_proxy)"),
            true,
            Kind::Counters,
        );
        text.unwrap().trim().replace('\n', " ").replace(": ", "=")
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn proxy_protocol() -> ProxyProtocol {
    ProxyProtocol {
        allow_v1: true,
        allow_v2: true,
        ..ProxyProtocol::default()
    }
}

fn tls_inspector() -> TlsInspector {
    TlsInspector {
        max_client_hello_bytes: 16384,
        initial_read_bytes: 16384,
        ..TlsInspector::default()
    }
}

fn v1() -> Vec<u8> {
    let mut out = Vec::new();
    write_v1(address("1.1.1.1:5"), address("10.0.0.1:443"), &mut out);
    out
}

fn v2(tlvs: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let tlvs = tlvs.iter().map(|(kind, value)| Tlv { kind: *kind, value });
    let skipped = write_v2(
        address("1.1.1.1:5"),
        address("10.0.0.1:443"),
        tlvs,
        &mut out,
    );
    assert_eq!(skipped, Skipped(0));
    out
}

/// A ClientHello of TLS 1.2 with a name and two protocols, in one record.
fn client_hello(version: u16) -> Vec<u8> {
    let extensions = [
        &b"\0\0\0\x08\0\x06\0\0\x03A.b"[..],
        b"\0\x10\0\x0e\0\x0c\x02h2\x08http/1.1",
    ]
    .concat();
    let body = [
        &version.to_be_bytes()[..],
        &[7; 32],
        b"\0\0\x02\x13\x01\x01\0",
        &(extensions.len() as u16).to_be_bytes(),
        &extensions,
    ]
    .concat();
    let message = [&[1, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat();
    [
        &[22, 3, 1][..],
        &(message.len() as u16).to_be_bytes(),
        &message,
    ]
    .concat()
}

fn done(consumed: usize) -> Step {
    Step::Done { consumed }
}

#[test]
fn without_filters_nothing_is_waited_for() {
    assert_eq!(Bench::new(vec![]).step(b""), done(0));
}

#[test]
fn a_hello_is_found_byte_by_byte() {
    let mut bench = Bench::new(vec![ListenerFilter::TlsInspector(TlsInspector {
        ja3: true,
        ja4: true,
        ..tls_inspector()
    })]);
    let hello = client_hello(0x0303);
    for end in 0..hello.len() {
        assert_eq!(bench.step(&hello[..end]), Step::NeedMore);
    }
    assert_eq!(bench.step(&hello), done(0));
    let facts = &bench.facts;
    assert_eq!(facts.transport, Transport::Tls);
    assert_eq!(&*facts.server_name, b"a.b");
    assert_eq!(
        facts.application_protocols,
        [b"h2"[..].into(), b"http/1.1"[..].into()]
    );
    assert_eq!(facts.ja3.as_deref().map(str::len), Some(32));
    assert_eq!(&facts.ja4.as_deref().unwrap()[..10], "t12d0102h2");
    let matching = facts.for_matching();
    assert_eq!(matching.transport_protocol, b"tls");
    assert_eq!(matching.server_name, b"a.b");
    assert_eq!(
        bench.counted(),
        "tls_inspector.alpn_found=1 tls_inspector.sni_found=1 tls_inspector.tls_found=1"
    );
}

#[test]
fn a_long_hello_is_found_where_that_is_asked_for() {
    let record = |body: &[u8]| {
        let length = (body.len() as u16).to_be_bytes();
        [&[22, 3, 1][..], &length, body].concat()
    };
    // A ClientHello of TLS 1.2 whose only extension takes the rest.
    let hello = |length: u16| {
        let rest = vec![0; usize::from(length - 47)];
        let fields = [&[3, 3][..], &[7; 32], b"\0\0\x02\x13\x01\x01\0"].concat();
        let list = (length - 43).to_be_bytes();
        let extension = (length - 47).to_be_bytes();
        let (head, length) = ([1, 0], length.to_be_bytes());
        let message = [
            &head[..],
            &length,
            &fields,
            &list,
            &[9, 9],
            &extension,
            &rest,
        ]
        .concat();
        message.chunks(16_384).flat_map(record).collect::<Vec<u8>>()
    };
    let inspector = |bytes| {
        let inspector = TlsInspector {
            max_client_hello_bytes: bytes,
            ja3: true,
            ja4: true,
            ..tls_inspector()
        };
        Bench::new(vec![ListenerFilter::TlsInspector(inspector)])
    };
    let long = hello(65_000);
    let mut asked = inspector(65_536);
    for end in (0..long.len()).step_by(1_448) {
        assert_eq!(asked.step(&long[..end]), Step::NeedMore);
    }
    assert_eq!(asked.step(&long), done(0));
    assert_eq!(asked.facts.transport, Transport::Tls);
    assert!(asked.facts.ja3.is_some() && asked.facts.ja4.is_some());
    let too_large = Step::Reject(Rejection::ClientHelloTooLarge);
    for (limit, length) in [(65_536, 65_517), (16_384, 16_376)] {
        let mut bench = inspector(limit);
        assert_eq!(bench.step(&hello(length)), too_large, "{limit}");
        assert_eq!(bench.counted(), "tls_inspector.client_hello_too_large=1");
    }
    assert_eq!(inspector(65_536).step(&hello(65_512)), done(0));
    assert_eq!(inspector(16_384).step(&hello(16_375)), done(0));
}

#[test]
fn plain_text_is_no_tls() {
    let mut bench = Bench::new(vec![ListenerFilter::TlsInspector(tls_inspector())]);
    assert_eq!(bench.step(b"GET / HTTP/1.1\r\n"), done(0));
    assert_eq!(bench.facts.for_matching().transport_protocol, b"raw_buffer");
    let failure = bench
        .facts
        .metadata("envoy.filters.listener.tls_inspector", "failure_reason");
    assert_eq!(failure, Some(MetadataValue::Text("ClientHelloNotDetected")));
    assert_eq!(bench.counted(), "tls_inspector.tls_not_found=1");
}

#[test]
fn hellos_that_are_refused() {
    let strict = TlsInspector {
        close_on_errors: true,
        ..tls_inspector()
    };
    let short = TlsInspector {
        max_client_hello_bytes: 50,
        ..tls_inspector()
    };
    for (config, bytes, why, counted) in [
        (
            strict,
            b"GET /".to_vec(),
            Rejection::ClientHelloInvalid,
            "tls_inspector.tls_not_found=1",
        ),
        (
            short,
            client_hello(0x0303),
            Rejection::ClientHelloTooLarge,
            "tls_inspector.client_hello_too_large=1",
        ),
        (
            tls_inspector(),
            client_hello(0x0300),
            Rejection::ClientHelloVersion,
            "tls_inspector.sni_found=1 tls_inspector.tls_not_found=1",
        ),
    ] {
        let mut bench = Bench::new(vec![ListenerFilter::TlsInspector(config)]);
        assert_eq!(bench.step(&bytes), Step::Reject(why));
        assert_eq!(bench.counted(), counted);
    }
}

#[test]
fn http_is_found_where_there_is_no_tls() {
    let filters = || {
        vec![
            ListenerFilter::TlsInspector(tls_inspector()),
            ListenerFilter::HttpInspector,
        ]
    };
    let mut bench = Bench::new(filters());
    assert_eq!(bench.step(b"GET / HT"), Step::NeedMore);
    assert_eq!(bench.step(b"GET / HTTP/1.1\r\n"), done(0));
    assert_eq!(bench.facts.application_protocols, [b"http/1.1"[..].into()]);
    assert_eq!(
        bench.counted(),
        "http_inspector.http11_found=1 tls_inspector.tls_not_found=1"
    );
    let mut bench = Bench::new(filters());
    assert_eq!(bench.step(&client_hello(0x0303)), done(0));
    assert_eq!(bench.facts.application_protocols.len(), 2);
    let mut bench = Bench::new(vec![ListenerFilter::HttpInspector]);
    assert_eq!(bench.step(b"\x16\x03\x01"), done(0));
    assert_eq!(bench.counted(), "http_inspector.http_not_found=1");
    let mut bench = Bench::new(vec![ListenerFilter::HttpInspector]);
    let line = [b"GET /", &[b'x'; 65_536][..]].concat();
    assert_eq!(bench.step(&line), Step::Reject(Rejection::HttpLineTooLong));
    assert_eq!(bench.counted(), "http_inspector.read_error=1");
}

#[test]
fn proxy_protocol_takes_its_bytes_only() {
    for header in [v1(), v2(&[])] {
        let mut bench = Bench::new(vec![
            ListenerFilter::ProxyProtocol(proxy_protocol()),
            ListenerFilter::TlsInspector(tls_inspector()),
        ]);
        let bytes = [&header[..], &client_hello(0x0303)].concat();
        for end in 0..bytes.len() {
            assert_eq!(bench.step(&bytes[..end]), Step::NeedMore, "{end}");
        }
        assert_eq!(bench.step(&bytes), done(header.len()));
        let facts = &bench.facts;
        assert_eq!(facts.source, address("1.1.1.1:5").into());
        assert_eq!(facts.destination, address("10.0.0.1:443").into());
        assert_eq!(facts.direct_source, address("127.0.0.9:9").into());
        assert_eq!(facts.direct_destination, address("127.0.0.1:80").into());
        assert!(facts.destination_restored);
        assert_eq!(&*facts.server_name, b"a.b");
    }
}

#[test]
fn a_local_header_changes_nothing() {
    let mut header = Vec::new();
    write_v2_local(&mut header);
    for header in [header, b"PROXY UNKNOWN\r\n".to_vec()] {
        let mut bench = Bench::new(vec![ListenerFilter::ProxyProtocol(proxy_protocol())]);
        assert_eq!(bench.step(&header), done(header.len()));
        assert_eq!(bench.facts.source, address("127.0.0.9:9").into());
        assert!(!bench.facts.destination_restored);
    }
}

#[test]
fn tlvs_become_metadata() {
    let rule = |tlv_type, namespace: &str, key: &str| TlvRule {
        base64: false,
        tlv_type,
        namespace: namespace.into(),
        key: key.into(),
    };
    let mut bench = Bench::new(vec![ListenerFilter::ProxyProtocol(ProxyProtocol {
        rules: vec![rule(4, "n", "old"), rule(4, "n", "k"), rule(5, "m", "k")],
        ..proxy_protocol()
    })]);
    let header = v2(&[(4, b"ab"), (5, b"a\xffc"), (6, b"x"), (4, b"z")]);
    assert_eq!(bench.step(&header), done(header.len()));
    let text = |text| Some(MetadataValue::Text(text));
    assert_eq!(bench.facts.metadata("n", "k"), text("ab"));
    assert_eq!(bench.facts.metadata("n", "old"), None);
    assert_eq!(bench.facts.metadata("m", "k"), text("a!c"));
}

#[test]
fn headers_that_are_refused() {
    let missing = Rejection::ProxyProtocolMissing;
    let unix = [&v2(&[])[..13], b"\x31\0\xd8", &[0; 216]].concat();
    let to_nowhere = b"PROXY TCP4 1.1.1.1 0.0.0.0 5 6\r\n";
    let multicast = b"PROXY TCP4 224.0.0.1 1.1.1.1 5 6\r\n";
    let broadcast = b"PROXY TCP4 255.255.255.255 1.1.1.1 5 6\r\n";
    let bad_line = Rejection::ProxyProtocolInvalid(Invalid::Line);
    let prefix = "downstream_cx_proxy_proto_error=1 proxy_proto.p.";
    for (bytes, why, counted) in [
        (&b"GET /"[..], missing, "not_found_disallowed=1"),
        (b"PROXY TCP4\r\n", bad_line, "versions.v1.error=1"),
        (
            to_nowhere,
            Rejection::ProxyProtocolAddress,
            "versions.v1.error=1",
        ),
        (
            multicast,
            Rejection::ProxyProtocolAddress,
            "versions.v1.error=1",
        ),
        (
            broadcast,
            Rejection::ProxyProtocolAddress,
            "versions.v1.error=1",
        ),
        (&unix, Rejection::ProxyProtocolFamily, "versions.v2.error=1"),
    ] {
        let mut bench = Bench::new(vec![ListenerFilter::ProxyProtocol(ProxyProtocol {
            stat_prefix: "p".into(),
            ..proxy_protocol()
        })]);
        assert_eq!(bench.step(bytes), Step::Reject(why));
        assert_eq!(bench.counted(), format!("{prefix}{counted}"));
        assert!(!bench.facts.destination_restored);
    }
}

#[test]
fn versions_that_are_not_wanted() {
    let config = |allow_without_header| ProxyProtocol {
        allow_v1: false,
        allow_without_header,
        ..proxy_protocol()
    };
    let mut bench = Bench::new(vec![ListenerFilter::ProxyProtocol(config(false))]);
    let disallowed = Rejection::ProxyProtocolDisallowed(Version::V1);
    assert_eq!(bench.step(&v1()), Step::Reject(disallowed));
    assert_eq!(
        bench.counted(),
        "proxy_proto.versions.v1.disallowed=1 proxy_proto.versions.v1.found=1"
    );
    let mut bench = Bench::new(vec![ListenerFilter::ProxyProtocol(config(true))]);
    assert_eq!(bench.step(&v1()), done(0));
    assert_eq!(bench.counted(), "proxy_proto.not_found_allowed=1");
    let mut bench = Bench::new(vec![ListenerFilter::ProxyProtocol(config(true))]);
    assert_eq!(bench.step(b"GET /"), done(0));
    let mut bench = Bench::new(vec![ListenerFilter::ProxyProtocol(config(true))]);
    assert_eq!(bench.step(&v2(&[])), done(28));
}

#[test]
fn original_destination_and_source() {
    let source = OriginalSrc {
        bind_port: false,
        mark: 123,
    };
    let mut bench = Bench::new(vec![
        ListenerFilter::OriginalDst,
        ListenerFilter::OriginalSrc(source),
    ]);
    bench.facts.redirected_from = Some(address("10.1.1.1:443"));
    assert_eq!(bench.step(b""), done(0));
    assert_eq!(bench.facts.destination, address("10.1.1.1:443").into());
    assert!(bench.facts.destination_restored);
    let upstream = UpstreamSource {
        address: address("127.0.0.9:0"),
        mark: 123,
    };
    assert_eq!(bench.facts.upstream_source, Some(upstream));
    // To itself, which is found when its listener is looked for.
    let mut bench = Bench::new(vec![ListenerFilter::OriginalDst]);
    bench.facts.redirected_from = Some(address("127.0.0.1:80"));
    assert_eq!(bench.step(b""), done(0));
    assert_eq!(bench.facts.destination, address("127.0.0.1:80").into());
    assert!(bench.facts.destination_restored);
}

/// A pipe has no port that could be in a range, and is no place to leave from.
#[test]
fn pipes_have_no_addresses() {
    let disabled = ListenerPredicate::DestinationPort { start: 0, end: 2 };
    let mut bench = Bench::conditional(vec![
        ConditionalFilter {
            filter: ListenerFilter::ProxyProtocol(proxy_protocol()),
            disabled: Some(disabled),
        },
        ConditionalFilter {
            filter: ListenerFilter::OriginalSrc(OriginalSrc::default()),
            disabled: None,
        },
    ]);
    let pipe = Address::Pipe("/run/a.sock".into());
    bench.facts = ConnectionFacts::new(pipe.clone(), pipe);
    assert_eq!(bench.step(b""), Step::NeedMore);
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    assert_eq!(bench.step(local), done(16));
    assert_eq!(bench.facts.upstream_source, None);
    assert_eq!(bench.facts.for_matching().destination, None);
}

#[test]
fn filters_are_passed_by_for_some_ports() {
    let port = |start, end| ListenerPredicate::DestinationPort { start, end };
    for (predicate, is_disabled) in [
        (ListenerPredicate::Any, true),
        (port(443, 444), true),
        (port(444, 500), false),
        (port(1, 443), false),
        (ListenerPredicate::Not(Box::new(port(443, 444))), false),
        (
            ListenerPredicate::And(vec![port(1, 999), port(1, 9)]),
            false,
        ),
        (ListenerPredicate::Or(vec![port(1, 9), port(1, 999)]), true),
    ] {
        let mut bench = Bench::conditional(vec![
            ConditionalFilter {
                filter: ListenerFilter::OriginalDst,
                disabled: None,
            },
            ConditionalFilter {
                filter: ListenerFilter::TlsInspector(tls_inspector()),
                disabled: Some(predicate),
            },
        ]);
        bench.facts.redirected_from = Some(address("10.1.1.1:443"));
        let want = if is_disabled { done(0) } else { Step::NeedMore };
        assert_eq!(bench.step(b""), want);
    }
}

#[test]
fn giving_up_keeps_what_was_found() {
    let mut bench = Bench::new(vec![
        ListenerFilter::ProxyProtocol(proxy_protocol()),
        ListenerFilter::TlsInspector(tls_inspector()),
    ]);
    assert_eq!(bench.inspection.read_at_most(&bench.filters), 16 + 65_535);
    let bytes = [&v1()[..], b"\x16\x03"].concat();
    assert_eq!(bench.step(&bytes), Step::NeedMore);
    let header = v1().len();
    assert_eq!(
        bench.inspection.read_at_most(&bench.filters),
        header + 16_384
    );
    assert_eq!(bench.inspection.give_up(), done(header));
    assert_eq!(bench.facts.source, address("1.1.1.1:5").into());
}
