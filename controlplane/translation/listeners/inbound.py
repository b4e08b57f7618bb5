"""Listeners for what the workload receives."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from envoy.config.core.v3.base_pb2 import TrafficDirection, TransportSocket
from envoy.config.listener.v3.listener_components_pb2 import (
    Filter,
    FilterChain,
    FilterChainMatch,
    ListenerFilter,
    ListenerFilterChainMatchPredicate,
)
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from envoy.extensions.filters.listener.original_src.v3.original_src_pb2 import OriginalSrc
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext

from controlplane.registry import inbound, mesh, protocols
from controlplane.registry.inbound import Inbound
from controlplane.registry.proxies import Names
from controlplane.registry.workloads import Labels
from controlplane.resources.common.tls import ServerTLSSettings
from controlplane.resources.mesh_config.proxy_config import SetCurrentClientCertDetails
from controlplane.resources.peer_authentication.translate import Mode, mode, ports_with_mode
from controlplane.resources.telemetry.select import Reporting, reporting
from controlplane.translation import names, settings
from controlplane.translation.listeners import (
    access_log,
    addresses,
    authorization,
    checks,
    istio,
    manager,
)
from controlplane.translation.listeners.addresses import Capture
from controlplane.translation.listeners.sniffing import (
    PLAIN_HTTP,
    http_inspector,
    tls_inspector,
    wait,
)
from controlplane.translation.pack import any_of, packed
from controlplane.translation.routes import inbound as routes
from controlplane.translation.server_tls import server_context
from controlplane.translation.settings import Settings
from controlplane.translation.tls import (
    MESH_ALPN,
    MESH_HTTP_ALPN,
    MESH_TCP_ALPN,
    socket,
    workload_context,
)
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

_ANY = "0.0.0.0"
#: Of packets that leave for the application in its clients' names, which iptables rules know.
_MARK = 1337
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
    called: Names,
    labels: Labels,
    capture: Capture,
    given: Settings,
) -> tuple[Encoded, ...]:
    """One for everything that iptables brings, or one for each port (mode NONE)."""
    offers = {
        one.port: one for one in inbound.ports(view, namespace, called, labels, (capture.address,))
    }
    requests = checks.http_filters(view, namespace, labels)
    connections = authorization.network_filters(view, namespace, labels)
    to = reporting(view, namespace, labels, "SERVER", given.runs)
    exchange = istio.network_exchange(to)
    chains: list[FilterChain] = []
    opened: dict[int, list[FilterChain]] = {}
    for port, offer in offers.items():
        as_bytes = [*exchange, *connections, *_tcp(view, names.inbound(port), to, given)]
        held = mode(view, namespace, labels, port)
        as_requests = [_http(view, offer, requests, to, given)]
        name = f"{(offer.bind or capture.address) if offer.listed else _ANY}_{port}"
        if offer.tls is not None and held == "DISABLE":
            http = offer.protocol == "https"
            filters = as_requests if http else as_bytes
            opened[port] = [_ended(view, name, offer.tls, filters, http=http)]
        elif offer.protocol == "auto":
            opened[port] = _sniffed(view, name, name, held, as_requests, as_bytes)
        elif protocols.is_http(offer.protocol):
            opened[port] = _secured(view, name, held, as_requests, http=True)
        else:
            opened[port] = _secured(view, name, held, as_bytes, http=False)
        if not offer.opened:
            chains += _for_port(port, opened[port])
    bound = tuple(
        _one(_opened(view, offer, opened[port], capture, to))
        for port, offer in offers.items()
        if offer.opened or capture.mode == "NONE"
    )
    if capture.mode == "NONE":
        return bound
    # Ports that belong to no service are the application's too, and no way around the policies.
    anything = [*exchange, *connections, *_tcp(view, names.INBOUND_PASSTHROUGH, to, given)]
    anybody = [
        _manager(view, names.INBOUND_PASSTHROUGH, routes.anywhere(view), requests, to, given)
    ]
    anywhere = partial(_sniffed, view, "virtualInbound", "virtualInbound-catchall-http")
    for port in sorted(ports_with_mode(view, namespace, labels) - offers.keys()):
        held = mode(view, namespace, labels, port)
        chains += _for_port(port, anywhere(held, anybody, anything))
    chains += anywhere(mode(view, namespace, labels, 0), anybody, anything)
    return (_one(_virtual(view, chains, to, given, capture)), *bound)


def _one(listener: Listener) -> Encoded:
    return encoded(listener.name, packed(listener))


def _virtual(
    view: View,
    chains: Iterable[FilterChain],
    to: Reporting,
    given: Settings,
    capture: Capture,
) -> Listener:
    port = mesh.config(view).proxy_inbound_listen_port
    built = _listener("virtualInbound", "0.0.0.0", port)
    built.use_original_dst.value = False
    built.listener_filters.insert(
        0,
        ListenerFilter(
            name="envoy.filters.listener.original_dst", typed_config=any_of(OriginalDst())
        ),
    )
    if capture.mode == "TPROXY":
        # The application sees who called.
        built.transparent.value = True
        source = OriginalSrc(mark=_MARK)
        name = "envoy.filters.listener.original_src"
        built.listener_filters.insert(1, ListenerFilter(name=name, typed_config=any_of(source)))
    built.filter_chains.append(
        FilterChain(
            name="virtualInbound-blackhole",
            filter_chain_match=FilterChainMatch(destination_port={"value": port}),
            filters=_tcp(view, names.BLACK_HOLE, to, given),
        )
    )
    built.filter_chains.extend(chains)
    _inspect(built)
    wait(view, built)
    built.access_log.extend(access_log.of_listener(view, to))
    return built


def _opened(
    view: View, offer: Inbound, chains: Iterable[FilterChain], capture: Capture, to: Reporting
) -> Listener:
    bind = offer.bind or capture.address
    built = _listener(f"{bind}_{offer.port}", bind, offer.port)
    built.filter_chains.extend(chains)
    _inspect(built)
    wait(view, built)
    built.access_log.extend(access_log.of_listener(view, to))
    return built


def _inspect(listener: Listener) -> None:
    """Looks at the first bytes on those ports where a chain depends on it: it costs a wait for
    them, which servers that speak first would never end."""
    tls: dict[int, bool] = {}
    http: dict[int, bool] = {}
    for chain in listener.filter_chains:
        match = chain.filter_chain_match
        port = match.destination_port.value
        tls[port] = tls.get(port, False) or match.transport_protocol == "tls"
        plain = any(one in PLAIN_HTTP for one in match.application_protocols)
        http[port] = http.get(port, False) or plain
    for inspector, wanted in ((tls_inspector(), tls), (http_inspector(), http)):
        if not any(wanted.values()):
            continue
        # Port 0 is all ports that no chain names.
        others = wanted.get(0, False)
        apart = sorted(port for port, asked in wanted.items() if port and asked != others)
        if apart:
            inspector.filter_disabled.CopyFrom(_ports(apart, besides=not others))
        listener.listener_filters.append(inspector)


def _ports(numbers: list[int], *, besides: bool) -> ListenerFilterChainMatchPredicate:
    """Connections to these ports, or to all but these."""
    each = [ListenerFilterChainMatchPredicate() for _ in numbers]
    for one, number in zip(each, numbers, strict=True):
        one.destination_port_range.start = number
        one.destination_port_range.end = number + 1
    found = each[0]
    if len(each) > 1:
        found = ListenerFilterChainMatchPredicate()
        found.or_match.rules.extend(each)
    if not besides:
        return found
    return ListenerFilterChainMatchPredicate(not_match=found)


def _listener(name: str, address: str, port: int) -> Listener:
    return Listener(
        name=name,
        address=addresses.socket_address(address, port),
        traffic_direction=TrafficDirection.INBOUND,
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
    *,
    http: bool,
    alpn: tuple[str, ...] = MESH_ALPN,
) -> list[FilterChain]:
    """The chains of one port by its mode. TLS that is not the mesh's, which `alpn` tells, is for
    the application to end, unless it is one of HTTP, whose requests must be seen."""
    if mode == "DISABLE":
        return [FilterChain(name=name, filters=filters)]
    mutual = FilterChain(
        name=name,
        filters=filters,
        transport_socket=_tls(view, _HTTP_ALPN if http else _bytes_alpn(filters)),
    )
    mutual.filter_chain_match.transport_protocol = "tls"
    if mode == "STRICT":
        return [mutual]
    mutual.filter_chain_match.application_protocols.extend(alpn)
    plain = FilterChain(name=name, filters=filters)
    plain.filter_chain_match.transport_protocol = "raw_buffer"
    if http:
        return [mutual, plain]
    foreign = FilterChain(name=name, filters=filters)
    foreign.filter_chain_match.transport_protocol = "tls"
    return [mutual, plain, foreign]


def _ended(
    view: View, name: str, given: ServerTLSSettings, filters: list[Filter], *, http: bool
) -> FilterChain:
    """TLS of clients outside of the mesh, that a Sidecar resource ends with its own certificates:
    plaintext is not taken, as in Istio."""
    context = DownstreamTlsContext(
        common_tls_context=server_context(view, given, _HTTP_ALPN if http else ())
    )
    context.require_client_certificate.value = given.mode == "MUTUAL"
    chain = FilterChain(name=name, filters=filters, transport_socket=socket(context))
    chain.filter_chain_match.transport_protocol = "tls"
    return chain


def _sniffed(
    view: View,
    name: str,
    name_of_requests: str,
    mode: Mode,
    as_requests: list[Filter],
    as_bytes: list[Filter],
) -> list[FilterChain]:
    """The chains of a port whose protocol is found out: inside mutual TLS by what the client's
    sidecar says in ALPN, in plaintext from the first bytes (`http_inspector`)."""
    requests = FilterChain(
        name=name_of_requests, filters=as_requests, transport_socket=_tls(view, _HTTP_ALPN)
    )
    requests.filter_chain_match.transport_protocol = "tls"
    requests.filter_chain_match.application_protocols.extend(MESH_HTTP_ALPN)
    found = [] if mode == "DISABLE" else [requests]
    if mode != "STRICT":
        plain = FilterChain(name=name_of_requests, filters=as_requests)
        plain.filter_chain_match.transport_protocol = "raw_buffer"
        plain.filter_chain_match.application_protocols.extend(PLAIN_HTTP)
        found.append(plain)
    others = _secured(view, name, mode, as_bytes, http=False, alpn=MESH_TCP_ALPN)
    if mode == "DISABLE":
        # Who says nothing is never asked once another chain says what this one would have said.
        others[0].filter_chain_match.transport_protocol = "raw_buffer"
    return found + others


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
    given = mesh.config(view).mesh_mtls
    if given is not None:
        params = context.common_tls_context.tls_params
        params.cipher_suites.extend(given.cipher_suites)
        if given.min_protocol_version == "TLSV1_3":
            params.tls_minimum_protocol_version = params.TLSv1_3
    return socket(context)


def _http(
    view: View, offer: Inbound, before: list[hcm.HttpFilter], to: Reporting, given: Settings
) -> Filter:
    prefix = f"inbound_0.0.0.0_{offer.port}"
    found = routes.configuration(view, offer)
    web = offer.protocol == "grpc-web"
    return _manager(view, prefix, found, before, to, given, grpc_web=web)


def _manager(
    view: View,
    prefix: str,
    route_config: RouteConfiguration,
    before: list[hcm.HttpFilter],
    to: Reporting,
    given: Settings,
    *,
    grpc_web: bool = False,
) -> Filter:
    connection = manager.manager(
        view, prefix, before, to, given, manager.SERVER_NAME, grpc_web=grpc_web
    )
    wanted = settings.headers(view, given)
    forward = wanted.forwarded_client_cert
    connection.forward_client_cert_details = (
        hcm.HttpConnectionManager.ForwardClientCertDetails.Value(
            "APPEND_FORWARD" if forward == "UNDEFINED" else forward
        )
    )
    said = wanted.set_current_client_cert_details or SetCurrentClientCertDetails()
    details = connection.set_current_client_cert_details
    details.subject.value = said.subject is not False
    details.uri = said.uri is not False
    details.dns = said.dns is not False
    details.cert = bool(said.cert)
    details.chain = bool(said.chain)
    connection.route_config.CopyFrom(route_config)
    return manager.network_filter(manager.NAME, connection)


def _tcp(view: View, cluster: str, to: Reporting, given: Settings) -> list[Filter]:
    return manager.tcp_proxy(view, ((cluster, 100),), to, given=given)
