"""TLS towards the hosts of a cluster: what a DestinationRule says, or Istio's auto mTLS.

With auto mTLS every host whose endpoint metadata says `tlsMode: istio` is spoken to in mutual TLS,
every other one in plaintext, so that workloads get their sidecars one after the other.
"""

from __future__ import annotations

from collections.abc import Callable

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import DataSource, TransportSocket
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    UpstreamTlsContext,
)
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.struct_pb2 import Struct

from controlplane.registry import mesh, protocols
from controlplane.registry.model import Port, Service
from controlplane.resources.common.tls import ClientTLSSettings
from controlplane.translation import names
from controlplane.translation.clusters import identities
from controlplane.translation.clusters.proxy_protocol import PLAINTEXT
from controlplane.translation.tls import never, secret, secret_name, socket, workload_context
from controlplane.world.view import View

_Named = Callable[[str], SdsSecretConfig]


def add(
    view: View,
    cluster: Cluster,
    service: Service,
    port: Port,
    subset: str,
    given: ClientTLSSettings | None,
    *,
    may_have: bool,
    introduces: bool,
) -> None:
    """Gives a cluster its transport sockets. `given`: the policy's `tls`; `may_have`: whether the
    proxy is given the Secret that this names; `introduces`: it has `istio.metadata_exchange`."""
    if given is None:
        if not service.external and service.resolution != "ALIAS":
            _auto(view, cluster, service, port, subset, introduces=introduces)
        return
    match given.mode:
        case "DISABLE":
            return
        case "ISTIO_MUTUAL":
            mutual = _mutual(view, service, port, subset, given, introduces=introduces)
            cluster.transport_socket.CopyFrom(mutual)
        case _:
            cluster.transport_socket.CopyFrom(_origination(view, port, service, given, may_have))


def _auto(
    view: View, cluster: Cluster, service: Service, port: Port, subset: str, *, introduces: bool
) -> None:
    if not mesh.config(view).enable_auto_mtls:
        return
    chosen = cluster.transport_socket_matches.add(name="tlsMode-istio", match=_match("istio"))
    mutual = _mutual(view, service, port, subset, None, introduces=introduces)
    chosen.transport_socket.CopyFrom(mutual)
    plain = cluster.transport_socket_matches.add(name="tlsMode-disabled", match=Struct())
    plain.transport_socket.CopyFrom(PLAINTEXT)


def _mutual(
    view: View,
    service: Service,
    port: Port,
    subset: str,
    given: ClientTLSSettings | None,
    *,
    introduces: bool,
) -> TransportSocket:
    """The mesh's own TLS, with the workload's certificate."""
    alpn = ["istio-peer-exchange", "istio"] if introduces else ["istio"]
    if protocols.is_http2(port.protocol):
        alpn.append("h2")
    sans = (given.subject_alt_names if given else ()) or identities.accepted(view, service)
    sni = (given.sni if given else "") or names.sni(port.number, subset, service.host)
    return socket(UpstreamTlsContext(sni=sni, common_tls_context=workload_context(alpn, sans)))


def _origination(
    view: View, port: Port, service: Service, given: ClientTLSSettings, may_have: bool
) -> TransportSocket:
    """TLS with a server that is not of the mesh: SIMPLE, or MUTUAL with a certificate of ours."""
    context = CommonTlsContext()
    if protocols.is_http2(port.protocol):
        context.alpn_protocols.append("h2")
    elif protocols.is_http(port.protocol):
        context.alpn_protocols.append("http/1.1")
    # Istio's sidecars would go on in plaintext. Ours connect to nobody: without the Secret there is
    # no TLS, and nothing waits for it.
    named = secret if may_have else never
    if given.mode == "MUTUAL":
        _certificate(context, given, named)
    _validation(context, given, named)
    defaults = mesh.config(view).tls_defaults
    if defaults is not None:
        # As in Istio, the least version is for what servers here take.
        context.tls_params.ecdh_curves.extend(defaults.ecdh_curves)
        context.tls_params.cipher_suites.extend(defaults.cipher_suites)
    sni = given.sni
    if not sni and not service.host.startswith("*"):
        sni = service.host
    return socket(UpstreamTlsContext(sni=sni, common_tls_context=context))


def _certificate(context: CommonTlsContext, given: ClientTLSSettings, named: _Named) -> None:
    if given.credential_name:
        name = secret_name(given.credential_name)
        context.tls_certificate_sds_secret_configs.append(named(name))
        return
    chain = DataSource(filename=given.client_certificate)
    context.tls_certificates.add(
        certificate_chain=chain, private_key=DataSource(filename=given.private_key)
    )


def _validation(context: CommonTlsContext, given: ClientTLSSettings, named: _Named) -> None:
    if given.insecure_skip_verify:
        context.validation_context.SetInParent()
        return
    # A CA of its own; else where the certificate is.
    credential = given.ca_cert_credential_name or (
        "" if given.ca_certificates else given.credential_name
    )
    if credential:
        combined = context.combined_validation_context
        combined.validation_context_sds_secret_config.CopyFrom(
            named(f"{secret_name(credential)}-cacert")
        )
        checks = combined.default_validation_context
        checks.SetInParent()
    else:
        checks = context.validation_context
        if given.ca_certificates:
            checks.trusted_ca.filename = given.ca_certificates
        else:
            # Istio: the roots of the operating system, so that a server is always verified.
            checks.system_root_certs.SetInParent()
    if given.ca_crl:
        checks.crl.filename = given.ca_crl
    for san in given.subject_alt_names:
        matcher = checks.match_typed_subject_alt_names.add()
        matcher.san_type = matcher.URI if "://" in san else matcher.DNS
        matcher.matcher.CopyFrom(StringMatcher(exact=san))


def _match(mode: str) -> Struct:
    match = Struct()
    match.update({"tlsMode": mode})
    return match
