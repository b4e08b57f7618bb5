//! `HttpConnectionManager`.

use std::sync::Arc;
use std::time::Duration;

use core::http_protocol_options::HeadersWithUnderscoresAction;
use core::scheme_header_transformation::Transformation;
use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
pub(super) use pb::HttpConnectionManager as Message;
use pb::http_connection_manager::{
    CodecType, ForwardClientCertDetails as Forward, InternalAddressConfig,
    PathWithEscapedSlashesAction, RouteSpecifier, ServerHeaderTransformation,
    SetCurrentClientCertDetails, StripPortMode,
};

use super::duration::{millis_or, timeout};
use super::protocol_options::{IDLE_TIMEOUT, MAX_HEADERS, MAX_HEADERS_KB, count, kilobytes};
use super::{
    Context, ROUTES, access_log, address, config_source, http_filters, http2, route, upgrades,
};
use crate::check::not_implemented;
use crate::problem::Problems;
use crate::resources::hcm::{
    Cidr, Codec, EscapedSlashes, ForwardClientCert, ForwardClientCertMode, Hcm, RouteSource,
    ServerHeader, StripPort, Underscores,
};
use crate::schema::name_of_url;

const UUID: &str = "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig";

const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Envoy's is off (docs/differences.md).
const REQUEST_HEADERS_TIMEOUT: Duration = Duration::from_secs(60);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const DELAYED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn compile(message: &Message, cx: &mut Context) -> Option<Hcm> {
    let codec = codec(message, &mut cx.problems);
    let routes = routes(message, cx);
    let filters = http_filters::compile(&message.http_filters, cx);
    let problems = &mut cx.problems;
    let stream_error = message.stream_error_on_invalid_http_message.as_ref();
    let stream_error = stream_error.map(|v| v.value);
    let http2 = problems.within("http2_protocol_options", |p| {
        http2::options(message.http2_protocol_options.as_ref(), stream_error, p)
    });
    let upgrades = upgrades::of_manager(&message.upgrade_configs, problems);
    let access_logs = access_log::compile("access_log", &message.access_log, problems);
    let strip_port = strip_port(message, problems);
    let internal = message.internal_address_config.as_ref();
    let internal_addresses =
        internal.map(|c| problems.within("internal_address_config", |p| internal_ranges(c, p)));
    check_request_id(message, problems);
    let timeouts = Timeouts::new(message, problems);
    let common = message.common_http_protocol_options.as_ref();
    let http1 = message.http_protocol_options.as_ref();
    let max_headers = common.and_then(|c| c.max_headers_count.as_ref());
    let max_headers_kb = message.max_request_headers_kb.as_ref();
    let max_requests = common.and_then(|c| c.max_requests_per_connection.as_ref());
    let absolute_url = http1.and_then(|h| h.allow_absolute_url.as_ref());
    let http1_stream_error =
        http1.and_then(|h| h.override_stream_error_on_invalid_http_message.as_ref());
    let (filters, router) = filters?;
    Some(Hcm {
        stat_prefix: message.stat_prefix.as_str().into(),
        routes: routes?,
        codec,
        http2,
        upgrades,
        filters,
        router,
        access_logs,
        idle_timeout: timeouts.idle,
        max_connection_duration: timeouts.max_connection,
        max_stream_duration: timeouts.max_stream,
        max_requests_per_connection: max_requests.map(|v| v.value).filter(|max| *max > 0),
        stream_idle_timeout: timeouts.stream_idle,
        request_timeout: timeouts.request,
        request_headers_timeout: timeouts.request_headers,
        drain_timeout: timeouts.drain,
        delayed_close_timeout: timeouts.delayed_close,
        max_request_headers_bytes: kilobytes(max_headers_kb.map_or(MAX_HEADERS_KB, |v| v.value)),
        max_headers_count: count(max_headers.map_or(MAX_HEADERS, |v| v.value)),
        accept_http_10: http1.is_some_and(|h| h.accept_http_10),
        default_host_for_http_10: http1.and_then(|h| non_empty(&h.default_host_for_http_10)),
        allow_absolute_url: absolute_url.is_none_or(|v| v.value),
        enable_trailers: http1.is_some_and(|h| h.enable_trailers),
        proxy_100_continue: message.proxy_100_continue,
        allow_chunked_length: http1.is_some_and(|h| h.allow_chunked_length),
        allow_custom_methods: http1.is_some_and(|h| h.allow_custom_methods),
        stream_error_on_invalid_http_message: http1_stream_error
            .map(|v| v.value)
            .or(stream_error)
            .unwrap_or(false),
        server_name: non_empty(&message.server_name).unwrap_or_else(|| "envoy".into()),
        server_header: server_header(message),
        via: non_empty(&message.via),
        use_remote_address: message.use_remote_address.as_ref().is_some_and(|v| v.value),
        xff_num_trusted_hops: message.xff_num_trusted_hops,
        skip_xff_append: message.skip_xff_append,
        append_x_forwarded_port: message.append_x_forwarded_port,
        add_user_agent: message.add_user_agent.as_ref().is_some_and(|v| v.value),
        generate_request_id: message.generate_request_id.as_ref().is_none_or(|v| v.value),
        preserve_external_request_id: message.preserve_external_request_id,
        always_set_request_id_in_response: message.always_set_request_id_in_response,
        internal_addresses,
        internal_unix_sockets: internal.is_some_and(|c| c.unix_sockets),
        represent_ipv4_remote_address_as_ipv4_mapped_ipv6: message
            .represent_ipv4_remote_address_as_ipv4_mapped_ipv6,
        scheme_to_overwrite: scheme_to_overwrite(message),
        underscores: underscores(common),
        client_cert: client_cert(message),
        strip_port,
        strip_trailing_host_dot: message.strip_trailing_host_dot,
        normalize_path: message.normalize_path.as_ref().is_some_and(|v| v.value),
        merge_slashes: message.merge_slashes,
        escaped_slashes: escaped_slashes(message),
    })
}

fn non_empty(text: &str) -> Option<Arc<str>> {
    Some(text).filter(|text| !text.is_empty()).map(Arc::from)
}

fn codec(message: &Message, problems: &mut Problems) -> Codec {
    match CodecType::try_from(message.codec_type) {
        Ok(CodecType::Http1) => Codec::Http1,
        Ok(CodecType::Http2) => Codec::Http2,
        Ok(CodecType::Http3) => {
            problems.report_at("codec_type", "HTTP3 is not implemented");
            Codec::Auto
        }
        Ok(CodecType::Auto) | Err(_) => Codec::Auto,
    }
}

/// `forward_client_cert_details` and what goes with it.
fn client_cert(message: &Message) -> ForwardClientCert {
    let mode = match Forward::try_from(message.forward_client_cert_details) {
        Ok(Forward::ForwardOnly) => ForwardClientCertMode::ForwardOnly,
        Ok(Forward::AppendForward) => ForwardClientCertMode::AppendForward,
        Ok(Forward::SanitizeSet) => ForwardClientCertMode::SanitizeSet,
        Ok(Forward::AlwaysForwardOnly) => ForwardClientCertMode::AlwaysForwardOnly,
        Ok(Forward::Sanitize) | Err(_) => ForwardClientCertMode::Sanitize,
    };
    let details = message.set_current_client_cert_details.as_ref();
    let of = |field: fn(&SetCurrentClientCertDetails) -> bool| details.is_some_and(field);
    ForwardClientCert {
        mode,
        subject: of(|d| d.subject.as_ref().is_some_and(|v| v.value)),
        cert: of(|d| d.cert),
        chain: of(|d| d.chain),
        dns: of(|d| d.dns),
        uri: of(|d| d.uri),
    }
}

fn routes(message: &Message, cx: &mut Context) -> Option<RouteSource> {
    match message.route_specifier.as_ref()? {
        RouteSpecifier::RouteConfig(config) => {
            let level = cx.problems.enter("route_config");
            // Part of the listener: its hash covers it.
            let config = route::compile(config, 0, route::Origin::Inline, cx);
            cx.problems.leave(level);
            Some(RouteSource::Inline(Arc::new(config)))
        }
        RouteSpecifier::Rds(rds) => {
            let level = cx.problems.enter("rds");
            let missing = "An RDS config must have either a 'config_source' or an xDS-TP based 'route_config_name'";
            let problems = &mut cx.problems;
            let source = rds.config_source.as_ref();
            let source = config_source::origin("config_source", source, missing, problems);
            cx.problems.leave(level);
            let name = &rds.route_config_name;
            let scope = format!("http.{}.rds.{name}.", message.stat_prefix);
            cx.needs.push(source?.needs(ROUTES, name, scope));
            Some(RouteSource::Rds {
                name: rds.route_config_name.as_str().into(),
            })
        }
        // Refused by name.
        RouteSpecifier::ScopedRoutes(_) => None,
    }
}

struct Timeouts {
    idle: Option<Duration>,
    max_connection: Option<Duration>,
    max_stream: Option<Duration>,
    stream_idle: Option<Duration>,
    request: Option<Duration>,
    request_headers: Option<Duration>,
    drain: Duration,
    delayed_close: Option<Duration>,
}

impl Timeouts {
    fn new(message: &Message, problems: &mut Problems) -> Self {
        let common = message.common_http_protocol_options.as_ref();
        let level = problems.enter("common_http_protocol_options");
        let idle = common.and_then(|c| c.idle_timeout.as_ref());
        let idle = timeout("idle_timeout", idle, Some(IDLE_TIMEOUT), problems);
        let connection = common.and_then(|c| c.max_connection_duration.as_ref());
        let max_connection = timeout("max_connection_duration", connection, None, problems);
        let stream = common.and_then(|c| c.max_stream_duration.as_ref());
        let max_stream = timeout("max_stream_duration", stream, None, problems);
        problems.leave(level);
        let mut of = |field: &str, value: &Option<_>, default: Option<Duration>| {
            timeout(field, value.as_ref(), default, problems)
        };
        Self {
            idle,
            max_connection,
            max_stream,
            stream_idle: of(
                "stream_idle_timeout",
                &message.stream_idle_timeout,
                Some(STREAM_IDLE_TIMEOUT),
            ),
            request: of("request_timeout", &message.request_timeout, None),
            request_headers: of(
                "request_headers_timeout",
                &message.request_headers_timeout,
                Some(REQUEST_HEADERS_TIMEOUT),
            ),
            delayed_close: of(
                "delayed_close_timeout",
                &message.delayed_close_timeout,
                Some(DELAYED_CLOSE_TIMEOUT),
            ),
            drain: millis_or(
                "drain_timeout",
                message.drain_timeout.as_ref(),
                DRAIN_TIMEOUT,
                problems,
            ),
        }
    }
}

fn server_header(message: &Message) -> ServerHeader {
    match ServerHeaderTransformation::try_from(message.server_header_transformation) {
        Ok(ServerHeaderTransformation::AppendIfAbsent) => ServerHeader::AppendIfAbsent,
        Ok(ServerHeaderTransformation::PassThrough) => ServerHeader::PassThrough,
        Ok(ServerHeaderTransformation::Overwrite) | Err(_) => ServerHeader::Overwrite,
    }
}

fn scheme_to_overwrite(message: &Message) -> Option<Arc<str>> {
    match message
        .scheme_header_transformation
        .as_ref()?
        .transformation
        .as_ref()?
    {
        Transformation::SchemeToOverwrite(scheme) => non_empty(scheme),
    }
}

fn underscores(common: Option<&core::HttpProtocolOptions>) -> Underscores {
    let action = common
        .map(|c| c.headers_with_underscores_action)
        .unwrap_or_default();
    match HeadersWithUnderscoresAction::try_from(action) {
        Ok(HeadersWithUnderscoresAction::RejectRequest) => Underscores::RejectRequest,
        Ok(HeadersWithUnderscoresAction::DropHeader) => Underscores::DropHeader,
        Ok(HeadersWithUnderscoresAction::Allow) | Err(_) => Underscores::Allow,
    }
}

fn escaped_slashes(message: &Message) -> EscapedSlashes {
    match PathWithEscapedSlashesAction::try_from(message.path_with_escaped_slashes_action) {
        Ok(PathWithEscapedSlashesAction::RejectRequest) => EscapedSlashes::RejectRequest,
        Ok(PathWithEscapedSlashesAction::UnescapeAndRedirect) => {
            EscapedSlashes::UnescapeAndRedirect
        }
        Ok(PathWithEscapedSlashesAction::UnescapeAndForward) => EscapedSlashes::UnescapeAndForward,
        _ => EscapedSlashes::KeepUnchanged,
    }
}

fn strip_port(message: &Message, problems: &mut Problems) -> StripPort {
    let any = matches!(
        message.strip_port_mode,
        Some(StripPortMode::StripAnyHostPort(true))
    );
    match (message.strip_matching_host_port, any) {
        (false, false) => StripPort::No,
        (true, false) => StripPort::Matching,
        (false, true) => StripPort::Any,
        (true, true) => {
            let reason =
                "Only one of `strip_matching_host_port` or `strip_any_host_port` can be set.";
            problems.report(reason);
            StripPort::Any
        }
    }
}

/// The ranges given; without any, those that Envoy takes for private.
fn internal_ranges(message: &InternalAddressConfig, problems: &mut Problems) -> Vec<Cidr> {
    let ranges: &[(&str, u32)] = if message.cidr_ranges.is_empty() {
        &[
            ("10.0.0.0", 8),
            ("172.16.0.0", 12),
            ("192.168.0.0", 16),
            ("127.0.0.1", 32),
            ("fd00::", 8),
            ("::1", 128),
        ]
    } else {
        &[]
    };
    let private = ranges.iter().filter_map(|(address, length)| {
        let prefix_len = u8::try_from(*length).ok()?;
        Some(Cidr {
            address: address.parse().ok()?,
            prefix_len,
        })
    });
    let given = message
        .cidr_ranges
        .iter()
        .enumerate()
        .filter_map(|(index, range)| {
            problems.within_item("cidr_ranges", index, |p| address::cidr(range, p))
        });
    private.chain(given).collect()
}

/// `request_id_extension`: UUIDs, the only kind there is.
fn check_request_id(message: &Message, problems: &mut Problems) {
    let any = message
        .request_id_extension
        .as_ref()
        .and_then(|e| e.typed_config.as_ref());
    let Some(any) = any else { return };
    let type_name = name_of_url(&any.type_url).unwrap_or("");
    if type_name != UUID {
        problems.report_at("request_id_extension", not_implemented(None, type_name));
    }
}
