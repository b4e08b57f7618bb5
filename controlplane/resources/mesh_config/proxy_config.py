"""`defaultConfig` of MeshConfig: how sidecars start. Per pod: annotation `proxy.istio.io/config`.

The defaults are Istio's, so that `MeshProxyConfig()` is what a mesh without MeshConfig has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from controlplane.resources.common.connection_pool import TcpKeepalive
from controlplane.resources.common.probe import ReadinessProbe
from controlplane.resources.common.tls import ClientTLSSettings
from controlplane.resources.mesh_config.providers import Int64, Nothing, TraceContext
from controlplane.resources.proxy_config.schema import ProxyImage
from controlplane.resources.schema import HiddenText, Int32, OneOf, Range, Seconds, UInt32

ForwardClientCertDetails = Literal[
    "UNDEFINED",
    "SANITIZE",
    "FORWARD_ONLY",
    "APPEND_FORWARD",
    "SANITIZE_SET",
    "ALWAYS_FORWARD_ONLY",
]
TracingServiceName = Literal[
    "APP_LABEL_AND_NAMESPACE", "CANONICAL_NAME_ONLY", "CANONICAL_NAME_AND_NAMESPACE"
]

_DRAIN = Seconds(45.0)
_TERMINATION_DRAIN = Seconds(5.0)


@dataclass(frozen=True, slots=True)
class RemoteService:
    address: str = ""
    tls_settings: ClientTLSSettings | None = None
    tcp_keepalive: TcpKeepalive | None = None


@dataclass(frozen=True, slots=True)
class Collector:
    """Where spans go: `HOST:PORT`; `$(HOST_IP)` is the node's address."""

    address: str = ""


@dataclass(frozen=True, slots=True)
class LightstepCollector:
    address: str = ""
    access_token: HiddenText | None = None


@dataclass(frozen=True, slots=True)
class OpenCensusAgent:
    address: str = ""
    context: tuple[TraceContext, ...] = ()


@dataclass(frozen=True, slots=True)
class LiteralTag:
    value: str = ""


@dataclass(frozen=True, slots=True)
class NamedTag:
    """An environment variable's or a request header's value."""

    name: str = ""
    default_value: str = ""


@dataclass(frozen=True, slots=True)
class CustomTag:
    literal: LiteralTag | None = None
    environment: NamedTag | None = None
    header: NamedTag | None = None

    ONE_OF: ClassVar[OneOf] = (("literal", "environment", "header"),)


@dataclass(frozen=True, slots=True)
class StackdriverTracing:
    """Less than the provider of that name has."""

    debug: bool = False
    max_number_of_attributes: Int64 | None = None
    max_number_of_annotations: Int64 | None = None
    max_number_of_message_events: Int64 | None = None


@dataclass(frozen=True, slots=True)
class Tracing:
    zipkin: Collector | None = None
    lightstep: LightstepCollector | None = None
    datadog: Collector | None = None
    stackdriver: StackdriverTracing | None = None
    open_census_agent: OpenCensusAgent | None = None
    custom_tags: Mapping[str, CustomTag] = field(default_factory=dict)
    max_path_tag_length: UInt32 = 0
    #: Per cent.
    sampling: Annotated[float, Range(0, 100)] = 0.0
    tls_settings: ClientTLSSettings | None = None
    enable_istio_tags: bool | None = None

    ONE_OF: ClassVar[OneOf] = (
        ("zipkin", "lightstep", "datadog", "stackdriver", "open_census_agent"),
    )


@dataclass(frozen=True, slots=True)
class Sds:
    """Deprecated, without effect."""

    enabled: bool = False
    k8s_sa_jwt_path: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    num_trusted_proxies: UInt32 = 0
    forward_client_cert_details: ForwardClientCertDetails = "UNDEFINED"
    proxy_protocol: Nothing | None = None


@dataclass(frozen=True, slots=True)
class PrivateKeyAccelerator:
    """`CryptoMb` and `QAT`."""

    poll_delay: Seconds | None = None
    fallback: bool | None = None


@dataclass(frozen=True, slots=True)
class PrivateKeyProvider:
    cryptomb: PrivateKeyAccelerator | None = None
    qat: PrivateKeyAccelerator | None = None

    ONE_OF: ClassVar[OneOf] = (("cryptomb", "qat"),)


@dataclass(frozen=True, slots=True)
class ProxyStatsMatcher:
    inclusion_prefixes: tuple[str, ...] = ()
    inclusion_suffixes: tuple[str, ...] = ()
    inclusion_regexps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    disabled: bool | None = None
    value: str = ""


@dataclass(frozen=True, slots=True)
class Disabled:
    """`RequestId`, `AttemptCount`, `EnvoyDebugHeaders`: sent unless disabled."""

    disabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Enabled:
    """`XForwardedHost`, `XForwardedPort`: sent when enabled."""

    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class MetadataExchangeHeaders:
    mode: Literal["UNDEFINED", "IN_MESH"] = "UNDEFINED"


@dataclass(frozen=True, slots=True)
class SetCurrentClientCertDetails:
    subject: bool | None = None
    cert: bool | None = None
    chain: bool | None = None
    dns: bool | None = None
    uri: bool | None = None


@dataclass(frozen=True, slots=True)
class ProxyHeaders:
    forwarded_client_cert: ForwardClientCertDetails = "UNDEFINED"
    set_current_client_cert_details: SetCurrentClientCertDetails | None = None
    request_id: Disabled | None = None
    server: Server | None = None
    attempt_count: Disabled | None = None
    envoy_debug_headers: Disabled | None = None
    metadata_exchange_headers: MetadataExchangeHeaders | None = None
    preserve_http1_header_case: bool | None = None
    x_forwarded_host: Enabled | None = None
    x_forwarded_port: Enabled | None = None


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Limits at the edge. None is Istio's default, or that of the profile."""

    profile: Literal["SIDECAR", "EDGE"] = "SIDECAR"
    listener_per_connection_buffer_limit_bytes: Int32 | None = None
    cluster_per_connection_buffer_limit_bytes: Int32 | None = None
    http_idle_timeout: Seconds | None = None
    http_max_connection_duration: Seconds | None = None
    http_drain_timeout: Seconds | None = None
    http_request_timeout: Seconds | None = None
    http_request_headers_timeout: Seconds | None = None
    http_stream_idle_timeout: Seconds | None = None
    http_max_stream_duration: Seconds | None = None
    http_max_concurrent_streams: Int32 | None = None
    http2_initial_stream_window_size: Int32 | None = None
    http2_initial_connection_window_size: Int32 | None = None
    http_headers_with_underscores_action: Literal[
        "HEADERS_WITH_UNDERSCORES_UNSPECIFIED",
        "HEADERS_WITH_UNDERSCORES_ALLOW",
        "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
        "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
    ] = "HEADERS_WITH_UNDERSCORES_UNSPECIFIED"
    http_merge_slashes: bool | None = None
    http_path_with_escaped_slashes_action: Literal[
        "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED",
        "KEEP_UNCHANGED",
        "REJECT_REQUEST",
        "UNESCAPE_AND_REDIRECT",
        "UNESCAPE_AND_FORWARD",
    ] = "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED"
    listener_connection_limit: Int32 | None = None
    global_downstream_connection_limit: Int32 | None = None


@dataclass(frozen=True, slots=True)
class MeshProxyConfig:
    config_path: str = "./etc/istio/proxy"
    binary_path: str = "/usr/local/bin/envoy"
    service_cluster: str | None = "istio-proxy"
    tracing_service_name: TracingServiceName | None = None
    drain_duration: Seconds = _DRAIN
    discovery_address: str = "istiod.istio-system.svc:15012"
    #: Deprecated.
    discovery_refresh_delay: Seconds | None = None
    #: Deprecated in favour of `tracing`.
    zipkin_address: str = ""
    statsd_udp_address: str = ""
    #: Deprecated in favour of `envoy_metrics_service`.
    envoy_metrics_service_address: str = ""
    proxy_admin_port: Int32 = 15000
    #: Deprecated.
    availability_zone: str = ""
    control_plane_auth_policy: Literal["NONE", "MUTUAL_TLS", "INHERIT"] = "MUTUAL_TLS"
    custom_config_file: str = ""
    stat_name_length: Int32 = 189
    #: None is one worker per CPU limit, 0 one per core.
    concurrency: Int32 | None = None
    proxy_bootstrap_template_path: str = ""
    interception_mode: Literal["REDIRECT", "TPROXY", "NONE"] = "REDIRECT"
    tracing: Tracing | None = None
    sds: Sds | None = None
    envoy_access_log_service: RemoteService | None = None
    envoy_metrics_service: RemoteService | None = None
    proxy_metadata: Mapping[str, str] = field(default_factory=dict)
    runtime_values: Mapping[str, str] = field(default_factory=dict)
    status_port: Int32 = 15020
    extra_stat_tags: tuple[str, ...] = ()
    gateway_topology: Topology | None = None
    termination_drain_duration: Seconds = _TERMINATION_DRAIN
    mesh_id: str = ""
    readiness_probe: ReadinessProbe | None = None
    proxy_stats_matcher: ProxyStatsMatcher | None = None
    hold_application_until_proxy_starts: bool | None = None
    ca_certificates_pem: tuple[str, ...] = ()
    image: ProxyImage | None = None
    private_key_provider: PrivateKeyProvider | None = None
    proxy_headers: ProxyHeaders | None = None
    file_flush_interval: Seconds | None = None
    file_flush_min_size_kb: UInt32 = 0
    stats_compression: bool | None = None
    connection_settings: ConnectionSettings | None = None

    ONE_OF: ClassVar[OneOf] = (("service_cluster", "tracing_service_name"),)
