"""The clusters that every proxy has, whatever the services are."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import BindConfig, SocketAddress

from controlplane.registry import mesh
from controlplane.resources.common.connection_pool import ConnectionPoolSettings, HTTPSettings
from controlplane.resources.common.traffic_policy import TrafficPolicy
from controlplane.resources.destination_rule.translate import apply
from controlplane.resources.schema import Seconds
from controlplane.translation import names
from controlplane.translation.clusters.protocol_options import Wire
from controlplane.translation.durations import duration
from controlplane.translation.pack import packed
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

#: Source address of what inbound listeners pass to the application unseen; iptables rules know it.
_INBOUND_SOURCE = SocketAddress(address="127.0.0.6", port_value=0)
#: Istio's, of connections to what it knows nothing of.
_IDLE = Seconds(300.0)


@query
def outbound(view: View, preserve_case: bool) -> tuple[Encoded, ...]:
    """Where connections go that are for no service: nowhere, or on."""
    black_hole = Cluster(name=names.BLACK_HOLE, type=Cluster.STATIC)
    onward = _original(view, names.PASSTHROUGH, preserve_case)
    return _finished(view, black_hole), _finished(view, onward)


@query
def inbound(view: View, preserve_case: bool) -> tuple[Encoded, ...]:
    """Connections to ports that belong to no service, on to the application."""
    cluster = _original(view, names.INBOUND_PASSTHROUGH, preserve_case)
    cluster.upstream_bind_config.CopyFrom(BindConfig(source_address=_INBOUND_SOURCE))
    return (_finished(view, cluster),)


def _original(view: View, name: str, preserve_case: bool) -> Cluster:
    """Spoken to as the client speaks, without limits, as what is in the registry."""
    built = Cluster(name=name, type=Cluster.ORIGINAL_DST, lb_policy=Cluster.CLUSTER_PROVIDED)
    pool = ConnectionPoolSettings(http=HTTPSettings(idle_timeout=_IDLE, use_client_protocol=True))
    wire = Wire("tcp", inbound=True, preserve_case=preserve_case)
    apply(built, TrafficPolicy(connection_pool=pool), mesh.config(view), wire)
    return built


def _finished(view: View, cluster: Cluster) -> Encoded:
    cluster.connect_timeout.CopyFrom(duration(mesh.config(view).connect_timeout))
    return encoded(cluster.name, packed(cluster))
