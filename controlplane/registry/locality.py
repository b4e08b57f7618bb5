"""`region/zone/subzone`, as labels and resources write it."""

from __future__ import annotations

from controlplane.world.proxy import Locality


def parse(text: str) -> Locality:
    """`region/zone/subzone`; labels cannot hold `/` and write `.` (Istio's istio-locality)."""
    separator = "/" if "/" in text else "."
    return Locality(*text.split(separator, 2))


def of_node(labels: dict[str, str]) -> Locality:
    """What Kubernetes' node labels say."""
    region = labels.get("topology.kubernetes.io/region", "")
    zone = labels.get("topology.kubernetes.io/zone", "")
    return Locality(region, zone, labels.get("topology.istio.io/subzone", ""))
