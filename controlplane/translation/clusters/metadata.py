"""What Istio's filters do to a cluster, and read of it: whose it is."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster

from controlplane.registry.model import Service
from controlplane.resources.common.tls import ClientTLSSettings
from controlplane.translation.listeners.istio import EXCHANGE_NAME, PEER_EXCHANGE
from controlplane.translation.listeners.istio_messages import MetadataExchange
from controlplane.translation.pack import any_of


def add(built: Cluster, service: Service, given: ClientTLSSettings | None = None) -> None:
    """`istio` of the cluster's metadata. `given`: how its hosts are spoken to."""
    named = {"host": service.host, "name": service.name, "namespace": service.namespace}
    istio = built.metadata.filter_metadata["istio"]
    istio.update({"services": [named]})
    if service.external:
        istio.update({"external": True})
    if given is not None and given.mode in {"SIMPLE", "MUTUAL"}:
        # Not the mesh's TLS: what the mesh says in ALPN means nothing there.
        istio.update({"alpn_override": "false"})


def exchange(built: Cluster) -> None:
    """Both sides of a connection begin with who they are, where ALPN came to that."""
    config = any_of(MetadataExchange(protocol=PEER_EXCHANGE))
    built.filters.add(name=EXCHANGE_NAME, typed_config=config)
