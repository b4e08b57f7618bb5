//! Istio's filters: metadata exchange, metrics, ALPN. `envoy-types` has none of their messages.

use envoy_types::pb::google::protobuf::{Duration as DurationMessage, Struct, value::Kind};
use prost::Message;

use super::duration::timeout;
use crate::problem::Problems;
use crate::resources::istio::{
    AlpnOverride, ClusterInfo, Discovery, MetadataExchange, PeerMetadata, Propagation, ServiceInfo,
};
use crate::resources::istio_stats::{Expression, IstioStats, Label, Metric, Reporter};

pub(super) const PEER_METADATA: &str = "io.istio.http.peer_metadata.Config";
pub(super) const STATS: &str = "stats.PluginConfig";
pub(super) const ALPN: &str = "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig";
pub(super) const EXCHANGE: &str = "envoy.tcp.metadataexchange.config.MetadataExchange";

#[derive(Clone, PartialEq, Message)]
pub(super) struct PeerMetadataMessage {
    #[prost(message, repeated, tag = "1")]
    downstream_discovery: Vec<DiscoveryMessage>,
    #[prost(message, repeated, tag = "2")]
    upstream_discovery: Vec<DiscoveryMessage>,
    #[prost(message, repeated, tag = "3")]
    downstream_propagation: Vec<PropagationMessage>,
    #[prost(message, repeated, tag = "4")]
    upstream_propagation: Vec<PropagationMessage>,
    #[prost(string, repeated, tag = "6")]
    additional_labels: Vec<String>,
}

/// `workload_discovery` finds nobody without the bootstrap extension that Istio's has for it, which
/// is refused by name, as is the fourth method.
#[derive(Clone, PartialEq, Message)]
struct DiscoveryMessage {
    #[prost(message, optional, tag = "1")]
    baggage: Option<()>,
    #[prost(message, optional, tag = "3")]
    istio_headers: Option<HeadersMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct PropagationMessage {
    #[prost(message, optional, tag = "1")]
    istio_headers: Option<HeadersMessage>,
    #[prost(message, optional, tag = "2")]
    baggage: Option<()>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct HeadersMessage {
    #[prost(bool, tag = "1")]
    skip_external_clusters: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StatsMessage {
    #[prost(bool, tag = "6")]
    disable_host_header_fallback: bool,
    #[prost(message, optional, tag = "7")]
    tcp_reporting_duration: Option<DurationMessage>,
    #[prost(message, repeated, tag = "8")]
    metrics: Vec<MetricMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct MetricMessage {
    #[prost(btree_map = "string, string", tag = "1")]
    dimensions: std::collections::BTreeMap<String, String>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, repeated, tag = "3")]
    tags_to_remove: Vec<String>,
    #[prost(bool, tag = "5")]
    drop: bool,
}

#[derive(Clone, PartialEq, Message)]
struct AlpnMessage {
    #[prost(message, repeated, tag = "1")]
    alpn_override: Vec<OverrideMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct OverrideMessage {
    #[prost(int32, tag = "1")]
    upstream_protocol: i32,
    #[prost(string, repeated, tag = "2")]
    alpn_override: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct ExchangeMessage {
    #[prost(string, tag = "1")]
    protocol: String,
    #[prost(string, repeated, tag = "3")]
    additional_labels: Vec<String>,
}

pub(super) fn peer_metadata(bytes: &[u8]) -> Option<PeerMetadata> {
    let message = PeerMetadataMessage::decode(bytes).ok()?;
    Some(PeerMetadata {
        of_clients: discoveries(&message.downstream_discovery, true),
        // As in Istio a host does not say it by baggage.
        of_hosts: discoveries(&message.upstream_discovery, false),
        to_clients: propagations(&message.downstream_propagation),
        to_hosts: propagations(&message.upstream_propagation),
        additional_labels: boxed(&message.additional_labels),
    })
}

fn discoveries(methods: &[DiscoveryMessage], by_baggage: bool) -> Vec<Discovery> {
    let each = |method: &DiscoveryMessage| match method {
        method if method.istio_headers.is_some() => Some(Discovery::IstioHeaders),
        method if method.baggage.is_some() && by_baggage => Some(Discovery::Baggage),
        _ => None,
    };
    methods.iter().filter_map(each).collect()
}

fn propagations(methods: &[PropagationMessage]) -> Vec<Propagation> {
    let each = |method: &PropagationMessage| match method.istio_headers {
        Some(headers) => Some(Propagation::IstioHeaders {
            skip_external_clusters: headers.skip_external_clusters,
        }),
        None => method.baggage.map(|()| Propagation::Baggage),
    };
    methods.iter().filter_map(each).collect()
}

/// With hosts nobody speaks HTTP/1.0, in Envoy neither: what is said for it never counts.
pub(super) fn alpn(bytes: &[u8], problems: &mut Problems) -> Option<AlpnOverride> {
    let message = AlpnMessage::decode(bytes).ok()?;
    let mut found: [Option<&[String]>; 3] = [None; 3];
    for (index, one) in message.alpn_override.iter().enumerate() {
        let protocol = usize::try_from(one.upstream_protocol).ok();
        match protocol.and_then(|protocol| found.get_mut(protocol)) {
            // Of several the first holds.
            Some(known) => *known = known.or(Some(&one.alpn_override)),
            None => problems.within_item("alpn_override", index, |p| {
                p.report_at("upstream_protocol", "is none of HTTP10, HTTP11 and HTTP2");
            }),
        }
    }
    let [_, http11, http2] = found.map(|names| boxed(names.unwrap_or_default()).into());
    Some(AlpnOverride { http11, http2 })
}

pub(super) fn exchange(bytes: &[u8], problems: &mut Problems) -> Option<MetadataExchange> {
    let message = ExchangeMessage::decode(bytes).ok()?;
    if message.protocol.is_empty() {
        problems.report_at("protocol", "must not be empty");
        return None;
    }
    Some(MetadataExchange {
        protocol: message.protocol.into(),
        additional_labels: boxed(&message.additional_labels),
    })
}

fn boxed(texts: &[String]) -> Vec<Box<str>> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

/// `inbound`: the listener's direction, which says whose side is reported.
pub(super) fn stats(bytes: &[u8], inbound: bool, problems: &mut Problems) -> Option<IstioStats> {
    let message = StatsMessage::decode(bytes).ok()?;
    let reporter = if inbound {
        Reporter::Destination
    } else {
        Reporter::Source
    };
    let mut stats = IstioStats::new(reporter);
    stats.disable_host_header_fallback = message.disable_host_header_fallback;
    stats.reporting = timeout(
        "tcp_reporting_duration",
        message.tcp_reporting_duration.as_ref(),
        stats.reporting,
        problems,
    );
    for (index, metric) in message.metrics.iter().enumerate() {
        problems.within_item("metrics", index, |p| change(&mut stats, metric, p));
    }
    Some(stats)
}

/// Without a name all metrics are meant.
fn change(stats: &mut IstioStats, message: &MetricMessage, problems: &mut Problems) {
    let named = Metric::of(&message.name);
    let metrics = match &named {
        Some(one) => std::slice::from_ref(one),
        None if message.name.is_empty() => Metric::ALL,
        None => {
            let reason = format!("'{}' is none of Istio's standard metrics", message.name);
            return problems.report_at("name", reason);
        }
    };
    if message.drop {
        // As in Istio: without a name nothing is dropped.
        if let Some(rules) = named.and_then(|metric| stats.rules_mut(metric)) {
            rules.drop = true;
        }
        return;
    }
    for tag in &message.tags_to_remove {
        let Some(label) = Label::of(tag) else {
            let reason = format!("'{tag}' is none of Istio's standard labels");
            problems.report_at("tags_to_remove", reason);
            continue;
        };
        for metric in metrics {
            if let Some(rules) = stats.rules_mut(*metric) {
                rules.change(label, None);
            }
        }
    }
    for (tag, text) in &message.dimensions {
        let Some(value) = expression(text) else {
            let reason = format!(
                "'{tag}': the expression {text:.100} is not implemented: only 'text', \
                 request.headers['name'], request.host, request.method and response.code are"
            );
            problems.report_at("dimensions", reason);
            continue;
        };
        let known = stats.expressions.iter().position(|known| *known == value);
        let at = known.unwrap_or_else(|| {
            stats.expressions.push(value);
            stats.expressions.len().saturating_sub(1)
        });
        for metric in metrics {
            let Some(rules) = stats.rules_mut(*metric) else {
                continue;
            };
            match Label::of(tag) {
                Some(label) => rules.change(label, Some(at)),
                None => rules.added.push((tag.as_str().into(), at)),
            }
        }
    }
}

fn expression(text: &str) -> Option<Expression> {
    let text = text.trim();
    Some(match text {
        "request.host" => Expression::RequestHost,
        "request.method" => Expression::RequestMethod,
        "response.code" => Expression::ResponseCode,
        _ => {
            let header = text.strip_prefix("request.headers[");
            match header.map(|rest| rest.strip_suffix(']')) {
                None => Expression::Literal(quoted(text)?.into()),
                Some(name) => {
                    let name = quoted(name?.trim())?.to_ascii_lowercase();
                    Expression::RequestHeader(name.into())
                }
            }
        }
    })
}

/// `'text'` or `"text"` without any escapes.
fn quoted(text: &str) -> Option<&str> {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    let inner = inner('\'').or_else(|| inner('"'))?;
    (!inner.contains(['\'', '"', '\\'])).then_some(inner)
}

/// `istio` of a cluster's metadata.
pub(super) fn cluster(istio: &Struct) -> ClusterInfo {
    let flag = |name: &str| matches!(kind(istio, name), Some(Kind::BoolValue(true)));
    let first = match kind(istio, "services") {
        Some(Kind::ListValue(list)) => list.values.first().and_then(|v| v.kind.as_ref()),
        _ => None,
    };
    let service = match first {
        Some(Kind::StructValue(service)) => {
            let host = text(service, "host");
            let short = host.split('.').next().unwrap_or_default();
            let name = match kind(service, "name") {
                Some(Kind::StringValue(name)) => name,
                _ => short,
            };
            Some(ServiceInfo {
                host: host.into(),
                name: name.into(),
                namespace: text(service, "namespace").into(),
            })
        }
        _ => None,
    };
    ClusterInfo {
        service,
        external: flag("external"),
        disable_mx: flag("disable_mx"),
        keeps_alpn: text(istio, "alpn_override") == "false",
    }
}

fn kind<'s>(message: &'s Struct, name: &str) -> Option<&'s Kind> {
    message.fields.get(name)?.kind.as_ref()
}

/// "" for what is no string.
fn text<'s>(message: &'s Struct, name: &str) -> &'s str {
    match kind(message, name) {
        Some(Kind::StringValue(text)) => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_that_need_no_cel() {
        let literal = |text: &str| Some(Expression::Literal(text.into()));
        assert_eq!(expression("'gateway'"), literal("gateway"));
        assert_eq!(expression(r#" "a b" "#), literal("a b"));
        let header = Some(Expression::RequestHeader("x-tenant".into()));
        assert_eq!(expression("request.headers['X-Tenant']"), header);
        assert_eq!(expression("request.host"), Some(Expression::RequestHost));
        for refused in [
            "'a' + 'b'",
            "'it''s'",
            "request.headers[x]",
            "node.id",
            "",
            "'",
        ] {
            assert_eq!(expression(refused), None, "{refused}");
        }
    }

    #[test]
    fn of_several_offers_for_a_protocol_the_first_holds() {
        let one = |upstream_protocol, names: &[&str]| OverrideMessage {
            upstream_protocol,
            alpn_override: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let compiled = |alpn_override| {
            let mut problems = Problems::default();
            let bytes = AlpnMessage { alpn_override }.encode_to_vec();
            let found = alpn(&bytes, &mut problems).unwrap();
            (found, problems.count())
        };
        let offers = vec![
            one(1, &["istio"]),
            one(2, &["istio-h2", "h2"]),
            one(1, &["x"]),
        ];
        let (found, problems) = compiled(offers);
        assert_eq!(
            (found.http11.concat().as_str(), found.http2.len()),
            ("istio", 2)
        );
        assert_eq!(problems, 0);
        assert_eq!(compiled(vec![one(7, &["x"])]).1, 1);
    }

    fn compiled(metrics: Vec<MetricMessage>) -> Result<IstioStats, Vec<String>> {
        let message = StatsMessage {
            metrics,
            ..StatsMessage::default()
        };
        let mut problems = Problems::default();
        let stats = stats(&message.encode_to_vec(), true, &mut problems);
        let reasons: Vec<_> = problems.into_list().into_iter().map(|p| p.reason).collect();
        match stats {
            Some(stats) if reasons.is_empty() => Ok(stats),
            _ => Err(reasons),
        }
    }

    #[test]
    fn what_is_said_later_counts_and_no_name_means_all() {
        let stats = compiled(vec![
            MetricMessage {
                tags_to_remove: vec!["response_flags".into()],
                ..MetricMessage::default()
            },
            MetricMessage {
                name: "requests_total".into(),
                dimensions: [
                    ("response_flags".into(), "'x'".into()),
                    ("tenant".into(), "request.host".into()),
                ]
                .into(),
                ..MetricMessage::default()
            },
            MetricMessage {
                name: "request_bytes".into(),
                drop: true,
                ..MetricMessage::default()
            },
        ])
        .unwrap();
        let requests = stats.rules(Metric::RequestsTotal);
        assert_eq!(requests.changed, [(Label::ResponseFlags, Some(0))]);
        assert_eq!(requests.added, [("tenant".into(), 1)]);
        let opened = stats.rules(Metric::TcpOpened);
        assert_eq!(opened.changed, [(Label::ResponseFlags, None)]);
        assert!(stats.rules(Metric::RequestBytes).drop && !requests.drop);
    }

    #[test]
    fn unknown_names_are_refused() {
        let wrong = |metric: MetricMessage| compiled(vec![metric]).unwrap_err().concat();
        let reason = wrong(MetricMessage {
            name: "custom".into(),
            ..MetricMessage::default()
        });
        assert!(reason.contains("'custom' is none of Istio's"), "{reason}");
        let reason = wrong(MetricMessage {
            tags_to_remove: vec!["colour".into()],
            ..MetricMessage::default()
        });
        assert!(reason.contains("'colour' is none of Istio's"), "{reason}");
        let reason = wrong(MetricMessage {
            dimensions: [("a".into(), "node.id + 'x'".into())].into(),
            ..MetricMessage::default()
        });
        assert!(
            reason.contains("node.id + 'x' is not implemented"),
            "{reason}"
        );
    }
}
