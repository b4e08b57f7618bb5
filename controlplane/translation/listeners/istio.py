"""Istio's own filters, for proxies that say that they run them: the stock Envoy does not."""

from __future__ import annotations

from typing import Any

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)

from controlplane.resources.telemetry.metrics import Changes, metrics
from controlplane.resources.telemetry.select import Reporting
from controlplane.translation.durations import duration
from controlplane.translation.listeners.istio_messages import (
    Alpn,
    MetadataExchange,
    PeerMetadata,
    PluginConfig,
)
from controlplane.translation.pack import any_of
from controlplane.world.proxy import ALPN, EXCHANGE, PEER_METADATA, STATS
from controlplane.world.view import View

EXCHANGE_NAME, _STATS = "istio.metadata_exchange", "istio.stats"
#: What both sides say in ALPN, where they introduce themselves on connections.
PEER_EXCHANGE = "istio-peer-exchange"
#: By what is spoken with the host: that it is spoken inside the mesh's TLS, then what any server
#: understands.
_OFFERED = {
    "HTTP10": ("istio-http/1.0", "istio", "http/1.0"),
    "HTTP11": ("istio-http/1.1", "istio", "http/1.1"),
    "HTTP2": ("istio-h2", "istio", "h2"),
}
#: Telemetry's names as the filter's.
_METRICS = {
    "REQUEST_COUNT": "requests_total",
    "REQUEST_DURATION": "request_duration_milliseconds",
    "REQUEST_SIZE": "request_bytes",
    "RESPONSE_SIZE": "response_bytes",
    "TCP_OPENED_CONNECTIONS": "tcp_connections_opened_total",
    "TCP_CLOSED_CONNECTIONS": "tcp_connections_closed_total",
    "TCP_SENT_BYTES": "tcp_sent_bytes_total",
    "TCP_RECEIVED_BYTES": "tcp_received_bytes_total",
    "GRPC_REQUEST_MESSAGES": "request_messages_total",
    "GRPC_RESPONSE_MESSAGES": "response_messages_total",
}


def exchange(reporting: Reporting) -> list[hcm.HttpFilter]:
    """Who calls and who answers, by headers: before all filters that may want to know."""
    if PEER_METADATA not in reporting.runs:
        return []
    config: Any = PeerMetadata()
    if reporting.side == "SERVER":
        config.downstream_discovery.add().istio_headers.SetInParent()
        config.downstream_propagation.add().istio_headers.SetInParent()
    else:
        config.upstream_discovery.add().istio_headers.SetInParent()
        config.upstream_propagation.add().istio_headers.SetInParent()
    return [hcm.HttpFilter(name=EXCHANGE_NAME, typed_config=any_of(config))]


def alpn(reporting: Reporting) -> list[hcm.HttpFilter]:
    """What requests tell a sidecar that has to find out whether they are any."""
    if ALPN not in reporting.runs or reporting.side == "SERVER":
        return []
    config: Any = Alpn()
    for protocol, names in _OFFERED.items():
        config.alpn_override.add(upstream_protocol=protocol, alpn_override=names)
    return [hcm.HttpFilter(name="istio.alpn", typed_config=any_of(config))]


def network_exchange(reporting: Reporting) -> list[Filter]:
    """Who connects, of connections whose bytes are passed on: before all other filters."""
    if EXCHANGE not in reporting.runs:
        return []
    config = any_of(MetadataExchange(protocol=PEER_EXCHANGE))
    return [Filter(name=EXCHANGE_NAME, typed_config=config)]


def http_stats(view: View, reporting: Reporting, *, gateway: bool) -> list[hcm.HttpFilter]:
    """The standard metrics of requests."""
    return [
        hcm.HttpFilter(name=_STATS, typed_config=any_of(one))
        for one in _stats(view, reporting, gateway=gateway)
    ]


def network_stats(view: View, reporting: Reporting, *, gateway: bool = False) -> list[Filter]:
    """The standard metrics of connections whose bytes are passed on."""
    return [
        Filter(name=_STATS, typed_config=any_of(one))
        for one in _stats(view, reporting, gateway=gateway)
    ]


def _stats(view: View, reporting: Reporting, *, gateway: bool) -> list[Any]:
    if STATS not in reporting.runs:
        return []
    return [
        _config(one, strangers_name=reporting.side == "SERVER" or gateway)
        for one in metrics(view, reporting)
    ]


def _config(changes: Changes, *, strangers_name: bool) -> Any:
    """`strangers_name`: the host that a request names comes from outside, and is no label."""
    config: Any = PluginConfig(disable_host_header_fallback=strangers_name)
    if changes.interval is not None:
        config.tcp_reporting_duration.CopyFrom(duration(changes.interval))
    for metric, change in changes.of:
        one = config.metrics.add(name=_METRICS[metric], drop=change.disabled)
        one.tags_to_remove.extend(tag for tag, value in change.tags if value is None)
        for tag, value in change.tags:
            if value is not None:
                one.dimensions[tag] = value
    return config
