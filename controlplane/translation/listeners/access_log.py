"""Access logs that Telemetry or MeshConfig asks for, in Istio's default formats or their own."""

from __future__ import annotations

import yaml
from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.access_loggers.grpc.v3.als_pb2 import (
    CommonGrpcAccessLogConfig,
    HttpGrpcAccessLogConfig,
    TcpGrpcAccessLogConfig,
)
from envoy.extensions.access_loggers.open_telemetry.v3.logs_service_pb2 import (
    OpenTelemetryAccessLogConfig,
)
from envoy.extensions.formatter.req_without_query.v3.req_without_query_pb2 import ReqWithoutQuery

from controlplane.registry import mesh
from controlplane.resources.mesh_config import MeshConfig
from controlplane.resources.mesh_config.providers import (
    EnvoyFileAccessLog,
    EnvoyOtelAls,
    ExtensionProvider,
)
from controlplane.resources.telemetry.expressions import access_log_filter
from controlplane.resources.telemetry.select import Reporting, logs
from controlplane.translation.pack import any_of
from controlplane.translation.providers import Target, target
from controlplane.world.proxy import REPORTERS
from controlplane.world.view import View, query

_FILE, _STDOUT = "envoy.access_loggers.file", "/dev/stdout"
#: An operator that Envoy knows only where a formatter is named for it.
_WITHOUT_QUERY = "%REQ_WITHOUT_QUERY"
_FORMATTER = TypedExtensionConfig(
    name="envoy.formatter.req_without_query", typed_config=any_of(ReqWithoutQuery())
)
#: The provider that Istio has without being told; what MeshConfig says of formats is for it.
_BUILT_IN = "envoy"
#: What Istio's telemetry leaves for loggers.
_PEERS = ("upstream_peer", "downstream_peer")
#: Istio's text format. Scripts and people read it by position.
_TEXT = (
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" '
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% '
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" '
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% '
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
)
#: Istio's JSON fields.
_JSON: dict[str, object] = {
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "duration": "%DURATION%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route_name": "%ROUTE_NAME%",
    "start_time": "%START_TIME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
}


@query
def loggers(view: View, reporting: Reporting) -> tuple[AccessLog, ...]:
    """The access logs of a listener: what Telemetries say, otherwise MeshConfig's file."""
    chosen = logs(view, reporting)
    if chosen is None:
        config = mesh.config(view)
        return (_of_mesh(config, config.access_log_file),) if config.access_log_file else ()
    found = []
    for one in chosen:
        built = None if one.disabled else _of_provider(view, one.provider)
        if built is not None and _has(reporting, built):
            if one.filter is not None and one.filter.expression:
                built.filter.CopyFrom(access_log_filter(one.filter.expression))
            found.append(built)
    return tuple(found)


def _has(reporting: Reporting, built: AccessLog) -> bool:
    """Whether the proxy has the logger."""
    kind = built.typed_config.TypeName()
    return kind not in REPORTERS or kind in reporting.runs


@query
def of_listener(view: View, reporting: Reporting) -> tuple[AccessLog, ...]:
    """The access logs of connections that no filter chain takes (`NR`), which no other log has."""
    if mesh.config(view).disable_envoy_listener_log:
        return ()
    found = []
    for one in loggers(view, reporting):
        built = AccessLog()
        built.CopyFrom(one)
        unmatched = AccessLogFilter(response_flag_filter={"flags": ["NR"]})
        if built.HasField("filter"):
            both = AccessLogFilter()
            both.and_filter.filters.extend((unmatched, built.filter))
            unmatched = both
        built.filter.CopyFrom(unmatched)
        found.append(built)
    return tuple(found)


def _of_provider(view: View, provider: ExtensionProvider) -> AccessLog | None:
    """None: the provider is of another sort, or the registry does not have its service."""
    file, http, tcp, otel = (
        provider.envoy_file_access_log,
        provider.envoy_http_als,
        provider.envoy_tcp_als,
        provider.envoy_otel_als,
    )
    if file is not None:
        plain = file.log_format is None and not file.omit_empty_values
        if provider.name == _BUILT_IN and plain:
            return _of_mesh(mesh.config(view), file.path or _STDOUT)
        return _file(file)
    service = http or tcp or otel
    to = target(view, service.service, service.port) if service is not None else None
    if to is None:
        return None
    if http is not None:
        built = HttpGrpcAccessLogConfig(
            common_config=_common(to, http.log_name or "http_envoy_accesslog"),
            additional_request_headers_to_log=http.additional_request_headers_to_log,
            additional_response_headers_to_log=http.additional_response_headers_to_log,
            additional_response_trailers_to_log=http.additional_response_trailers_to_log,
        )
        built.common_config.filter_state_objects_to_log.extend(
            http.filter_state_objects_to_log or _PEERS
        )
        return AccessLog(name="envoy.access_loggers.http_grpc", typed_config=any_of(built))
    if tcp is not None:
        connections = TcpGrpcAccessLogConfig(
            common_config=_common(to, tcp.log_name or "tcp_envoy_accesslog")
        )
        connections.common_config.filter_state_objects_to_log.extend(
            tcp.filter_state_objects_to_log or _PEERS
        )
        name = "envoy.access_loggers.tcp_grpc"
        return AccessLog(name=name, typed_config=any_of(connections))
    assert otel is not None
    return _otel(to, otel)


def _common(to: Target, log_name: str) -> CommonGrpcAccessLogConfig:
    built = CommonGrpcAccessLogConfig(log_name=log_name, transport_api_version=ApiVersion.V3)
    built.grpc_service.envoy_grpc.cluster_name = to.cluster
    built.grpc_service.envoy_grpc.authority = to.host
    return built


def _otel(to: Target, given: EnvoyOtelAls) -> AccessLog:
    built = OpenTelemetryAccessLogConfig(
        common_config=_common(to, given.log_name or "otel_envoy_accesslog"),
        disable_builtin_labels=True,
    )
    built.common_config.filter_state_objects_to_log.extend(_PEERS)
    wanted = given.log_format
    built.body.string_value = (wanted.text if wanted else "") or _TEXT
    for key, value in sorted((wanted.labels or {}).items() if wanted else ()):
        built.attributes.values.add(key=key).value.string_value = str(value)
    if _WITHOUT_QUERY in str(built):
        built.formatters.append(_FORMATTER)
    return AccessLog(name="envoy.access_loggers.open_telemetry", typed_config=any_of(built))


def _file(given: EnvoyFileAccessLog) -> AccessLog:
    file = FileAccessLog(path=given.path or _STDOUT)
    wanted = given.log_format
    if wanted is not None and wanted.labels is not None:
        file.log_format.json_format.update(dict(wanted.labels) or _JSON)
    else:
        _text(file, (wanted.text if wanted else "") or _TEXT)
    file.log_format.omit_empty_values = given.omit_empty_values
    return _of_file(file)


def _of_mesh(config: MeshConfig, path: str) -> AccessLog:
    file = FileAccessLog(path=path)
    if config.access_log_encoding == "JSON":
        file.log_format.json_format.update(_fields(config.access_log_format))
    else:
        _text(file, config.access_log_format or _TEXT)
    return _of_file(file)


def _of_file(file: FileAccessLog) -> AccessLog:
    if _WITHOUT_QUERY in str(file.log_format):
        file.log_format.formatters.append(_FORMATTER)
    return AccessLog(name=_FILE, typed_config=any_of(file))


def _text(file: FileAccessLog, text: str) -> None:
    # Istio: a line ends with a newline, whether the format says so or not.
    file.log_format.text_format_source.inline_string = text.rstrip("\n") + "\n"


def _fields(text: str) -> dict[str, object]:
    """The JSON format that MeshConfig writes as text; Istio's where it is none."""
    try:
        fields = yaml.safe_load(text) if text else _JSON
    except yaml.YAMLError:
        return _JSON
    return fields if isinstance(fields, dict) else _JSON
