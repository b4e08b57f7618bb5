//! `ListenerFilter`: what looks at a connection before its filter chain is chosen.

use core::proxy_protocol_config::Version;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::listener::v3 as pb;
use envoy_types::pb::envoy::extensions::filters::listener as filters;
use envoy_types::pb::google::protobuf::BoolValue;
use filters::{original_src::v3 as src, proxy_protocol::v3 as proxy, tls_inspector::v3 as tls};
use pb::listener_filter::ConfigType;
use pb::listener_filter_chain_match_predicate::Rule;
use prost::Message as _;
use proxy::proxy_protocol::key_value_pair::ValueStringEncoding;

use super::Context;
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::listener::{
    ConditionalFilter, ListenerFilter, ListenerPredicate, OriginalSrc, ProxyProtocol, TlsInspector,
    TlvRule,
};
use crate::schema::name_of_url;

const ORIGINAL_DST: &str = "envoy.extensions.filters.listener.original_dst.v3.OriginalDst";
const TLS_INSPECTOR: &str = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
const HTTP_INSPECTOR: &str = "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector";
const PROXY_PROTOCOL: &str = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol";
const ORIGINAL_SRC: &str = "envoy.extensions.filters.listener.original_src.v3.OriginalSrc";

/// Where `filter` keeps its TLVs by default.
const PROXY_PROTOCOL_NAMESPACE: &str = "envoy.filters.listener.proxy_protocol";
/// Envoy's default of `initial_read_buffer_size`, and of `max_client_hello_size`; there it is the
/// most, too.
const CLIENT_HELLO: u32 = 16 * 1024;

/// The filters given, and `original_dst` last where `use_original_dst` asks for it. (What chains
/// ask of a ClientHello is known only with a TLS inspector: like Envoy since 1.20, we add none.)
pub(super) fn compile(message: &pb::Listener, cx: &mut Context) -> Vec<ConditionalFilter> {
    let mut filters = Vec::with_capacity(message.listener_filters.len());
    for (index, filter) in message.listener_filters.iter().enumerate() {
        let level = cx.problems.enter_item("listener_filters", index);
        filters.extend(conditional(filter, &mut cx.problems));
        cx.problems.leave(level);
    }
    let is_original_dst = |f: &ConditionalFilter| f.filter == ListenerFilter::OriginalDst;
    let use_original_dst = message.use_original_dst.as_ref().is_some_and(|v| v.value);
    if use_original_dst && !filters.iter().any(is_original_dst) {
        filters.push(ConditionalFilter {
            filter: ListenerFilter::OriginalDst,
            disabled: None,
        });
    }
    filters
}

fn conditional(message: &pb::ListenerFilter, problems: &mut Problems) -> Option<ConditionalFilter> {
    let disabled = message.filter_disabled.as_ref();
    let disabled = disabled.map(|d| problems.within("filter_disabled", |p| predicate(d, p)));
    let Some(ConfigType::TypedConfig(any)) = message.config_type.as_ref() else {
        problems.report(not_implemented(Some(&message.name), ""));
        return None;
    };
    let bytes = any.value.as_slice();
    let level = problems.enter("typed_config");
    let filter = match name_of_url(&any.type_url).unwrap_or("") {
        ORIGINAL_DST => Some(ListenerFilter::OriginalDst),
        HTTP_INSPECTOR => Some(ListenerFilter::HttpInspector),
        TLS_INSPECTOR => tls::TlsInspector::decode(bytes)
            .ok()
            .map(|m| ListenerFilter::TlsInspector(tls_inspector(&m))),
        PROXY_PROTOCOL => proxy::ProxyProtocol::decode(bytes)
            .ok()
            .map(|m| ListenerFilter::ProxyProtocol(proxy_protocol(&m, problems))),
        ORIGINAL_SRC => src::OriginalSrc::decode(bytes).ok().map(|m| {
            ListenerFilter::OriginalSrc(OriginalSrc {
                bind_port: m.bind_port,
                mark: m.mark,
            })
        }),
        other => {
            let reason = not_implemented(Some(&message.name), other);
            problems.report(format!("{reason} as a listener filter"));
            None
        }
    };
    problems.leave(level);
    Some(ConditionalFilter {
        filter: filter?,
        disabled: match disabled {
            Some(disabled) => Some(disabled?),
            None => None,
        },
    })
}

fn tls_inspector(message: &tls::TlsInspector) -> TlsInspector {
    let is_on = |value: &Option<BoolValue>| value.as_ref().is_some_and(|v| v.value);
    let initial = message.initial_read_buffer_size.as_ref();
    let max = message.max_client_hello_size.as_ref();
    TlsInspector {
        ja3: is_on(&message.enable_ja3_fingerprinting),
        ja4: is_on(&message.enable_ja4_fingerprinting),
        initial_read_bytes: initial.map_or(CLIENT_HELLO, |v| v.value),
        max_client_hello_bytes: max.map_or(CLIENT_HELLO, |v| v.value),
        close_on_errors: message.close_connection_on_client_hello_parsing_errors,
    }
}

fn proxy_protocol(message: &proxy::ProxyProtocol, problems: &mut Problems) -> ProxyProtocol {
    let allows = |version: Version| !message.disallowed_versions.contains(&i32::from(version));
    let (allow_v1, allow_v2) = (allows(Version::V1), allows(Version::V2));
    if !allow_v1 && !allow_v2 {
        let reason =
            "Proxy Protocol filter is misconfigured: all proxy protocol versions are disallowed.";
        problems.report_at("disallowed_versions", reason);
    }
    let rule = |rule: &proxy::proxy_protocol::Rule| {
        let present = rule.on_tlv_present.as_ref()?;
        Some(TlvRule {
            tlv_type: u8::try_from(rule.tlv_type).ok()?,
            base64: present.value_string_encoding() == ValueStringEncoding::Base64,
            namespace: match present.metadata_namespace.as_str() {
                "" => PROXY_PROTOCOL_NAMESPACE,
                given => given,
            }
            .into(),
            key: present.key.as_str().into(),
        })
    };
    ProxyProtocol {
        allow_without_header: message.allow_requests_without_proxy_protocol,
        allow_v1,
        allow_v2,
        rules: message.rules.iter().filter_map(rule).collect(),
        stat_prefix: message.stat_prefix.as_str().into(),
    }
}

/// Complete, or nothing: a predicate that lost a part would mean something else.
fn predicate(
    message: &pb::ListenerFilterChainMatchPredicate,
    problems: &mut Problems,
) -> Option<ListenerPredicate> {
    let mut set = |field: &str, rules: &[pb::ListenerFilterChainMatchPredicate]| {
        let level = problems.enter(field);
        let each = |(index, rule)| problems.within_item("rules", index, |p| predicate(rule, p));
        let rules: Vec<_> = rules.iter().enumerate().map(each).collect();
        problems.leave(level);
        rules.into_iter().collect::<Option<Vec<_>>>()
    };
    Some(match message.rule.as_ref()? {
        Rule::AnyMatch(_) => ListenerPredicate::Any,
        Rule::DestinationPortRange(range) => ListenerPredicate::DestinationPort {
            start: range.start,
            end: range.end,
        },
        Rule::AndMatch(all) => ListenerPredicate::And(set("and_match", &all.rules)?),
        Rule::OrMatch(any) => ListenerPredicate::Or(set("or_match", &any.rules)?),
        Rule::NotMatch(not) => {
            let inner = problems.within("not_match", |p| predicate(not, p))?;
            ListenerPredicate::Not(Box::new(inner))
        }
    })
}
