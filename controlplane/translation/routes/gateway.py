"""Routes of a gateway: a virtual host for each host of the VirtualServices that are bound to it."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import VirtualHost
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
    added: set[tuple[str, Key, str]] = set()
    servers = [
        one
        for gate in gates
        for one in gate.servers
        if is_http(one) and route_name(gate, one) == name
    ]
    if not servers:
        return None
    for server in servers:
        port, tls = server.server.port.number, server.server.tls
        encrypted = tls is not None
        client = Client(Caller(namespace), labels, (server.name,), given, encrypted)
        redirects = tls is not None and tls.https_redirect
        for host, key in select.for_gateways(view, client.gateways, namespace):
            for served in server.common(key.namespace, host):
                routes = translate.routes(view, key, port, client)
                if not routes:
                    continue
                virtual = _host(hosts, served, port)
                # Two servers may serve a host in common, `*` and `a.example.com`.
                if (served, key, server.name) not in added:
                    added.add((served, key, server.name))
                    virtual.routes.extend(routes)
                if redirects:
                    virtual.require_tls = VirtualHost.ALL
        if redirects:
            # Every host of the server, whether something is bound to it or not.
            for _, host in server.hosts:
                _host(hosts, host, port).require_tls = VirtualHost.ALL
    if hosts:
        counted = attempts_counted(view, given)
        for host in sorted(hosts):
            hosts[host].include_request_attempt_count = counted
            built.virtual_hosts.append(_ordered(hosts[host]))
    else:
        # As Istio: a port that nothing is bound to answers 404.
        number = servers[0].server.port.number
        built.virtual_hosts.append(VirtualHost(name=f"blackhole:{number}", domains=["*"]))
    return encoded(name, packed(built))


def _host(hosts: dict[str, VirtualHost], host: str, port: int) -> VirtualHost:
    if host not in hosts:
        hosts[host] = VirtualHost(name=f"{host}:{port}", domains=[host])
    return hosts[host]


def _ordered(host: VirtualHost) -> VirtualHost:
    """Routes of several VirtualServices: those that take everything go behind the others."""
    routes = sorted(host.routes, key=lambda one: match.takes_everything(one.match))
    host.ClearField("routes")
    host.routes.extend(routes)
    return host
