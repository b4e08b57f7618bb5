"""The HTTP connection manager, as Istio sets it in each direction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.grpc_stats.v3.config_pb2 import FilterConfig as GrpcStats
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from controlplane.registry import mesh
from controlplane.resources.destination_rule import connections
from controlplane.resources.telemetry.select import Reporting
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation.durations import duration
from controlplane.translation.listeners import access_log, istio, tracing
from controlplane.translation.pack import any_of
from controlplane.world.view import View

_GRPC_STATS = GrpcStats(emit_filter_state=True)
_GRPC_STATS.stats_for_all_methods.value = False

NAME = "envoy.filters.network.http_connection_manager"


def manager(
    view: View,
    stat_prefix: str,
    filters: Iterable[hcm.HttpFilter],
    reporting: Reporting,
    *,
    gateway: bool = False,
) -> hcm.HttpConnectionManager:
    """What both directions have in common. `filters` stand before the router."""
    built = hcm.HttpConnectionManager(
        stat_prefix=stat_prefix,
        codec_type=hcm.HttpConnectionManager.AUTO,
        stream_idle_timeout=duration(0),
        upgrade_configs=[hcm.HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
    )
    built.access_log.extend(access_log.loggers(view, reporting))
    tracing.add(view, built, reporting)
    built.use_remote_address.value = False
    _normalize(view, built)
    built.http_filters.extend(istio.exchange(reporting))
    built.http_filters.extend(filters)
    built.http_filters.extend(
        (
            http_filter("envoy.filters.http.grpc_stats", _GRPC_STATS),
            *istio.alpn(reporting),
            http_filter("envoy.filters.http.fault", HTTPFault()),
            http_filter("envoy.filters.http.cors", Cors()),
            *istio.http_stats(view, reporting, gateway=gateway),
            http_filter("envoy.filters.http.router", Router()),
        )
    )
    return built


def _normalize(view: View, built: hcm.HttpConnectionManager) -> None:
    """What is done to paths before anything looks at them, policies among it."""
    given = mesh.config(view).path_normalization
    how = given.normalization if given is not None else "DEFAULT"
    built.normalize_path.value = how != "NONE"
    built.merge_slashes = how in {"MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"}
    if how == "DECODE_AND_MERGE_SLASHES":
        built.path_with_escaped_slashes_action = hcm.HttpConnectionManager.UNESCAPE_AND_FORWARD


def http_filter(name: str, config: object) -> hcm.HttpFilter:
    """A filter of the connection manager."""
    return hcm.HttpFilter(name=name, typed_config=any_of(config))  # type: ignore[arg-type]


def network_filter(name: str, config: object) -> Filter:
    """A filter of a filter chain."""
    return Filter(name=name, typed_config=any_of(config))  # type: ignore[arg-type]


def tcp_proxy(
    view: View,
    clusters: Sequence[tuple[str, int]],
    reporting: Reporting,
    stat_prefix: str = "",
    client: Client | None = None,
) -> list[Filter]:
    """Bytes to a cluster, or to several by weight, and what reports them. `client`: whose
    DestinationRules hold."""
    proxy = TcpProxy(stat_prefix=stat_prefix or clusters[0][0])
    proxy.access_log.extend(access_log.loggers(view, reporting))
    if len(clusters) == 1:
        proxy.cluster = clusters[0][0]
    else:
        for name, weight in clusters:
            proxy.weighted_clusters.clusters.add(name=name, weight=weight)
    if client is not None:
        connections.apply(view, proxy, clusters[0][0], client.namespace, client.labels)
    return [
        *istio.network_stats(view, reporting),
        network_filter("envoy.filters.network.tcp_proxy", proxy),
    ]
