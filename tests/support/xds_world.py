"""A world of ready-made xDS resources, and the translator that hands them out: what the discovery
server is tested with. A resource of kind "xds" is one Envoy resource; its namespace is the
namespace that may see it ("" is all), its labels say the type."""

from __future__ import annotations

from typing import Any

from controlplane.resources.resource import Key, Resource
from controlplane.world.graph import Node
from controlplane.world.proxy import Proxy
from controlplane.world.view import View, query
from controlplane.world.world import World
from controlplane.xds import type_urls
from controlplane.xds.translator import Encoded, encoded


@query
def everything(view: View, type_url: str, namespace: str) -> tuple[Encoded, ...]:
    found = {}
    for space in ("", namespace):
        for resource in view.resources(type_url, space):
            found[resource.name] = _encoded(resource)
    return tuple(found[name] for name in sorted(found))


@query
def named(view: View, type_url: str, namespace: str, name: str) -> Encoded | None:
    for space in (namespace, ""):
        resource = view.resource(type_url, space, name)
        if resource is not None:
            return _encoded(resource)
    return None


@query
def nothing(view: View) -> tuple[Encoded, ...]:
    return ()


def _encoded(resource: Resource[Any]) -> Encoded:
    if isinstance(resource.spec, Exception):
        raise resource.spec
    return encoded(resource.name, resource.spec)


class FakeTranslator:
    """Everything in "" and in the proxy's own namespace."""

    def everything(self, view: View, type_url: str, proxy: Proxy) -> Node:
        if type_url not in type_urls.WHOLE:
            return view.node(nothing.__wrapped__, ())  # type: ignore[attr-defined]
        return view.node(everything.__wrapped__, (type_url, proxy.namespace))  # type: ignore[attr-defined]

    def named(self, view: View, type_url: str, proxy: Proxy, name: str) -> Node:
        return view.node(named.__wrapped__, (type_url, proxy.namespace, name))  # type: ignore[attr-defined]


def resource(
    type_url: str, name: str, body: bytes | Exception, namespace: str = ""
) -> Resource[Any]:
    """One Envoy resource; an exception instead of a body makes the translation fail."""
    return Resource(Key(type_url, namespace, name), body)


def remove(world: World, type_url: str, *names: str, namespace: str = "") -> None:
    world.change((), [Key(type_url, namespace, name) for name in names])
