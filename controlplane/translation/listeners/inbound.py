"""Listeners for what the workload receives."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import TrafficDirection, TransportSocket
from envoy.config.listener.v3.listener_components_pb2 import (
    Filter,
    FilterChain,
    FilterChainMatch,
    ListenerFilter,
)
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext

from controlplane.registry import inbound, mesh, protocols
from controlplane.registry.inbound import Inbound
from controlplane.registry.workloads import Labels
from controlplane.resources.peer_authentication.translate import Mode, mode, ports_with_mode
from controlplane.resources.telemetry.select import Reporting, reporting
from controlplane.translation import names
from controlplane.translation.listeners import addresses, authorization, checks, istio, manager
from controlplane.translation.listeners.addresses import Capture
from controlplane.translation.listeners.sniffing import PLAIN_HTTP, http_inspector, tls_inspector
from controlplane.translation.pack import any_of, packed
from controlplane.translation.routes import inbound as routes
from controlplane.translation.tls import socket, workload_context
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

#: What sidecars say in ALPN when they speak mutual TLS to each other.
_MESH_TCP_ALPN = (istio.PEER_EXCHANGE, "istio")
_MESH_HTTP_ALPN = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
_MESH_ALPN = (*_MESH_TCP_ALPN, *_MESH_HTTP_ALPN)
_HTTP_ALPN = ["h2", "http/1.1"]
_TCP_ALPN = ["h2", "http/1.1"]


@query
def listeners(
    view: View,
    namespace: str,
    workload: str,
    labels: Labels,
    capture: Capture,
    runs: tuple[str, ...],
) -> tuple[Encoded, ...]:
    """One for everything that iptables brings, or one for each port (mode NONE)."""
    offers = {
        one.port: one
        for one in inbound.ports(view, namespace, workload, labels, (capture.address,))
    }
    requests = checks.http_filters(view, namespace, labels)
    connections = authorization.network_filters(view, namespace, labels)
    to = reporting(view, namespace, labels, "SERVER", runs)
    exchange = istio.network_exchange(to)
    chains: list[FilterChain] = []
    opened: dict[int, list[FilterChain]] = {}
    for port, offer in offers.items():
        as_bytes = [*exchange, *connections, *_tcp(view, names.inbound(port), to)]
        held = mode(view, namespace, labels, port)
        as_requests = [_http(view, offer, requests, to)]
        if offer.protocol == "auto":
            opened[port] = _sniffed(view, str(port), held, as_requests, as_bytes)
        elif protocols.is_http(offer.protocol):
            opened[port] = _secured(view, str(port), held, as_requests, as_bytes, http=True)
        else:
            opened[port] = _secured(view, str(port), held, as_bytes, as_bytes, http=False)
        if not offer.opened:
            chains += _for_port(port, opened[port])
    bound = tuple(
        _one(_opened(offer, opened[port], capture))
        for port, offer in offers.items()
        if offer.opened or capture.mode == "NONE"
    )
    if capture.mode == "NONE":
        return bound
    # Ports that belong to no service are the application's too, and no way around the policies.
    anywhere = [*exchange, *connections, *_tcp(view, names.INBOUND_PASSTHROUGH, to)]
    for port in sorted(ports_with_mode(view, namespace, labels) - offers.keys()):
        held = mode(view, namespace, labels, port)
        chains += _for_port(port, _secured(view, str(port), held, anywhere, anywhere, http=False))
    held = mode(view, namespace, labels, 0)
    chains += _secured(view, "virtualInbound-catchall", held, anywhere, anywhere, http=False)
    return (_one(_virtual(view, chains, to)), *bound)


def _one(listener: Listener) -> Encoded:
    return encoded(listener.name, packed(listener))


def _virtual(view: View, chains: Iterable[FilterChain], to: Reporting) -> Listener:
    built = _listener("virtualInbound", "0.0.0.0", addresses.INBOUND_PORT)
    built.use_original_dst.value = False
    built.listener_filters.insert(
        0,
        ListenerFilter(
            name="envoy.filters.listener.original_dst", typed_config=any_of(OriginalDst())
        ),
    )
    built.filter_chains.append(
        FilterChain(
            name="virtualInbound-blackhole",
            filter_chain_match=FilterChainMatch(destination_port={"value": addresses.INBOUND_PORT}),
            filters=_tcp(view, names.BLACK_HOLE, to),
        )
    )
    built.filter_chains.extend(chains)
    _inspect_http(built)
    return built


def _opened(offer: Inbound, chains: Iterable[FilterChain], capture: Capture) -> Listener:
    bind = offer.bind or capture.address
    built = _listener(f"{bind}_{offer.port}", bind, offer.port)
    built.filter_chains.extend(chains)
    _inspect_http(built)
    return built


def _inspect_http(listener: Listener) -> None:
    """Looks at the first bytes, where a chain depends on it: it costs a wait for them."""
    asked = any(
        one in PLAIN_HTTP
        for chain in listener.filter_chains
        for one in chain.filter_chain_match.application_protocols
    )
    if asked:
        listener.listener_filters.append(http_inspector())


def _listener(name: str, address: str, port: int) -> Listener:
    return Listener(
        name=name,
        address=addresses.socket_address(address, port),
        traffic_direction=TrafficDirection.INBOUND,
        listener_filters=[tls_inspector()],
    )


def _for_port(port: int, chains: list[FilterChain]) -> list[FilterChain]:
    found = []
    for chain in chains:
        one = FilterChain()
        one.CopyFrom(chain)
        one.filter_chain_match.destination_port.value = port
        found.append(one)
    return found


def _secured(
    view: View,
    name: str,
    mode: Mode,
    filters: list[Filter],
    as_bytes: list[Filter],
    *,
    http: bool,
    alpn: tuple[str, ...] = _MESH_ALPN,
) -> list[FilterChain]:
    """The chains of one port by its mode. `as_bytes`: for TLS that is not the mesh's, which the
    application ends itself; `alpn`: what tells the mesh's from it."""
    if mode == "DISABLE":
        return [FilterChain(name=f"{name}-plain", filters=filters)]
    mutual = FilterChain(
        name=f"{name}-mtls",
        filters=filters,
        transport_socket=_tls(view, _HTTP_ALPN if http else _bytes_alpn(filters)),
    )
    mutual.filter_chain_match.transport_protocol = "tls"
    if mode == "STRICT":
        return [mutual]
    mutual.filter_chain_match.application_protocols.extend(alpn)
    plain = FilterChain(name=f"{name}-plain", filters=filters)
    plain.filter_chain_match.transport_protocol = "raw_buffer"
    foreign = FilterChain(name=f"{name}-tls", filters=as_bytes)
    foreign.filter_chain_match.transport_protocol = "tls"
    return [mutual, plain, foreign]


def _sniffed(
    view: View, name: str, mode: Mode, as_requests: list[Filter], as_bytes: list[Filter]
) -> list[FilterChain]:
    """The chains of a port whose protocol is found out: inside mutual TLS by what the client's
    sidecar says in ALPN, in plaintext from the first bytes (`http_inspector`)."""
    requests = FilterChain(
        name=f"{name}-mtls-http", filters=as_requests, transport_socket=_tls(view, _HTTP_ALPN)
    )
    requests.filter_chain_match.transport_protocol = "tls"
    requests.filter_chain_match.application_protocols.extend(_MESH_HTTP_ALPN)
    found = [] if mode == "DISABLE" else [requests]
    if mode != "STRICT":
        plain = FilterChain(name=f"{name}-plain-http", filters=as_requests)
        plain.filter_chain_match.transport_protocol = "raw_buffer"
        plain.filter_chain_match.application_protocols.extend(PLAIN_HTTP)
        found.append(plain)
    return found + _secured(view, name, mode, as_bytes, as_bytes, http=False, alpn=_MESH_TCP_ALPN)


def _bytes_alpn(filters: list[Filter]) -> list[str]:
    """Introductions are agreed to only where they are understood: others would take them for what
    the application gets."""
    introduces = any(one.name == istio.EXCHANGE_NAME for one in filters)
    return [istio.PEER_EXCHANGE, *_TCP_ALPN] if introduces else _TCP_ALPN


def _tls(view: View, alpn: list[str]) -> TransportSocket:
    context = DownstreamTlsContext(
        common_tls_context=workload_context(alpn, (), mesh.trust_domains(view))
    )
    context.require_client_certificate.value = True
    return socket(context)


def _http(view: View, offer: Inbound, before: list[hcm.HttpFilter], to: Reporting) -> Filter:
    details = hcm.HttpConnectionManager.SetCurrentClientCertDetails(dns=True, uri=True)
    details.subject.value = True
    connection = manager.manager(view, f"inbound_0.0.0.0_{offer.port}", before, to)
    connection.forward_client_cert_details = hcm.HttpConnectionManager.APPEND_FORWARD
    connection.set_current_client_cert_details.CopyFrom(details)
    connection.server_name = "istio-envoy"
    connection.route_config.CopyFrom(routes.configuration(offer.service_port, offer.port))
    return manager.network_filter(manager.NAME, connection)


def _tcp(view: View, cluster: str, to: Reporting) -> list[Filter]:
    return manager.tcp_proxy(view, ((cluster, 100),), to)
