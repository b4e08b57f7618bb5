"""Spans: where they go, which requests have them, and what they say besides Envoy's own tags."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.config.core.v3.http_service_pb2 import HttpService as EnvoyHttpService
from envoy.config.trace.v3.datadog_pb2 import DatadogConfig
from envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig
from envoy.config.trace.v3.skywalking_pb2 import SkyWalkingConfig
from envoy.config.trace.v3.zipkin_pb2 import ZipkinConfig
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.request_id.uuid.v3.uuid_pb2 import UuidRequestIdConfig
from envoy.extensions.tracers.opentelemetry.resource_detectors.v3.environment_resource_detector_pb2 import (  # noqa: E501
    EnvironmentResourceDetectorConfig,
)
from google.protobuf.message import Message

from controlplane.resources.mesh_config.providers import (
    ExtensionProvider,
    HttpHeader,
    OpenTelemetryTracing,
    Zipkin,
)
from controlplane.resources.telemetry.select import Reporting, Spans, spans
from controlplane.translation.durations import duration
from controlplane.translation.pack import any_of
from controlplane.translation.providers import Target, target
from controlplane.translation.settings import Settings, proxy_config
from controlplane.world.view import View

_DEFAULT_SAMPLING = 1.0
_ZIPKIN_PATH = "/api/v2/spans"
_ZIPKIN_SECONDS = 5.0
_ENVIRONMENT = "envoy.tracers.opentelemetry.resource_detectors.environment"


def add(
    view: View, built: hcm.HttpConnectionManager, reporting: Reporting, given: Settings
) -> None:
    """Gives a connection manager its spans. A provider whose service the registry does not have,
    or that is of another sort, gets none, and nor does one whose tracer the proxy has not."""
    chosen = spans(view, reporting)
    if chosen is None:
        return
    tracer = _tracer(view, chosen.provider, reporting)
    if tracer is None:
        return
    name, config, longest = tracer
    if config.DESCRIPTOR.full_name not in reporting.runs:
        return
    proxy = proxy_config(view, given).tracing
    tracing = built.tracing
    tracing.provider.name = name
    tracing.provider.typed_config.CopyFrom(any_of(config))
    longest = longest or (proxy.max_path_tag_length if proxy else 0)
    if longest:
        tracing.max_path_tag_length.value = longest
    sampling = chosen.sampling
    if sampling is None:
        sampling = (proxy.sampling if proxy else 0.0) or _DEFAULT_SAMPLING
    tracing.client_sampling.value = 100
    tracing.overall_sampling.value = 100
    tracing.random_sampling.value = sampling
    if chosen.istio_tags:
        for tag, value in _istio_tags(view, reporting, given):
            tracing.custom_tags.add(tag=tag).literal.value = value
    _custom_tags(tracing, chosen)
    if chosen.provider.skywalking is not None:
        tracing.spawn_upstream_span.value = True
    if not chosen.request_id_decides:
        ids = UuidRequestIdConfig()
        ids.use_request_id_for_trace_sampling.value = False
        built.request_id_extension.typed_config.CopyFrom(any_of(ids))


def _istio_tags(view: View, reporting: Reporting, given: Settings) -> Iterable[tuple[str, str]]:
    labels = dict(reporting.labels)
    canonical = labels.get("service.istio.io/canonical-name") or labels.get("app", "unknown")
    revision = labels.get("service.istio.io/canonical-revision") or labels.get("version", "latest")
    proxy = proxy_config(view, given)
    return (
        ("istio.canonical_revision", revision),
        ("istio.canonical_service", canonical),
        ("istio.cluster_id", labels.get("topology.istio.io/cluster", "unknown")),
        ("istio.mesh_id", proxy.mesh_id or "unknown"),
        ("istio.namespace", reporting.namespace),
    )


def _custom_tags(tracing: hcm.HttpConnectionManager.Tracing, chosen: Spans) -> None:
    for name, given in chosen.custom_tags:
        built = tracing.custom_tags.add(tag=name)
        if given.literal is not None:
            built.literal.value = given.literal.value
        elif given.environment is not None:
            built.environment.name = given.environment.name
            built.environment.default_value = given.environment.default_value
        elif given.header is not None:
            built.request_header.name = given.header.name
            built.request_header.default_value = given.header.default_value
        elif given.formatter is not None:
            built.value = given.formatter.value


def _tracer(
    view: View, provider: ExtensionProvider, reporting: Reporting
) -> tuple[str, Message, int] | None:
    """Name and configuration of Envoy's tracer, and the longest path tag (0: Envoy's)."""
    service = provider.zipkin or provider.opentelemetry or provider.datadog or provider.skywalking
    to = target(view, service.service, service.port) if service is not None else None
    if to is None:
        return None
    if provider.zipkin is not None:
        given = provider.zipkin
        return "envoy.tracers.zipkin", _zipkin(to, given), given.max_tag_length
    if provider.opentelemetry is not None:
        given_otel = provider.opentelemetry
        built = _opentelemetry(to, given_otel, _service_name(reporting))
        return "envoy.tracers.opentelemetry", built, given_otel.max_tag_length
    if provider.datadog is not None:
        datadog = DatadogConfig(
            collector_cluster=to.cluster,
            collector_hostname=to.host,
            service_name=_service_name(reporting),
        )
        return "envoy.tracers.datadog", datadog, provider.datadog.max_tag_length
    skywalking = SkyWalkingConfig()
    skywalking.grpc_service.envoy_grpc.cluster_name = to.cluster
    skywalking.grpc_service.envoy_grpc.authority = to.host
    return "envoy.tracers.skywalking", skywalking, 0


def _service_name(reporting: Reporting) -> str:
    """`NAME.NAMESPACE`, as Istio's bootstraps name proxies' clusters."""
    labels = dict(reporting.labels)
    name = labels.get("service.istio.io/canonical-name") or labels.get("app", "istio-proxy")
    return f"{name}.{reporting.namespace}"


def _zipkin(to: Target, given: Zipkin) -> ZipkinConfig:
    built = ZipkinConfig(
        collector_endpoint_version=ZipkinConfig.HTTP_JSON,
        trace_id_128bit=not given.enable_64bit_trace_id,
        trace_context_option=given.trace_context_option,
    )
    built.shared_span_context.value = False
    seconds = _ZIPKIN_SECONDS if given.timeout is None else given.timeout
    path = given.path or _ZIPKIN_PATH
    _service(built.collector_service, to, f"http://{to.host}{path}", seconds, given.headers)
    return built


def _opentelemetry(to: Target, given: OpenTelemetryTracing, name: str) -> OpenTelemetryConfig:
    built = OpenTelemetryConfig(service_name=name)
    if given.http is not None:
        uri = f"{to.host}/{given.http.path.lstrip('/')}"
        seconds = _ZIPKIN_SECONDS if given.http.timeout is None else given.http.timeout
        _service(built.http_service, to, uri, seconds, given.http.headers)
    else:
        built.grpc_service.envoy_grpc.cluster_name = to.cluster
        built.grpc_service.envoy_grpc.authority = to.host
        if given.grpc is not None:
            if given.grpc.timeout is not None:
                built.grpc_service.timeout.CopyFrom(duration(given.grpc.timeout))
            for one in given.grpc.initial_metadata:
                built.grpc_service.initial_metadata.add(key=one.name, value=_value(one))
    detectors = given.resource_detectors
    semantic = given.service_attribute_enrichment == "OTEL_SEMANTIC_CONVENTIONS"
    if semantic or (detectors is not None and detectors.environment is not None):
        detector = built.resource_detectors.add(name=_ENVIRONMENT)
        detector.typed_config.CopyFrom(any_of(EnvironmentResourceDetectorConfig()))
    return built


def _service(
    built: EnvoyHttpService,
    to: Target,
    uri: str,
    seconds: float,
    headers: Iterable[HttpHeader],
) -> None:
    built.http_uri.uri = uri
    built.http_uri.cluster = to.cluster
    built.http_uri.timeout.CopyFrom(duration(seconds))
    for one in headers:
        option = built.request_headers_to_add.add(
            append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        )
        option.header.key = one.name
        option.header.value = _value(one)


def _value(header: HttpHeader) -> str:
    if header.env_name:
        return f"%ENVIRONMENT({header.env_name})%"
    # Hidden in everything that people read; the proxy needs it.
    return header.value.reveal().decode(errors="replace") if header.value is not None else ""
