"""Which VirtualService holds for a host, and what its delegates add to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controlplane.registry import mesh, scope, services
from controlplane.registry.scope import Caller
from controlplane.registry.visibility import exported_to, sees
from controlplane.registry.workloads import Labels
from controlplane.resources.resource import Key, Resource
from controlplane.resources.virtual_service.schema import HTTPMatchRequest, HTTPRoute
from controlplane.translation.names import covers
from controlplane.world.view import View, query

#: The gateway that stands for all sidecars.
MESH = "mesh"


@query
def for_sidecars(view: View, caller: Caller) -> dict[str, Key]:
    """The VirtualServices that hold for workloads of this scope, by full host name (which may be
    a wildcard). Of two with one host the older holds, as in Istio."""
    found: dict[str, Key] = {}
    admitted = scope.of_caller(view, caller).egress
    for resource in view.resources("VirtualService"):
        spec = resource.spec
        if not _of_mesh(spec) or not sees(_exported(view, resource), caller.namespace):
            continue
        for host in spec.hosts:
            full = services.qualified(host, resource.namespace, mesh.domain(view))
            if any(one.hosts.admit(resource.namespace, full) for one in admitted):
                found.setdefault(full, resource.key)
    return found


@query
def for_host(view: View, caller: Caller, host: str) -> Key | None:
    """The VirtualService of one host: the exact name first, then the longest wildcard."""
    found = for_sidecars(view, caller)
    if host in found:
        return found[host]
    wider = [one for one in found if one.startswith("*") and covers(one, host)]
    return found[max(wider, key=len)] if wider else None


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
        if not wanted.isdisjoint(_gateways(resource)) and sees(_exported(view, resource), namespace)
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
def routes(view: View, key: Key) -> tuple[HTTPRoute, ...]:
    """The HTTP routes of a VirtualService, with those of its delegates in their places."""
    resource = view.resource(*key)
    if resource is None:
        return ()
    merged: list[HTTPRoute] = []
    for route in resource.spec.http:
        merged += _delegated(view, route, resource) if route.delegate else [route]
    return tuple(merged)


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


def _of_mesh(spec: Any) -> bool:
    if not spec.gateways or MESH in spec.gateways:
        return True
    return any(
        MESH in match.gateways
        for routes in (spec.http, spec.tls, spec.tcp)
        for route in routes
        for match in route.match
    )


def _exported(view: View, resource: Resource[Any]) -> tuple[str, ...]:
    return exported_to(
        view, resource.spec.export_to, resource.namespace, "default_virtual_service_export_to"
    )


def _delegated(view: View, root: HTTPRoute, parent: Resource[Any]) -> list[HTTPRoute]:
    """The delegate's routes, each narrowed by the root's matches. A delegate that is not there,
    not visible, or that delegates in turn, leaves nothing."""
    assert root.delegate is not None
    child = view.resource(
        "VirtualService", root.delegate.namespace or parent.namespace, root.delegate.name
    )
    if child is None or child.spec.hosts or not sees(_exported(view, child), parent.namespace):
        return []
    found = []
    for route in child.spec.http:
        match = _narrowed(root.match, route.match)
        if route.delegate is None and match is not None:
            found.append(_inherited(root, replace(route, match=match)))
    return found


def _narrowed(
    outer: tuple[HTTPMatchRequest, ...], inner: tuple[HTTPMatchRequest, ...]
) -> tuple[HTTPMatchRequest, ...] | None:
    """Every pair of an outer and an inner match that do not contradict; None if all do."""
    if not outer or not inner:
        return outer or inner
    pairs = (_both(one, other) for one in outer for other in inner)
    return tuple(one for one in pairs if one is not None) or None


_FIELDS = ("uri", "scheme", "method", "authority", "port", "source_namespace", "stat_prefix")
_MAPS = ("headers", "without_headers", "query_params", "source_labels")


def _both(outer: HTTPMatchRequest, inner: HTTPMatchRequest) -> HTTPMatchRequest | None:
    values: dict[str, Any] = {}
    if outer.gateways and not frozenset(inner.gateways) <= frozenset(outer.gateways):
        return None
    for name in _FIELDS:
        first, second = getattr(outer, name), getattr(inner, name)
        contradict = bool(first and second and first != second)
        if contradict and not (name == "uri" and _within(first, second)):
            return None
        values[name] = second or first
    for name in _MAPS:
        first, second = getattr(outer, name), getattr(inner, name)
        if any(first[key] != second[key] for key in first.keys() & second.keys()):
            return None
        values[name] = {**first, **second}
    return replace(
        inner,
        **values,
        name="-".join(filter(None, (outer.name, inner.name))),
        gateways=inner.gateways or outer.gateways,
        ignore_uri_case=outer.ignore_uri_case or inner.ignore_uri_case,
    )


def _within(outer: Any, inner: Any) -> bool:
    """Whether what the inner match takes, the outer takes too."""
    if outer.prefix is None:
        return False
    return (inner.prefix or inner.exact or "").startswith(outer.prefix)


def _inherited(root: HTTPRoute, route: HTTPRoute) -> HTTPRoute:
    """What the root says and the delegate does not."""
    inherited = {
        name: getattr(root, name)
        for name in ("timeout", "retries", "fault", "cors_policy", "headers", "rewrite", "mirror")
        if getattr(route, name) is None
    }
    name = "-".join(filter(None, (root.name, route.name)))
    mirrors = route.mirrors or root.mirrors
    return replace(route, **inherited, name=name, mirrors=mirrors)
