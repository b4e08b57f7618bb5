"""The PROXY protocol towards the hosts of a cluster: a header before the first byte, TLS or not."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.config.core.v3.proxy_protocol_pb2 import ProxyProtocolConfig
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer

from controlplane.resources.common.traffic_policy import ProxyProtocol
from controlplane.translation.pack import any_of

PLAINTEXT = TransportSocket(
    name="envoy.transport_sockets.raw_buffer", typed_config=any_of(RawBuffer())
)
_VERSIONS = {"V1": ProxyProtocolConfig.V1, "V2": ProxyProtocolConfig.V2}


def add(cluster: Cluster, given: ProxyProtocol | None) -> None:
    """Wraps whatever the cluster's connections are carried by."""
    if given is None:
        return
    if cluster.transport_socket_matches:
        for one in cluster.transport_socket_matches:
            _wrap(one.transport_socket, given)
    else:
        if not cluster.HasField("transport_socket"):
            cluster.transport_socket.CopyFrom(PLAINTEXT)
        _wrap(cluster.transport_socket, given)


def _wrap(socket: TransportSocket, given: ProxyProtocol) -> None:
    built = ProxyProtocolUpstreamTransport(transport_socket=socket)
    built.config.version = _VERSIONS[given.version]
    socket.name = "envoy.transport_sockets.upstream_proxy_protocol"
    socket.typed_config.CopyFrom(any_of(built))
