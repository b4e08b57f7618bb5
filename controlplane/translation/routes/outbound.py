"""Routes of what a sidecar sends: a virtual host for each service that its scope has."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from controlplane.registry import mesh, protocols, scope
from controlplane.registry.model import Port, Service
from controlplane.resources.resource import Key
from controlplane.translation import names
from controlplane.translation.durations import duration
from controlplane.translation.pack import joined, packed
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

_VIRTUAL_HOSTS = RouteConfiguration.DESCRIPTOR.fields_by_name["virtual_hosts"].number
#: The routes of the listener that clients use as an HTTP proxy.
HTTP_PROXY = "http_proxy"


@query
def configuration(view: View, namespace: str, sidecar: Key | None, name: str) -> Encoded | None:
    """The routes `name` (a port, or `http_proxy`) of workloads with this scope; None if there is
    no such listener."""
    port = names.parse_port(name)
    if port is None and name != HTTP_PROXY:
        return None
    seen = scope.of_sidecar(view, namespace, sidecar)
    hosts = [
        virtual_host(view, service, one, namespace, port is None)
        for service in seen.services()
        for one in service.ports
        if (port is None or one.number == port) and _routable(one)
    ]
    hosts.append(_anywhere_else(view))
    head = RouteConfiguration(name=name, max_direct_response_body_size_bytes={"value": 1048576})
    head.validate_clusters.value = False
    head.ignore_port_in_host_matching = port is not None
    return encoded(name, joined(packed(head), _VIRTUAL_HOSTS, hosts))


@query
def virtual_host(view: View, service: Service, port: Port, client: str, with_port: bool) -> bytes:
    """One service on one port, packed. `with_port`: the listener is for all ports, so the host
    name must say which."""
    built = VirtualHost(
        name=f"{service.host}:{port.number}",
        domains=_domains(view, service, port, client, with_port),
        include_request_attempt_count=True,
    )
    built.routes.append(_default_route(service, port))
    return packed(built)


def _routable(port: Port) -> bool:
    return protocols.is_http(port.protocol) or port.protocol == "auto"


def _domains(view: View, service: Service, port: Port, client: str, with_port: bool) -> list[str]:
    """Every way in which a client of a namespace may write the host."""
    hosts = [service.host]
    if service.kind == "Service":
        suffix = f".svc.{mesh.domain(view)}"
        short = service.host.removesuffix(suffix)
        if service.namespace == client:
            hosts.append(service.name)
        hosts += [f"{short}.svc", short]
    hosts += [one for one in service.addresses if "/" not in one]
    if not service.addresses and service.auto_address:
        hosts.append(service.auto_address)
    if not with_port:
        return hosts
    found = [f"{one}:{port.number}" for one in hosts]
    return found + hosts if port.number == 80 else found


def _default_route(service: Service, port: Port) -> Route:
    return Route(
        name="default",
        match=RouteMatch(prefix="/"),
        route=RouteAction(
            cluster=names.outbound(port.number, "", service.host), timeout=duration(0)
        ),
    )


def _anywhere_else(view: View) -> bytes:
    """Hosts that are no service: on to where the client was going, or refused."""
    built = VirtualHost(name="block_all", domains=["*"], include_request_attempt_count=True)
    route = built.routes.add(name="block_all", match=RouteMatch(prefix="/"))
    if mesh.config(view).outbound_traffic_policy.mode == "REGISTRY_ONLY":
        route.direct_response.CopyFrom(DirectResponseAction(status=502, body=DataSource()))
    else:
        built.name = route.name = "allow_any"
        route.route.CopyFrom(RouteAction(cluster=names.PASSTHROUGH, timeout=duration(0)))
    return packed(built)
