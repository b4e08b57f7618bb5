"""Routes of what a sidecar sends: a virtual host for each host that its scope has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    Route,
    RouteMatch,
    VirtualHost,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from controlplane.registry import mesh, protocols, scope
from controlplane.registry.model import Port, Service
from controlplane.resources.authorization_policy.reach import denied_by
from controlplane.resources.destination_rule import hashing
from controlplane.resources.resource import Key
from controlplane.resources.virtual_service import action, retries, select, translate
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation import anywhere_else, names
from controlplane.translation.pack import joined, packed
from controlplane.translation.settings import attempts_counted, headers
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

_VIRTUAL_HOSTS = RouteConfiguration.DESCRIPTOR.fields_by_name["virtual_hosts"].number
_DOMAINS = VirtualHost.DESCRIPTOR.fields_by_name["domains"].number
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
    served = [
        (service, one)
        for service in (everything if listener is None else listener.services)
        for one in service.ports
        if (port is None or one.number == port) and _routable(one)
    ]
    taken = _Domains(service.host for service, _ in served)
    foreign = []
    for number in sorted({one.number for _, one in served} | {port or _HTTP_PORT}):
        names_there = frozenset(service.host for service, one in served if one.number == number)
        for host in _foreign_hosts(view, client, number, names_there):
            free = taken.free(_with_port([host], number, port is None), host)
            built = _foreign(view, host, number, client)
            if free and built is not None:
                foreign.append(_with_domains(built, free))
    hosts = []
    for service, one in served:
        wanted, bare, whole = _named(view, service, one, client, port is None)
        free = taken.free(wanted, service.host)
        if len(free) == len(wanted):
            hosts.append(whole)
        elif free:
            hosts.append(_with_domains(whole[:bare], free))
    hosts += [*foreign, *_denied(view, client, port, taken)]
    return _joined(view, client, name, hosts, ignore_port=port is not None)


class _Domains:
    """The domains of one route configuration. None may stand in it twice, Envoy refuses that: who
    comes first has it; but a short form of one service's name is left to a service that is called
    so."""

    def __init__(self, full: Iterable[str]) -> None:
        self._full = frozenset(full)
        self._taken: set[str] = set()

    def free(self, wanted: Sequence[str], own: str) -> list[str]:
        """What nobody has yet, taken for the one who asks. `own`: its full name."""
        found = []
        for one in wanted:
            if one in self._taken or (one != own and one in self._full):
                continue
            self._taken.add(one)
            found.append(one)
        return found


def _with_domains(host: bytes, domains: Iterable[str]) -> bytes:
    return joined(host, _DOMAINS, (one.encode() for one in domains))


def _of_one_service(view: View, client: Client, name: str) -> Encoded | None:
    """`host:port`: HTTP that was found on a port of one service which does not say what it is."""
    host, _, number = name.rpartition(":")
    service = scope.find(view, client.caller, host)
    port = service.port(names.parse_port(number) or 0) if service else None
    if service is None or port is None:
        return None
    # Whatever the request calls the host: the address has said which service is meant.
    only = _with_domains(virtual_host(view, service, port, client), ["*"])
    return encoded(name, joined(packed(_head(name, ignore_port=True)), _VIRTUAL_HOSTS, [only]))


def _joined(
    view: View, client: Client, name: str, hosts: list[bytes], *, ignore_port: bool
) -> Encoded:
    head = packed(_head(name, ignore_port=ignore_port))
    return encoded(name, joined(head, _VIRTUAL_HOSTS, [*hosts, _anywhere_else(view, client)]))


def _head(name: str, *, ignore_port: bool) -> RouteConfiguration:
    head = RouteConfiguration(name=name, max_direct_response_body_size_bytes={"value": 1048576})
    head.validate_clusters.value = False
    head.ignore_port_in_host_matching = ignore_port
    return head


@query
def _named(
    view: View, service: Service, port: Port, client: Client, with_port: bool
) -> tuple[tuple[str, ...], int, bytes]:
    """A virtual host with all the domains that it would have, and its length without them. One
    question for each: hundreds that did not change are put together with one that did."""
    wanted = tuple(domains(view, service, port.number, client.namespace, with_port))
    bare = virtual_host(view, service, port, client)
    return wanted, len(bare), _with_domains(bare, wanted)


def virtual_host(view: View, service: Service, port: Port, client: Client) -> bytes:
    """One service on one port, packed, without its domains."""
    built = VirtualHost(
        name=f"{service.host}:{port.number}",
        include_request_attempt_count=attempts_counted(view, client.settings),
    )
    key = select.for_host(view, client.caller, service.host)
    routes = translate.routes(view, key, port.number, client) if key else []
    built.routes.extend(routes or [_default_route(view, service, port, client)])
    return packed(built)


@query
def _foreign(view: View, host: str, port: int, client: Client) -> bytes | None:
    """A host that a VirtualService names and no service has; None if it has no routes there."""
    built = VirtualHost(
        name=f"{host}:{port}",
        include_request_attempt_count=attempts_counted(view, client.settings),
    )
    key = select.for_host(view, client.caller, host)
    if key is not None:
        built.routes.extend(translate.routes(view, key, port, client))
    return packed(built) if built.routes else None


def _denied(view: View, client: Client, port: int | None, taken: _Domains) -> list[bytes]:
    """Services that deny the client whatever it asks: it is told so here, and by which policies,
    instead of by them. One virtual host for all that the same policies keep it from."""
    caller = client.caller
    by_policies: dict[tuple[Key, ...], list[str]] = {}
    for service in scope.of_caller(view, caller).denied:
        ports = [one.number for one in service.ports if _routable(one)]
        for number in ports if port is None else [one for one in ports if one == port]:
            keys = denied_by(view, service, caller.namespace, caller.account)
            hosts = domains(view, service, number, caller.namespace, port is None)
            by_policies.setdefault(keys, []).extend(taken.free(hosts, service.host))
    found = []
    for keys, hosts in sorted(by_policies.items()):
        if not hosts:
            continue
        policies = ", ".join(f"{key.namespace}/{key.name}" for key in keys)
        built = VirtualHost(name=f"denied by {policies}", domains=hosts)
        route = built.routes.add(name="denied", match=RouteMatch(prefix="/"))
        route.direct_response.status = 403
        route.direct_response.body.inline_string = (
            f"RBAC: access denied: no rule of {policies} admits"
            f" {caller.namespace}/{caller.account}\n"
        )
        found.append(packed(built))
    return found


@query
def _foreign_hosts(
    view: View, client: Client, port: int, served: frozenset[str]
) -> tuple[str, ...]:
    """Hosts of VirtualServices that no service of this port has. On port 80 all of them, elsewhere
    those that stand beside a service's in the same VirtualService."""
    named = select.for_sidecars(view, client.caller)
    beside = {
        key
        for host, key in named.items()
        if host in served or any(names.covers(host, one) for one in served)
    }
    return tuple(
        sorted(
            host
            for host, key in named.items()
            if (port == _HTTP_PORT or key in beside)
            and host not in served
            and not (host.startswith("*") and any(names.covers(host, one) for one in served))
            and _has_routes(view, host, port, client)
        )
    )


@query
def _has_routes(view: View, host: str, port: int, client: Client) -> bool:
    """Asked of each by itself: what changes of one changes which they are only if this does."""
    return _foreign(view, host, port, client) is not None


def _routable(port: Port) -> bool:
    return protocols.is_http(port.protocol) or port.protocol == "auto"


def domains(view: View, service: Service, port: int, client: str, with_port: bool) -> list[str]:
    """Every way in which a client of a namespace may write the host. `with_port`: the listener is
    for all ports, so the host name must say which."""
    hosts = _names(view, service.host, service.kind == "Service", client)
    if service.headless:
        # Its pods, by names of their own.
        hosts += [f"*.{one}" for one in hosts]
    for alias in service.aliases:
        hosts += _names(view, alias, True, client)
    hosts += [_in_url(one) for one in service.addresses if "/" not in one]
    if not service.addresses and service.auto_address:
        hosts.append(service.auto_address)
    return _with_port(hosts, port, with_port)


def _names(view: View, host: str, kubernetes: bool, client: str) -> list[str]:
    hosts = [host, f"{host}."]
    if kubernetes:
        short = host.removesuffix(f".svc.{mesh.domain(view)}")
        name, _, namespace = short.partition(".")
        if namespace == client:
            hosts.append(name)
        hosts += [f"{short}.svc", short]
    return hosts


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _with_port(hosts: list[str], port: int, needed: bool) -> list[str]:
    if not needed:
        return hosts
    found = [f"{one}:{port}" for one in hosts]
    return found + hosts if port == _HTTP_PORT else found


def _default_route(view: View, service: Service, port: Port, client: Client) -> Route:
    built = Route(name="default", match=RouteMatch(prefix="/"))
    cluster = names.outbound(port.number, "", service.host)
    built.route.cluster = cluster
    action.limit(built.route, None)
    built.decorator.operation = f"{service.host}:{port.number}/*"
    hashed = hashing.of_destination(view, service, port.number, "", client.namespace, client.labels)
    if hashed is not None:
        built.route.hash_policy.append(hashed)
    # As in Istio, even where requests are hashed: another host is asked.
    policy = retries.policy(None, mesh.config(view).default_http_retry_policy)
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
        route.route.cluster = cluster
        action.limit(route.route, None)
        forwarded = headers(view, client.settings).x_forwarded_host
        route.route.append_x_forwarded_host = bool(forwarded and forwarded.enabled)
    return packed(built)
