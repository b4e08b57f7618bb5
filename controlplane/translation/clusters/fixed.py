"""The clusters that every proxy has, whatever the services are."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import BindConfig, SocketAddress

from controlplane.registry import mesh
from controlplane.translation import names
from controlplane.translation.durations import duration
from controlplane.translation.pack import packed
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

#: Source address of what inbound listeners pass to the application unseen; iptables rules know it.
_INBOUND_SOURCE = SocketAddress(address="127.0.0.6", port_value=0)


@query
def outbound(view: View) -> tuple[Encoded, ...]:
    """Where connections go that are for no service: nowhere, or on."""
    black_hole = Cluster(name=names.BLACK_HOLE, type=Cluster.STATIC)
    return tuple(_finished(view, one) for one in (black_hole, _original(names.PASSTHROUGH)))


@query
def inbound(view: View) -> tuple[Encoded, ...]:
    """Connections to ports that belong to no service, on to the application."""
    cluster = _original(names.INBOUND_PASSTHROUGH)
    cluster.upstream_bind_config.CopyFrom(BindConfig(source_address=_INBOUND_SOURCE))
    return (_finished(view, cluster),)


def _original(name: str) -> Cluster:
    return Cluster(name=name, type=Cluster.ORIGINAL_DST, lb_policy=Cluster.CLUSTER_PROVIDED)


def _finished(view: View, cluster: Cluster) -> Encoded:
    cluster.connect_timeout.CopyFrom(duration(mesh.config(view).connect_timeout))
    return encoded(cluster.name, packed(cluster))
