"""Kinds of our own, small enough to see through, for tests of what is not about any one kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.problem import Problem
from controlplane.resources.hidden import Hidden
from controlplane.resources.resource import Kind, Metadata


@dataclass(frozen=True, slots=True)
class Destination:
    host: str
    weight: int = 0


@dataclass(frozen=True, slots=True)
class RouteSpec:
    hosts: tuple[str, ...] = ()
    routes: tuple[Destination, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    anything: Any = None


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    region: str = ""


@dataclass(frozen=True, slots=True)
class SecretSpec:
    type: str = "Opaque"
    data: Mapping[str, Hidden] = field(default_factory=dict)


def _route_rules(spec: RouteSpec, metadata: Metadata) -> Iterable[Problem]:
    if metadata.name == "forbidden":
        yield Problem("metadata.name", "is forbidden")
    if len(spec.hosts) > 5:
        yield Problem("spec.hosts", "are many", warning=True)
    if "old" in spec.hosts:
        yield Problem("spec.hosts", "old is not used any more", warning=True)
    for index, one in enumerate(spec.routes):
        if one.weight > 100:
            yield Problem(f"spec.routes[{index}].weight", "is over 100")


def _no_rules(spec: Any, metadata: Metadata) -> Iterable[Problem]:
    del spec, metadata
    return ()


ROUTE = Kind("test.mesh", ("v1", "v1beta1"), "Route", "routes", ("rt",), RouteSpec, _route_rules)
#: Another group's, of the same name.
OTHER_ROUTE = Kind(
    "other.mesh", ("v1",), "Route", "routes", (), RouteSpec, _no_rules, shares_name=True
)
ZONE = Kind("test.mesh", ("v1",), "Zone", "zones", (), ZoneSpec, _no_rules, namespaced=False)
SECRET = Kind("", ("v1",), "Secret", "secrets", (), SecretSpec, _no_rules, body="", strict=False)

KINDS: dict[tuple[str, str], Kind] = {
    (version, kind.name): kind for kind in (ROUTE, ZONE, SECRET) for version in kind.api_versions()
}


def route(name: str, host: str = "a", namespace: str = "", **metadata: Any) -> str:
    """A Route as YAML."""
    lines = [
        "apiVersion: test.mesh/v1",
        "kind: Route",
        "metadata:",
        f"  name: {name}",
        *([f"  namespace: {namespace}"] if namespace else []),
        *(f"  {field}: {value}" for field, value in metadata.items()),
        "spec:",
        f"  hosts: [{host}]",
    ]
    return "\n".join(lines) + "\n"
