"""Gateways without workloads, and ports that no service of the workloads has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.gateway_hosts import no_workloads
from controlplane.analysis.workloads import KINDS, Workload, indexed, matches, written
from controlplane.resources.resource import Resource


def _run(collection: Collection) -> Iterator[Finding]:
    all_workloads = indexed(collection)
    for gateway in collection.of("Gateway"):
        selector = gateway.spec.selector
        own = list(all_workloads.selected(selector))
        if own:
            yield from _ports(gateway, own, collection)
        elif collection.knows(*KINDS):
            yield no_workloads(gateway)


def _ports(
    gateway: Resource[Any], own: list[Workload], collection: Collection
) -> Iterator[Finding]:
    ports: set[int] = set()
    for service in collection.of("Service"):
        selector = service.spec.spec.selector
        if any(one.namespace == service.namespace and matches(selector, one.labels) for one in own):
            for port in service.spec.spec.ports:
                if port.protocol in {"", "TCP"}:
                    # The proxy listens on the target; Istio takes the service's port for it, too.
                    ports.add(port.port)
                    if isinstance(port.target_port, int) and port.target_port:
                        ports.add(port.target_port)
    if not ports and not collection.knows("Service"):
        return
    for index, server in enumerate(gateway.spec.servers):
        if server.port.number not in ports:
            yield found(
                codes.GATEWAY_PORT_NOT_ON_SERVICE,
                gateway.key,
                f"spec.servers[{index}].port.number",
                port=server.port.number,
                selector=written(gateway.spec.selector),
            )


ANALYZER = Analyzer(
    name="gateway.IngressGatewayPortAnalyzer",
    description="Gateways without workloads, ports that no service of theirs has",
    codes=(codes.REFERENCED_RESOURCE_NOT_FOUND, codes.GATEWAY_PORT_NOT_ON_SERVICE),
    run=_run,
)
