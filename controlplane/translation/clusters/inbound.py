"""Clusters of the workload's own ports: the application behind the sidecar."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import BindConfig, SocketAddress

from controlplane.registry import mesh, protocols, proxies
from controlplane.registry.proxies import Offer
from controlplane.registry.workloads import Labels
from controlplane.translation import names
from controlplane.translation.clusters import protocol_options
from controlplane.translation.durations import duration
from controlplane.translation.listeners.addresses import Capture, socket_address
from controlplane.translation.pack import packed
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

#: iptables rules let connections from here through to the application.
_SOURCE = SocketAddress(address="127.0.0.6", port_value=0)


@query
def clusters(
    view: View, namespace: str, workload: str, labels: Labels, capture: Capture
) -> tuple[Encoded, ...]:
    """One for each port of the workload that a service has, `inbound|PORT||`."""
    found = proxies.offers(view, namespace, workload, labels, (capture.address,))
    offers = {one.target: one for one in reversed(found)}
    return tuple(_cluster(view, offers[port], capture) for port in sorted(offers))


def _cluster(view: View, offer: Offer, capture: Capture) -> Encoded:
    name = names.inbound(offer.target)
    built = Cluster(name=name, connect_timeout=duration(mesh.config(view).connect_timeout))
    if capture.mode == "NONE":
        port = dict(capture.application).get(offer.target, offer.target)
        built.type = Cluster.STATIC
        built.load_assignment.cluster_name = name
        host = built.load_assignment.endpoints.add().lb_endpoints.add()
        host.endpoint.address.CopyFrom(socket_address("127.0.0.1", port))
    else:
        built.type = Cluster.ORIGINAL_DST
        built.lb_policy = Cluster.CLUSTER_PROVIDED
        built.upstream_bind_config.CopyFrom(BindConfig(source_address=_SOURCE))
    if protocols.is_http2(offer.port.protocol):
        protocol_options.http2(built)
    return encoded(name, packed(built))
