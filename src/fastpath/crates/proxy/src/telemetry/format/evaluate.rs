//! What an operator finds in a request.

use std::sync::OnceLock;

use model::format::{
    Command, Field, GrpcStatusStyle, HeaderSource, Operator, PathSource, TimePoint, TimeUnit,
};
use model::matching::metadata::{MetadataValue, Structured};
use model::resources::address::Address;
use proto::h1::Version;
use proto::{HeaderMap, Known};

use super::value::{Value, decoded};
use super::{clock, tls};
use crate::http::grpc;
use crate::telemetry::json;
use crate::telemetry::stream_info::{LogContext, StreamInfo};

#[inline]
pub(super) fn evaluate<'a>(command: &'a Command, ctx: &LogContext<'a>) -> Value<'a> {
    let info = ctx.info;
    match &command.operator {
        Operator::Field(which) => field(*which, ctx),
        Operator::StartTime(format) => Value::Time(format, info.start_wall),
        Operator::EmitTime(format) => Value::Time(format, clock::wall_now()),
        Operator::Request(main, alternative) => either(main, alternative, |h| request(h, ctx)),
        Operator::Response(main, alternative) => either(main, alternative, |h| match h {
            HeaderSource::Status => info.response_code.map_or(Value::Missing, Value::Digits),
            h => map_value(ctx.response, h),
        }),
        Operator::Trailer(main, alternative) => {
            either(main, alternative, |h| map_value(ctx.trailers, h))
        }
        Operator::RequestWithoutQuery(main, alternative) => {
            match either(main, alternative, |h| request(h, ctx)) {
                Value::Bytes(value) => Value::Bytes(split_query(value).0),
                other => other,
            }
        }
        Operator::QueryParameter(name) => {
            let query = split_query(ctx.request.path()).1;
            let value = query.and_then(|query| parameter(query, name));
            value.map_or(Value::Missing, Value::Encoded)
        }
        Operator::QueryParameters(source) => {
            let query = path(*source, ctx).and_then(|path| split_query(path).1);
            Value::bytes(query.filter(|query| !query.is_empty()))
        }
        Operator::Path { query, source } => {
            let path = path(*source, ctx);
            Value::bytes(path.map(|path| if *query { path } else { split_query(path).0 }))
        }
        Operator::Environment(value) => Value::Bytes(value),
        Operator::Duration { from, to, unit } => {
            let point = |p: &Option<TimePoint>| p.map(|p| point(info, p)).filter(|&ns| ns != 0);
            let per_unit = match unit {
                TimeUnit::Milliseconds => 1_000_000,
                TimeUnit::Microseconds => 1_000,
                TimeUnit::Nanoseconds => 1,
            };
            Value::number(point(from).zip(point(to)).and_then(|(from, to)| {
                to.checked_sub(from).and_then(|ns| ns.checked_div(per_unit))
            }))
        }
        Operator::CertificateTime { side, end, format } => tls::validity(*side, *end, format, info),
        Operator::DynamicMetadata { namespace, path } => match info.metadata(namespace, path) {
            Some(MetadataValue::Text(text)) => Value::text(Some(text)),
            Some(MetadataValue::Bool(flag)) => Value::Bool(flag),
            Some(MetadataValue::Structured(Structured::Null)) => Value::Missing,
            Some(MetadataValue::Structured(value)) => {
                let mut text = String::new();
                value.write_json(&mut text, json::string);
                let json = text.clone();
                Value::Message { text, json }
            }
            None if path.is_empty() => whole_namespace(namespace, info),
            None => Value::Missing,
        },
        Operator::TunnelHeaders => Value::json(info.tunnel_headers.as_deref()),
        Operator::TunnelTrailers => Value::json(info.tunnel_trailers.as_deref()),
        Operator::GrpcMessages { plain } => grpc_messages(*plain, info.grpc_messages),
        Operator::GrpcStatus(style) => grpc_status(*style, ctx),
        Operator::ResponseCodeDetails { keep_spaces } => {
            let details = info.details.as_deref();
            match details {
                Some(text) if !keep_spaces => Value::Word(text),
                details => Value::text(details),
            }
        }
        Operator::Coalesce(commands) => commands
            .iter()
            .map(|command| evaluate(command, ctx))
            .find(|value| !matches!(value, Value::Missing))
            .unwrap_or(Value::Missing),
    }
}

fn field<'a>(which: Field, ctx: &LogContext<'a>) -> Value<'a> {
    let info = ctx.info;
    match which {
        Field::Missing => Value::Missing,
        Field::Tls(side, which) => tls::field(side, which, info),
        Field::Nothing => Value::Bytes(b""),
        Field::AccessLogType => Value::Bytes(info.log_type.name().as_bytes()),
        Field::BytesReceived => Value::Number(info.bytes_received),
        Field::BytesSent => Value::Number(info.bytes_sent),
        Field::ConnectionId => Value::Number(info.connection_id),
        Field::ConnectionTerminationDetails => {
            Value::text(info.connection_termination_details.as_deref())
        }
        Field::DownstreamLocalAddress => Value::address(info.downstream_local.as_ref()),
        Field::DownstreamLocalAddressWithoutPort => Value::ip(info.downstream_local.as_ref()),
        Field::DownstreamLocalPort => Value::port(info.downstream_local.as_ref()),
        Field::DownstreamDirectLocalAddress => Value::address(direct_local(info)),
        Field::DownstreamDirectLocalAddressWithoutPort => Value::ip(direct_local(info)),
        Field::DownstreamDirectLocalPort => Value::port(direct_local(info)),
        Field::DownstreamDirectRemoteAddress => {
            Value::address(info.downstream_direct_remote.as_ref())
        }
        Field::DownstreamDirectRemoteAddressWithoutPort => {
            Value::ip(info.downstream_direct_remote.as_ref())
        }
        Field::DownstreamDirectRemotePort => Value::port(info.downstream_direct_remote.as_ref()),
        Field::DownstreamRemoteAddress => Value::address(info.downstream_remote.as_ref()),
        Field::DownstreamRemoteAddressWithoutPort => Value::ip(info.downstream_remote.as_ref()),
        Field::DownstreamRemotePort => Value::port(info.downstream_remote.as_ref()),
        Field::DownstreamHeaderBytesReceived => {
            Value::Number(info.downstream_header_bytes_received)
        }
        Field::DownstreamHeaderBytesSent => Value::Number(info.downstream_header_bytes_sent),
        Field::DownstreamTransportFailureReason => info
            .downstream_transport_failure
            .as_deref()
            .map_or(Value::Missing, Value::Word),
        Field::DownstreamWireBytesReceived => Value::Number(info.downstream_wire_bytes_received),
        Field::DownstreamWireBytesSent => Value::Number(info.downstream_wire_bytes_sent),
        Field::Duration => Value::number(info.millis_to(info.end)),
        Field::FilterChainName => Value::text(info.filter_chain_name.as_deref()),
        Field::Hostname => Value::Bytes(hostname().as_bytes()),
        Field::Protocol => Value::text(info.protocol.map(version)),
        Field::RequestedServerName => host_name(info.requested_server_name()),
        Field::RequestDuration => Value::number(info.millis_to(info.downstream_rx_end)),
        Field::RequestHeadersBytes => Value::Number(request_bytes(ctx)),
        Field::RequestTxDuration => Value::number(info.millis_to(info.upstream_tx_end)),
        Field::ResponseCode => Value::Number(info.response_code.unwrap_or(0).into()),
        Field::ResponseDuration => Value::number(info.millis_to(info.upstream_rx_begin)),
        Field::ResponseFlags => Value::Flags(info.flags, false),
        Field::ResponseFlagsLong => Value::Flags(info.flags, true),
        Field::ResponseHeadersBytes => Value::Number(response_bytes(ctx)),
        Field::ResponseTrailersBytes => Value::Number(info.response_trailers_bytes),
        Field::ResponseTxDuration => {
            let both = info.upstream_rx_begin != 0 && info.downstream_tx_end != 0;
            let ns = info
                .downstream_tx_end
                .saturating_sub(info.upstream_rx_begin);
            Value::number(both.then_some(ns / 1_000_000))
        }
        Field::RouteName => Value::text(info.route_name.as_deref()),
        Field::StreamId => match info.stream_id {
            Some(id) => Value::Uuid(id),
            None => Value::bytes(ctx.request.headers.get(Known::XRequestId)),
        },
        Field::TlsJa3Fingerprint => Value::text(info.facts.as_ref().and_then(|f| f.ja3.as_deref())),
        Field::TlsJa4Fingerprint => Value::text(info.facts.as_ref().and_then(|f| f.ja4.as_deref())),
        Field::UniqueId => Value::Uuid(info.random),
        Field::UpstreamCluster => Value::text(
            info.upstream_cluster
                .as_deref()
                .or(info.upstream_cluster_raw.as_deref()),
        ),
        Field::UpstreamClusterRaw => Value::text(info.upstream_cluster_raw.as_deref()),
        Field::UpstreamConnectionId => Value::Number(info.upstream_connection_id),
        Field::UpstreamConnectionPoolReadyDuration => {
            Value::number(info.millis_to(info.upstream_pool_ready))
        }
        Field::UpstreamHeaderBytesReceived => Value::Number(info.upstream_header_bytes_received),
        Field::UpstreamHeaderBytesSent => Value::Number(info.upstream_header_bytes_sent),
        Field::UpstreamHost => Value::address(info.upstream_host.as_ref()),
        Field::UpstreamHostName => match info.upstream_host_name.as_deref() {
            Some(name) => Value::text(Some(name)),
            None => Value::address(info.upstream_host.as_ref()),
        },
        Field::UpstreamHostNameWithoutPort => match info.upstream_host_name.as_deref() {
            Some(name) => Value::text(Some(without_port(name))),
            None => Value::ip(info.upstream_host.as_ref()),
        },
        Field::UpstreamLocalAddress => Value::address(info.upstream_local.as_ref()),
        Field::UpstreamLocalAddressWithoutPort => Value::ip(info.upstream_local.as_ref()),
        Field::UpstreamLocalPort => Value::port(info.upstream_local.as_ref()),
        Field::UpstreamProtocol => Value::text(info.upstream_protocol.map(version)),
        Field::UpstreamRemoteAddress => Value::address(info.upstream_remote.as_ref()),
        Field::UpstreamRemoteAddressWithoutPort => Value::ip(info.upstream_remote.as_ref()),
        Field::UpstreamRemotePort => Value::port(info.upstream_remote.as_ref()),
        Field::UpstreamRequestAttemptCount => Value::Number(info.attempt_count.into()),
        Field::UpstreamTransportFailureReason => info
            .upstream_transport_failure
            .as_deref()
            .map_or(Value::Missing, Value::Word),
        Field::UpstreamWireBytesReceived => Value::Number(info.upstream_wire_bytes_received),
        Field::UpstreamWireBytesSent => Value::Number(info.upstream_wire_bytes_sent),
        Field::VirtualClusterName => Value::text(info.virtual_cluster_name.as_deref()),
        Field::VirtualHostName => Value::text(info.virtual_host_name.as_deref()),
    }
}

/// All that is known under a name: of the request, else of its connection.
fn whole_namespace<'a>(namespace: &str, info: &StreamInfo) -> Value<'a> {
    let mut all: Vec<_> = info.metadata.all(namespace).collect();
    if all.is_empty()
        && let Some(facts) = &info.facts
    {
        all.extend(facts.all_metadata(namespace));
    }
    if all.is_empty() {
        return Value::Missing;
    }
    all.sort_unstable_by_key(|(key, _)| *key);
    let mut text = String::new();
    let mut before = '{';
    for (key, value) in all {
        text.push(before);
        before = ',';
        json::string(&mut text, key);
        text.push(':');
        match value {
            MetadataValue::Text(value) => json::string(&mut text, value),
            MetadataValue::Bool(flag) => text.push_str(if flag { "true" } else { "false" }),
            MetadataValue::Structured(value) => value.write_json(&mut text, json::string),
        }
    }
    text.push('}');
    let json = text.clone();
    Value::Message { text, json }
}

/// `FilterObject` of `grpc_stats`: proto3's JSON, in which 0 is left out, with the names of JSON in
/// text and those of the fields in JSON log lines, as Envoy has it.
fn grpc_messages<'a>(plain: bool, counted: Option<(u64, u64)>) -> Value<'a> {
    let Some((request, response)) = counted else {
        return Value::Missing;
    };
    if plain {
        return Value::Owned(format!("{request},{response}"));
    }
    let object = |names: [&str; 2]| {
        let fields = names.iter().zip([request, response]);
        let fields = fields.filter(|(_, count)| *count > 0);
        let fields: Vec<String> = fields
            .map(|(name, count)| format!("\"{name}\":\"{count}\""))
            .collect();
        format!("{{{}}}", fields.join(","))
    };
    Value::Message {
        text: object(["requestMessageCount", "responseMessageCount"]),
        json: object(["request_message_count", "response_message_count"]),
    }
}

/// The socket's own, whatever listener filters say of where the client wanted to go.
fn direct_local(info: &StreamInfo) -> Option<&Address> {
    let facts = info.facts.as_ref().map(|facts| &facts.direct_destination);
    facts.or(info.downstream_local.as_ref())
}

fn either<'a>(
    main: &'a HeaderSource,
    alternative: &'a Option<HeaderSource>,
    get: impl Fn(&'a HeaderSource) -> Value<'a>,
) -> Value<'a> {
    match (get(main), alternative) {
        (Value::Missing, Some(other)) => get(other),
        (value, _) => value,
    }
}

/// A request that could not be read has neither method nor path: those are missing.
fn request<'a>(header: &'a HeaderSource, ctx: &LogContext<'a>) -> Value<'a> {
    let present = |bytes: &'a [u8]| Value::bytes(Some(bytes).filter(|bytes| !bytes.is_empty()));
    match header {
        HeaderSource::Method => present(ctx.request.method()),
        HeaderSource::Path => present(ctx.request.path()),
        HeaderSource::Authority => present(ctx.request.authority()),
        HeaderSource::Scheme if ctx.request.method().is_empty() => Value::Missing,
        HeaderSource::Scheme => Value::Bytes(if ctx.info.scheme_https {
            b"https"
        } else {
            b"http"
        }),
        header => map_value(Some(&ctx.request.headers), header),
    }
}

fn map_value<'a>(headers: Option<&'a HeaderMap>, header: &'a HeaderSource) -> Value<'a> {
    let HeaderSource::Header(name) = header else {
        return Value::Missing;
    };
    let Some(headers) = headers else {
        return Value::Missing;
    };
    Value::bytes(match name.known {
        Known::Other => headers.get_name(name.text.as_bytes()),
        known => headers.get(known),
    })
}

fn path<'a>(source: PathSource, ctx: &LogContext<'a>) -> Option<&'a [u8]> {
    let now = Some(ctx.request.path()).filter(|path| !path.is_empty());
    let original = ctx.request.headers.get(Known::XEnvoyOriginalPath);
    match source {
        PathSource::Path => now,
        PathSource::Original => original,
        PathSource::OriginalOrPath => original.or(now),
    }
}

fn split_query(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path
        .iter()
        .position(|&b| b == b'?')
        .and_then(|at| path.split_at_checked(at))
    {
        Some((path, query)) => (path, query.get(1..)),
        None => (path, None),
    }
}

/// The first parameter of that (decoded) name, still encoded.
fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|&b| b == b'&').find_map(|pair| {
        let at = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
        let (key, value) = pair.split_at_checked(at)?;
        let value = value.strip_prefix(b"=").unwrap_or(value);
        decoded(key).eq(name.iter().copied()).then_some(value)
    })
}

/// As in Envoy: whatever is in no name of a host becomes `_`, and the name is said to be invalid. A
/// ClientHello may ask for any bytes, and must not be able to write lines of its own into a log.
fn host_name(name: Option<&[u8]>) -> Value<'_> {
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    match name {
        None | Some([]) => Value::Missing,
        Some(name) if name.iter().all(|byte| is_right(*byte)) => Value::Bytes(name),
        Some(name) => {
            let mut text = String::from("invalid:");
            text.extend(name.iter().map(|byte| {
                let byte = Some(*byte).filter(|byte| is_right(*byte));
                byte.map_or('_', char::from)
            }));
            Value::Owned(text)
        }
    }
}

fn point(info: &StreamInfo, point: TimePoint) -> u64 {
    match point {
        TimePoint::DownstreamRxBegin => info.start,
        TimePoint::DownstreamRxEnd => info.downstream_rx_end,
        TimePoint::UpstreamConnectBegin => info.upstream_connect_begin,
        TimePoint::UpstreamConnectEnd => info.upstream_connect_end,
        TimePoint::UpstreamTxBegin => info.upstream_tx_begin,
        TimePoint::UpstreamTxEnd => info.upstream_tx_end,
        TimePoint::UpstreamRxBegin => info.upstream_rx_begin,
        TimePoint::UpstreamRxBodyBegin => info.upstream_rx_body_begin,
        TimePoint::UpstreamRxEnd => info.upstream_rx_end,
        TimePoint::DownstreamTxBegin => info.downstream_tx_begin,
        TimePoint::DownstreamTxEnd => info.downstream_tx_end,
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    }
}

fn without_port(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => name,
    }
}

/// Names and values, the pseudo-headers of HTTP/2 included, as Envoy counts.
fn request_bytes(ctx: &LogContext<'_>) -> u64 {
    let head = ctx.request;
    if head.method().is_empty() {
        return 0;
    }
    // `host` is `:authority` there: six bytes more.
    let authority = if head.headers.contains(Known::Host) {
        6
    } else {
        0
    };
    let scheme = if ctx.info.scheme_https { 12 } else { 11 };
    let pseudo = [
        7,
        head.method().len(),
        5,
        head.path().len(),
        scheme,
        authority,
    ];
    let total = pseudo
        .into_iter()
        .fold(head.headers.byte_size(), usize::saturating_add);
    u64::try_from(total).unwrap_or(u64::MAX)
}

fn response_bytes(ctx: &LogContext<'_>) -> u64 {
    let Some(headers) = ctx.response else {
        return 0;
    };
    // `:status` and its three digits.
    u64::try_from(headers.byte_size().saturating_add(10)).unwrap_or(u64::MAX)
}

const GRPC: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

fn grpc_status<'a>(style: GrpcStatusStyle, ctx: &LogContext<'a>) -> Value<'a> {
    if !grpc::is_grpc(&ctx.request.headers) {
        return Value::Missing;
    }
    let of = |headers: Option<&'a HeaderMap>| headers.and_then(|h| h.get(Known::GrpcStatus));
    let number = match of(ctx.trailers).or_else(|| of(ctx.response)) {
        Some(text) => match std::str::from_utf8(text)
            .ok()
            .and_then(|t| t.parse::<u64>().ok())
        {
            Some(number) => number,
            None => return Value::Bytes(b"-1"),
        },
        None => match ctx.info.response_code {
            Some(code) => grpc::status_of_http(code),
            None => return Value::Missing,
        },
    };
    let names = usize::try_from(number).ok().and_then(|n| GRPC.get(n));
    match (style, names) {
        (GrpcStatusStyle::Number, _) | (_, None) => Value::Number(number),
        (GrpcStatusStyle::Camel, Some((camel, _))) => Value::Bytes(camel.as_bytes()),
        (GrpcStatusStyle::Snake, Some((_, snake))) => Value::Bytes(snake.as_bytes()),
    }
}

/// The machine's name, asked for once.
fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        if name.is_empty() {
            "-".to_owned()
        } else {
            name
        }
    })
}
