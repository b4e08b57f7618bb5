"""Services of Kubernetes and their endpoints: EndpointSlices, or workloads that have the labels."""

from __future__ import annotations

from typing import Any

from controlplane.registry import protocols, workloads
from controlplane.registry.model import Endpoint, Port, Service
from controlplane.registry.service_entries import endpoint
from controlplane.registry.visibility import exported_to
from controlplane.resources.resource import Resource
from controlplane.world.proxy import Locality
from controlplane.world.view import View, query

_EXPORT_TO = "networking.istio.io/exportTo"
_SERVICE_NAME = "kubernetes.io/service-name"


@query
def service(view: View, namespace: str, name: str) -> Service | None:
    """The service of one Service; None if there is none."""
    resource = view.resource("Service", namespace, name)
    if resource is None:
        return None
    spec = resource.spec.spec
    exported = tuple(
        word.strip() for word in resource.annotations.get(_EXPORT_TO, "").split(",") if word.strip()
    )
    ips = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    headless = "None" in ips
    external = spec.type == "ExternalName"
    domain = view.fact("domain", "cluster.local")
    return Service(
        host=f"{name}.{namespace}.svc.{domain}",
        namespace=namespace,
        name=name,
        kind="Service",
        resource=name,
        ports=tuple(_port(port) for port in spec.ports),
        resolution="ALIAS" if external else "PASSTHROUGH" if headless else "EDS",
        addresses=() if headless else ips,
        external=external,
        export_to=exported_to(view, exported, namespace, "default_service_export_to"),
        labels=workloads.pairs(resource.labels),
        selector=workloads.pairs(spec.selector),
        headless=headless,
        traffic_distribution=spec.traffic_distribution,
        node_local=spec.internal_traffic_policy == "Local",
        not_ready_too=spec.publish_not_ready_addresses,
        alias=spec.external_name.lower(),
        created=resource.created,
    )


@query
def endpoints(view: View, service: Service, number: int) -> tuple[Endpoint, ...]:
    """The hosts of one port. What Kubernetes has worked out (EndpointSlice, or Endpoints where
    there is no slice) is taken as it is; workloads outside it that have the labels come on top,
    pods only where Kubernetes says nothing at all."""
    port = service.port(number)
    if port is None:
        return ()
    if service.resolution == "ALIAS":
        # ExternalName: another host's name, on the same port.
        return (Endpoint(service.alias, port.number, service.namespace),)
    slices = _slices(view, service.namespace, service.name)
    found: dict[tuple[str, int], Endpoint] = {}
    for one in slices:
        found |= {(each.address, each.port): each for each in _of_slice(view, service, port, one)}
    if not slices:
        for each in _of_endpoints(view, service, port):
            found[each.address, each.port] = each
    said = slices or view.resource("Endpoints", service.namespace, service.name) is not None
    for workload in workloads.selected(view, service.namespace, service.selector):
        if not (workload.ready or service.not_ready_too):
            continue
        if workload.ports_of_service or not said:
            each = endpoint(workload, port)
            found.setdefault((each.address, each.port), each)
    return tuple(found[key] for key in sorted(found))


def _port(port: Any) -> Port:
    protocol = protocols.of_port(port.protocol, port.name, port.app_protocol, port.port)
    target = port.port if port.target_port is None else port.target_port
    return Port(port.port, port.name, protocol, target)


@query
def _slices(view: View, namespace: str, name: str) -> tuple[Resource[Any], ...]:
    return _slices_by_service(view, namespace).get(name, ())


@query
def _slices_by_service(view: View, namespace: str) -> dict[str, tuple[Resource[Any], ...]]:
    found: dict[str, list[Resource[Any]]] = {}
    for resource in view.resources("EndpointSlice", namespace):
        found.setdefault(resource.labels.get(_SERVICE_NAME, ""), []).append(resource)
    return {name: tuple(ones) for name, ones in found.items()}


def _of_slice(view: View, service: Service, port: Port, piece: Resource[Any]) -> list[Endpoint]:
    spec = piece.spec
    if spec.address_type == "FQDN":
        # As kube-proxy and Istio: nothing resolves these.
        return []
    numbers = [one.port for one in spec.ports if one.name == port.name and one.port is not None]
    return [
        _endpoint(
            view,
            service,
            address,
            numbers[0],
            one.target_ref,
            _health(one.conditions),
            one.zone,
            one.node_name,
        )
        for one in spec.endpoints
        for address in one.addresses[:1]
        if numbers and _health(one.conditions)
    ]


def _health(conditions: Any) -> str:
    """`HEALTHY`, `DRAINING`, `UNHEALTHY` for what is not ready yet, or "" for what ends: as in
    Istio, that says nothing of how well the others can bear the load."""
    if conditions is None or conditions.ready is not False:
        return "HEALTHY"
    if conditions.serving and conditions.terminating:
        return "DRAINING"
    return "UNHEALTHY" if conditions.terminating is False else ""


def _of_endpoints(view: View, service: Service, port: Port) -> list[Endpoint]:
    resource = view.resource("Endpoints", service.namespace, service.name)
    if resource is None:
        return []
    return [
        _endpoint(
            view,
            service,
            address.ip,
            one.port,
            address.target_ref,
            "HEALTHY",
            "",
            address.node_name,
        )
        for subset in resource.spec.subsets
        for one in subset.ports
        if one.name == port.name
        for address in (
            *subset.addresses,
            *(subset.not_ready_addresses if service.not_ready_too else ()),
        )
    ]


def _endpoint(
    view: View,
    service: Service,
    address: str,
    port: int,
    target: Any,
    health: Any,
    zone: str,
    node: str,
) -> Endpoint:
    pod = None
    if target is not None and target.kind == "Pod":
        pod = workloads.pod(view, target.namespace or service.namespace, target.name)
    if pod is None:
        where = Locality("", zone, "")
        return Endpoint(address, port, service.namespace, locality=where, health=health, node=node)
    return Endpoint(
        address=address,
        port=port,
        namespace=pod.namespace,
        workload=pod.name,
        labels=pod.labels,
        service_account=pod.service_account,
        locality=pod.locality,
        network=pod.network,
        cluster=pod.cluster,
        weight=pod.weight,
        mutual_tls=pod.mutual_tls,
        health=health,
        node=node or pod.node,
    )
