"""Rules of Kubernetes' EndpointSlice."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.endpoint_slice.schema import EndpointSlice
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import addresses, kubernetes, names


def validate(spec: EndpointSlice, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    for index, endpoint in enumerate(spec.endpoints):
        at = f"endpoints[{index}].addresses"
        if not endpoint.addresses:
            yield Problem(at, "must not be empty")
        for number, address in enumerate(endpoint.addresses):
            yield from _address(address, spec.address_type, f"{at}[{number}]")
    port_names = (port.name for port in spec.ports)
    yield from kubernetes.unique_names(port_names, "ports", one_empty=True)
    for index, port in enumerate(spec.ports):
        yield from kubernetes.port_protocol(port.protocol, f"ports[{index}].protocol")


def _address(text: str, family: str, path: str) -> Iterator[Problem]:
    if family == "FQDN":
        yield from names.fqdn(text, path)
    elif not addresses.is_ip(text) or f"IPv{ipaddress.ip_address(text).version}" != family:
        yield Problem(path, f"{shown(text)} is no {family} address, as addressType says")
