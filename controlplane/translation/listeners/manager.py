"""The HTTP connection manager, as Istio sets it in each direction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from envoy.config.core.v3.protocol_pb2 import HttpProtocolOptions
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.grpc_stats.v3.config_pb2 import FilterConfig as GrpcStats
from envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from controlplane.registry import mesh
from controlplane.resources.destination_rule import connections
from controlplane.resources.mesh_config.proxy_config import ConnectionSettings
from controlplane.resources.telemetry.select import Reporting
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation import settings
from controlplane.translation.clusters import protocol_options
from controlplane.translation.durations import duration
from controlplane.translation.listeners import access_log, istio, tracing
from controlplane.translation.pack import any_of
from controlplane.translation.settings import Settings
from controlplane.world.view import View

_GRPC_STATS = GrpcStats(emit_filter_state=True)
_GRPC_STATS.stats_for_all_methods.value = False

NAME = "envoy.filters.network.http_connection_manager"


#: In `server`, of what comes in; what goes out has Envoy's own.
SERVER_NAME = "istio-envoy"


def manager(
    view: View,
    stat_prefix: str,
    filters: Iterable[hcm.HttpFilter],
    reporting: Reporting,
    given: Settings,
    server_name: str = "",
    *,
    grpc_web: bool = False,
    last: Iterable[hcm.HttpFilter] = (),
) -> hcm.HttpConnectionManager:
    """What both directions have in common. `filters` stand before the others, `last` before the
    router."""
    built = hcm.HttpConnectionManager(
        stat_prefix=stat_prefix,
        codec_type=hcm.HttpConnectionManager.AUTO,
        stream_idle_timeout=duration(0),
        upgrade_configs=[hcm.HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
    )
    built.access_log.extend(access_log.loggers(view, reporting))
    tracing.add(view, built, reporting, given)
    built.use_remote_address.value = False
    _normalize(view, built)
    built.http_filters.extend(istio.exchange(reporting))
    built.http_filters.extend(filters)
    if grpc_web:
        built.http_filters.append(http_filter("envoy.filters.http.grpc_web", GrpcWeb()))
    built.http_filters.extend(
        (
            http_filter("envoy.filters.http.grpc_stats", _GRPC_STATS),
            *istio.alpn(reporting),
            http_filter("envoy.filters.http.fault", HTTPFault()),
            http_filter("envoy.filters.http.cors", Cors()),
            *istio.http_stats(view, reporting, gateway=given.gateway),
            *last,
            http_filter("envoy.filters.http.router", _router(view, given)),
        )
    )
    _headers(view, built, given, server_name)
    _protocols(view, built, given)
    _limits(built, settings.connections(view, given))
    return built


def _router(view: View, given: Settings) -> Router:
    debug = settings.headers(view, given).envoy_debug_headers
    return Router(suppress_envoy_headers=bool(debug and debug.disabled))


def _headers(
    view: View, built: hcm.HttpConnectionManager, given: Settings, server_name: str
) -> None:
    wanted = settings.headers(view, given)
    built.server_name = server_name
    if wanted.server is not None and wanted.server.disabled:
        built.server_name = ""
        built.server_header_transformation = hcm.HttpConnectionManager.PASS_THROUGH
    elif wanted.server is not None and wanted.server.value:
        built.server_name = wanted.server.value
    if wanted.request_id is not None and wanted.request_id.disabled:
        built.generate_request_id.value = False
    if wanted.x_forwarded_port is not None and wanted.x_forwarded_port.enabled:
        built.append_x_forwarded_port = True


def _protocols(view: View, built: hcm.HttpConnectionManager, given: Settings) -> None:
    options = protocol_options.http1(preserve_case=settings.preserves_case(view, given))
    options.accept_http_10 = given.http10
    if options.ByteSize():
        built.http_protocol_options.CopyFrom(options)
    if given.idle_timeout is not None:
        built.common_http_protocol_options.idle_timeout.CopyFrom(duration(given.idle_timeout))


def _limits(built: hcm.HttpConnectionManager, given: ConnectionSettings) -> None:
    """`connectionSettings`: what is not said there stays as it is."""
    common, http2 = built.common_http_protocol_options, built.http2_protocol_options
    for field, seconds in (
        (common.idle_timeout, given.http_idle_timeout),
        (common.max_connection_duration, given.http_max_connection_duration),
        (common.max_stream_duration, given.http_max_stream_duration),
        (built.stream_idle_timeout, given.http_stream_idle_timeout),
        (built.request_timeout, given.http_request_timeout),
        (built.request_headers_timeout, given.http_request_headers_timeout),
        (built.drain_timeout, given.http_drain_timeout),
    ):
        if seconds is not None:
            field.CopyFrom(duration(seconds))
    for number, value in (
        (http2.max_concurrent_streams, given.http_max_concurrent_streams),
        (http2.initial_stream_window_size, given.http2_initial_stream_window_size),
        (http2.initial_connection_window_size, given.http2_initial_connection_window_size),
    ):
        if value is not None:
            number.value = value
    action = _UNDERSCORES.get(given.http_headers_with_underscores_action)
    if action is not None:
        common.headers_with_underscores_action = action
    if given.http_merge_slashes is not None:
        built.merge_slashes = given.http_merge_slashes
    slashes = given.http_path_with_escaped_slashes_action
    if not slashes.endswith("UNSPECIFIED"):
        built.path_with_escaped_slashes_action = (
            hcm.HttpConnectionManager.PathWithEscapedSlashesAction.Value(slashes)
        )


_UNDERSCORES = {
    "HEADERS_WITH_UNDERSCORES_ALLOW": HttpProtocolOptions.ALLOW,
    "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST": HttpProtocolOptions.REJECT_REQUEST,
    "HEADERS_WITH_UNDERSCORES_DROP_HEADER": HttpProtocolOptions.DROP_HEADER,
}


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
    given: Settings | None = None,
    last: Iterable[Filter] = (),
) -> list[Filter]:
    """Bytes to a cluster, or to several by weight, and what reports them. `client`: whose
    DestinationRules hold; `last`: what stands before it."""
    proxy = TcpProxy(stat_prefix=stat_prefix or clusters[0][0])
    given = client.settings if client is not None else given
    if given is not None and given.idle_timeout is not None:
        proxy.idle_timeout.CopyFrom(duration(given.idle_timeout))
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
        *last,
        network_filter("envoy.filters.network.tcp_proxy", proxy),
    ]
