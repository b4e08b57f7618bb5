//! Listener filters over the first bytes of a connection: no sockets, no clock.
//!
//! Whoever reads the socket calls [`Inspection::step`] with all bytes since the start, now and
//! after each read, until it is done; keeps the time (`Listener::filters_timeout`); and chooses the
//! filter chain by the facts. Verdicts, facts and counters are Envoy 1.40's.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use model::jwt::base64;
use model::resources::listener::{
    ConditionalFilter, ListenerFilter, ListenerPredicate, OriginalSrc, ProxyProtocol, TlsInspector,
};
use proto::client_hello::{self, ClientHello};
use proto::http_inspector;
use proto::proxy_protocol::{self, Addresses, Header, MAX_V2, Parsed, Signature, Version};

use super::facts::{ConnectionFacts, TlsFailure, Transport, UpstreamSource};
use super::stats::FilterStats;
use crate::telemetry::stats::{HttpInspectorCounter, ProxyProtocolCounter, TlsInspectorCounter};

/// How far the filters of a listener have come with a connection.
#[derive(Debug, Default)]
pub struct Inspection {
    /// Index of the filter that is at work.
    at: usize,
    /// Bytes that PROXY protocol took.
    consumed: usize,
    tls: client_hello::Finder,
    http: http_inspector::Inspector,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Read on, and call again with more.
    NeedMore,
    /// Choose the filter chain; `consumed` bytes at the start are not the chain's.
    Done { consumed: usize },
    /// Close the connection.
    Reject(Rejection),
}

/// Why a connection is closed before it has a filter chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    ProxyProtocolMissing,
    ProxyProtocolDisallowed(Version),
    ProxyProtocolInvalid(proxy_protocol::Invalid),
    /// AF_UNIX, or none that is known.
    ProxyProtocolFamily,
    /// Unspecified, broadcast or multicast.
    ProxyProtocolAddress,
    ClientHelloTooLarge,
    ClientHelloVersion,
    /// `close_connection_on_client_hello_parsing_errors`.
    ClientHelloInvalid,
    HttpLineTooLong,
}

/// What one filter says.
enum Verdict {
    NeedMore,
    /// The next filter's turn; so many bytes are taken.
    Next(usize),
    Reject(Rejection),
}

impl Inspection {
    /// Goes as far as the bytes allow. `bytes`: all since the start of the connection; `stats`: of
    /// the same `filters`.
    pub fn step(
        &mut self,
        filters: &[ConditionalFilter],
        stats: &FilterStats,
        bytes: &[u8],
        facts: &mut ConnectionFacts,
    ) -> Step {
        while let Some(ConditionalFilter { filter, disabled }) = filters.get(self.at) {
            let passes_by = disabled.as_ref().is_some_and(|p| holds(p, facts));
            let verdict = if passes_by {
                Verdict::Next(0)
            } else {
                let unread = bytes.get(self.consumed..).unwrap_or_default();
                self.look(filter, stats, unread, facts)
            };
            match verdict {
                Verdict::NeedMore => return Step::NeedMore,
                Verdict::Reject(why) => return Step::Reject(why),
                Verdict::Next(taken) => self.next(taken),
            }
        }
        let consumed = self.consumed;
        Step::Done { consumed }
    }

    /// Stops waiting: what the filters have found so far is all they find. For
    /// `continue_on_listener_filters_timeout`.
    #[must_use]
    pub fn give_up(&self) -> Step {
        let consumed = self.consumed;
        Step::Done { consumed }
    }

    /// So many bytes since the start are enough for the filter at work to come to a verdict:
    /// reading more of them before that is in vain.
    #[must_use]
    pub fn read_at_most(&self, filters: &[ConditionalFilter]) -> usize {
        let own = filters
            .get(self.at)
            .map_or(0, |filter| match &filter.filter {
                ListenerFilter::TlsInspector(config) => hello_limit(config),
                ListenerFilter::HttpInspector => http_inspector::MAX_BYTES,
                ListenerFilter::ProxyProtocol(_) => MAX_V2,
                ListenerFilter::OriginalDst | ListenerFilter::OriginalSrc(_) => 0,
            });
        self.consumed.saturating_add(own)
    }

    fn next(&mut self, taken: usize) {
        *self = Self {
            at: self.at.saturating_add(1),
            consumed: self.consumed.saturating_add(taken),
            ..Self::default()
        };
    }

    fn look(
        &mut self,
        filter: &ListenerFilter,
        stats: &FilterStats,
        unread: &[u8],
        facts: &mut ConnectionFacts,
    ) -> Verdict {
        match filter {
            ListenerFilter::OriginalDst => {
                if let Some(destination) = facts.redirected_from {
                    facts.restore_destination(destination);
                    facts.destination_restored = true;
                }
                Verdict::Next(0)
            }
            ListenerFilter::OriginalSrc(config) => original_src(config, facts),
            ListenerFilter::TlsInspector(config) => self.tls(config, stats, unread, facts),
            ListenerFilter::HttpInspector => self.http(stats, unread, facts),
            ListenerFilter::ProxyProtocol(config) => {
                let counts = |counter| stats.proxy_protocol(self.at, counter);
                proxy_protocol(config, &counts, unread, facts)
            }
        }
    }

    fn tls(
        &mut self,
        config: &TlsInspector,
        stats: &FilterStats,
        unread: &[u8],
        facts: &mut ConnectionFacts,
    ) -> Verdict {
        match self.tls.look(unread, hello_limit(config)) {
            client_hello::Found::NeedMore => Verdict::NeedMore,
            client_hello::Found::NotTls => no_hello(config, stats, unread, facts),
            client_hello::Found::TooLarge => {
                stats.tls(TlsInspectorCounter::ClientHelloTooLarge);
                stats.tls_bytes(hello_limit(config));
                facts.tls_failure = Some(TlsFailure::TooLarge);
                Verdict::Reject(Rejection::ClientHelloTooLarge)
            }
            client_hello::Found::Message(message) => match ClientHello::parse(&message.body) {
                Ok(hello) => {
                    stats.tls_bytes(message.consumed);
                    hello_found(config, stats, &hello, facts)
                }
                Err(_) => no_hello(config, stats, unread, facts),
            },
        }
    }

    fn http(&mut self, stats: &FilterStats, unread: &[u8], facts: &mut ConnectionFacts) -> Verdict {
        if facts.transport != Transport::RawBuffer {
            return Verdict::Next(0);
        }
        let found = self.http.look(unread);
        stats.http(match found {
            http_inspector::Found::NeedMore => return Verdict::NeedMore,
            http_inspector::Found::TooLong => {
                stats.http(HttpInspectorCounter::ReadError);
                return Verdict::Reject(Rejection::HttpLineTooLong);
            }
            http_inspector::Found::Http10 => HttpInspectorCounter::Http10Found,
            http_inspector::Found::Http11 => HttpInspectorCounter::Http11Found,
            http_inspector::Found::H2c => HttpInspectorCounter::Http2Found,
            http_inspector::Found::None => HttpInspectorCounter::HttpNotFound,
        });
        if let Some(protocol) = found.application_protocol() {
            facts.application_protocols = vec![protocol.into()];
        }
        Verdict::Next(0)
    }
}

/// `ListenerFilterChainMatchPredicate`.
fn holds(predicate: &ListenerPredicate, facts: &ConnectionFacts) -> bool {
    match predicate {
        ListenerPredicate::Any => true,
        ListenerPredicate::DestinationPort { start, end } => {
            let port = facts.destination.port();
            port.is_some_and(|port| (*start..*end).contains(&i32::from(port)))
        }
        ListenerPredicate::And(all) => all.iter().all(|p| holds(p, facts)),
        ListenerPredicate::Or(any) => any.iter().any(|p| holds(p, facts)),
        ListenerPredicate::Not(inner) => !holds(inner, facts),
    }
}

fn original_src(config: &OriginalSrc, facts: &mut ConnectionFacts) -> Verdict {
    // A pipe's end is no place to leave from.
    let Some(mut address) = facts.source.socket_addr() else {
        return Verdict::Next(0);
    };
    if !config.bind_port {
        address.set_port(0);
    }
    let mark = config.mark;
    facts.upstream_source = Some(UpstreamSource { address, mark });
    Verdict::Next(0)
}

fn hello_limit(config: &TlsInspector) -> usize {
    usize::try_from(config.max_client_hello_bytes)
        .unwrap_or(client_hello::MAX_BYTES)
        .min(client_hello::MAX_BYTES)
}

fn no_hello(
    config: &TlsInspector,
    stats: &FilterStats,
    unread: &[u8],
    facts: &mut ConnectionFacts,
) -> Verdict {
    // A record's header is what Envoy's parser takes before it knows.
    stats.tls_bytes(unread.len().min(5));
    // Envoy cannot tell a long text from a long ClientHello, if the first read is as long as can be.
    let first = usize::try_from(config.initial_read_bytes).unwrap_or(usize::MAX);
    let (failure, counter) =
        if config.close_on_errors && unread.len().min(first) >= hello_limit(config) {
            (
                TlsFailure::TooLarge,
                TlsInspectorCounter::ClientHelloTooLarge,
            )
        } else {
            (TlsFailure::NotDetected, TlsInspectorCounter::TlsNotFound)
        };
    facts.tls_failure = Some(failure);
    stats.tls(counter);
    if config.close_on_errors {
        return Verdict::Reject(Rejection::ClientHelloInvalid);
    }
    Verdict::Next(0)
}

fn hello_found(
    config: &TlsInspector,
    stats: &FilterStats,
    hello: &ClientHello<'_>,
    facts: &mut ConnectionFacts,
) -> Verdict {
    facts.ja3 = config.ja3.then(|| hello.ja3().into());
    facts.ja4 = config.ja4.then(|| hello.ja4().into());
    match hello.server_name() {
        Some(name) => {
            facts.server_name = name.to_ascii_lowercase().into();
            stats.tls(TlsInspectorCounter::SniFound);
        }
        None => stats.tls(TlsInspectorCounter::SniNotFound),
    }
    if !hello.version_is_known() {
        stats.tls(TlsInspectorCounter::TlsNotFound);
        facts.tls_failure = Some(TlsFailure::InvalidVersion);
        return Verdict::Reject(Rejection::ClientHelloVersion);
    }
    stats.tls(TlsInspectorCounter::TlsFound);
    facts.transport = Transport::Tls;
    let protocols: Vec<Box<[u8]>> = hello.alpn().map(Into::into).collect();
    stats.tls(if protocols.is_empty() {
        TlsInspectorCounter::AlpnNotFound
    } else {
        TlsInspectorCounter::AlpnFound
    });
    facts.application_protocols = protocols;
    Verdict::Next(0)
}

fn proxy_protocol(
    config: &ProxyProtocol,
    counts: &dyn Fn(ProxyProtocolCounter),
    unread: &[u8],
    facts: &mut ConnectionFacts,
) -> Verdict {
    match proxy_protocol::signature(unread) {
        Signature::NeedMore => return Verdict::NeedMore,
        Signature::Absent if config.allow_without_header => {
            counts(ProxyProtocolCounter::NotFoundAllowed);
            return Verdict::Next(0);
        }
        Signature::Absent => {
            counts(ProxyProtocolCounter::NotFoundDisallowed);
            return Verdict::Reject(Rejection::ProxyProtocolMissing);
        }
        Signature::Of(version) if !is_allowed(config, version) => {
            // Without an obligation to send one it is no header, but the client's own bytes.
            if config.allow_without_header {
                counts(ProxyProtocolCounter::NotFoundAllowed);
                return Verdict::Next(0);
            }
            counts(found(version));
            counts(disallowed(version));
            return Verdict::Reject(Rejection::ProxyProtocolDisallowed(version));
        }
        Signature::Of(_) => {}
    }
    match proxy_protocol::parse(unread) {
        Parsed::NeedMore => Verdict::NeedMore,
        Parsed::Absent => Verdict::Reject(Rejection::ProxyProtocolMissing),
        Parsed::Invalid(version, why) => {
            counts(invalid(version));
            Verdict::Reject(Rejection::ProxyProtocolInvalid(why))
        }
        Parsed::Header(header) => match take_header(config, &header, facts) {
            Ok(()) => {
                counts(found(header.version));
                Verdict::Next(header.consumed)
            }
            Err(why) => {
                counts(invalid(header.version));
                Verdict::Reject(why)
            }
        },
    }
}

fn is_allowed(config: &ProxyProtocol, version: Version) -> bool {
    match version {
        Version::V1 => config.allow_v1,
        Version::V2 => config.allow_v2,
    }
}

fn take_header(
    config: &ProxyProtocol,
    header: &Header<'_>,
    facts: &mut ConnectionFacts,
) -> Result<(), Rejection> {
    match header.addresses {
        Addresses::Local => {}
        Addresses::Ip {
            source,
            destination,
        } => {
            if !is_unicast(source) || !is_unicast(destination) {
                return Err(Rejection::ProxyProtocolAddress);
            }
            facts.source = source.into();
            facts.restore_destination(destination);
        }
        Addresses::Unix { .. } | Addresses::Unspecified => {
            return Err(Rejection::ProxyProtocolFamily);
        }
    }
    for tlv in header.tlvs.iter() {
        // Of several rules for one type Envoy keeps the last.
        let mut rules = config.rules.iter().rev();
        if let Some(rule) = rules.find(|rule| rule.tlv_type == tlv.kind) {
            let encoded = rule.base64.then(|| base64(tlv.value));
            let value = encoded.as_ref().map_or(tlv.value, String::as_bytes);
            facts.add_metadata(&rule.namespace, &rule.key, value);
        }
    }
    Ok(())
}

fn is_unicast(address: SocketAddr) -> bool {
    let ip = address.ip();
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
}

fn found(version: Version) -> ProxyProtocolCounter {
    match version {
        Version::V1 => ProxyProtocolCounter::V1Found,
        Version::V2 => ProxyProtocolCounter::V2Found,
    }
}

fn disallowed(version: Version) -> ProxyProtocolCounter {
    match version {
        Version::V1 => ProxyProtocolCounter::V1Disallowed,
        Version::V2 => ProxyProtocolCounter::V2Disallowed,
    }
}

fn invalid(version: Version) -> ProxyProtocolCounter {
    match version {
        Version::V1 => ProxyProtocolCounter::V1Error,
        Version::V2 => ProxyProtocolCounter::V2Error,
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProxyProtocolMissing => f.write_str("no PROXY protocol header"),
            Self::ProxyProtocolDisallowed(Version::V1) => {
                f.write_str("PROXY protocol v1 is disallowed")
            }
            Self::ProxyProtocolDisallowed(Version::V2) => {
                f.write_str("PROXY protocol v2 is disallowed")
            }
            Self::ProxyProtocolInvalid(why) => why.fmt(f),
            Self::ProxyProtocolFamily => {
                f.write_str("PROXY protocol v2 of another address family than IPv4 and IPv6")
            }
            Self::ProxyProtocolAddress => {
                f.write_str("PROXY protocol with an address that is not unicast")
            }
            Self::ClientHelloTooLarge => f.write_str("ClientHello too large"),
            Self::ClientHelloVersion => {
                f.write_str("ClientHello of a version other than TLS 1.0 to 1.3")
            }
            Self::ClientHelloInvalid => f.write_str("no ClientHello"),
            Self::HttpLineTooLong => f.write_str("HTTP request line too long"),
        }
    }
}
