"""`extensionProviders` of MeshConfig: services that sidecars ask, report to or log to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from controlplane.resources.schema import (
    HiddenText,
    Int32,
    Length,
    OneOf,
    Port,
    Range,
    Seconds,
    UInt32,
)

Int64 = Annotated[int, Range(-(2**63), 2**63 - 1)]


@dataclass(frozen=True, slots=True)
class HttpHeader:
    """Its value, or the environment variable of the sidecar that holds it."""

    name: Annotated[str, Length(1)]
    #: May be a token, and so is not shown.
    value: HiddenText | None = None
    env_name: str | None = None

    ONE_OF: ClassVar[OneOf] = (("value", "env_name"),)


@dataclass(frozen=True, slots=True)
class HttpService:
    path: str = ""
    timeout: Seconds | None = None
    headers: tuple[HttpHeader, ...] = ()


@dataclass(frozen=True, slots=True)
class GrpcService:
    timeout: Seconds | None = None
    initial_metadata: tuple[HttpHeader, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestBody:
    """How much of a request's body an authorizer sees."""

    max_request_bytes: UInt32 = 0
    allow_partial_message: bool = False
    pack_as_bytes: bool = False


@dataclass(frozen=True, slots=True)
class EnvoyExtAuthzHttp:
    #: `HOST` or `NAMESPACE/HOST`.
    service: str
    port: Port
    timeout: Seconds | None = None
    path_prefix: str = ""
    fail_open: bool = False
    clear_route_cache: bool = False
    #: HTTP status where the authorizer does not answer; "" is 403.
    status_on_error: str = ""
    #: Deprecated in favour of `include_request_headers_in_check`.
    include_headers_in_check: tuple[str, ...] = ()
    include_request_headers_in_check: tuple[str, ...] = ()
    include_additional_headers_in_check: Mapping[str, str] = field(default_factory=dict)
    include_request_body_in_check: RequestBody | None = None
    headers_to_upstream_on_allow: tuple[str, ...] = ()
    headers_to_downstream_on_deny: tuple[str, ...] = ()
    headers_to_downstream_on_allow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvoyExtAuthzGrpc:
    service: str
    port: Port
    timeout: Seconds | None = None
    fail_open: bool = False
    clear_route_cache: bool = False
    status_on_error: str = ""
    include_request_body_in_check: RequestBody | None = None


@dataclass(frozen=True, slots=True)
class Zipkin:
    service: str
    port: Port
    max_tag_length: UInt32 = 0
    enable_64bit_trace_id: bool = field(default=False, metadata={"name": "enable64bitTraceId"})
    path: str = ""
    trace_context_option: Literal["USE_B3", "USE_B3_WITH_W3C_PROPAGATION"] = "USE_B3"
    timeout: Seconds | None = None
    headers: tuple[HttpHeader, ...] = ()


@dataclass(frozen=True, slots=True)
class Lightstep:
    """Deprecated."""

    service: str
    port: Port
    access_token: HiddenText
    max_tag_length: UInt32 = 0


@dataclass(frozen=True, slots=True)
class Datadog:
    service: str
    port: Port
    max_tag_length: UInt32 = 0


@dataclass(frozen=True, slots=True)
class SkyWalking:
    service: str
    port: Port
    access_token: HiddenText | None = None


@dataclass(frozen=True, slots=True)
class StackdriverLogging:
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stackdriver:
    debug: bool = False
    max_number_of_attributes: Int64 | None = None
    max_number_of_annotations: Int64 | None = None
    max_number_of_message_events: Int64 | None = None
    max_tag_length: UInt32 = 0
    logging: StackdriverLogging | None = None


TraceContext = Literal["UNSPECIFIED", "W3C_TRACE_CONTEXT", "GRPC_BIN", "CLOUD_TRACE_CONTEXT", "B3"]


@dataclass(frozen=True, slots=True)
class OpenCensus:
    """Deprecated."""

    service: str
    port: Port
    context: tuple[TraceContext, ...] = ()
    max_tag_length: UInt32 = 0


@dataclass(frozen=True, slots=True)
class Nothing:
    """A message without fields."""


@dataclass(frozen=True, slots=True)
class ResourceDetectors:
    environment: Nothing | None = None
    dynatrace: Nothing | None = None


@dataclass(frozen=True, slots=True)
class DynatraceApi:
    service: str
    port: Port
    http: HttpService | None = None


@dataclass(frozen=True, slots=True)
class DynatraceSampler:
    tenant: str = ""
    cluster_id: Int32 = 0
    root_spans_per_minute: UInt32 = 0
    http_service: DynatraceApi | None = None


@dataclass(frozen=True, slots=True)
class OpenTelemetryTracing:
    service: str
    port: Port
    max_tag_length: UInt32 = 0
    http: HttpService | None = None
    grpc: GrpcService | None = None
    resource_detectors: ResourceDetectors | None = None
    service_attribute_enrichment: Literal["ISTIO_CANONICAL", "OTEL_SEMANTIC_CONVENTIONS"] = (
        "ISTIO_CANONICAL"
    )
    dynatrace_sampler: DynatraceSampler | None = None


@dataclass(frozen=True, slots=True)
class LogFormat:
    """Text, or JSON."""

    text: str | None = None
    labels: Mapping[str, Any] | None = None

    ONE_OF: ClassVar[OneOf] = (("text", "labels"),)


@dataclass(frozen=True, slots=True)
class EnvoyFileAccessLog:
    path: str = ""
    log_format: LogFormat | None = None
    omit_empty_values: bool = False


@dataclass(frozen=True, slots=True)
class EnvoyHttpAls:
    service: str
    port: Port
    log_name: str = ""
    filter_state_objects_to_log: tuple[str, ...] = ()
    additional_request_headers_to_log: tuple[str, ...] = ()
    additional_response_headers_to_log: tuple[str, ...] = ()
    additional_response_trailers_to_log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvoyTcpAls:
    service: str
    port: Port
    log_name: str = ""
    filter_state_objects_to_log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OtelLogFormat:
    """Body and attributes; both may be given."""

    text: str = ""
    labels: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class EnvoyOtelAls:
    service: str
    port: Port
    log_name: str = ""
    log_format: OtelLogFormat | None = None


@dataclass(frozen=True, slots=True)
class Sds:
    name: str
    service: str
    port: Port


@dataclass(frozen=True, slots=True)
class ExtensionProvider:
    name: Annotated[str, Length(1)]
    envoy_ext_authz_http: EnvoyExtAuthzHttp | None = None
    envoy_ext_authz_grpc: EnvoyExtAuthzGrpc | None = None
    zipkin: Zipkin | None = None
    lightstep: Lightstep | None = None
    datadog: Datadog | None = None
    stackdriver: Stackdriver | None = None
    opencensus: OpenCensus | None = None
    skywalking: SkyWalking | None = None
    opentelemetry: OpenTelemetryTracing | None = None
    prometheus: Nothing | None = None
    envoy_file_access_log: EnvoyFileAccessLog | None = None
    envoy_http_als: EnvoyHttpAls | None = None
    envoy_tcp_als: EnvoyTcpAls | None = None
    envoy_otel_als: EnvoyOtelAls | None = None
    sds: Sds | None = None

    ONE_OF: ClassVar[OneOf] = (
        (
            "envoy_ext_authz_http",
            "envoy_ext_authz_grpc",
            "zipkin",
            "lightstep",
            "datadog",
            "stackdriver",
            "opencensus",
            "skywalking",
            "opentelemetry",
            "prometheus",
            "envoy_file_access_log",
            "envoy_http_als",
            "envoy_tcp_als",
            "envoy_otel_als",
            "sds",
        ),
    )

    @property
    def type(self) -> str:
        """Which of the fields is given: its name here; "" if none is."""
        (names,) = self.ONE_OF
        return next((name for name in names if getattr(self, name) is not None), "")


#: Istio has them without being told.
DEFAULT_PROVIDERS: tuple[ExtensionProvider, ...] = (
    ExtensionProvider("prometheus", prometheus=Nothing()),
    ExtensionProvider("stackdriver", stackdriver=Stackdriver()),
    ExtensionProvider("envoy", envoy_file_access_log=EnvoyFileAccessLog(path="/dev/stdout")),
)
