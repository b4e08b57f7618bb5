"""Everywhere that a VirtualService sends traffic to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from controlplane.resources.common.destination import Destination
from controlplane.resources.virtual_service.schema import (
    HTTPRouteDestination,
    RouteDestination,
    VirtualService,
)


class Place(NamedTuple):
    #: Where the destination stands.
    path: str
    destination: Destination
    #: A copy of the requests goes there.
    mirror: bool = False


def destinations(spec: VirtualService) -> Iterator[Place]:
    shared: tuple[tuple[str, list[Sequence[RouteDestination | HTTPRouteDestination]]], ...] = (
        ("tcp", [one.route for one in spec.tcp]),
        ("tls", [one.route for one in spec.tls]),
        ("http", [one.route for one in spec.http]),
    )
    for protocol, routes in shared:
        for index, route in enumerate(routes):
            for place, one in enumerate(route):
                path = f"spec.{protocol}[{index}].route[{place}].destination"
                yield Place(path, one.destination)
    for index, http in enumerate(spec.http):
        if http.mirror is not None:
            yield Place(f"spec.http[{index}].mirror", http.mirror, mirror=True)
        for place, mirror in enumerate(http.mirrors):
            path = f"spec.http[{index}].mirrors[{place}].destination"
            yield Place(path, mirror.destination, mirror=True)
