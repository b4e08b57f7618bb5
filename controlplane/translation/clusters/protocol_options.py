"""HttpProtocolOptions of a cluster."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from controlplane.resources.common.connection_pool import HTTPSettings, TCPSettings
from controlplane.resources.mesh_config.schema import MeshConfig
from controlplane.translation.durations import duration
from controlplane.translation.pack import any_of

_KEY = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
#: What Istio's sidecars allow each other.
_MAX_STREAMS = 1073741824


def build(
    http: HTTPSettings, tcp: TCPSettings | None, mesh: MeshConfig, *, http2: bool
) -> HttpProtocolOptions:
    """The options of a policy; empty where Envoy's defaults will do. `http2`: the port says that
    hosts speak it, by prior knowledge or, inside mutual TLS, by ALPN."""
    built = HttpProtocolOptions()
    common = built.common_http_protocol_options
    if http.max_requests_per_connection:
        common.max_requests_per_connection.value = http.max_requests_per_connection
    if http.idle_timeout is not None:
        common.idle_timeout.CopyFrom(duration(http.idle_timeout))
    if tcp is not None and tcp.max_connection_duration is not None:
        common.max_connection_duration.CopyFrom(duration(tcp.max_connection_duration))
    upgrade = http.h2_upgrade_policy == "UPGRADE" or (
        http.h2_upgrade_policy == "DEFAULT" and mesh.h2_upgrade_policy == "UPGRADE"
    )
    options = _http2(http)
    if http.use_client_protocol:
        built.use_downstream_protocol_config.http2_protocol_options.CopyFrom(options)
        built.use_downstream_protocol_config.http_protocol_options.SetInParent()
    elif http2 or upgrade:
        built.explicit_http_config.http2_protocol_options.CopyFrom(options)
    elif built.ByteSize():
        built.explicit_http_config.http_protocol_options.SetInParent()
    return built


def put(cluster: Cluster, options: HttpProtocolOptions) -> None:
    """Gives a cluster its options."""
    cluster.typed_extension_protocol_options[_KEY].CopyFrom(any_of(options))


def http2(cluster: Cluster) -> None:
    """Hosts are spoken to in HTTP/2, and nothing else is said."""
    options = HttpProtocolOptions()
    options.explicit_http_config.http2_protocol_options.CopyFrom(_http2(HTTPSettings()))
    put(cluster, options)


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
