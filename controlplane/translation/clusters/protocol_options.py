"""HttpProtocolOptions of a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions, Http2ProtocolOptions
from envoy.extensions.http.header_formatters.preserve_case.v3.preserve_case_pb2 import (
    PreserveCaseFormatterConfig,
)
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from controlplane.registry import protocols
from controlplane.resources.common.connection_pool import HTTPSettings, TCPSettings
from controlplane.resources.mesh_config.schema import MeshConfig
from controlplane.translation.durations import duration
from controlplane.translation.pack import any_of

#: Where a cluster has them.
KEY = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
#: What Istio's sidecars allow each other.
_MAX_STREAMS = 1073741824


@dataclass(frozen=True, slots=True)
class Wire:
    """How hosts are spoken to, where policies say nothing."""

    #: Of the port.
    protocol: str
    #: Of a sidecar; a gateway does not speak HTTP/2 because its client does.
    sidecar: bool = True
    #: Towards the application behind the sidecar: nobody but it knows what it speaks.
    inbound: bool = False
    #: `preserveHttp1HeaderCase`.
    preserve_case: bool = False
    #: Istio's own filters, which the proxy runs.
    runs: tuple[str, ...] = ()
    #: Of a proxy that has no address of IPv4, so that names are looked up for its family.
    only_ipv6: bool = False
    #: Whether it knows the roots of its system as such.
    system_roots: bool = False


def build(
    http: HTTPSettings, tcp: TCPSettings | None, mesh: MeshConfig, wire: Wire
) -> HttpProtocolOptions:
    """The options of a policy; empty where Envoy's defaults will do. HTTP/2 is spoken by prior
    knowledge or, inside mutual TLS, by ALPN."""
    built = HttpProtocolOptions()
    common = built.common_http_protocol_options
    if http.max_requests_per_connection:
        common.max_requests_per_connection.value = http.max_requests_per_connection
    # As in Istio, what is said of TCP is said of HTTP's connections, too.
    idle = http.idle_timeout
    if idle is None and tcp is not None:
        idle = tcp.idle_timeout
    if idle is not None:
        common.idle_timeout.CopyFrom(duration(idle))
    if tcp is not None and tcp.max_connection_duration is not None:
        common.max_connection_duration.CopyFrom(duration(tcp.max_connection_duration))
    options, plain = _http2(http), http1(preserve_case=wire.preserve_case)
    # A port whose protocol is found out: what the client speaks there.
    if http.use_client_protocol or (wire.protocol == "auto" and wire.sidecar):
        built.use_downstream_protocol_config.http2_protocol_options.CopyFrom(options)
        built.use_downstream_protocol_config.http_protocol_options.CopyFrom(plain)
    elif protocols.is_http2(wire.protocol) or _upgrades(http, mesh, wire):
        built.explicit_http_config.http2_protocol_options.CopyFrom(options)
    elif built.ByteSize() or plain.ByteSize():
        built.explicit_http_config.http_protocol_options.CopyFrom(plain)
    return built


def http1(*, preserve_case: bool) -> Http1ProtocolOptions:
    """Options of HTTP/1 in both directions; empty where Envoy's defaults will do."""
    built = Http1ProtocolOptions()
    if preserve_case:
        formatter = built.header_key_format.stateful_formatter
        formatter.name = "preserve_case"
        formatter.typed_config.CopyFrom(any_of(PreserveCaseFormatterConfig()))
    return built


def _upgrades(http: HTTPSettings, mesh: MeshConfig, wire: Wire) -> bool:
    """Whether HTTP/1.1 becomes HTTP/2: as a policy says, as the mesh says for ports of HTTP."""
    if wire.inbound or http.h2_upgrade_policy == "DO_NOT_UPGRADE":
        return False
    if http.h2_upgrade_policy == "UPGRADE":
        return True
    return mesh.h2_upgrade_policy == "UPGRADE" and protocols.is_http(wire.protocol)


def held(cluster: Cluster) -> HttpProtocolOptions:
    """The options that a cluster has; empty where it has none."""
    options = HttpProtocolOptions()
    if KEY in cluster.typed_extension_protocol_options:
        cluster.typed_extension_protocol_options[KEY].Unpack(options)
    return options


def put(cluster: Cluster, options: HttpProtocolOptions) -> None:
    """Gives a cluster its options."""
    cluster.typed_extension_protocol_options[KEY].CopyFrom(any_of(options))


def _http2(http: HTTPSettings) -> Http2ProtocolOptions:
    built = Http2ProtocolOptions()
    built.max_concurrent_streams.value = http.max_concurrent_streams or _MAX_STREAMS
    keepalive = http.http2_keep_alive
    if keepalive is not None:
        if keepalive.interval is not None:
            built.connection_keepalive.interval.CopyFrom(duration(keepalive.interval))
        if keepalive.timeout is not None:
            built.connection_keepalive.timeout.CopyFrom(duration(keepalive.timeout))
    return built
