"""Clusters of the workload's own ports: the application behind the sidecar."""

from __future__ import annotations

from dataclasses import replace

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address, BindConfig, SocketAddress

from controlplane.registry import inbound, mesh
from controlplane.registry.inbound import Inbound
from controlplane.registry.proxies import Names
from controlplane.registry.workloads import Labels
from controlplane.resources.common.connection_pool import ConnectionPoolSettings
from controlplane.resources.common.traffic_policy import TrafficPolicy
from controlplane.resources.destination_rule import policy, select
from controlplane.resources.destination_rule.translate import apply
from controlplane.translation import names, stat_names
from controlplane.translation.clusters import metadata
from controlplane.translation.clusters.protocol_options import Wire
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
    called: Names,
    labels: Labels,
    capture: Capture,
    wire: Wire,
) -> tuple[Encoded, ...]:
    """One for each port of the workload, `inbound|PORT||`. `wire`: whatever the ports' protocol."""
    found = inbound.ports(view, namespace, called, labels, (capture.address,))
    return tuple(
        _cluster(view, one, capture, namespace, replace(wire, protocol=one.protocol, inbound=True))
        for one in found
    )


def _cluster(view: View, one: Inbound, capture: Capture, namespace: str, wire: Wire) -> Encoded:
    name, config = names.inbound(one.port), mesh.config(view)
    built = Cluster(name=name, connect_timeout=duration(config.connect_timeout))
    if config.inbound_cluster_stat_name and one.service is not None:
        port = one.service.port(one.service_port)
        if port is not None:
            pattern = config.inbound_cluster_stat_name
            named = stat_names.of_service(pattern, one.service, port, target=one.port)
            built.alt_stat_name = named + ";"
    at = _address(view, one, capture)
    if at is not None:
        built.type = Cluster.STATIC
        built.load_assignment.cluster_name = name
        host = built.load_assignment.endpoints.add().lb_endpoints.add()
        host.endpoint.address.CopyFrom(at)
    else:
        built.type = Cluster.ORIGINAL_DST
        built.lb_policy = Cluster.CLUSTER_PROVIDED
        built.upstream_bind_config.CopyFrom(BindConfig(source_address=_SOURCE))
    balancing = built.lb_policy
    apply(built, TrafficPolicy(connection_pool=_pool(view, one, namespace)), config, wire)
    built.lb_policy = balancing
    if wire.runs and one.service is not None:
        metadata.add(built, one.service)
    return encoded(name, packed(built))


def _pool(view: View, one: Inbound, namespace: str) -> ConnectionPoolSettings | None:
    """What the Sidecar says, else the rule of the service: it holds on both sides, as in Istio.
    Rules for some clients only (`workloadSelector`) are not for what comes in."""
    if one.pool is not None:
        return one.pool
    rule = select.rule(view, one.service, namespace, ()) if one.service is not None else select.NONE
    return policy.of_port(mesh.config(view), rule.policy, None, one.service_port).connection_pool


def _address(view: View, one: Inbound, capture: Capture) -> Address | None:
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
    local = mesh.config(view).inbound_traffic_policy.mode == "LOCALHOST" and not one.listed
    if capture.mode == "NONE" or one.opened or local:
        return socket_address("127.0.0.1", dict(capture.application).get(one.port, one.port))
    return None
