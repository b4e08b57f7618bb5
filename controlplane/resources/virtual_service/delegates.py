"""The HTTP routes of a VirtualService, with those of its delegates in their places."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controlplane.registry.visibility import exported_to, sees
from controlplane.resources.common.match import StringMatch
from controlplane.resources.resource import Key, Resource
from controlplane.resources.virtual_service.schema import HTTPMatchRequest, HTTPRoute
from controlplane.world.view import View, query


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


def exported(view: View, resource: Resource[Any]) -> tuple[str, ...]:
    """The namespaces that see a VirtualService."""
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
    if child is None or child.spec.hosts or not sees(exported(view, child), parent.namespace):
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
    """Every pair of an outer and an inner match that do not contradict. None: some inner match
    contradicts all outer ones, which drops the route, as in Istio."""
    if not outer or not inner:
        return outer or inner
    found: list[HTTPMatchRequest] = []
    for other in inner:
        pairs = [_both(one, other) for one in outer]
        kept = [one for one in pairs if one is not None]
        if not kept:
            return None
        found += kept
    return tuple(found)


#: Compared as strings; a narrower one may stand in a delegate.
_STRINGS = ("uri", "scheme", "method", "authority")
_STRING_MAPS = ("headers", "without_headers", "query_params")
_VALUES = ("port", "source_namespace")


def _both(outer: HTTPMatchRequest, inner: HTTPMatchRequest) -> HTTPMatchRequest | None:
    if outer.ignore_uri_case != inner.ignore_uri_case:
        return None
    if outer.gateways and not frozenset(inner.gateways) <= frozenset(outer.gateways):
        return None
    values: dict[str, Any] = {"stat_prefix": inner.stat_prefix or outer.stat_prefix}
    for name in _STRINGS:
        first, second = getattr(outer, name), getattr(inner, name)
        if first is not None and second is not None and not _within(first, second):
            return None
        values[name] = second if second is not None else first
    for name in _VALUES:
        first, second = getattr(outer, name), getattr(inner, name)
        if first and second and first != second:
            return None
        values[name] = second or first
    for name in (*_STRING_MAPS, "source_labels"):
        first, second = getattr(outer, name), getattr(inner, name)
        for key in first.keys() & second.keys():
            same = first[key] == second[key]
            if not same and (name == "source_labels" or not _within(first[key], second[key])):
                return None
        values[name] = {**first, **second}
    return replace(
        inner,
        **values,
        name="-".join(filter(None, (outer.name, inner.name))),
        gateways=inner.gateways or outer.gateways,
    )


def _within(outer: StringMatch, inner: StringMatch) -> bool:
    """Whether what the inner match takes, the outer takes too, as far as Istio looks: never where
    one of them is an expression."""
    if outer.regex or inner.regex:
        return False
    if outer.exact:
        return inner.exact == outer.exact
    return bool(outer.prefix) and (inner.prefix or inner.exact or "").startswith(outer.prefix or "")


def _inherited(root: HTTPRoute, route: HTTPRoute) -> HTTPRoute:
    """What the root says and the delegate does not."""
    inherited = {name: getattr(root, name) for name in _INHERITED if getattr(route, name) is None}
    name = "-".join(filter(None, (root.name, route.name)))
    mirrors = route.mirrors or root.mirrors
    return replace(route, **inherited, name=name, mirrors=mirrors)


_INHERITED = (
    "timeout", "retries", "fault", "cors_policy", "headers", "rewrite", "direct_response",
    "mirror", "mirror_percent", "mirror_percentage",
)  # fmt: skip
