"""Routes of a gateway: a virtual host for each host of the VirtualServices that are bound to it."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import Route, RouteMatch, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from controlplane.registry.scope import Caller
from controlplane.registry.workloads import Labels
from controlplane.resources.resource import Key
from controlplane.resources.virtual_service import match, select, translate
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation.gateways import Gate, is_http, route_name
from controlplane.translation.pack import packed
from controlplane.translation.settings import Settings, attempts_counted
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded


@query
def configuration(
    view: View,
    gates: tuple[Gate, ...],
    namespace: str,
    labels: Labels,
    name: str,
    given: Settings,
) -> Encoded | None:
    """The routes of one port, or of one server that ends TLS; None if no server has the name.
    `labels`: those of the proxy that matches ask for."""
    built = RouteConfiguration(
        name=name, ignore_port_in_host_matching=True, max_direct_response_body_size_bytes=None
    )
    built.max_direct_response_body_size_bytes.value = 1048576
    built.validate_clusters.value = False
    hosts: dict[str, VirtualHost] = {}
    added: set[tuple[str, Key]] = set()
    found = False
    for gate in gates:
        servers = [one for one in gate.servers if is_http(one) and route_name(gate, one) == name]
        found = found or bool(servers)
        for server in servers:
            client = Client(Caller(namespace), labels, (server.name,), given)
            bound = select.for_gateways(view, client.gateways, namespace)
            for host, key in bound:
                served = server.narrowed(key.namespace, host)
                # Two servers may serve a host in common, `*` and `a.example.com`.
                if served and (served, key) not in added:
                    added.add((served, key))
                    _add(view, hosts, served, key, gate.port, client)
            if server.server.tls is not None and server.server.tls.https_redirect:
                _redirect(hosts, server.hosts, gate.port)
    if not found:
        return None
    if hosts:
        counted = attempts_counted(view, given)
        for host in sorted(hosts):
            hosts[host].include_request_attempt_count = counted
            built.virtual_hosts.append(_ordered(hosts[host]))
    else:
        # As Istio: a port that nothing is bound to answers 404.
        built.virtual_hosts.append(VirtualHost(name=f"blackhole:{name}", domains=["*"]))
    return encoded(name, packed(built))


def _add(
    view: View, hosts: dict[str, VirtualHost], host: str, key: Key, port: int, client: Client
) -> None:
    routes = translate.routes(view, key, port, client)
    if routes:
        _host(hosts, host, port).routes.extend(routes)


def _host(hosts: dict[str, VirtualHost], host: str, port: int) -> VirtualHost:
    if host not in hosts:
        hosts[host] = VirtualHost(name=f"{host}:{port}", domains=[host])
    return hosts[host]


def _redirect(
    hosts: dict[str, VirtualHost], served: tuple[tuple[str, str], ...], port: int
) -> None:
    """`httpsRedirect`: every host of the server, whether something is bound to it or not."""
    for _, host in served:
        _host(hosts, host, port).require_tls = VirtualHost.ALL
    for host, built in hosts.items():
        if any(host == one for _, one in served) or built.require_tls:
            built.require_tls = VirtualHost.ALL
        if not built.routes:
            # Envoy wants a route before it redirects.
            built.routes.append(
                Route(match=RouteMatch(prefix="/"), non_forwarding_action={})  # never reached
            )


def _ordered(host: VirtualHost) -> VirtualHost:
    """Routes of several VirtualServices: those that take everything go behind the others."""
    routes = sorted(host.routes, key=lambda one: match.takes_everything(one.match))
    host.ClearField("routes")
    host.routes.extend(routes)
    return host
