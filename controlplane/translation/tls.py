"""The workload's own certificate and roots, as both sides of mutual TLS use them."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.config.core.v3.config_source_pb2 import (
    AggregatedConfigSource,
    ApiConfigSource,
    ApiVersion,
    ConfigSource,
)
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.message import Message

from controlplane.translation.pack import any_of

#: The secrets of a workload.
CERTIFICATE, ROOTS = "default", "ROOTCA"
_ADS = ConfigSource(ads=AggregatedConfigSource(), resource_api_version="V3")
#: What clients of the mesh offer in mutual TLS: as bytes, and as requests.
MESH_TCP_ALPN = ("istio-peer-exchange", "istio")
MESH_HTTP_ALPN = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
MESH_ALPN = (*MESH_TCP_ALPN, *MESH_HTTP_ALPN)
#: The bootstrap's cluster of the agent's socket.
AGENT = "sds-grpc"


def secret_name(credential: str) -> str:
    """What SDS calls a credential: a Secret, or a ConfigMap that says that it is one."""
    return credential if credential.startswith("configmap://") else f"kubernetes://{credential}"


def secret(name: str) -> SdsSecretConfig:
    """A secret that we serve (a gateway's). Istio waits for it as long as it takes."""
    built = SdsSecretConfig(name=name, sds_config=_ADS)
    built.sds_config.initial_fetch_timeout.SetInParent()
    return built


def never(name: str) -> SdsSecretConfig:
    """A secret that the proxy is not given, so that it need not wait for it: connections fail."""
    built = SdsSecretConfig(name=name, sds_config=_ADS)
    built.sds_config.initial_fetch_timeout.FromMilliseconds(1)
    return built


def own_secret(name: str) -> SdsSecretConfig:
    """A secret of the workload itself: its agent has it, and we never see the key."""
    built = SdsSecretConfig(name=name)
    source = built.sds_config
    source.resource_api_version = ApiVersion.V3
    source.initial_fetch_timeout.SetInParent()
    api = source.api_config_source
    api.api_type = ApiConfigSource.GRPC
    api.transport_api_version = ApiVersion.V3
    api.set_node_on_first_message_only = True
    api.grpc_services.add().envoy_grpc.cluster_name = AGENT
    return built


def workload_context(
    alpn: Iterable[str], sans: Iterable[str], trust_domains: Iterable[str] = ()
) -> CommonTlsContext:
    """The workload's certificate, its roots, and whom it trusts: identities by name, or all of some
    trust domains (nothing named: every identity that the roots vouch for)."""
    context = CommonTlsContext(
        alpn_protocols=alpn, tls_certificate_sds_secret_configs=[own_secret(CERTIFICATE)]
    )
    versions = context.tls_params
    versions.tls_minimum_protocol_version = versions.TLSv1_2
    versions.tls_maximum_protocol_version = versions.TLSv1_3
    combined = context.combined_validation_context
    combined.validation_context_sds_secret_config.CopyFrom(own_secret(ROOTS))
    combined.default_validation_context.SetInParent()
    for san in sans:
        matcher = combined.default_validation_context.match_typed_subject_alt_names.add()
        matcher.san_type = matcher.URI
        matcher.matcher.CopyFrom(StringMatcher(exact=san))
    for domain in trust_domains:
        matcher = combined.default_validation_context.match_typed_subject_alt_names.add()
        matcher.san_type = matcher.URI
        matcher.matcher.CopyFrom(StringMatcher(prefix=f"spiffe://{domain}/"))
    return context


def socket(context: Message) -> TransportSocket:
    """TLS with this context."""
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=any_of(context))
