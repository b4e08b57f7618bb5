"""A connected proxy, as far as what it is sent depends on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Locality(NamedTuple):
    """Where something runs; "" is unknown."""

    region: str = ""
    zone: str = ""
    subzone: str = ""


NOWHERE = Locality()

#: Types of Istio's own filters, which not every proxy has.
PEER_METADATA = "io.istio.http.peer_metadata.Config"
STATS = "stats.PluginConfig"
EXCHANGE = "envoy.tcp.metadataexchange.config.MetadataExchange"
ALPN = "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"
ISTIO_FILTERS = frozenset({PEER_METADATA, STATS, EXCHANGE, ALPN})
#: Types of what reports requests elsewhere. A proxy that has not all of them serves without those
#: that it lacks; whatever decides about requests is sent to all, who may refuse it.
REPORTERS = frozenset(
    {
        "envoy.config.trace.v3.DatadogConfig",
        "envoy.config.trace.v3.OpenTelemetryConfig",
        "envoy.config.trace.v3.SkyWalkingConfig",
        "envoy.config.trace.v3.ZipkinConfig",
        "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
        "envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig",
        "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
    }
)
#: Types of what looks up hosts by what requests and ClientHellos name. It shares listeners with
#: much else, so it is not sent to who would refuse it; its clusters are.
HTTP_FORWARDER = "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig"
SNI_FORWARDER = "envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig"
FORWARDERS = frozenset({HTTP_FORWARDER, SNI_FORWARDER})
#: Roots of the operating system as such. The stock Envoy takes them for none at all.
SYSTEM_ROOTS = (
    "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.SystemRootCerts"
)
#: All that is heeded of what a proxy says that it runs.
HEEDED = ISTIO_FILTERS | REPORTERS | FORWARDERS | {SYSTEM_ROOTS}
#: What an Envoy runs of these.
ENVOYS = tuple(sorted(REPORTERS | FORWARDERS))


@dataclass(frozen=True, slots=True)
class Proxy:
    """One sidecar or gateway. Read from `Node`, except for what it must prove: `namespace` and
    `service_account` are those of the identity with which the stream was authenticated."""

    #: `sidecar` or `router` (a gateway): the first part of Istio's node ID.
    type: str
    #: The pod's or workload's name and namespace: `reviews-v1.default`.
    id: str
    namespace: str
    service_account: str
    #: The first is the address it is known by.
    addresses: tuple[str, ...]
    #: Sorted; `LABELS` of the node's metadata.
    labels: tuple[tuple[str, str], ...] = ()
    locality: Locality = NOWHERE
    network: str = ""
    cluster: str = ""
    #: `svc.cluster.local` behind the namespace.
    dns_domain: str = "cluster.local"
    #: The other metadata that translation reads, as strings, sorted: INTERCEPTION_MODE, and so on.
    metadata: tuple[tuple[str, str], ...] = ()
    #: Which of `HEEDED` it runs, sorted. Who does not say what it runs is taken for an Envoy.
    runs: tuple[str, ...] = ENVOYS
    #: Its program and version, for people: nothing that it is sent depends on it.
    agent: str = field(default="", compare=False)

    def label(self, name: str) -> str:
        return dict(self.labels).get(name, "")

    def meta(self, name: str) -> str:
        return dict(self.metadata).get(name, "")
