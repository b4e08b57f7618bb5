"""Routes of what a sidecar sends: a virtual host for each host that its scope has."""

from __future__ import annotations

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
from controlplane.resources.authorization_policy.reach import denied_by
from controlplane.resources.destination_rule import hashing
from controlplane.resources.resource import Key
from controlplane.resources.virtual_service import retries, select, translate
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation import anywhere_else, names
from controlplane.translation.durations import duration
from controlplane.translation.pack import joined, packed
from controlplane.translation.settings import attempts_counted, headers
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

_VIRTUAL_HOSTS = RouteConfiguration.DESCRIPTOR.fields_by_name["virtual_hosts"].number
#: The routes of the listener that clients use as an HTTP proxy.
HTTP_PROXY = "http_proxy"
#: The port of hosts that a VirtualService names and no service has.
_HTTP_PORT = 80


@query
def configuration(view: View, client: Client, name: str) -> Encoded | None:
    """The routes `name` (a port, `http_proxy`, or of a Sidecar's egress listener for all ports) of
    workloads that are alike in `client`; None if there is no such listener."""
    seen = scope.of_caller(view, client.caller)
    own = next((one for one in seen.egress if name and one.routes == name), None)
    port = names.parse_port(name) if own is None else None
    if port is None and own is None and name != HTTP_PROXY:
        return _of_one_service(view, client, name)
    listener = own if port is None else seen.of_port(port)
    everything = seen.services() if name == HTTP_PROXY else ()
    hosts = [
        virtual_host(view, service, one, client, port is None)
        for service in (everything if listener is None else listener.services)
        for one in service.ports
        if (port is None or one.number == port) and _routable(one)
    ]
    hosts += _denied(view, client, port)
    if port in {None, _HTTP_PORT}:
        hosts += [
            _foreign(view, host, client, port is None)
            for host in _hosts_without_service(view, client)
        ]
    return _joined(view, client, name, hosts, ignore_port=port is not None)


def _of_one_service(view: View, client: Client, name: str) -> Encoded | None:
    """`host:port`: HTTP that was found on a port of one service which does not say what it is."""
    host, _, number = name.rpartition(":")
    service = scope.find(view, client.caller, host)
    port = service.port(names.parse_port(number) or 0) if service else None
    if service is None or port is None:
        return None
    only = [virtual_host(view, service, port, client, False)]
    return _joined(view, client, name, only, ignore_port=True)


def _joined(
    view: View, client: Client, name: str, hosts: list[bytes], *, ignore_port: bool
) -> Encoded:
    head = RouteConfiguration(name=name, max_direct_response_body_size_bytes={"value": 1048576})
    head.validate_clusters.value = False
    head.ignore_port_in_host_matching = ignore_port
    return encoded(
        name, joined(packed(head), _VIRTUAL_HOSTS, [*hosts, _anywhere_else(view, client)])
    )


@query
def virtual_host(
    view: View, service: Service, port: Port, client: Client, with_port: bool
) -> bytes:
    """One service on one port, packed. `with_port`: the listener is for all ports, so the host
    name must say which."""
    built = VirtualHost(
        name=f"{service.host}:{port.number}",
        domains=_with_port(_domains(view, service, client.namespace), port.number, with_port),
        include_request_attempt_count=attempts_counted(view, client.settings),
    )
    key = select.for_host(view, client.caller, service.host)
    routes = translate.routes(view, key, port.number, client) if key else []
    built.routes.extend(routes or [_default_route(view, service, port, client)])
    return packed(built)


def _foreign(view: View, host: str, client: Client, with_port: bool) -> bytes:
    """A host that a VirtualService names and no service has."""
    built = VirtualHost(
        name=f"{host}:{_HTTP_PORT}",
        domains=_with_port([host], _HTTP_PORT, with_port),
        include_request_attempt_count=attempts_counted(view, client.settings),
    )
    key = select.for_host(view, client.caller, host)
    if key is not None:
        built.routes.extend(translate.routes(view, key, _HTTP_PORT, client))
    return packed(built)


def _denied(view: View, client: Client, port: int | None) -> list[bytes]:
    """Services that deny the client whatever it asks: it is told so here, and by which policies,
    instead of by them. One virtual host for all that the same policies keep it from."""
    caller = client.caller
    by_policies: dict[tuple[Key, ...], list[str]] = {}
    for service in scope.of_caller(view, caller).denied:
        ports = [one.number for one in service.ports if _routable(one)]
        for number in ports if port is None else [one for one in ports if one == port]:
            keys = denied_by(view, service, caller.namespace, caller.account)
            hosts = _domains(view, service, caller.namespace)
            by_policies.setdefault(keys, []).extend(_with_port(hosts, number, port is None))
    found = []
    for keys, domains in sorted(by_policies.items()):
        policies = ", ".join(f"{key.namespace}/{key.name}" for key in keys)
        built = VirtualHost(name=f"denied by {policies}", domains=dict.fromkeys(domains))
        route = built.routes.add(name="denied", match=RouteMatch(prefix="/"))
        route.direct_response.status = 403
        route.direct_response.body.inline_string = (
            f"RBAC: access denied: no rule of {policies} admits"
            f" {caller.namespace}/{caller.account}\n"
        )
        found.append(packed(built))
    return found


@query
def _hosts_without_service(view: View, client: Client) -> tuple[str, ...]:
    named = select.for_sidecars(view, client.caller)
    served = [one.host for one in scope.of_caller(view, client.caller).services()]
    known = frozenset(served)
    return tuple(
        sorted(
            host
            for host, key in named.items()
            if host not in known
            and select.routes(view, key)
            and not (host.startswith("*") and any(names.covers(host, one) for one in served))
        )
    )


def _routable(port: Port) -> bool:
    return protocols.is_http(port.protocol) or port.protocol == "auto"


def _domains(view: View, service: Service, client: str) -> list[str]:
    """Every way in which a client of a namespace may write the host."""
    hosts = [service.host]
    if service.kind == "Service":
        short = service.host.removesuffix(f".svc.{mesh.domain(view)}")
        if service.namespace == client:
            hosts.append(service.name)
        hosts += [f"{short}.svc", short]
    hosts += [one for one in service.addresses if "/" not in one]
    if not service.addresses and service.auto_address:
        hosts.append(service.auto_address)
    return hosts


def _with_port(hosts: list[str], port: int, needed: bool) -> list[str]:
    if not needed:
        return hosts
    found = [f"{one}:{port}" for one in hosts]
    return found + hosts if port == _HTTP_PORT else found


def _default_route(view: View, service: Service, port: Port, client: Client) -> Route:
    built = Route(name="default", match=RouteMatch(prefix="/"))
    cluster = names.outbound(port.number, "", service.host)
    built.route.CopyFrom(RouteAction(cluster=cluster, timeout=duration(0)))
    built.route.max_stream_duration.max_stream_duration.CopyFrom(duration(0))
    built.route.max_stream_duration.grpc_timeout_header_max.CopyFrom(duration(0))
    built.decorator.operation = f"{service.host}:{port.number}/*"
    hashed = hashing.of_destination(view, service, port.number, "", client.namespace, client.labels)
    if hashed is not None:
        built.route.hash_policy.append(hashed)
    default = mesh.config(view).default_http_retry_policy
    policy = retries.policy(None, default, hashed=hashed is not None)
    if policy is not None:
        built.route.retry_policy.CopyFrom(policy)
    return built


def _anywhere_else(view: View, client: Client) -> bytes:
    """Hosts that are no service: on to where the client was going, or refused."""
    built = VirtualHost(
        name="block_all",
        domains=["*"],
        include_request_attempt_count=attempts_counted(view, client.settings),
    )
    route = built.routes.add(name="block_all", match=RouteMatch(prefix="/"))
    cluster = anywhere_else.cluster(view, client)
    if cluster == names.BLACK_HOLE:
        route.direct_response.CopyFrom(DirectResponseAction(status=502))
    else:
        built.name = route.name = "allow_any"
        route.route.CopyFrom(RouteAction(cluster=cluster, timeout=duration(0)))
        forwarded = headers(view, client.settings).x_forwarded_host
        route.route.append_x_forwarded_host = bool(forwarded and forwarded.enabled)
    return packed(built)
