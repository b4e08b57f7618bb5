"""Services whose hosts are looked up by what each request or ClientHello names (DYNAMIC_DNS)."""

from __future__ import annotations

from collections.abc import Iterable

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.clusters.dynamic_forward_proxy.v3.cluster_pb2 import ClusterConfig
from envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig
from envoy.extensions.filters.http.dynamic_forward_proxy.v3.dynamic_forward_proxy_pb2 import (
    FilterConfig as HttpConfig,
)
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.sni_dynamic_forward_proxy_pb2 import (  # noqa: E501
    FilterConfig as SniConfig,
)

from controlplane.registry import protocols
from controlplane.registry.model import Port, Service
from controlplane.translation.pack import any_of
from controlplane.translation.settings import Settings
from controlplane.world.proxy import HTTP_FORWARDER, SNI_FORWARDER

_CLUSTER = "envoy.clusters.dynamic_forward_proxy"
_HTTP = "envoy.filters.http.dynamic_forward_proxy"
_SNI = "envoy.filters.network.sni_dynamic_forward_proxy"


def is_dynamic(service: Service) -> bool:
    """Whether nobody but who calls knows its hosts."""
    return service.resolution == "DYNAMIC_DNS"


def has(service: Service, port: Port) -> bool:
    """Whether what is sent to this port says whom it is for."""
    return not is_dynamic(service) or port.protocol in {"http", "http2", "grpc", "tls"}


def discover(cluster: Cluster, service: Service, *, only_ipv6: bool) -> None:
    """Gives a cluster its way to find hosts."""
    cluster.lb_policy = Cluster.CLUSTER_PROVIDED
    cluster.cluster_type.name = _CLUSTER
    cache = _cache(service, only_ipv6=only_ipv6)
    cluster.cluster_type.typed_config.CopyFrom(any_of(ClusterConfig(dns_cache_config=cache)))


def allow_other_names(cluster: Cluster) -> None:
    """Hosts that need not prove that they are who the request is for: their rule says who they are,
    or that nobody asks."""
    config = ClusterConfig()
    cluster.cluster_type.typed_config.Unpack(config)
    config.allow_insecure_cluster_options = True
    cluster.cluster_type.typed_config.CopyFrom(any_of(config))


def http_filters(services: Iterable[Service], number: int, given: Settings) -> list[hcm.HttpFilter]:
    """What looks up the host of requests to these services, on a listener of this port (0: of any).
    Proxies that cannot are sent none: their other requests have nothing to do with it."""
    if HTTP_FORWARDER not in given.runs:
        return []
    asked = {
        service.host: service
        for service in services
        if is_dynamic(service)
        and any(
            protocols.is_http(port.protocol) and number in {0, port.number}
            for port in service.ports
        )
    }
    return [
        hcm.HttpFilter(
            name=_HTTP if len(asked) == 1 else f"{_HTTP}.{host}",
            typed_config=any_of(
                HttpConfig(dns_cache_config=_cache(asked[host], only_ipv6=given.only_ipv6))
            ),
        )
        for host in sorted(asked)
    ]


def network_filters(service: Service, port: Port, given: Settings) -> list[Filter]:
    """What looks up the host that a ClientHello names."""
    if not is_dynamic(service) or SNI_FORWARDER not in given.runs:
        return []
    config = SniConfig(
        dns_cache_config=_cache(service, only_ipv6=given.only_ipv6), port_value=port.number
    )
    return [Filter(name=_SNI, typed_config=any_of(config))]


def _cache(service: Service, *, only_ipv6: bool) -> DnsCacheConfig:
    """The same wherever it is named, or Envoy refuses it."""
    return DnsCacheConfig(
        name=f"{service.host}_dfp_dns_cache",
        dns_lookup_family=Cluster.V6_ONLY if only_ipv6 else Cluster.V4_ONLY,
    )
