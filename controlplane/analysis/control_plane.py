"""What belongs to Istio itself, and is not its users' to change."""

from __future__ import annotations

from typing import Any

from controlplane.resources.resource import Resource

#: Values of the label `gateway.istio.io/managed` of what is made for Gateways of Kubernetes.
MANAGED = "gateway.istio.io/managed"
MANAGERS = frozenset(
    {
        "istio.io-gateway-controller",
        "istio.io-mesh-controller",
        "istio.io-eastwest-controller",
    }
)
INJECTOR = "istio-sidecar-injector"


def is_control_plane(resource: Resource[Any]) -> bool:
    return "istio" in resource.labels or resource.labels.get("release") == "istio"
