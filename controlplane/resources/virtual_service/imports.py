"""VirtualServices that sidecars see, and the services that these lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.registry import mesh, services
from controlplane.registry.visibility import sees
from controlplane.resources.common.destination import Destination
from controlplane.resources.resource import Resource
from controlplane.resources.virtual_service.delegates import exported, routes
from controlplane.resources.virtual_service.schema import HTTPRoute
from controlplane.world.view import View, query

#: The gateway that stands for all sidecars.
MESH = "mesh"


@query
def of_mesh(view: View, namespace: str) -> tuple[tuple[str, Resource[Any]], ...]:
    """(full host name, VirtualService) of all that sidecars of a namespace see; the oldest
    first."""
    return tuple(
        (services.qualified(host, resource.namespace, mesh.domain(view)), resource)
        for resource in view.resources("VirtualService")
        if _of_mesh(resource.spec) and sees(exported(view, resource), namespace)
        for host in resource.spec.hosts
    )


def destinations(
    view: View, resource: Resource[Any], namespace: str
) -> Iterator[tuple[str, int | None]]:
    """(full host name, port) of all that its routes lead clients of a namespace to; None is every
    port."""
    named: list[Destination] = []
    for rule in routes(view, resource.key):
        if _is_for(rule, namespace):
            named += [one.destination for one in rule.route]
            named += [one.destination for one in rule.mirrors]
            named += [rule.mirror] if rule.mirror is not None else []
    for rule in (*resource.spec.tcp, *resource.spec.tls):
        named += [one.destination for one in rule.route]
    for one in named:
        host = services.qualified(one.host, resource.namespace, mesh.domain(view))
        yield host, one.port.number if one.port else None


def _of_mesh(spec: Any) -> bool:
    if not spec.gateways or MESH in spec.gateways:
        return True
    return any(
        MESH in match.gateways
        for routes in (spec.http, spec.tls, spec.tcp)
        for route in routes
        for match in route.match
    )


def _is_for(rule: HTTPRoute, namespace: str) -> bool:
    asked = [one.source_namespace for one in rule.match if one.source_namespace]
    return not asked or namespace in asked
