"""Listeners for what the workload sends."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)

from controlplane.registry import mesh, protocols, scope
from controlplane.registry.model import Port, Service
from controlplane.resources.authorization_policy.matchers import cidr
from controlplane.resources.telemetry.select import Reporting
from controlplane.resources.virtual_service import layer4, select
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation import names
from controlplane.translation.clusters.outbound import ADS
from controlplane.translation.listeners import addresses, manager
from controlplane.translation.listeners.addresses import Capture
from controlplane.translation.listeners.sniffing import PLAIN_HTTP, http_inspector, tls_inspector
from controlplane.translation.pack import packed
from controlplane.translation.routes.outbound import HTTP_PROXY
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded


@query
def listeners(
    view: View, client: Client, capture: Capture, reporting: Reporting
) -> tuple[Encoded, ...]:
    """All of them, for workloads that are alike in `client`."""
    found = (
        _opened(view, capture, reporting)
        if capture.mode == "NONE"
        else [_catch_all(view, reporting)]
    )
    if capture.mode != "NONE":
        found += _intercepted(view, client, reporting)
    return tuple(encoded(one.name, packed(one)) for one in found)


def _catch_all(view: View, reporting: Reporting) -> Listener:
    """What iptables brings, and hands on to the listener of the address that was meant."""
    allow_any = mesh.config(view).outbound_traffic_policy.mode != "REGISTRY_ONLY"
    anywhere = names.PASSTHROUGH if allow_any else names.BLACK_HOLE
    built = _listener("virtualOutbound", "0.0.0.0", addresses.OUTBOUND_PORT)
    built.use_original_dst.value = True
    built.filter_chains.append(
        FilterChain(
            name="virtualOutbound-blackhole",
            filter_chain_match=FilterChainMatch(
                destination_port={"value": addresses.OUTBOUND_PORT}
            ),
            filters=[_tcp(view, names.BLACK_HOLE, reporting)],
        )
    )
    built.filter_chains.append(
        FilterChain(name="virtualOutbound-catchall-tcp", filters=[_tcp(view, anywhere, reporting)])
    )
    return built


def _intercepted(view: View, client: Client, reporting: Reporting) -> list[Listener]:
    """Listeners without sockets, one for each HTTP port and one for each address of a TCP port."""
    found: dict[str, Listener] = {}
    for service in scope.of_sidecar(view, client.namespace, client.sidecar).services():
        for port in service.ports:
            if protocols.is_http(port.protocol):
                name = f"0.0.0.0_{port.number}"
                if name not in found:
                    found[name] = _http(
                        view, name, "0.0.0.0", port.number, str(port.number), reporting
                    )
            elif port.protocol != "udp":
                for address in _virtual_addresses(service):
                    name = f"{address}_{port.number}"
                    if name not in found:
                        found[name] = _bytes(view, name, address, service, port, client, reporting)
    for one in found.values():
        one.bind_to_port.value = False
    return [found[name] for name in sorted(found)]


def _opened(view: View, capture: Capture, reporting: Reporting) -> list[Listener]:
    """Listeners that clients connect to by themselves: as their HTTP proxy, or port by port."""
    found = []
    given = capture.http_proxy
    if not given and mesh.config(view).proxy_http_port:
        given = f"127.0.0.1:{mesh.config(view).proxy_http_port}"
    proxy = addresses.split(given)
    if proxy is not None:
        found.append(_http(view, f"{proxy[0]}_{proxy[1]}", *proxy, HTTP_PROXY, reporting))
    for local, host, port in capture.egress:
        address = addresses.split(local)
        if address is not None:
            cluster = names.outbound(port, "", host)
            built = _listener(f"{address[0]}_{address[1]}", *address)
            built.filter_chains.append(FilterChain(filters=[_tcp(view, cluster, reporting)]))
            found.append(built)
    return found


def _listener(name: str, address: str, port: int) -> Listener:
    return Listener(
        name=name,
        address=addresses.socket_address(address, port),
        traffic_direction=TrafficDirection.OUTBOUND,
    )


def _http(
    view: View, name: str, address: str, port: int, routes: str, reporting: Reporting
) -> Listener:
    built = _listener(name, address, port)
    built.filter_chains.append(_http_chain(view, f"outbound_{name}", routes, reporting))
    return built


def _http_chain(view: View, stat_prefix: str, routes: str, reporting: Reporting) -> FilterChain:
    connection = manager.manager(view, stat_prefix, (), reporting)
    connection.rds.CopyFrom(hcm.Rds(config_source=ADS, route_config_name=routes))
    return FilterChain(filters=[manager.network_filter(manager.NAME, connection)])


def _bytes(
    view: View,
    name: str,
    address: str,
    service: Service,
    port: Port,
    client: Client,
    reporting: Reporting,
) -> Listener:
    """One address of a service. A port that does not say its protocol is looked at: HTTP gets
    routes, all else goes where TLS and TCP routes say, or to the service."""
    built = _listener(name, address, port.number)
    if port.protocol == "auto":
        built.listener_filters.append(http_inspector())
        routes = f"{service.host}:{port.number}"
        requests = _http_chain(view, f"outbound_{name}", routes, reporting)
        requests.filter_chain_match.application_protocols.extend(PLAIN_HTTP)
        built.filter_chains.append(requests)
    key = select.for_host(view, client.namespace, client.sidecar, service.host)
    forwards = layer4.of_resource(view, key, port.number, client) if key else []
    if any(one.server_names for one in forwards):
        built.listener_filters.insert(0, tls_inspector())
    for one in forwards:
        chain = FilterChain(
            filters=[manager.tcp_proxy(view, one.clusters, reporting, one.stat_prefix)]
        )
        chain.filter_chain_match.server_names.extend(one.server_names)
        chain.filter_chain_match.prefix_ranges.extend(cidr(subnet) for subnet in one.subnets)
        built.filter_chains.append(chain)
        if not (one.server_names or one.subnets):
            return built
    cluster = names.outbound(port.number, "", service.host)
    built.filter_chains.append(FilterChain(filters=[_tcp(view, cluster, reporting)]))
    return built


def _tcp(view: View, cluster: str, reporting: Reporting) -> Filter:
    return manager.tcp_proxy(view, ((cluster, 100),), reporting)


def _virtual_addresses(service: Service) -> tuple[str, ...]:
    given = tuple(one for one in service.addresses if "/" not in one)
    return given or ((service.auto_address,) if service.auto_address else ())
