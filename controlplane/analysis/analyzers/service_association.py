"""Deployments in several services that contradict each other about a port."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.control_plane import MANAGED
from controlplane.analysis.finding import Finding, found, full_name
from controlplane.analysis.workloads import Index, Workload, workloads
from controlplane.resources.resource import Key, Resource

_WAYPOINT = "istio.io-mesh-controller"


def _run(collection: Collection) -> Iterator[Finding]:
    deployments = Index(one for one in workloads(collection) if _counts(one))
    services_of: dict[Key, list[Resource[Any]]] = {}
    for service in collection.of("Service"):
        selector = service.spec.spec.selector
        for one in deployments.selected(selector, service.namespace) if selector else ():
            services_of.setdefault(one.resource.key, []).append(service)
    for one in deployments.all:
        services = services_of.get(one.resource.key, [])
        yield from _protocols(one.resource, services)
        yield from _targets(one.resource, services)


def _counts(workload: Workload) -> bool:
    resource = workload.resource
    waypoint = resource.labels.get(MANAGED) == _WAYPOINT
    return resource.key.kind == "Deployment" and workload.in_mesh and not waypoint


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
