"""Destinations that there are not, ports that have to be said, routes that pass a subset by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.destinations import Place, destinations
from controlplane.analysis.finding import Finding, found, full_name
from controlplane.analysis.hints import meant, there_are
from controlplane.analysis.hosts import Hosts
from controlplane.resources.resource import Key, Resource


def _run(collection: Collection) -> Iterator[Finding]:
    virtual_services = collection.of("VirtualService")
    if collection.knows("Service", "ServiceEntry"):
        hosts = Hosts(collection)
        for one in virtual_services:
            for place in destinations(one.spec):
                yield from _destination(one, place, hosts)
    with_subset = _with_subset(virtual_services)
    for one in virtual_services:
        yield from _passed_by(one, with_subset)


def _destination(one: Resource[Any], place: Place, hosts: Hosts) -> Iterator[Finding]:
    destination = place.destination
    host = hosts.find(destination.host, one.namespace, one.spec.export_to)
    if host is None:
        yield found(
            codes.REFERENCED_RESOURCE_NOT_FOUND,
            one.key,
            f"{place.path}.host",
            what="mirror host" if place.mirror else "host",
            name=destination.host,
            hint=meant(destination.host, hosts.names(one.namespace)),
        )
    elif host.ports is not None:
        yield from _port(one.key, place, host.ports)


def _port(key: Key, place: Place, ports: tuple[int, ...]) -> Iterator[Finding]:
    destination = place.destination
    if destination.port is None:
        if len(ports) > 1:
            yield found(
                codes.DESTINATION_PORT_REQUIRED,
                key,
                f"{place.path}.host",
                host=destination.host,
                ports=ports,
            )
    elif destination.port.number not in ports:
        yield found(
            codes.REFERENCED_RESOURCE_NOT_FOUND,
            key,
            f"{place.path}.port.number",
            what="host:port",
            name=f"{destination.host}:{destination.port.number}",
            hint=there_are(ports, "ports"),
        )


def _with_subset(virtual_services: tuple[Resource[Any], ...]) -> dict[str, list[Key]]:
    """The hosts that VirtualServices of their own send to a subset."""
    by_host: dict[str, list[Key]] = {}
    for one in virtual_services:
        for route in one.spec.http:
            for each in route.route:
                host = each.destination.host
                if each.destination.subset and host in one.spec.hosts:
                    keys = by_host.setdefault(host, [])
                    if one.key not in keys:
                        keys.append(one.key)
    return by_host


def _passed_by(one: Resource[Any], with_subset: dict[str, list[Key]]) -> Iterator[Finding]:
    """A gateway goes by the VirtualService that is bound to it, not by the destination's own."""
    if not one.spec.gateways:
        return
    for index, route in enumerate(one.spec.http):
        for place, each in enumerate(route.route):
            for key in with_subset.get(each.destination.host, ()):
                if not each.destination.subset and key != one.key:
                    yield found(
                        codes.INGRESS_ROUTE_RULES_NOT_AFFECTED,
                        one.key,
                        f"spec.http[{index}].route[{place}].destination.host",
                        mesh=full_name(key),
                        gateway=full_name(one.key),
                    )


ANALYZER = Analyzer(
    name="virtualservice.DestinationHostAnalyzer",
    description="Destinations that there are not, ports that have to be said",
    codes=(
        codes.REFERENCED_RESOURCE_NOT_FOUND,
        codes.DESTINATION_PORT_REQUIRED,
        codes.INGRESS_ROUTE_RULES_NOT_AFFECTED,
    ),
    run=_run,
)
