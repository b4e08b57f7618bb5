"""Listeners of a gateway: one for each port, with a filter chain for each server that ends TLS."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import TrafficDirection, TransportSocket
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.listener.proxy_protocol.v3.proxy_protocol_pb2 import ProxyProtocol
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    DownstreamTlsContext,
)

from controlplane.registry.scope import Caller
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule.select import relevant
from controlplane.resources.gateway.select import Opened
from controlplane.resources.telemetry.select import Reporting, reporting
from controlplane.resources.virtual_service import layer4
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation.clusters.outbound import ADS
from controlplane.translation.east_west import of_server
from controlplane.translation.gateways import (
    Gate,
    ends_tls,
    is_http,
    is_passed_on,
    route_name,
)
from controlplane.translation.listeners import access_log, addresses, authorization, checks, manager
from controlplane.translation.listeners.sniffing import tls_inspector
from controlplane.translation.pack import any_of, packed
from controlplane.translation.server_tls import server_context
from controlplane.translation.settings import Settings, connections, proxy_config
from controlplane.translation.tls import MESH_ALPN, socket, workload_context
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

_ALPN = ("h2", "http/1.1")
_SETS_DETAILS = frozenset(
    {hcm.HttpConnectionManager.APPEND_FORWARD, hcm.HttpConnectionManager.SANITIZE_SET}
)


@query
def listeners(
    view: View, gates: tuple[Gate, ...], namespace: str, labels: Labels, given: Settings
) -> tuple[Encoded, ...]:
    """All ports. `labels`: all of the proxy's, because policies select by them."""
    to = reporting(view, namespace, labels, "CLIENT", given.runs)
    found = []
    for gate in gates:
        built = _listener(view, gate, given)
        built.filter_chains.extend(_chains(view, gate, namespace, labels, given, to))
        # A listener without chains is refused; nothing is bound to a port of TCP yet.
        if built.filter_chains:
            built.access_log.extend(access_log.of_listener(view, to))
            found.append(encoded(built.name, packed(built)))
    return tuple(found)


def _listener(view: View, gate: Gate, given: Settings) -> Listener:
    address = gate.bind or "0.0.0.0"
    built = Listener(
        name=f"{address}_{gate.target}",
        address=addresses.bound(address, gate.target),
        traffic_direction=TrafficDirection.OUTBOUND,
    )
    limit = connections(view, given).listener_per_connection_buffer_limit_bytes
    if limit is not None:
        built.per_connection_buffer_limit_bytes.value = limit
    topology = proxy_config(view, given).gateway_topology
    if topology is not None and topology.proxy_protocol is not None:
        # A load balancer in front says who the client is; it stands before all that looks.
        built.listener_filters.append(
            ListenerFilter(
                name="envoy.filters.listener.proxy_protocol", typed_config=any_of(ProxyProtocol())
            )
        )
    if any(one.server.port.protocol.upper() in {"HTTPS", "TLS"} for one in gate.servers):
        built.listener_filters.append(tls_inspector())
    return built


def _chains(
    view: View, gate: Gate, namespace: str, labels: Labels, given: Settings, to: Reporting
) -> list[FilterChain]:
    if gate.is_plain_http:
        # All servers share the routes, so there is one chain.
        filters = [_http(view, gate, gate.servers[0], namespace, labels, given, to)]
        return [FilterChain(filters=filters)]
    chains: list[FilterChain] = []
    taken: set[str] = set()
    for one in gate.servers:
        if is_http(one):
            chain = FilterChain(
                filters=[_http(view, gate, one, namespace, labels, given, to)],
                transport_socket=_tls(view, one),
            )
            hosts = [host for _, host in one.hosts if host not in taken]
            taken.update(hosts)
            if hosts:
                _server_names(chain, hosts)
                chains.append(chain)
        elif is_passed_on(one):
            chains += _passed_on(view, one, namespace, labels, given, taken)
        else:
            chains += _tcp(view, one, namespace, labels, given, to, taken)
    return chains


def _server_names(chain: FilterChain, hosts: list[str]) -> None:
    if "*" not in hosts:
        chain.filter_chain_match.server_names.extend(hosts)


def _http(
    view: View,
    gate: Gate,
    one: Opened,
    namespace: str,
    labels: Labels,
    given: Settings,
    to: Reporting,
) -> Filter:
    name = route_name(gate, one)
    before = checks.http_filters(view, namespace, labels, gateway=True)
    prefix = f"outbound_{gate.bind or '0.0.0.0'}_{gate.target}"
    if ends_tls(one) and one.server.name:
        prefix = one.server.name
    web = one.server.port.protocol.upper() == "GRPC-WEB"
    built = manager.manager(view, prefix, before, to, given, manager.SERVER_NAME, grpc_web=web)
    if built.HasField("tracing"):
        # The client's span and that of the call behind are two, as in Istio.
        built.tracing.spawn_upstream_span.value = True
    # The edge of the mesh: the client is whoever connects, whatever headers say.
    built.use_remote_address.value = True
    built.forward_client_cert_details = hcm.HttpConnectionManager.SANITIZE_SET
    topology = proxy_config(view, given).gateway_topology
    if topology is not None:
        built.xff_num_trusted_hops = topology.num_trusted_proxies
        if topology.forward_client_cert_details != "UNDEFINED":
            built.forward_client_cert_details = (
                hcm.HttpConnectionManager.ForwardClientCertDetails.Value(
                    topology.forward_client_cert_details
                )
            )
    if built.forward_client_cert_details in _SETS_DETAILS:
        built.set_current_client_cert_details.subject.value = True
        built.set_current_client_cert_details.cert = True
        built.set_current_client_cert_details.dns = True
        built.set_current_client_cert_details.uri = True
    built.rds.CopyFrom(hcm.Rds(config_source=ADS, route_config_name=name))
    return manager.network_filter(manager.NAME, built)


def _tcp(
    view: View,
    one: Opened,
    namespace: str,
    labels: Labels,
    given: Settings,
    to: Reporting,
    taken: set[str],
) -> list[FilterChain]:
    """Bytes: by SNI where TLS is passed on, otherwise by the one route of the port, for the hosts
    of the server where TLS ends here."""
    client = Client(Caller(namespace), labels, (one.name,), given)
    before = authorization.network_filters(view, namespace, labels)
    passes = one.server.tls is not None and not ends_tls(one)
    chains = []
    for route in layer4.of_gateway(view, one, one.server.port.number, client, by_name=passes):
        names = [name for name in route.server_names if name not in taken]
        if ends_tls(one):
            names = [host for _, host in one.hosts if host not in taken]
        if one.server.tls is not None and not names:
            continue
        taken.update(names)
        forward = manager.tcp_proxy(view, route.clusters, to, route.stat_prefix, client)
        chain = FilterChain(filters=[*before, *forward])
        _server_names(chain, names or ["*"])
        if ends_tls(one):
            chain.transport_socket.CopyFrom(_tls(view, one))
        chains.append(chain)
    return chains


def _passed_on(
    view: View, one: Opened, namespace: str, labels: Labels, given: Settings, taken: set[str]
) -> list[FilterChain]:
    """A chain for each cluster, by SNI. Only the mesh's own TLS: what speaks something else has no
    business behind the gateway. No policies: who calls is seen where TLS ends."""
    to = reporting(view, namespace, labels, "CLIENT", given.runs)
    chains = []
    for each in of_server(view, one, namespace, relevant(view, labels)):
        if each.name in taken:
            continue
        taken.add(each.name)
        forward = manager.tcp_proxy(view, ((each.name, 100),), to, given=given)
        chain = FilterChain(filters=forward)
        chain.filter_chain_match.server_names.append(each.name)
        chain.filter_chain_match.application_protocols.extend(MESH_ALPN)
        chains.append(chain)
    return chains


def _tls(view: View, one: Opened) -> TransportSocket:
    given = one.server.tls
    assert given is not None
    http = is_http(one)
    if given.mode == "ISTIO_MUTUAL":
        context = DownstreamTlsContext(
            common_tls_context=workload_context(_ALPN if http else (), given.subject_alt_names)
        )
        context.require_client_certificate.value = True
        return socket(context)
    context = DownstreamTlsContext(
        common_tls_context=server_context(view, given, _ALPN if http else ())
    )
    context.require_client_certificate.value = given.mode == "MUTUAL"
    return socket(context)
