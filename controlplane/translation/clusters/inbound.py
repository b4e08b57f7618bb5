"""Clusters of the workload's own ports: the application behind the sidecar."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address, BindConfig, SocketAddress

from controlplane.registry import inbound, mesh, protocols
from controlplane.registry.inbound import Inbound
from controlplane.registry.workloads import Labels
from controlplane.resources.common.traffic_policy import TrafficPolicy
from controlplane.resources.destination_rule.translate import apply
from controlplane.translation import names
from controlplane.translation.clusters import metadata, protocol_options
from controlplane.translation.durations import duration
from controlplane.translation.listeners.addresses import Capture, socket_address, split
from controlplane.translation.pack import packed
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

#: iptables rules let connections from here through to the application.
_SOURCE = SocketAddress(address="127.0.0.6", port_value=0)


@query
def clusters(
    view: View,
    namespace: str,
    workload: str,
    labels: Labels,
    capture: Capture,
    runs: tuple[str, ...],
) -> tuple[Encoded, ...]:
    """One for each port of the workload, `inbound|PORT||`; `runs`: which of Istio's own filters
    read whose it is."""
    found = inbound.ports(view, namespace, workload, labels, (capture.address,))
    return tuple(_cluster(view, one, capture, runs) for one in found)


def _cluster(view: View, one: Inbound, capture: Capture, runs: tuple[str, ...]) -> Encoded:
    name = names.inbound(one.port)
    built = Cluster(name=name, connect_timeout=duration(mesh.config(view).connect_timeout))
    at = _address(one, capture)
    if at is not None:
        built.type = Cluster.STATIC
        built.load_assignment.cluster_name = name
        host = built.load_assignment.endpoints.add().lb_endpoints.add()
        host.endpoint.address.CopyFrom(at)
    else:
        built.type = Cluster.ORIGINAL_DST
        built.lb_policy = Cluster.CLUSTER_PROVIDED
        built.upstream_bind_config.CopyFrom(BindConfig(source_address=_SOURCE))
    http2 = protocols.is_http2(one.protocol)
    if one.pool is not None:
        policy = TrafficPolicy(connection_pool=one.pool)
        balancing = built.lb_policy
        apply(built, policy, mesh.config(view), http2=http2)
        built.lb_policy = balancing
    elif http2:
        protocol_options.http2(built)
    if runs and one.service is not None:
        metadata.add(built, one.service)
    return encoded(name, packed(built))


def _address(one: Inbound, capture: Capture) -> Address | None:
    """Of the application; None: where the client was going."""
    if one.endpoint.startswith("unix://"):
        built = Address()
        built.pipe.path = one.endpoint.removeprefix("unix://")
        return built
    at = split(one.endpoint)
    if at is not None:
        host, port = at
        # `0.0.0.0` and `::` stand for the workload's own address.
        own = capture.address if host in {"0.0.0.0", "::"} else host
        return socket_address(own, port)
    if capture.mode == "NONE" or one.opened:
        return socket_address("127.0.0.1", dict(capture.application).get(one.port, one.port))
    return None
