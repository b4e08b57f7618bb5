"""Rules of Kubernetes' Service."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import addresses, kubernetes, names
from controlplane.resources.service.schema import Service, ServicePort


def validate(service: Service, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    spec = service.spec
    yield from kubernetes.unique_names((port.name for port in spec.ports), "spec.ports")
    seen: dict[tuple[str, int], int] = {}
    for index, port in enumerate(spec.ports):
        at = f"spec.ports[{index}]"
        key = (port.protocol or "TCP", port.port)
        if seen.setdefault(key, index) != index:
            reason = f"{key[0]} {key[1]} is the port of ports[{seen[key]}] as well; remove one"
            yield Problem(f"{at}.port", reason)
        yield from _target(port, f"{at}.targetPort")
    if spec.type == "ExternalName":
        if not spec.external_name:
            yield Problem("spec.externalName", "is required by type ExternalName")
        else:
            yield from names.fqdn(spec.external_name, "spec.externalName")
    elif not spec.ports and spec.cluster_ip != "None":
        yield Problem("spec.ports", "must not be empty, unless the service is headless")
    if spec.cluster_ip not in {"", "None"}:
        yield from addresses.ip(spec.cluster_ip, "spec.clusterIP")
    for index, address in enumerate(spec.cluster_ips):
        if address not in {"", "None"}:
            yield from addresses.ip(address, f"spec.clusterIPs[{index}]")
    for index, address in enumerate(spec.external_ips):
        yield from addresses.ip(address, f"spec.externalIPs[{index}]")


def _target(port: ServicePort, path: str) -> Iterator[Problem]:
    if isinstance(port.target_port, int):
        # 0 is `port`, for headless services that Istio's users write so.
        if not 0 <= port.target_port <= 65535:
            yield Problem(path, f"must be a port from 1 to 65535, is {port.target_port}")
    elif port.target_port is not None and not names.is_dns_label(port.target_port):
        yield Problem(path, f"{shown(port.target_port)} is no port, neither a number nor a name")
