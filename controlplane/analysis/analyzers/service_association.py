"""Deployments in several services that contradict each other about a port."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.control_plane import MANAGED
from controlplane.analysis.finding import Finding, found, full_name
from controlplane.analysis.workloads import Workload, matches, workloads
from controlplane.resources.resource import Resource

_WAYPOINT = "istio.io-mesh-controller"


def _run(collection: Collection) -> Iterator[Finding]:
    for one in workloads(collection):
        if one.resource.key.kind != "Deployment" or not one.in_mesh:
            continue
        if one.resource.labels.get(MANAGED) != _WAYPOINT:
            services = [each for each in collection.of("Service") if _selects(each, one)]
            yield from _protocols(one.resource, services)
            yield from _targets(one.resource, services)


def _selects(service: Resource[Any], workload: Workload) -> bool:
    selector = service.spec.spec.selector
    same = service.namespace == workload.namespace
    return bool(selector) and same and matches(selector, workload.labels)


def _protocols(deployment: Resource[Any], services: list[Resource[Any]]) -> Iterator[Finding]:
    ports: dict[int, dict[str, list[str]]] = {}
    for service in services:
        for port in service.spec.spec.ports:
            protocols = ports.setdefault(port.port, {})
            protocols.setdefault(port.protocol or "TCP", []).append(full_name(service.key))
    for number, protocols in ports.items():
        if len(protocols) > 1:
            names = sorted(name for one in protocols.values() for name in one)
            yield found(
                codes.DEPLOYMENT_IN_SERVICES_OF_OTHER_PROTOCOLS,
                deployment.key,
                "metadata.name",
                deployment=deployment.name,
                port=number,
                services=names,
            )


def _targets(deployment: Resource[Any], services: list[Resource[Any]]) -> Iterator[Finding]:
    targets: dict[str, dict[int, str]] = {}
    for service in services:
        for port in service.spec.spec.ports:
            target = str(port.target_port or port.port)
            targets.setdefault(target, {})[port.port] = full_name(service.key)
    for target, ports in targets.items():
        if len(ports) > 1:
            yield found(
                codes.DEPLOYMENT_CONFLICTING_PORTS,
                deployment.key,
                "metadata.name",
                deployment=deployment.name,
                services=sorted(ports.values()),
                target=target,
                ports=sorted(ports),
            )


ANALYZER = Analyzer(
    name="deployment.MultiServiceAnalyzer",
    description="Deployments in several services that contradict each other about a port",
    codes=(codes.DEPLOYMENT_IN_SERVICES_OF_OTHER_PROTOCOLS, codes.DEPLOYMENT_CONFLICTING_PORTS),
    run=_run,
)
