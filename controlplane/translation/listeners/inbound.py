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
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext

from controlplane.registry import protocols, proxies
from controlplane.registry.proxies import Offer
from controlplane.registry.workloads import Labels
from controlplane.resources.peer_authentication.translate import mode
from controlplane.translation import names
from controlplane.translation.listeners import addresses, authorization, manager
from controlplane.translation.listeners.addresses import Capture
from controlplane.translation.pack import any_of, packed
from controlplane.translation.routes import inbound as routes
from controlplane.translation.tls import workload_context
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

#: What sidecars say in ALPN when they speak mutual TLS to each other.
_MESH_ALPN = ("istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")
_HTTP_ALPN = ["h2", "http/1.1"]
_TCP_ALPN = ["istio-peer-exchange", "h2", "http/1.1"]


@query
def listeners(
    view: View, namespace: str, workload: str, labels: Labels, capture: Capture
) -> tuple[Encoded, ...]:
    """One for everything that iptables brings, or one for each port (mode NONE)."""
    found = proxies.offers(view, namespace, workload, labels, (capture.address,))
    offers = {one.target: one for one in reversed(found)}
    http = authorization.http_filters(view, namespace, labels)
    tcp = authorization.network_filters(view, namespace, labels)
    chains = {
        port: _chains(one, mode(view, namespace, labels, port), http, tcp)
        for port, one in offers.items()
    }
    if capture.mode != "NONE":
        return (_one(_virtual(chains, tcp)),)
    return tuple(_one(_opened(port, chains[port], capture)) for port in sorted(chains))


def _one(listener: Listener) -> Encoded:
    return encoded(listener.name, packed(listener))


def _virtual(chains: dict[int, list[FilterChain]], checks: list[Filter]) -> Listener:
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
            filters=[_tcp(names.BLACK_HOLE)],
        )
    )
    for port in sorted(chains):
        for chain in chains[port]:
            chain.filter_chain_match.destination_port.value = port
            built.filter_chains.append(chain)
    built.filter_chains.append(
        FilterChain(name="virtualInbound-catchall-tcp", filters=[_tcp(names.INBOUND_PASSTHROUGH)])
    )
    return built


def _opened(port: int, chains: Iterable[FilterChain], capture: Capture) -> Listener:
    built = _listener(f"{capture.address}_{port}", capture.address, port)
    built.filter_chains.extend(chains)
    return built


def _listener(name: str, address: str, port: int) -> Listener:
    return Listener(
        name=name,
        address=addresses.socket_address(address, port),
        traffic_direction=TrafficDirection.INBOUND,
        listener_filters=[
            ListenerFilter(
                name="envoy.filters.listener.tls_inspector", typed_config=any_of(TlsInspector())
            )
        ],
    )


def _chains(
    offer: Offer, mode: str, http_checks: list[hcm.HttpFilter], checks: list[Filter]
) -> list[FilterChain]:
    """The chains of one port: mutual TLS, plaintext, or both."""
    http = protocols.is_http(offer.port.protocol)
    as_bytes = [*checks, _tcp(names.inbound(offer.target))]
    filters = [_http(offer, http_checks)] if http else as_bytes
    found = []
    if mode != "DISABLE":
        chain = FilterChain(filters=filters, transport_socket=_tls(http))
        chain.filter_chain_match.transport_protocol = "tls"
        if mode == "PERMISSIVE":
            # Other TLS is the application's own: it is passed on as it is.
            chain.filter_chain_match.application_protocols.extend(_MESH_ALPN)
        found.append(chain)
    if mode != "STRICT":
        plain = FilterChain(filters=filters)
        plain.filter_chain_match.transport_protocol = "raw_buffer"
        found.append(plain)
        if mode == "PERMISSIVE":
            foreign = FilterChain(filters=as_bytes)
            foreign.filter_chain_match.transport_protocol = "tls"
            found.append(foreign)
    for chain, kind in zip(found, ("mtls", "plain", "tls"), strict=False):
        chain.name = f"{offer.target}-{kind}"
    return found


def _tls(http: bool) -> TransportSocket:
    context = DownstreamTlsContext(
        common_tls_context=workload_context(_HTTP_ALPN if http else _TCP_ALPN, ())
    )
    context.require_client_certificate.value = True
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=any_of(context))


def _http(offer: Offer, checks: list[hcm.HttpFilter]) -> Filter:
    details = hcm.HttpConnectionManager.SetCurrentClientCertDetails(dns=True, uri=True)
    details.subject.value = True
    connection = manager.manager(f"inbound_0.0.0.0_{offer.target}", checks)
    connection.forward_client_cert_details = hcm.HttpConnectionManager.APPEND_FORWARD
    connection.set_current_client_cert_details.CopyFrom(details)
    connection.server_name = "istio-envoy"
    connection.route_config.CopyFrom(routes.configuration(offer.port.number, offer.target))
    return manager.network_filter(manager.NAME, connection)


def _tcp(cluster: str) -> Filter:
    return manager.network_filter(
        "envoy.filters.network.tcp_proxy", TcpProxy(stat_prefix=cluster, cluster=cluster)
    )
