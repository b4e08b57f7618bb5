"""Listeners for what the workload sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)

from controlplane.registry import mesh, protocols, scope, services
from controlplane.registry.model import Port, Service
from controlplane.registry.scope import Egress
from controlplane.resources.authorization_policy.matchers import cidr
from controlplane.resources.rules.addresses import is_ip
from controlplane.resources.telemetry.select import Reporting
from controlplane.resources.virtual_service import layer4, select
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation import anywhere_else, dynamic_dns, names
from controlplane.translation.clusters.outbound import ADS
from controlplane.translation.dynamic_dns import is_dynamic
from controlplane.translation.listeners import access_log, addresses, manager
from controlplane.translation.listeners.addresses import Capture
from controlplane.translation.listeners.shared import Shared
from controlplane.translation.listeners.sniffing import wait
from controlplane.translation.pack import packed
from controlplane.translation.routes.outbound import HTTP_PROXY
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

_ANY = "0.0.0.0"


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
def _looked_up(view: View, caller: scope.Caller) -> tuple[Service, ...]:
    """The services whose hosts a request names."""
    return tuple(one for one in scope.of_caller(view, caller).services() if is_dynamic(one))


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
    shared: dict[tuple[str, int], Shared] = {}
    egress = [one for one in scope.of_caller(view, client.caller).egress if not _is_own(one)]
    for each in egress:
        # Of services that cannot be told apart the oldest stays.
        for service in sorted(each.services, key=lambda one: (one.created, one.host)):
            for port in service.ports:
                if port.protocol != "udp" and dynamic_dns.has(service, port):
                    _add(view, shared, service, port, client, reporting)
    elsewhere = _elsewhere(view, client, reporting)
    found: dict[str, Listener] = {}
    for (address, number), one in shared.items():
        if one.chains:
            name = f"{address}_{number}"
            found[name] = one.listener(_listener(name, address, number), elsewhere)
            found[name].bind_to_port.value = False
            wait(view, found[name])
    found |= {one.name: one for one in _of_sidecar(view, client, reporting)}
    return [found[name] for name in sorted(found)]


def _add(
    view: View,
    shared: dict[tuple[str, int], Shared],
    service: Service,
    port: Port,
    client: Client,
    reporting: Reporting,
) -> None:
    """A port of a service to the listeners by which it is reached. A port that does not say its
    protocol is looked at: HTTP gets routes, all else goes where TLS and TCP routes say, or to the
    service."""
    any_address = shared.setdefault((_ANY, port.number), Shared())

    def requests(*, grpc_web: bool = False) -> FilterChain:
        called = _looked_up(view, client.caller)
        last = dynamic_dns.http_filters(called, port.number, client.settings)
        prefix = f"outbound_{_ANY}_{port.number}"
        return _http_chain(view, prefix, client, reporting, grpc_web=grpc_web, last=last)

    if protocols.is_http(port.protocol):
        any_address.add_http(partial(requests, grpc_web=port.protocol == "grpc-web"))
        return
    sniffed = port.protocol == "auto"
    for address in _virtual_addresses(view, service, port):
        alone = shared.setdefault((address, port.number), Shared())
        if sniffed:
            prefix, routes = f"outbound_{address}_{port.number}", f"{service.host}:{port.number}"
            alone.add_http(partial(_http_chain, view, prefix, client, reporting, routes))
        alone.add_alone(_forwards(view, service, port, client, reporting))
    if sniffed and service.headless:
        return
    if not service.addresses or any("/" in one for one in service.addresses):
        chains = _forwards(view, service, port, client, reporting)
        any_address.add(view, service, port, chains)
        if sniffed:
            any_address.add_http(requests)


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
            last = dynamic_dns.http_filters(egress.services, 0, client.settings)
            built.filter_chains.append(
                _http_chain(view, f"outbound_{name}", client, reporting, routes, last=last)
            )
        else:
            # Several services share it as far as SNI and addresses tell them apart; of what does
            # not say whom it is for the first has all.
            shared = Shared()
            protocol = protocols.of_name(egress.protocol)
            for service in egress.services:
                for port in service.ports:
                    if port.protocol == "udp" or not dynamic_dns.has(service, port):
                        continue
                    spoken = replace(port, protocol=protocol)
                    shared.add_alone(_forwards(view, service, spoken, client, reporting))
            if not shared.chains:
                continue
            built = _listener(name, bind, egress.port)
            shared.listener(built, _elsewhere(view, client, reporting))
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
        called = _looked_up(view, client.caller)
        last = dynamic_dns.http_filters(called, 0, client.settings)
        built.filter_chains.append(
            _http_chain(view, f"outbound_{built.name}", client, reporting, HTTP_PROXY, last=last)
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
    last: Sequence[hcm.HttpFilter] = (),
) -> FilterChain:
    """HTTP; the routes of a port have its number, which ends the prefix."""
    given = client.settings
    connection = manager.manager(
        view, stat_prefix, (), reporting, given, grpc_web=grpc_web, last=last
    )
    name = routes or stat_prefix.rpartition("_")[2]
    connection.rds.CopyFrom(hcm.Rds(config_source=ADS, route_config_name=name))
    return FilterChain(filters=[manager.network_filter(manager.NAME, connection)])


def _elsewhere(view: View, client: Client, reporting: Reporting) -> FilterChain:
    """What no other chain of a listener takes goes on as if there were no service on the port."""
    cluster = anywhere_else.cluster(view, client)
    return FilterChain(
        name="PassthroughFilterChain", filters=_tcp(view, cluster, client, reporting)
    )


def _forwards(
    view: View, service: Service, port: Port, client: Client, reporting: Reporting
) -> list[FilterChain]:
    """Bytes to a service: by the TLS routes (on ports of TLS) or the TCP routes of all its
    VirtualServices, or all of them. As in Istio, SNI that no TLS route names does not go to the
    service then, and TCP routes for some addresses leave the others to it."""
    chains = []
    by_name = protocols.is_tls(port.protocol)
    routes = layer4.of_tls if by_name else layer4.of_tcp
    seen: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    for key in select.all_for_host(view, client.caller, service.host):
        for one in routes(view, key, port.number, client):
            if (one.server_names, one.subnets) in seen:
                # An earlier match has these connections.
                continue
            seen.add((one.server_names, one.subnets))
            forward = manager.tcp_proxy(view, one.clusters, reporting, one.stat_prefix, client)
            chain = FilterChain(filters=forward)
            chain.filter_chain_match.server_names.extend(one.server_names)
            chain.filter_chain_match.prefix_ranges.extend(cidr(subnet) for subnet in one.subnets)
            chains.append(chain)
            if not (one.server_names or one.subnets):
                return chains
    if by_name and chains:
        return chains
    cluster = names.outbound(port.number, "", service.host)
    looks_up = dynamic_dns.network_filters(service, port, client.settings)
    clusters = ((cluster, 100),)
    forward = manager.tcp_proxy(view, clusters, reporting, client=client, last=looks_up)
    chain = FilterChain(filters=forward)
    if looks_up:
        chain.filter_chain_match.server_names.append(service.host)
    chains.append(chain)
    return chains


def _tcp(view: View, cluster: str, client: Client, reporting: Reporting) -> list[Filter]:
    return manager.tcp_proxy(view, ((cluster, 100),), reporting, client=client)


def _virtual_addresses(view: View, service: Service, port: Port) -> tuple[str, ...]:
    if service.headless and port.protocol == "auto":
        # What a pod is sent is looked at, so each has a listener: blocks of addresses would be
        # compared before what it is.
        hosts = services.endpoints(view, service, port.number)
        return tuple(dict.fromkeys(one.address for one in hosts if is_ip(one.address)))
    given = tuple(one for one in service.addresses if "/" not in one)
    if given or service.addresses:
        return given
    return (service.auto_address,) if service.auto_address else ()
