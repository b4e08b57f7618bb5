"""What Istio's filters read of a cluster: whose it is."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster

from controlplane.registry.model import Service


def add(built: Cluster, service: Service) -> None:
    """`istio` of the cluster's metadata."""
    named = {"host": service.host, "name": service.name, "namespace": service.namespace}
    istio = built.metadata.filter_metadata["istio"]
    istio.update({"services": [named]})
    if service.external:
        istio.update({"external": True})
