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

from controlplane.registry import mesh, services
from controlplane.registry.model import Port, Service
from controlplane.resources.common.tls import ClientTLSSettings
from controlplane.translation import dynamic_dns, names
from controlplane.translation.clusters import identities, protocol_options
from controlplane.translation.clusters.proxy_protocol import PLAINTEXT
from controlplane.translation.endpoints import takes_mutual_tls
from controlplane.translation.tls import never, secret, secret_name, socket, workload_context
from controlplane.world.view import View

_Named = Callable[[str], SdsSecretConfig]
#: Where Envoy's own images, Debian and Alpine have the roots of the system.
_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


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
    system_roots: bool,
) -> None:
    """Gives a cluster its transport sockets. `given`: the policy's `tls`; `may_have`: whether the
    proxy is given the Secret that this names; `introduces`: it has `istio.metadata_exchange`;
    `system_roots`: it knows those of its system."""
    if given is None:
        if service.external or service.resolution in {"ALIAS", "DYNAMIC_DNS"}:
            return
        if not mesh.config(view).enable_auto_mtls:
            return
        if cluster.type == Cluster.ORIGINAL_DST:
            # Hosts come without what is known of them: mutual TLS if all of the service's take it.
            if _all_take_mutual_tls(view, service, port):
                mutual = _mutual(view, cluster, service, port, subset, None, introduces=introduces)
                cluster.transport_socket.CopyFrom(mutual)
            return
        _auto(view, cluster, service, port, subset, introduces=introduces)
        return
    match given.mode:
        case "DISABLE":
            return
        case "ISTIO_MUTUAL":
            if dynamic_dns.is_dynamic(service):
                _names(cluster, service, given)
            mutual = _mutual(view, cluster, service, port, subset, given, introduces=introduces)
            cluster.transport_socket.CopyFrom(mutual)
        case _:
            _names(cluster, service, given)
            context = _origination(view, cluster, service, given, may_have)
            checks = context.common_tls_context.validation_context
            if checks.HasField("system_root_certs") and not system_roots:
                checks.ClearField("system_root_certs")
                checks.trusted_ca.filename = _ROOTS
            cluster.transport_socket.CopyFrom(socket(context))


def _all_take_mutual_tls(view: View, service: Service, port: Port) -> bool:
    found = services.endpoints(view, service, port.number)
    return bool(found) and all(takes_mutual_tls(view, one) for one in found)


def _names(cluster: Cluster, service: Service, given: ClientTLSSettings) -> None:
    """Without an SNI of the rule it is the host that the request is for, and without SANs of the
    rule the certificate must be for that host."""
    dynamic = dynamic_dns.is_dynamic(service)
    named = given.subject_alt_names or service.subject_alt_names
    proves = not given.insecure_skip_verify and (dynamic or not (given.sni or named))
    if dynamic and (given.sni or not proves):
        dynamic_dns.allow_other_names(cluster)
    if given.sni and not proves:
        return
    options = protocol_options.held(cluster)
    if not options.WhichOneof("upstream_protocol_options"):
        options.explicit_http_config.http_protocol_options.SetInParent()
    options.upstream_http_protocol_options.auto_sni = not given.sni
    options.upstream_http_protocol_options.auto_san_validation = proves
    protocol_options.put(cluster, options)


def _auto(
    view: View, cluster: Cluster, service: Service, port: Port, subset: str, *, introduces: bool
) -> None:
    chosen = cluster.transport_socket_matches.add(name="tlsMode-istio", match=_match("istio"))
    mutual = _mutual(view, cluster, service, port, subset, None, introduces=introduces)
    chosen.transport_socket.CopyFrom(mutual)
    plain = cluster.transport_socket_matches.add(name="tlsMode-disabled", match=Struct())
    plain.transport_socket.CopyFrom(PLAINTEXT)


def _mutual(
    view: View,
    cluster: Cluster,
    service: Service,
    port: Port,
    subset: str,
    given: ClientTLSSettings | None,
    *,
    introduces: bool,
) -> TransportSocket:
    """The mesh's own TLS, with the workload's certificate."""
    alpn = ["istio-peer-exchange", "istio"] if introduces else ["istio"]
    if _speaks_http2(cluster):
        alpn.append("h2")
    sans = (given.subject_alt_names if given else ()) or identities.accepted(view, service)
    sni = (given.sni if given else "") or names.sni(port.number, subset, service.host)
    return socket(UpstreamTlsContext(sni=sni, common_tls_context=workload_context(alpn, sans)))


def _speaks_http2(cluster: Cluster) -> bool:
    chosen = protocol_options.held(cluster).explicit_http_config
    return bool(chosen.HasField("http2_protocol_options"))


def _origination(
    view: View, cluster: Cluster, service: Service, given: ClientTLSSettings, may_have: bool
) -> UpstreamTlsContext:
    """TLS with a server that is not of the mesh: SIMPLE, or MUTUAL with a certificate of ours."""
    context = CommonTlsContext()
    if _speaks_http2(cluster):
        context.alpn_protocols.append("h2")
    # Istio's sidecars would go on in plaintext. Ours connect to nobody: without the Secret there is
    # no TLS, and nothing waits for it.
    named = secret if may_have else never
    if given.mode == "MUTUAL":
        _certificate(context, given, named)
    # As in Istio, the ServiceEntry's names where the rule has none.
    sans = given.subject_alt_names or (
        service.subject_alt_names if service.kind == "ServiceEntry" else ()
    )
    _validation(context, given, named, sans)
    defaults = mesh.config(view).tls_defaults
    if defaults is not None:
        # As in Istio, the least version is for what servers here take.
        context.tls_params.ecdh_curves.extend(defaults.ecdh_curves)
        context.tls_params.cipher_suites.extend(defaults.cipher_suites)
    sni = given.sni
    if not sni and not service.host.startswith("*"):
        sni = service.host
    return UpstreamTlsContext(sni=sni, common_tls_context=context)


def _certificate(context: CommonTlsContext, given: ClientTLSSettings, named: _Named) -> None:
    if given.credential_name:
        name = secret_name(given.credential_name)
        context.tls_certificate_sds_secret_configs.append(named(name))
        return
    chain = DataSource(filename=given.client_certificate)
    context.tls_certificates.add(
        certificate_chain=chain, private_key=DataSource(filename=given.private_key)
    )


def _validation(
    context: CommonTlsContext, given: ClientTLSSettings, named: _Named, sans: tuple[str, ...]
) -> None:
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
    for san in sans:
        matcher = checks.match_typed_subject_alt_names.add()
        matcher.san_type = matcher.URI if "://" in san else matcher.DNS
        matcher.matcher.CopyFrom(StringMatcher(exact=san))


def _match(mode: str) -> Struct:
    match = Struct()
    match.update({"tlsMode": mode})
    return match
