//! HTTP options of clusters: the `HttpProtocolOptions` extension, or the deprecated fields it
//! replaced, which count only without it.

use std::time::Duration;

use envoy_types::pb::envoy::config::cluster::v3::Cluster;
use envoy_types::pb::envoy::config::cluster::v3::cluster::ClusterProtocolSelection;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::upstreams::http::v3 as pb;
use pb::http_protocol_options::{UpstreamProtocolOptions, explicit_http_config::ProtocolConfig};
use prost::Message as _;

use super::duration::timeout;
use super::{http2, outlier};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::cluster::{UpstreamHttp, UpstreamProtocol};
use crate::schema::name_of_url;

const NAME: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const FIELD: &str = "typed_extension_protocol_options";

/// Envoy's default of `idle_timeout`, both sides.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// `max_headers_count`, both sides.
pub(super) const MAX_HEADERS: u32 = 100;
/// `max_response_headers_kb` for HTTP/1 (`max_request_headers_kb` is the same).
pub(super) const MAX_HEADERS_KB: u32 = 60;

/// Which statuses are errors of hosts; `None`: those from 500 on.
pub(super) fn error_statuses(cluster: &Cluster, problems: &mut Problems) -> Option<Box<[u16]>> {
    let any = cluster.typed_extension_protocol_options.get(NAME)?;
    let message = pb::HttpProtocolOptions::decode(any.value.as_slice()).ok()?;
    let matcher = message.outlier_detection?.error_matcher?;
    let level = problems.enter(FIELD);
    let entry = problems.enter_key(NAME);
    let found = problems.within("outlier_detection.error_matcher", |problems| {
        outlier::error_statuses(&matcher, problems)
    });
    problems.leave(entry);
    problems.leave(level);
    found
}

pub(super) fn compile(cluster: &Cluster, problems: &mut Problems) -> Option<UpstreamHttp> {
    let mut typed = None;
    for (name, any) in &cluster.typed_extension_protocol_options {
        let level = problems.enter(FIELD);
        let entry = problems.enter_key(name);
        let type_name = name_of_url(&any.type_url).unwrap_or("");
        if name != NAME || type_name != NAME {
            problems.report(not_implemented(Some(name), type_name));
        } else {
            typed = Some(extension(any.value.as_slice(), problems));
        }
        problems.leave(entry);
        problems.leave(level);
    }
    match typed {
        Some(options) => options,
        None => deprecated(cluster, problems),
    }
}

/// What is spoken, and with which options.
#[derive(Default)]
struct Spoken<'m> {
    protocol: UpstreamProtocol,
    http1: Option<&'m core::Http1ProtocolOptions>,
    http2: Option<&'m core::Http2ProtocolOptions>,
    /// Where `http2` is, below the message of all options.
    http2_path: &'static str,
}

/// The cluster's own fields: without the extension they say that it is HTTP/2 by being there.
fn deprecated(cluster: &Cluster, problems: &mut Problems) -> Option<UpstreamHttp> {
    let use_downstream = i32::from(ClusterProtocolSelection::UseDownstreamProtocol);
    let http2 = cluster.http2_protocol_options.as_ref();
    let spoken = Spoken {
        protocol: if cluster.protocol_selection == use_downstream {
            UpstreamProtocol::Downstream
        } else if http2.is_some() {
            UpstreamProtocol::Http2
        } else {
            UpstreamProtocol::Http1
        },
        http1: cluster.http_protocol_options.as_ref(),
        http2,
        http2_path: "http2_protocol_options",
    };
    let max_requests = cluster.max_requests_per_connection.as_ref();
    options(
        cluster.common_http_protocol_options.as_ref(),
        cluster.upstream_http_protocol_options.as_ref(),
        &spoken,
        max_requests.map(|v| v.value),
        problems,
    )
}

fn extension(bytes: &[u8], problems: &mut Problems) -> Option<UpstreamHttp> {
    let message = pb::HttpProtocolOptions::decode(bytes).ok()?;
    let spoken = match message.upstream_protocol_options.as_ref()? {
        UpstreamProtocolOptions::ExplicitHttpConfig(config) => {
            match config.protocol_config.as_ref()? {
                ProtocolConfig::HttpProtocolOptions(http1) => Spoken {
                    http1: Some(http1),
                    ..Spoken::default()
                },
                ProtocolConfig::Http2ProtocolOptions(http2) => Spoken {
                    protocol: UpstreamProtocol::Http2,
                    http2: Some(http2),
                    http2_path: "explicit_http_config.http2_protocol_options",
                    ..Spoken::default()
                },
                // Refused by name.
                ProtocolConfig::Http3ProtocolOptions(_) => return None,
            }
        }
        UpstreamProtocolOptions::UseDownstreamProtocolConfig(config) => Spoken {
            protocol: UpstreamProtocol::Downstream,
            http1: config.http_protocol_options.as_ref(),
            http2: config.http2_protocol_options.as_ref(),
            http2_path: "use_downstream_protocol_config.http2_protocol_options",
        },
        UpstreamProtocolOptions::AutoConfig(config) => Spoken {
            protocol: UpstreamProtocol::Alpn,
            http1: config.http_protocol_options.as_ref(),
            http2: config.http2_protocol_options.as_ref(),
            http2_path: "auto_config.http2_protocol_options",
        },
    };
    options(
        message.common_http_protocol_options.as_ref(),
        message.upstream_http_protocol_options.as_ref(),
        &spoken,
        None,
        problems,
    )
}

fn options(
    common: Option<&core::HttpProtocolOptions>,
    upstream: Option<&core::UpstreamHttpProtocolOptions>,
    spoken: &Spoken<'_>,
    deprecated_max_requests: Option<u32>,
    problems: &mut Problems,
) -> Option<UpstreamHttp> {
    let level = problems.enter("common_http_protocol_options");
    let idle = common.and_then(|c| c.idle_timeout.as_ref());
    let longest = common.and_then(|c| c.max_connection_duration.as_ref());
    let idle_timeout = timeout("idle_timeout", idle, Some(IDLE_TIMEOUT), problems);
    let max_connection_duration = timeout("max_connection_duration", longest, None, problems);
    if common.is_some_and(|c| c.max_stream_duration.is_some()) {
        let reason = "max_stream_duration of a cluster is not implemented: set it on routes";
        problems.report_at("max_stream_duration", reason);
    }
    problems.leave(level);
    let max_requests = common.and_then(|c| c.max_requests_per_connection.as_ref());
    let max_headers = common.and_then(|c| c.max_headers_count.as_ref());
    let max_kb = common.and_then(|c| c.max_response_headers_kb.as_ref());
    let max_kb = max_kb.map_or(MAX_HEADERS_KB, |v| v.value);
    let http2 = problems.within(spoken.http2_path, |p| http2::options(spoken.http2, None, p));
    let sni_header = upstream.map_or("", |u| u.override_auto_sni_header.as_str());
    if sni_header.starts_with(':') && !sni_header.eq_ignore_ascii_case(":authority") {
        problems.report_at(
            "upstream_http_protocol_options.override_auto_sni_header",
            "a server name can be in ':authority' or in a header, not in another pseudo-header",
        );
    }
    Some(UpstreamHttp {
        protocol: spoken.protocol,
        http2,
        auto_sni: upstream.is_some_and(|u| u.auto_sni),
        auto_san_validation: upstream.is_some_and(|u| u.auto_san_validation),
        auto_sni_header: Some(sni_header)
            .filter(|name| !name.is_empty())
            .map(|name| name.to_ascii_lowercase().into()),
        idle_timeout,
        max_connection_duration,
        max_requests_per_connection: max_requests
            .map(|v| v.value)
            .or(deprecated_max_requests)
            .filter(|max| *max > 0),
        max_response_headers_bytes: kilobytes(max_kb),
        max_headers_count: count(max_headers.map_or(MAX_HEADERS, |v| v.value)),
        enable_trailers: spoken.http1.is_some_and(|h| h.enable_trailers),
    })
}

pub(super) fn kilobytes(kb: u32) -> usize {
    count(kb).saturating_mul(1024)
}

/// A limit of bytes; 0 is none.
pub(super) fn limit(number: u32) -> usize {
    if number == 0 {
        usize::MAX
    } else {
        count(number)
    }
}

pub(super) fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
