"""Services that ServiceEntries define: one for each of their hosts."""

from __future__ import annotations

from typing import Any

from controlplane.registry import addresses, protocols, workloads
from controlplane.registry.model import Endpoint, Port, Resolution, Service, Workload
from controlplane.registry.visibility import exported_to
from controlplane.resources.resource import Resource
from controlplane.world.view import View, query

_RESOLUTIONS: dict[str, Resolution] = {
    "NONE": "PASSTHROUGH",
    "STATIC": "EDS",
    "DNS": "DNS",
    "DNS_ROUND_ROBIN": "DNS_ROUND_ROBIN",
    "DYNAMIC_DNS": "DYNAMIC_DNS",
}


@query
def services(view: View, namespace: str, name: str) -> tuple[Service, ...]:
    """The services of one ServiceEntry."""
    resource = view.resource("ServiceEntry", namespace, name)
    if resource is None:
        return ()
    spec = resource.spec
    ports = tuple(
        Port(
            port.number,
            port.name,
            protocols.of_name(port.protocol),
            port.target_port or port.number,
        )
        for port in spec.ports
    )
    selector = spec.workload_selector.labels if spec.workload_selector else {}
    return tuple(
        Service(
            host=host.lower(),
            namespace=namespace,
            name=host.lower(),
            kind="ServiceEntry",
            resource=name,
            ports=ports,
            resolution=_RESOLUTIONS[spec.resolution],
            addresses=spec.addresses,
            auto_address=_allocated(view, namespace, host),
            external=spec.location == "MESH_EXTERNAL",
            export_to=exported_to(view, spec.export_to, namespace, "default_service_export_to"),
            labels=workloads.pairs(resource.labels),
            selector=workloads.pairs(selector),
            subject_alt_names=spec.subject_alt_names,
            created=resource.created,
        )
        for host in dict.fromkeys(spec.hosts)
    )


@query
def endpoints(view: View, service: Service, number: int) -> tuple[Endpoint, ...]:
    """The hosts of one port, from the list or by labels. A DNS service without any is reached by
    its own name."""
    port = service.port(number)
    if port is None:
        return ()
    if service.selector:
        chosen = [
            one
            for one in workloads.selected(view, service.namespace, service.selector)
            if one.ready
        ]
        return tuple(endpoint(one, port) for one in chosen)
    found = {
        (each.address, each.port): each
        for name in (service.resource, *service.also)
        for workload in _listed(view.resource("ServiceEntry", service.namespace, name), number)
        for each in (endpoint(workload, port),)
    }
    if found or service.resolution not in {"DNS", "DNS_ROUND_ROBIN"}:
        return tuple(found.values())
    return (Endpoint(service.host, int(port.target), service.namespace),)


def endpoint(workload: Workload, port: Port) -> Endpoint:
    """A workload as a host of a port."""
    numbers = dict(workload.ports)
    number = port.target
    if workload.ports_of_service:
        # An entry's ports have the names of the service's ports.
        number = numbers.get(port.name) or port.target
    if isinstance(number, str):
        number = numbers.get(number, port.number)
    return Endpoint(
        address=workload.address,
        port=0 if workload.address.startswith("/") else number,
        namespace=workload.namespace,
        workload=workload.name,
        labels=workload.labels,
        service_account=workload.service_account,
        locality=workload.locality,
        network=workload.network,
        cluster=workload.cluster,
        weight=workload.weight,
        mutual_tls=workload.mutual_tls,
        health=workload.health,
        node=workload.node,
    )


def _listed(resource: Resource[Any] | None, number: int) -> tuple[Workload, ...]:
    """The endpoints of one ServiceEntry, if the port is its own."""
    if resource is None or number not in {one.number for one in resource.spec.ports}:
        return ()
    return tuple(
        workloads.of_entry(one, resource, f"{resource.name}-{index}")
        for index, one in enumerate(resource.spec.endpoints)
    )


@query
def _allocated(view: View, namespace: str, host: str) -> str:
    return _allocations(view).get(f"{namespace}/{host}", "")


@query
def _allocations(view: View) -> dict[str, str]:
    """Istio gives addresses to hosts of ServiceEntries that have none and are no wildcards; those
    without resolution go where the client was going, so they need none."""
    return addresses.allocate(
        f"{one.namespace}/{host}"
        for one in view.resources("ServiceEntry")
        for host in one.spec.hosts
        if not one.spec.addresses and not host.startswith("*") and one.spec.resolution != "NONE"
    )
