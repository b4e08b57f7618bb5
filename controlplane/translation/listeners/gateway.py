"""Listeners of a gateway: one for each port, with a filter chain for each server that ends TLS."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import DataSource, TrafficDirection, TransportSocket
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.listener.proxy_protocol.v3.proxy_protocol_pb2 import ProxyProtocol
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    DownstreamTlsContext,
)
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from controlplane.registry import mesh
from controlplane.registry.scope import Caller
from controlplane.registry.workloads import Labels
from controlplane.resources.common.tls import ServerTLSSettings
from controlplane.resources.gateway.select import Opened
from controlplane.resources.telemetry.select import Reporting, reporting
from controlplane.resources.virtual_service import layer4
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation.clusters.outbound import ADS
from controlplane.translation.gateways import Gate, ends_tls, is_http, route_name
from controlplane.translation.listeners import addresses, authorization, checks, manager
from controlplane.translation.listeners.sniffing import tls_inspector
from controlplane.translation.pack import any_of, packed
from controlplane.translation.tls import secret, socket, workload_context
from controlplane.world.view import View, query
from controlplane.xds.translator import Encoded, encoded

_ALPN = ("h2", "http/1.1")


@query
def listeners(
    view: View,
    gates: tuple[Gate, ...],
    namespace: str,
    labels: Labels,
    runs: tuple[str, ...],
) -> tuple[Encoded, ...]:
    """All ports. `labels`: all of the proxy's, because policies select by them."""
    to = reporting(view, namespace, labels, "CLIENT", runs)
    found = []
    for gate in gates:
        built = _listener(view, gate)
        built.filter_chains.extend(_chains(view, gate, namespace, labels, to))
        # A listener without chains is refused; nothing is bound to a port of TCP yet.
        if built.filter_chains:
            found.append(encoded(built.name, packed(built)))
    return tuple(found)


def _listener(view: View, gate: Gate) -> Listener:
    address = gate.bind or "0.0.0.0"
    built = Listener(
        name=f"{address}_{gate.target}",
        address=addresses.socket_address(address, gate.target),
        traffic_direction=TrafficDirection.OUTBOUND,
    )
    topology = mesh.config(view).default_config.gateway_topology
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
    view: View, gate: Gate, namespace: str, labels: Labels, to: Reporting
) -> list[FilterChain]:
    if gate.is_plain_http:
        # All servers share the routes, so there is one chain.
        filters = [_http(view, gate, gate.servers[0], namespace, labels, to)]
        return [FilterChain(filters=filters)]
    chains: list[FilterChain] = []
    taken: set[str] = set()
    for one in gate.servers:
        if is_http(one):
            chain = FilterChain(
                filters=[_http(view, gate, one, namespace, labels, to)],
                transport_socket=_tls(one),
            )
            hosts = [host for _, host in one.hosts if host not in taken]
            taken.update(hosts)
            if hosts:
                _server_names(chain, hosts)
                chains.append(chain)
        else:
            chains += _tcp(view, gate, one, namespace, labels, to)
    return chains


def _server_names(chain: FilterChain, hosts: list[str]) -> None:
    if "*" not in hosts:
        chain.filter_chain_match.server_names.extend(hosts)


def _http(
    view: View, gate: Gate, one: Opened, namespace: str, labels: Labels, to: Reporting
) -> Filter:
    name = route_name(gate, one)
    before = checks.http_filters(view, namespace, labels, gateway=True)
    built = manager.manager(view, f"outbound_0.0.0.0_{gate.target}", before, to, gateway=True)
    if built.HasField("tracing"):
        # The client's span and that of the call behind are two, as in Istio.
        built.tracing.spawn_upstream_span.value = True
    # The edge of the mesh: the client is whoever connects, whatever headers say.
    built.use_remote_address.value = True
    built.forward_client_cert_details = hcm.HttpConnectionManager.SANITIZE_SET
    topology = mesh.config(view).default_config.gateway_topology
    if topology is not None:
        built.xff_num_trusted_hops = topology.num_trusted_proxies
        if topology.forward_client_cert_details != "UNDEFINED":
            built.forward_client_cert_details = (
                hcm.HttpConnectionManager.ForwardClientCertDetails.Value(
                    topology.forward_client_cert_details
                )
            )
    built.set_current_client_cert_details.subject.value = True
    built.set_current_client_cert_details.cert = True
    built.set_current_client_cert_details.dns = True
    built.set_current_client_cert_details.uri = True
    built.server_name = "istio-envoy"
    built.rds.CopyFrom(hcm.Rds(config_source=ADS, route_config_name=name))
    return manager.network_filter(manager.NAME, built)


def _tcp(
    view: View, gate: Gate, one: Opened, namespace: str, labels: Labels, to: Reporting
) -> list[FilterChain]:
    """Bytes: by SNI where TLS is passed on, otherwise by the one route of the port."""
    client = Client(Caller(namespace), labels, (one.name,))
    before = authorization.network_filters(view, namespace, labels)
    chains = []
    for route in layer4.routes(view, one, gate.port, client):
        forward = manager.tcp_proxy(view, route.clusters, to, route.stat_prefix, client)
        chain = FilterChain(filters=[*before, *forward])
        _server_names(chain, list(route.server_names) or ["*"])
        if ends_tls(one):
            chain.transport_socket.CopyFrom(_tls(one))
        chains.append(chain)
    return chains


def _tls(one: Opened) -> TransportSocket:
    given = one.server.tls
    assert given is not None
    http = is_http(one)
    if given.mode == "ISTIO_MUTUAL":
        context = DownstreamTlsContext(
            common_tls_context=workload_context(_ALPN if http else (), given.subject_alt_names)
        )
        context.require_client_certificate.value = True
        return socket(context)
    context = DownstreamTlsContext(common_tls_context=_context(given, http))
    context.require_client_certificate.value = given.mode == "MUTUAL"
    return socket(context)


def _context(given: ServerTLSSettings, http: bool) -> CommonTlsContext:
    context = CommonTlsContext(
        alpn_protocols=given.alpn_protocols or (_ALPN if http else ()),
        tls_params=TlsParameters(
            tls_minimum_protocol_version=_version(given.min_protocol_version, "TLSV1_2"),
            tls_maximum_protocol_version=_version(given.max_protocol_version, "TLSV1_3"),
            cipher_suites=given.cipher_suites,
            ecdh_curves=given.ecdh_curves,
        ),
    )
    names = given.credential_names or ((given.credential_name,) if given.credential_name else ())
    for name in names:
        context.tls_certificate_sds_secret_configs.append(secret(f"kubernetes://{name}"))
    if not names:
        for pair in given.tls_certificates or (given,):
            context.tls_certificates.add(
                certificate_chain=DataSource(filename=pair.server_certificate),
                private_key=DataSource(filename=pair.private_key),
            )
    if given.mode in {"MUTUAL", "OPTIONAL_MUTUAL"}:
        _client_certificates(context, given, names)
    return context


def _client_certificates(
    context: CommonTlsContext, given: ServerTLSSettings, names: tuple[str, ...]
) -> None:
    named = given.ca_cert_credential_name or (names[0] if names else "")
    if named:
        combined = context.combined_validation_context
        name = f"kubernetes://{named}-cacert"
        combined.validation_context_sds_secret_config.CopyFrom(secret(name))
        checks = combined.default_validation_context
        checks.SetInParent()
    else:
        checks = context.validation_context
        checks.trusted_ca.filename = given.ca_certificates
    if given.ca_crl:
        checks.crl.filename = given.ca_crl
    checks.verify_certificate_spki.extend(given.verify_certificate_spki)
    checks.verify_certificate_hash.extend(given.verify_certificate_hash)
    for san in given.subject_alt_names:
        matcher = checks.match_typed_subject_alt_names.add()
        matcher.san_type = matcher.URI if "://" in san else matcher.DNS
        matcher.matcher.CopyFrom(StringMatcher(exact=san))


def _version(given: str, automatic: str) -> int:
    name = automatic if given == "TLS_AUTO" else given
    version: int = TlsParameters.TlsProtocol.Value(name.replace("TLSV", "TLSv"))
    return version
