"""Listeners for what the workload sends."""

from __future__ import annotations

from functools import partial

from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)

from controlplane.registry import mesh, protocols, scope
from controlplane.registry.model import Port, Service
from controlplane.registry.scope import Egress
from controlplane.resources.authorization_policy.matchers import cidr
from controlplane.resources.telemetry.select import Reporting
from controlplane.resources.virtual_service import layer4, select
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation import anywhere_else, names
from controlplane.translation.clusters.outbound import ADS
from controlplane.translation.listeners import access_log, addresses, manager
from controlplane.translation.listeners.addresses import Capture
from controlplane.translation.listeners.shared import Shared
from controlplane.translation.listeners.sniffing import (
    PLAIN_HTTP,
    http_inspector,
    tls_inspector,
    wait,
)
from controlplane.translation.pack import packed
from controlplane.translation.routes.outbound import HTTP_PROXY
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded


def listeners(
    view: View, client: Client, capture: Capture, reporting: Reporting
) -> tuple[Encoded, ...]:
    """All of them. Workloads that are alike in `client` share what is not of their own ports."""
    if capture.mode != "NONE":
        return _captured(view, client, reporting, capture.mode == "TPROXY")
    return _connected(view, client, capture.http_proxy, capture.egress, reporting)


@query
def _captured(
    view: View, client: Client, reporting: Reporting, transparent: bool
) -> tuple[Encoded, ...]:
    """For what iptables brings."""
    intercepted = _intercepted(view, client, reporting)
    return _encoded(_catch_all(view, client, reporting, transparent), *intercepted)


@query
def _connected(
    view: View,
    client: Client,
    http_proxy: str,
    egress: tuple[tuple[str, str, int], ...],
    reporting: Reporting,
) -> tuple[Encoded, ...]:
    """For clients that connect to us by themselves."""
    opened = _opened(view, client, http_proxy, egress, reporting)
    return _encoded(*opened, *_of_sidecar(view, client, reporting))


def _encoded(*found: Listener) -> tuple[Encoded, ...]:
    return tuple(encoded(one.name, packed(one)) for one in found)


def _catch_all(view: View, client: Client, reporting: Reporting, transparent: bool) -> Listener:
    """What iptables brings, and hands on to the listener of the address that was meant."""
    port = mesh.config(view).proxy_listen_port
    built = _listener("virtualOutbound", "0.0.0.0", port)
    built.use_original_dst.value = True
    if transparent:
        built.transparent.value = True
    built.filter_chains.append(
        FilterChain(
            name="virtualOutbound-blackhole",
            filter_chain_match=FilterChainMatch(destination_port={"value": port}),
            filters=_tcp(view, names.BLACK_HOLE, client, reporting),
        )
    )
    anywhere = _tcp(view, anywhere_else.cluster(view, client), client, reporting)
    built.filter_chains.append(FilterChain(name="virtualOutbound-catchall-tcp", filters=anywhere))
    built.access_log.extend(access_log.of_listener(view, reporting))
    return built


def _intercepted(view: View, client: Client, reporting: Reporting) -> list[Listener]:
    """Listeners without sockets: one for each HTTP port and for each address of a TCP port; what
    has no address of its own shares one for the port, by SNI or by blocks of addresses."""
    found: dict[str, Listener] = {}
    shared: dict[int, Shared] = {}
    egress = scope.of_caller(view, client.caller).egress
    for service in (one for each in egress if not _is_own(each) for one in each.services):
        for port in service.ports:
            if port.protocol == "udp":
                continue
            any_address = shared.setdefault(port.number, Shared())
            if protocols.is_http(port.protocol):
                web = port.protocol == "grpc-web"
                chain = partial(_http_chain, view, client=client, reporting=reporting, grpc_web=web)
                any_address.add_http(chain, port.number)
                continue
            for address in _virtual_addresses(service):
                name = f"{address}_{port.number}"
                if name not in found:
                    found[name] = _bytes(view, name, address, service, port, client, reporting)
            if not service.addresses or any("/" in one for one in service.addresses):
                chains = _forwards(view, service, port, client, reporting)
                any_address.add(view, service, port, chains)
                if port.protocol == "auto" and not service.headless:
                    any_address.add_http(
                        lambda name: _http_chain(view, name, client, reporting),
                        port.number,
                        sniffed=True,
                    )
    for number, any_address in shared.items():
        if any_address.chains:
            name = f"0.0.0.0_{number}"
            found[name] = any_address.listener(_listener(name, "0.0.0.0", number))
    for one in found.values():
        one.bind_to_port.value = False
        wait(view, one)
    found |= {one.name: one for one in _of_sidecar(view, client, reporting)}
    return [found[name] for name in sorted(found)]


def _is_own(egress: Egress) -> bool:
    """Whether an egress listener of a Sidecar has an address of its own."""
    with_port = egress.port and (egress.bind or egress.capture == "NONE")
    return bool(egress.routes or with_port)


def _of_sidecar(view: View, client: Client, reporting: Reporting) -> list[Listener]:
    """Listeners whose address a Sidecar resource gives: with a socket where nothing is captured."""
    found = []
    for egress in scope.of_caller(view, client.caller).egress:
        if not _is_own(egress):
            continue
        bind = egress.bind or ("127.0.0.1" if egress.capture == "NONE" else "0.0.0.0")
        name = f"{bind}_{egress.port}"
        if egress.is_proxy or protocols.is_http(protocols.of_name(egress.protocol)):
            built = _listener(name, bind, egress.port)
            routes = egress.routes or str(egress.port)
            built.filter_chains.append(
                _http_chain(view, f"outbound_{name}", client, reporting, routes)
            )
        else:
            # Bytes do not say whom they are for: the first service of the port has them all.
            ports = ((one, port) for one in egress.services for port in one.ports)
            first = next((pair for pair in ports if pair[1].protocol != "udp"), None)
            if first is None:
                continue
            built = _bytes(view, name, bind, *first, client, reporting)
        if egress.capture != "NONE" and not egress.is_socket:
            built.bind_to_port.value = False
        wait(view, built)
        found.append(built)
    return found


def _opened(
    view: View,
    client: Client,
    given: str,
    egress: tuple[tuple[str, str, int], ...],
    reporting: Reporting,
) -> list[Listener]:
    """Listeners that clients connect to by themselves: as their HTTP proxy, or port by port."""
    found = []
    if not given and mesh.config(view).proxy_http_port:
        given = f"127.0.0.1:{mesh.config(view).proxy_http_port}"
    proxy = addresses.split(given)
    if proxy is not None:
        built = _listener(f"{proxy[0]}_{proxy[1]}", *proxy)
        built.filter_chains.append(
            _http_chain(view, f"outbound_{built.name}", client, reporting, HTTP_PROXY)
        )
        found.append(built)
    for local, host, port in egress:
        address = addresses.split(local)
        if address is not None:
            cluster = names.outbound(port, "", host)
            built = _listener(f"{address[0]}_{address[1]}", *address)
            forward = manager.tcp_proxy(view, ((cluster, 100),), reporting, given=client.settings)
            built.filter_chains.append(FilterChain(filters=forward))
            found.append(built)
    return found


def _listener(name: str, address: str, port: int) -> Listener:
    return Listener(
        name=name,
        address=addresses.bound(address, port),
        traffic_direction=TrafficDirection.OUTBOUND,
    )


def _http_chain(
    view: View,
    stat_prefix: str,
    client: Client,
    reporting: Reporting,
    routes: str = "",
    *,
    grpc_web: bool = False,
) -> FilterChain:
    """HTTP; the routes of a port have its number, which ends the prefix."""
    connection = manager.manager(
        view, stat_prefix, (), reporting, client.settings, grpc_web=grpc_web
    )
    name = routes or stat_prefix.rpartition("_")[2]
    connection.rds.CopyFrom(hcm.Rds(config_source=ADS, route_config_name=name))
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
        requests = _http_chain(view, f"outbound_{name}", client, reporting, routes)
        requests.filter_chain_match.application_protocols.extend(PLAIN_HTTP)
        built.filter_chains.append(requests)
    chains = _forwards(view, service, port, client, reporting)
    if any(one.filter_chain_match.server_names for one in chains):
        built.listener_filters.insert(0, tls_inspector())
    built.filter_chains.extend(chains)
    return built


def _forwards(
    view: View, service: Service, port: Port, client: Client, reporting: Reporting
) -> list[FilterChain]:
    """Bytes to a service: by the TLS and TCP routes of its VirtualService, or all of them."""
    chains = []
    key = select.for_host(view, client.caller, service.host)
    for one in layer4.of_resource(view, key, port.number, client) if key else ():
        forward = manager.tcp_proxy(view, one.clusters, reporting, one.stat_prefix, client)
        chain = FilterChain(filters=forward)
        chain.filter_chain_match.server_names.extend(one.server_names)
        chain.filter_chain_match.prefix_ranges.extend(cidr(subnet) for subnet in one.subnets)
        chains.append(chain)
        if not (one.server_names or one.subnets):
            return chains
    cluster = names.outbound(port.number, "", service.host)
    chains.append(FilterChain(filters=_tcp(view, cluster, client, reporting)))
    return chains


def _tcp(view: View, cluster: str, client: Client, reporting: Reporting) -> list[Filter]:
    return manager.tcp_proxy(view, ((cluster, 100),), reporting, client=client)


def _virtual_addresses(service: Service) -> tuple[str, ...]:
    given = tuple(one for one in service.addresses if "/" not in one)
    if given or service.addresses:
        return given
    return (service.auto_address,) if service.auto_address else ()
