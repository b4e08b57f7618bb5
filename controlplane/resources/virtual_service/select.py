"""Which VirtualService holds for a host."""

from __future__ import annotations

from typing import Any

from controlplane.registry import mesh, scope, services
from controlplane.registry.scope import Caller
from controlplane.registry.visibility import sees
from controlplane.registry.workloads import Labels
from controlplane.resources.resource import Key, Resource
from controlplane.resources.virtual_service.delegates import exported
from controlplane.resources.virtual_service.imports import MESH, of_mesh
from controlplane.translation.names import covers, overlap
from controlplane.world.view import View, query

__all__ = ["MESH", "all_for_host", "for_gateways", "for_host", "for_sidecars", "relevant"]


@query
def for_sidecars(view: View, caller: Caller) -> dict[str, Key]:
    """The VirtualServices that hold for workloads of this scope, by full host name (which may be
    a wildcard). Of two with one host the older holds, as in Istio."""
    found: dict[str, Key] = {}
    for host, key in _of_sidecars(view, caller):
        found.setdefault(host, key)
    return found


@query
def _of_sidecars(view: View, caller: Caller) -> tuple[tuple[str, Key], ...]:
    """As in Istio, one of whose hosts some is admitted counts with all of them."""
    admitted = scope.admitted(view, caller)
    found = of_mesh(view, caller.namespace)
    whole = {
        resource.key
        for full, resource in found
        if any(one.admit_rule(resource.namespace, full) for one in admitted)
    }
    return tuple((full, resource.key) for full, resource in found if resource.key in whole)


@query
def for_host(view: View, caller: Caller, host: str) -> Key | None:
    """The VirtualService of one host: the exact name first, then the longest wildcard."""
    found = for_sidecars(view, caller)
    if host in found:
        return found[host]
    wider = [one for one in found if one.startswith("*") and covers(one, host)]
    return found[max(wider, key=len)] if wider else None


@query
def all_for_host(view: View, caller: Caller, host: str) -> tuple[Key, ...]:
    """All VirtualServices with a host that covers this one, or that it covers: routes of TLS and
    TCP of all of them hold, those of the oldest first."""
    return tuple(
        dict.fromkeys(key for one, key in _of_sidecars(view, caller) if overlap(one, host))
    )


@query
def for_gateways(
    view: View, gateways: tuple[str, ...], namespace: str
) -> tuple[tuple[str, Key], ...]:
    """(full host name, VirtualService) of those that are bound to one of the gateways
    (`namespace/name`) and visible in the namespace of their proxies; the oldest first."""
    wanted = frozenset(gateways)
    return tuple(
        (services.qualified(host, resource.namespace, mesh.domain(view)), resource.key)
        for resource in view.resources("VirtualService")
        if not wanted.isdisjoint(_gateways(resource)) and sees(exported(view, resource), namespace)
        for host in resource.spec.hosts
    )


def gateway(name: str, namespace: str) -> str:
    """`namespace/name` of a gateway as a resource of `namespace` writes it; `mesh` is itself."""
    return name if "/" in name or name == MESH else f"{namespace}/{name}"


def _gateways(resource: Resource[Any]) -> set[str]:
    spec = resource.spec
    named = set(spec.gateways)
    for routes in (spec.http, spec.tls, spec.tcp):
        for route in routes:
            for match in route.match:
                named.update(match.gateways)
    return {gateway(name, resource.namespace) for name in named}


@query
def source_labels(view: View) -> frozenset[str]:
    """The labels of clients that some match asks for. Clients that are alike in these share what
    is worked out."""
    return frozenset(
        label
        for resource in view.resources("VirtualService")
        for routes in (resource.spec.http, resource.spec.tls, resource.spec.tcp)
        for route in routes
        for match in route.match
        for label in match.source_labels
    )


@query
def relevant(view: View, labels: Labels) -> Labels:
    """Those of a client's labels that matches ask for."""
    asked = source_labels(view)
    return tuple(pair for pair in labels if pair[0] in asked)
