"""Mutual TLS between sidecars, chosen host by host: Istio's auto mTLS.

Every host whose endpoint metadata says `tlsMode: istio` is spoken to in mutual TLS, every other one
in plaintext, so that workloads get their sidecars one after the other.
"""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ConfigSource
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.struct_pb2 import Struct

from controlplane.registry import mesh, protocols, services
from controlplane.registry.model import Port, Service
from controlplane.translation import names
from controlplane.translation.pack import any_of
from controlplane.world.view import View, query

#: The secrets of a workload, which its agent answers.
CERTIFICATE, ROOTS = "default", "ROOTCA"
_SOURCE = ConfigSource(
    ads=AggregatedConfigSource(), resource_api_version="V3", initial_fetch_timeout={"seconds": 0}
)


def secret(name: str) -> SdsSecretConfig:
    """A secret over SDS. Istio waits for it as long as it takes."""
    return SdsSecretConfig(name=name, sds_config=_SOURCE)


def add_auto_mutual_tls(
    view: View, cluster: Cluster, service: Service, port: Port, subset: str
) -> None:
    """Lets each host's metadata choose between mutual TLS and plaintext."""
    if service.external or service.resolution == "ALIAS" or not mesh.config(view).enable_auto_mtls:
        return
    alpn = ["istio-peer-exchange", "istio"]
    if protocols.is_http2(port.protocol):
        alpn.append("h2")
    elif protocols.is_http(port.protocol):
        alpn.append("istio-http/1.1")
    context = UpstreamTlsContext(
        sni=names.sni(port.number, subset, service.host),
        common_tls_context=workload_context(alpn, identities(view, service)),
    )
    chosen = cluster.transport_socket_matches.add(name="tlsMode-istio", match=_match("istio"))
    chosen.transport_socket.CopyFrom(
        TransportSocket(name="envoy.transport_sockets.tls", typed_config=any_of(context))
    )
    plain = cluster.transport_socket_matches.add(name="tlsMode-disabled", match=Struct())
    plain.transport_socket.CopyFrom(
        TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=any_of(RawBuffer()))
    )


def workload_context(alpn: list[str], sans: tuple[str, ...]) -> CommonTlsContext:
    """The workload's certificate, its roots, and whom it trusts (nobody named: every identity that
    the roots vouch for)."""
    context = CommonTlsContext(
        tls_params=TlsParameters(
            tls_minimum_protocol_version=TlsParameters.TLSv1_2,
            tls_maximum_protocol_version=TlsParameters.TLSv1_3,
        ),
        alpn_protocols=alpn,
        tls_certificate_sds_secret_configs=[secret(CERTIFICATE)],
    )
    combined = context.combined_validation_context
    combined.validation_context_sds_secret_config.CopyFrom(secret(ROOTS))
    combined.default_validation_context.SetInParent()
    for san in sans:
        matcher = combined.default_validation_context.match_typed_subject_alt_names.add()
        matcher.san_type = matcher.URI
        matcher.matcher.CopyFrom(StringMatcher(exact=san))
    return context


@query
def identities(view: View, service: Service) -> tuple[str, ...]:
    """The SPIFFE identities that hosts of a service may have: those of its workloads, and those
    that its ServiceEntry names."""
    domain = mesh.trust_domain(view)
    found = {
        names.spiffe(domain, one.namespace, one.service_account)
        for port in service.ports
        for one in services.endpoints(view, service, port.number)
        if one.service_account
    }
    return tuple(sorted(found | set(service.subject_alt_names)))


def _match(mode: str) -> Struct:
    match = Struct()
    match.update({"tlsMode": mode})
    return match
