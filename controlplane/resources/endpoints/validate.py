"""Rules of Kubernetes' Endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.endpoints.schema import Endpoints
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import addresses, kubernetes


def validate(spec: Endpoints, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    for index, subset in enumerate(spec.subsets):
        at = f"subsets[{index}]"
        for field, given in (
            ("addresses", subset.addresses),
            ("notReadyAddresses", subset.not_ready_addresses),
        ):
            for number, address in enumerate(given):
                yield from addresses.ip(address.ip, f"{at}.{field}[{number}].ip")
        yield from kubernetes.unique_names((port.name for port in subset.ports), f"{at}.ports")
        for number, port in enumerate(subset.ports):
            yield from kubernetes.port_protocol(port.protocol, f"{at}.ports[{number}].protocol")
