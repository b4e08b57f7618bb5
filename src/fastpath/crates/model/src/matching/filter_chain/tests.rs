use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::resources::hcm::Cidr;
use crate::resources::listener::SourceType;

/// A connection, with what most tests do not care about.
#[derive(Debug, Clone)]
struct Connection {
    destination: SocketAddr,
    source: SocketAddr,
    direct_source: IpAddr,
    server_name: String,
    transport_protocol: &'static str,
    application_protocols: Vec<Box<[u8]>>,
}

impl Connection {
    fn plain() -> Self {
        Self {
            destination: "10.0.0.1:80".parse().unwrap(),
            source: "192.168.1.1:4000".parse().unwrap(),
            direct_source: "192.168.1.1".parse().unwrap(),
            server_name: String::new(),
            transport_protocol: "raw_buffer",
            application_protocols: Vec::new(),
        }
    }

    fn to(address: &str) -> Self {
        let destination = address.parse().unwrap();
        Self {
            destination,
            ..Self::plain()
        }
    }

    fn from(address: &str) -> Self {
        let source: SocketAddr = address.parse().unwrap();
        Self {
            source,
            direct_source: source.ip(),
            ..Self::plain()
        }
    }

    fn tls(server_name: &str, protocols: &[&str]) -> Self {
        let protocols = protocols.iter().map(|p| p.as_bytes().into());
        Self {
            server_name: server_name.into(),
            transport_protocol: "tls",
            application_protocols: protocols.collect(),
            ..Self::plain()
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            destination: self.destination.into(),
            source: self.source.into(),
            direct_source: self.direct_source.into(),
            server_name: self.server_name.as_bytes(),
            transport_protocol: self.transport_protocol.as_bytes(),
            application_protocols: &self.application_protocols,
        }
    }
}

fn any() -> ChainMatch {
    ChainMatch::default()
}

fn port(port: u16) -> ChainMatch {
    ChainMatch {
        destination_port: Some(port),
        ..any()
    }
}

fn names(names: &[&str]) -> ChainMatch {
    ChainMatch {
        server_names: texts(names),
        ..any()
    }
}

fn alpn(names: &[&str]) -> ChainMatch {
    ChainMatch {
        application_protocols: texts(names),
        ..any()
    }
}

fn to(ranges: &[&str]) -> ChainMatch {
    ChainMatch {
        prefix_ranges: cidrs(ranges),
        ..any()
    }
}

fn source_type(source_type: SourceType) -> ChainMatch {
    ChainMatch {
        source_type,
        ..any()
    }
}

fn texts(texts: &[&str]) -> Vec<Box<str>> {
    texts.iter().map(|text| (*text).into()).collect()
}

fn cidrs(ranges: &[&str]) -> Vec<Cidr> {
    ranges.iter().map(|range| cidr(range)).collect()
}

fn cidr(range: &str) -> Cidr {
    let (address, length) = range.split_once('/').unwrap();
    Cidr {
        address: address.parse().unwrap(),
        prefix_len: length.parse().unwrap(),
    }
}

/// Each connection finds its chain.
#[track_caller]
fn check(chains: &[ChainMatch], cases: &[(Connection, Option<usize>)]) {
    let matcher = ChainMatcher::new(chains).unwrap();
    for (connection, want) in cases {
        let facts = connection.facts();
        assert_eq!(matcher.find(&facts), *want, "{connection:?}");
        assert_eq!(reference::find(chains, &facts), *want, "{connection:?}");
    }
}

#[track_caller]
fn overlaps(chains: &[ChainMatch], first: usize, second: usize) {
    let overlap = ChainMatcher::new(chains).unwrap_err();
    assert_eq!(overlap, Overlap { first, second });
}

#[test]
fn one_chain_without_criteria_takes_all() {
    let matcher = ChainMatcher::new(&[any()]).unwrap();
    assert!(matcher.is_trivial());
    assert_eq!(matcher.find(&Connection::plain().facts()), Some(0));
    assert!(ChainMatcher::default().is_trivial());
    assert!(!ChainMatcher::new(&[port(80)]).unwrap().is_trivial());
}

#[test]
fn no_chain_takes_none() {
    let matcher = ChainMatcher::new(&[]).unwrap();
    assert!(!matcher.is_trivial());
    assert_eq!(matcher.find(&Connection::plain().facts()), None);
}

/// Both ends of it: no port, in no range but that of every address, and local.
#[test]
fn pipes() {
    let from = |ranges: &[&str]| ChainMatch {
        source_prefix_ranges: cidrs(ranges),
        direct_source_prefix_ranges: cidrs(ranges),
        ..any()
    };
    let cases = [
        (port(80), None),
        (to(&["10.0.0.0/8", "::/0"]), None),
        (to(&["0.0.0.0/0"]), Some(0)),
        (from(&["10.0.0.0/8"]), None),
        (from(&["0.0.0.0/0"]), Some(0)),
        (source_type(SourceType::SameIpOrLoopback), Some(0)),
        (source_type(SourceType::External), None),
    ];
    for (chain, want) in cases {
        let connection = Connection::plain();
        let facts = Facts {
            destination: None,
            source: None,
            direct_source: None,
            ..connection.facts()
        };
        let chains = [chain];
        let found = ChainMatcher::new(&chains).unwrap().find(&facts);
        assert_eq!(found, want, "{chains:?}");
        assert_eq!(reference::find(&chains, &facts), want, "{chains:?}");
    }
}

#[test]
fn an_exact_port_hides_the_chains_without_port() {
    let only_tls_on_443 = ChainMatch {
        transport_protocol: "tls".into(),
        ..port(443)
    };
    check(
        &[any(), only_tls_on_443],
        &[
            (Connection::to("10.0.0.1:80"), Some(0)),
            (Connection::to("10.0.0.1:443"), None),
        ],
    );
}

#[test]
fn the_longest_range_of_the_destination() {
    let chains = [
        to(&["10.0.0.0/8"]),
        to(&["10.1.2.3/16", "fe80::/64"]),
        to(&["10.1.2.3/32"]),
        to(&["::ffff:9.0.0.0/104"]),
        to(&["fe80::1/128"]),
    ];
    check(
        &chains,
        &[
            (Connection::to("10.9.9.9:1"), Some(0)),
            (Connection::to("10.1.9.9:1"), Some(1)),
            (Connection::to("10.1.2.3:1"), Some(2)),
            (Connection::to("[::ffff:10.1.2.3]:1"), Some(2)),
            (Connection::to("11.1.2.3:1"), None),
            (Connection::to("9.1.2.3:1"), None),
            (Connection::to("[fe80::2]:1"), Some(1)),
            (Connection::to("[fe80::1]:1"), Some(4)),
            (Connection::to("[fe81::1]:1"), None),
        ],
    );
}

#[test]
fn ranges_of_all_addresses_are_of_one_family() {
    let chains = [to(&["0.0.0.0/0"]), any()];
    check(&chains, &[(Connection::to("10.9.9.9:1"), Some(0))]);
    check(&chains, &[(Connection::to("[fe80::2]:1"), Some(1))]);
}

/// The example of the `FilterChainMatch` document.
#[test]
fn server_names_from_exact_to_none() {
    let chains = [
        names(&["www.example.com"]),
        names(&["*.example.com", "API.org"]),
        names(&["*.com"]),
        any(),
    ];
    check(
        &chains,
        &[
            (Connection::tls("www.example.com", &[]), Some(0)),
            (Connection::tls("api.example.com", &[]), Some(1)),
            (Connection::tls("a.b.example.com", &[]), Some(1)),
            (Connection::tls("api.org", &[]), Some(1)),
            (Connection::tls("example.com", &[]), Some(2)),
            (Connection::tls("com", &[]), Some(3)),
            (Connection::tls("example.com.", &[]), Some(3)),
            (Connection::tls("", &[]), Some(3)),
        ],
    );
}

#[test]
fn a_branch_that_is_entered_is_not_left() {
    let exact_with_h2 = ChainMatch {
        application_protocols: texts(&["h2"]),
        ..names(&["a.com"])
    };
    check(
        &[exact_with_h2, names(&["*.com"]), any()],
        &[
            (Connection::tls("a.com", &["h2"]), Some(0)),
            (Connection::tls("a.com", &["http/1.1"]), None),
            (Connection::tls("b.com", &["http/1.1"]), Some(1)),
        ],
    );
}

#[test]
fn transport_protocol_then_the_others() {
    let tls = ChainMatch {
        transport_protocol: "tls".into(),
        ..any()
    };
    check(
        &[any(), tls],
        &[
            (Connection::plain(), Some(0)),
            (Connection::tls("", &[]), Some(1)),
        ],
    );
}

#[test]
fn the_first_protocol_of_the_client_that_a_chain_names() {
    check(
        &[alpn(&["h2"]), alpn(&["http/1.1", "http/1.0"]), any()],
        &[
            (Connection::tls("", &["h2", "http/1.1"]), Some(0)),
            (Connection::tls("", &["http/1.1", "h2"]), Some(1)),
            (Connection::tls("", &["x", "h2"]), Some(0)),
            (Connection::tls("", &["H2"]), Some(2)),
            (Connection::tls("", &[]), Some(2)),
        ],
    );
}

#[test]
fn direct_source_before_source() {
    let direct = ChainMatch {
        direct_source_prefix_ranges: cidrs(&["172.16.0.0/12"]),
        source_prefix_ranges: cidrs(&["1.0.0.0/8"]),
        ..any()
    };
    let source = ChainMatch {
        source_prefix_ranges: cidrs(&["1.2.0.0/16"]),
        ..any()
    };
    let through = |peer: &str, source: &str| Connection {
        direct_source: peer.parse().unwrap(),
        ..Connection::from(source)
    };
    check(
        &[direct, source],
        &[
            (through("172.16.0.1", "1.2.3.4:5"), Some(0)),
            (through("172.16.0.1", "2.2.3.4:5"), None),
            (through("172.1.0.1", "1.2.3.4:5"), Some(1)),
        ],
    );
}

#[test]
fn source_types() {
    let chains = [
        source_type(SourceType::SameIpOrLoopback),
        source_type(SourceType::External),
    ];
    let cases = [
        (Connection::from("127.0.0.1:9"), Some(0)),
        (Connection::from("[::1]:9"), Some(0)),
        (Connection::from("[::ffff:127.0.0.1]:9"), Some(0)),
        (Connection::from("10.0.0.1:9"), Some(0)),
        (Connection::from("127.0.0.2:9"), Some(1)),
        (Connection::from("10.0.0.2:9"), Some(1)),
    ];
    check(&chains, &cases);
    check(
        &[chains[1].clone(), any()],
        &[
            (Connection::from("127.0.0.1:9"), Some(1)),
            (Connection::from("9.9.9.9:9"), Some(0)),
        ],
    );
}

#[test]
fn source_ports_last() {
    let ports = ChainMatch {
        source_ports: vec![100, 101],
        ..any()
    };
    let network = ChainMatch {
        source_prefix_ranges: cidrs(&["9.0.0.0/8"]),
        source_ports: vec![100],
        ..any()
    };
    check(
        &[ports, network],
        &[
            (Connection::from("1.1.1.1:101"), Some(0)),
            (Connection::from("1.1.1.1:102"), None),
            (Connection::from("9.1.1.1:100"), Some(1)),
            (Connection::from("9.1.1.1:101"), None),
        ],
    );
}

#[test]
fn overlaps_are_refused() {
    overlaps(&[any(), any()], 0, 1);
    overlaps(&[port(80), any(), port(80)], 0, 2);
    overlaps(&[names(&["a.b"]), names(&["x.b", "A.b"])], 0, 1);
    overlaps(&[names(&["*.b"]), names(&[".b"])], 0, 1);
    overlaps(&[names(&["a", "a"])], 0, 0);
    overlaps(&[names(&[""]), any()], 0, 1);
    overlaps(&[alpn(&["h2"]), alpn(&["http/1.1", "h2"])], 0, 1);
    overlaps(&[to(&["10.1.2.3/8"]), to(&["10.9.0.0/8"])], 0, 1);
    ChainMatcher::new(&[to(&["10.0.0.0/8"]), to(&["10.0.0.0/9"])]).unwrap();
    ChainMatcher::new(&[source_type(SourceType::External), any()]).unwrap();
}

const NAMES: &[&str] = &[
    "a", "b", "a.b", "c.b", "x.a.b", "*.b", "*.a.b", "*.x.a.b", "y.x.a.b",
];
const PROTOCOLS: &[&str] = &["h2", "http/1.1", "x"];
const RANGES: &[&str] = &[
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.1.1/32",
    "127.0.0.0/8",
    "fe80::/64",
    "fe80::1/128",
];
const ADDRESSES: &[&str] = &[
    "10.1.1.1",
    "10.1.1.2",
    "10.2.1.1",
    "11.1.1.1",
    "127.0.0.1",
    "fe80::1",
    "fe80::2",
    "::1",
];
const PORTS: &[u16] = &[1, 2, 3];

fn some_of(values: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![2 => Just(Vec::new()), 1 => subsequence(values, 1..=2)]
}

fn some_ranges() -> impl Strategy<Value = Vec<Cidr>> {
    some_of(RANGES).prop_map(|ranges| cidrs(&ranges))
}

fn some_texts(values: &'static [&'static str]) -> impl Strategy<Value = Vec<Box<str>>> {
    some_of(values).prop_map(|names| texts(&names))
}

fn some_match() -> impl Strategy<Value = ChainMatch> {
    let types = [
        SourceType::Any,
        SourceType::External,
        SourceType::SameIpOrLoopback,
    ];
    (
        option::weighted(0.3, select(PORTS)),
        some_ranges(),
        some_texts(NAMES),
        select(vec!["", "tls", "raw_buffer"]),
        some_texts(PROTOCOLS),
        some_ranges(),
        select(types.to_vec()),
        some_ranges(),
        prop_oneof![2 => Just(Vec::new()), 1 => subsequence(PORTS, 1..=2)],
    )
        .prop_map(
            |(port, to, names, transport, alpn, direct, kind, from, ports)| ChainMatch {
                destination_port: port,
                prefix_ranges: to,
                server_names: names,
                transport_protocol: transport.into(),
                application_protocols: alpn,
                direct_source_prefix_ranges: direct,
                source_type: kind,
                source_prefix_ranges: from,
                source_ports: ports,
            },
        )
}

fn some_address() -> impl Strategy<Value = SocketAddr> {
    (select(ADDRESSES), select(PORTS))
        .prop_map(|(ip, port)| SocketAddr::new(ip.parse().unwrap(), port))
}

fn some_connection() -> impl Strategy<Value = Connection> {
    let names = vec![
        "",
        "a",
        "a.b",
        "c.b",
        "d.b",
        "x.a.b",
        "y.x.a.b",
        "z.y.x.a.b",
    ];
    (
        some_address(),
        some_address(),
        select(ADDRESSES),
        select(names),
        select(vec!["tls", "raw_buffer"]),
        subsequence(PROTOCOLS, 0..=3).prop_shuffle(),
    )
        .prop_map(
            |(destination, source, direct, name, transport, alpn)| Connection {
                destination,
                source,
                direct_source: direct.parse().unwrap(),
                server_name: name.into(),
                transport_protocol: transport,
                application_protocols: alpn.iter().map(|p| p.as_bytes().into()).collect(),
            },
        )
}

proptest! {
    #[test]
    fn as_the_reference(
        proposed in vec(some_match(), 1..12),
        connections in vec(some_connection(), 1..24),
    ) {
        // Those that overlap an earlier one are left out.
        let mut chains: Vec<ChainMatch> = Vec::new();
        for chain in proposed {
            chains.push(chain);
            if ChainMatcher::new(&chains).is_err() {
                chains.pop();
            }
        }
        let matcher = ChainMatcher::new(&chains).unwrap();
        for connection in &connections {
            let facts = connection.facts();
            prop_assert_eq!(matcher.find(&facts), reference::find(&chains, &facts));
        }
    }
}
