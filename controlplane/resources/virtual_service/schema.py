"""Fields of VirtualService."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from controlplane.resources.common.destination import Destination
from controlplane.resources.common.headers import Headers
from controlplane.resources.common.match import StringMatch
from controlplane.resources.common.percent import Percent
from controlplane.resources.common.retry import HTTPRetry
from controlplane.resources.schema import Int32, OneOf, Seconds, UInt32


@dataclass(frozen=True, slots=True)
class HTTPMatchRequest:
    """Conditions of a request, all of which must hold."""

    name: str = ""
    uri: StringMatch | None = None
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[str, StringMatch] = field(default_factory=dict)
    #: 0 is any.
    port: UInt32 = 0
    source_labels: Mapping[str, str] = field(default_factory=dict)
    #: Replaces the gateways of the VirtualService.
    gateways: tuple[str, ...] = ()
    query_params: Mapping[str, StringMatch] = field(default_factory=dict)
    ignore_uri_case: bool = False
    without_headers: Mapping[str, StringMatch] = field(default_factory=dict)
    source_namespace: str = ""
    stat_prefix: str = ""


@dataclass(frozen=True, slots=True)
class HTTPRouteDestination:
    """A destination and its share."""

    destination: Destination
    weight: Int32 = 0
    headers: Headers | None = None


@dataclass(frozen=True, slots=True)
class HTTPRedirect:
    """A 3xx answer."""

    uri: str = ""
    authority: str = ""
    port: UInt32 | None = None
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: str = ""
    #: 0 is 301.
    redirect_code: UInt32 = 0
    prefix_rewrite: str = ""
    ONE_OF: ClassVar[OneOf] = (("port", "derive_port"),)


@dataclass(frozen=True, slots=True)
class HTTPBody:
    """A body, as text or as base64."""

    string: str | None = None
    #: `bytes`, in base64.
    raw: bytes | None = field(default=None, metadata={"name": "bytes"})
    ONE_OF: ClassVar[OneOf] = (("string", "raw"),)


@dataclass(frozen=True, slots=True)
class HTTPDirectResponse:
    """An answer of the proxy itself."""

    status: UInt32
    body: HTTPBody | None = None


@dataclass(frozen=True, slots=True)
class Delegate:
    """Another VirtualService, without hosts, whose routes are put here."""

    name: str = ""
    #: "" is the namespace of this one.
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class RegexRewrite:
    """RE2 match and replacement with \\1."""

    match: str = ""
    rewrite: str = ""


@dataclass(frozen=True, slots=True)
class HTTPRewrite:
    """Changes of path and authority before the request goes on."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


@dataclass(frozen=True, slots=True)
class Delay:
    """Requests wait."""

    #: Deprecated: `percentage`.
    percent: Int32 = 0
    fixed_delay: Seconds | None = None
    #: Never had an effect in Istio.
    exponential_delay: Seconds | None = None
    #: None is `percent`.
    percentage: Percent | None = None
    ONE_OF: ClassVar[OneOf] = (("fixed_delay", "exponential_delay"),)


@dataclass(frozen=True, slots=True)
class Abort:
    """Requests fail."""

    http_status: Int32 | None = None
    #: Name of a gRPC status: UNAVAILABLE.
    grpc_status: str | None = None
    #: Never had an effect in Istio.
    http2_error: str | None = None
    #: None is no request (0).
    percentage: Percent | None = None
    ONE_OF: ClassVar[OneOf] = (("http_status", "grpc_status", "http2_error"),)


@dataclass(frozen=True, slots=True)
class HTTPFaultInjection:
    """Faults on purpose."""

    delay: Delay | None = None
    abort: Abort | None = None


@dataclass(frozen=True, slots=True)
class HTTPMirrorPolicy:
    """A copy of a share of the requests goes elsewhere."""

    destination: Destination
    #: None is all requests (100).
    percentage: Percent | None = None


@dataclass(frozen=True, slots=True)
class CorsPolicy:
    """Which web pages of other origins may call."""

    #: Deprecated: exact origins, `*` is any.
    allow_origin: tuple[str, ...] = ()
    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Seconds | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["UNSPECIFIED", "FORWARD", "IGNORE"] = "UNSPECIFIED"


@dataclass(frozen=True, slots=True)
class HTTPRoute:
    """Matches (any of them; none is every request) and what to do."""

    name: str = ""
    match: tuple[HTTPMatchRequest, ...] = ()
    route: tuple[HTTPRouteDestination, ...] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    delegate: Delegate | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Seconds | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    mirror: Destination | None = None
    mirrors: tuple[HTTPMirrorPolicy, ...] = ()
    #: Deprecated: `mirror_percentage`.
    mirror_percent: UInt32 | None = field(default=None, metadata={"also": "mirror_percent"})
    mirror_percentage: Percent | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers | None = None


@dataclass(frozen=True, slots=True)
class RouteDestination:
    """A destination of TCP or TLS and its share."""

    destination: Destination
    weight: Int32 = 0


@dataclass(frozen=True, slots=True)
class TLSMatchAttributes:
    """Conditions of a TLS connection that is not ended."""

    sni_hosts: tuple[str, ...]
    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    source_labels: Mapping[str, str] = field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


@dataclass(frozen=True, slots=True)
class L4MatchAttributes:
    """Conditions of a TCP connection."""

    destination_subnets: tuple[str, ...] = ()
    port: UInt32 = 0
    #: Never had an effect in Istio.
    source_subnet: str = ""
    source_labels: Mapping[str, str] = field(default_factory=dict)
    gateways: tuple[str, ...] = ()
    source_namespace: str = ""


@dataclass(frozen=True, slots=True)
class TLSRoute:
    """By SNI."""

    match: tuple[TLSMatchAttributes, ...]
    route: tuple[RouteDestination, ...] = ()


@dataclass(frozen=True, slots=True)
class TCPRoute:
    """By address and port."""

    match: tuple[L4MatchAttributes, ...] = ()
    route: tuple[RouteDestination, ...] = ()


@dataclass(frozen=True, slots=True)
class VirtualService:
    """How requests to hosts are routed."""

    #: None only for a delegate.
    hosts: tuple[str, ...] = ()
    #: None is `mesh`: all sidecars.
    gateways: tuple[str, ...] = ()
    http: tuple[HTTPRoute, ...] = ()
    tls: tuple[TLSRoute, ...] = ()
    tcp: tuple[TCPRoute, ...] = ()
    #: Namespaces that see it; none is MeshConfig's default.
    export_to: tuple[str, ...] = ()
