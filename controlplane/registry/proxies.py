"""The services that a proxy's own workload offers, and on which of its ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from controlplane.registry import services, workloads
from controlplane.registry.model import Port, Service, Workload
from controlplane.registry.service_entries import endpoint
from controlplane.registry.workloads import Labels
from controlplane.world.view import View, query

#: What the sources may call a workload, best first.
Names: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A port of a service that the workload answers."""

    service: Service
    port: Port
    #: The workload's port.
    target: int


@query
def offers(
    view: View, namespace: str, names: Names, labels: Labels, addresses: tuple[str, ...]
) -> tuple[Offer, ...]:
    """What the workload offers: by its labels, or because its address is listed. In order of the
    workload's port, then of the service's age, so that the first of a port is the one that wins."""
    found: list[Offer] = []
    for service in _of_namespace(view, namespace):
        if service.selector and workloads.matches(service.selector, labels):
            own = _own(view, namespace, names, service.selector)
            for port in service.ports:
                target = endpoint(own, port).port if own else port.target
                if isinstance(target, int):
                    found.append(Offer(service, port, target))
        elif not service.selector:
            found += _listed(view, service, addresses)
    return tuple(sorted(found, key=lambda one: (one.target, one.service.created, one.service.host)))


def selecting(view: View, namespace: str, labels: Labels) -> tuple[Service, ...]:
    """The services that select a workload. No query: labels are many."""
    return tuple(
        one
        for one in _of_namespace(view, namespace)
        if one.selector and workloads.matches(one.selector, labels)
    )


def _own(view: View, namespace: str, names: Names, selector: Labels) -> Workload | None:
    """The workload as the sources have it. Anybody of the namespace may register its name: who
    takes it must have the labels, too, which are granted."""
    for read in (workloads.entry, workloads.pod):
        for name in names:
            found = read(view, namespace, name)
            if found is not None and workloads.matches(selector, found.labels):
                return found
    return None


def _listed(view: View, service: Service, addresses: tuple[str, ...]) -> list[Offer]:
    found = []
    for port in service.ports:
        for one in services.endpoints(view, service, port.number):
            if one.address in addresses and not one.address.startswith("127."):
                found.append(Offer(service, port, one.port))
                break
    return found


@query
def _of_namespace(view: View, namespace: str) -> tuple[Service, ...]:
    return tuple(
        one
        for ones in services.all_services(view).values()
        for one in ones
        if one.namespace == namespace
    )
