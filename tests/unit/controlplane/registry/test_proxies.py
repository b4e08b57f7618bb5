"""Which ports a workload offers."""

from __future__ import annotations

from controlplane.registry import proxies
from tests.support import meshes

MESH = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec:
  selector: {app: reviews}
  ports: [{name: http, port: 80, targetPort: web}]
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-1, namespace: shop, labels: {app: reviews}}
spec:
  serviceAccountName: reviews
  containers: [{name: it, ports: [{name: web, containerPort: 8080}]}]
status: {podIP: 10.0.0.1}
"""
NAMESAKE = """---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: reviews-1, namespace: shop}
spec: {address: 10.0.0.9, serviceAccount: intern, labels: {app: intern}}
"""


def test_a_workload_that_registers_the_name_of_a_pod_moves_none_of_its_ports() -> None:
    for text in (MESH, MESH + NAMESAKE):
        view = meshes.world(text).view()
        (offer,) = proxies.offers(
            view, "shop", ("reviews-1",), (("app", "reviews"),), ("10.0.0.1",)
        )
        assert (offer.port.number, offer.target) == (80, 8080)
