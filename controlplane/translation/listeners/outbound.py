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
from controlplane.resources.resource import Key
from controlplane.translation import names
from controlplane.translation.clusters.outbound import ADS
from controlplane.translation.listeners import addresses, manager
from controlplane.translation.listeners.addresses import Capture
from controlplane.translation.pack import packed
from controlplane.translation.routes.outbound import HTTP_PROXY
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded


@query
def listeners(
    view: View, namespace: str, sidecar: Key | None, capture: Capture
) -> tuple[Encoded, ...]:
    """All of them, for workloads of a namespace with this scope."""
    found = _opened(view, capture) if capture.mode == "NONE" else [_catch_all(view)]
    if capture.mode != "NONE":
        found += _intercepted(view, scope.of_sidecar(view, namespace, sidecar).services())
    return tuple(encoded(one.name, packed(one)) for one in found)


def _catch_all(view: View) -> Listener:
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
            filters=[_tcp(view, names.BLACK_HOLE)],
        )
    )
    built.filter_chains.append(
        FilterChain(name="virtualOutbound-catchall-tcp", filters=[_tcp(view, anywhere)])
    )
    return built


def _intercepted(view: View, seen: tuple[Service, ...]) -> list[Listener]:
    """Listeners without sockets, one for each HTTP port and one for each address of a TCP port."""
    found: dict[str, Listener] = {}
    for service in seen:
        for port in service.ports:
            if protocols.is_http(port.protocol):
                name = f"0.0.0.0_{port.number}"
                if name not in found:
                    found[name] = _http(view, name, "0.0.0.0", port.number, str(port.number))
            elif port.protocol != "udp":
                for address in _virtual_addresses(service):
                    name = f"{address}_{port.number}"
                    found.setdefault(name, _tcp_listener(view, name, address, service, port))
    for one in found.values():
        one.bind_to_port.value = False
    return [found[name] for name in sorted(found)]


def _opened(view: View, capture: Capture) -> list[Listener]:
    """Listeners that clients connect to by themselves: as their HTTP proxy, or port by port."""
    found = []
    given = capture.http_proxy
    if not given and mesh.config(view).proxy_http_port:
        given = f"127.0.0.1:{mesh.config(view).proxy_http_port}"
    proxy = addresses.split(given)
    if proxy is not None:
        found.append(_http(view, f"{proxy[0]}_{proxy[1]}", *proxy, HTTP_PROXY))
    for local, host, port in capture.egress:
        address = addresses.split(local)
        if address is not None:
            cluster = names.outbound(port, "", host)
            built = _listener(f"{address[0]}_{address[1]}", *address)
            built.filter_chains.append(FilterChain(filters=[_tcp(view, cluster)]))
            found.append(built)
    return found


def _listener(name: str, address: str, port: int) -> Listener:
    return Listener(
        name=name,
        address=addresses.socket_address(address, port),
        traffic_direction=TrafficDirection.OUTBOUND,
    )


def _http(view: View, name: str, address: str, port: int, routes: str) -> Listener:
    built = _listener(name, address, port)
    connection = manager.manager(view, f"outbound_{name}", ())
    connection.rds.CopyFrom(hcm.Rds(config_source=ADS, route_config_name=routes))
    built.filter_chains.append(
        FilterChain(filters=[manager.network_filter(manager.NAME, connection)])
    )
    return built


def _tcp_listener(view: View, name: str, address: str, service: Service, port: Port) -> Listener:
    built = _listener(name, address, port.number)
    cluster = names.outbound(port.number, "", service.host)
    built.filter_chains.append(FilterChain(filters=[_tcp(view, cluster)]))
    return built


def _tcp(view: View, cluster: str) -> Filter:
    return manager.tcp_proxy(view, ((cluster, 100),))


def _virtual_addresses(service: Service) -> tuple[str, ...]:
    given = tuple(one for one in service.addresses if "/" not in one)
    return given or ((service.auto_address,) if service.auto_address else ())
