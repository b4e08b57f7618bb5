"""What a proxy's own node says of how it is to serve, and what MeshConfig says for it otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass

from controlplane.registry import mesh
from controlplane.registry.workloads import Labels
from controlplane.resources.mesh_config import MeshProxyConfig, apply_proxy_config
from controlplane.resources.mesh_config.proxy_config import ConnectionSettings, ProxyHeaders
from controlplane.resources.schema import Seconds, parse_duration
from controlplane.world.view import View, query

_TRUE = frozenset({"1", "true"})


@dataclass(frozen=True, slots=True)
class Settings:
    """Proxies that say the same share what is made for them."""

    #: `PROXY_CONFIG`: what Istio's agents say of theirs, as JSON; "" is MeshConfig's default.
    proxy_config: str = ""
    #: `IDLE_TIMEOUT`, of connections of both protocols.
    idle_timeout: Seconds | None = None
    #: `HTTP10`: HTTP/1.0 is taken.
    http10: bool = False
    #: Whether it stands at the edge.
    gateway: bool = False
    #: What it runs of what not all proxies do: `world.proxy`.
    runs: tuple[str, ...] = ()
    #: Whether it has no address of IPv4.
    only_ipv6: bool = False


#: Of a proxy that says nothing.
DEFAULT = Settings()


def of(node: Labels, kind: str, runs: tuple[str, ...] = (), *, only_ipv6: bool = False) -> Settings:
    """By its node's metadata. What cannot be read says nothing, as in Istio."""
    metadata = dict(node)
    return Settings(
        metadata.get("PROXY_CONFIG", ""),
        parse_duration(metadata.get("IDLE_TIMEOUT", "")),
        metadata.get("HTTP10", "").lower() in _TRUE,
        kind == "router",
        runs,
        only_ipv6,
    )


@query
def proxy_config(view: View, settings: Settings) -> MeshProxyConfig:
    """What holds for the proxy: what its agent says, which knows the annotation of its pod, else
    MeshConfig's `defaultConfig`."""
    default = mesh.config(view).default_config
    try:
        value = json.loads(settings.proxy_config) if settings.proxy_config else {}
    except ValueError:
        return default
    chosen, _ = apply_proxy_config(value, default)
    return default if chosen is None else chosen


def headers(view: View, settings: Settings) -> ProxyHeaders:
    """Headers that proxies add to requests and responses."""
    return proxy_config(view, settings).proxy_headers or ProxyHeaders()


def attempts_counted(view: View, settings: Settings) -> bool:
    """Whether requests say in `x-envoy-attempt-count` which attempt they are."""
    count = headers(view, settings).attempt_count
    return count is None or not count.disabled


def preserves_case(view: View, settings: Settings) -> bool:
    """Whether headers of HTTP/1 keep their capitals."""
    return bool(headers(view, settings).preserve_http1_header_case)


@query
def connections(view: View, settings: Settings) -> ConnectionSettings:
    """Limits of connections. The profile EDGE is for gateways alone, as in Istio."""
    given = proxy_config(view, settings).connection_settings or ConnectionSettings()
    if given.profile != "EDGE" or not settings.gateway:
        return given
    unset = ConnectionSettings()
    chosen = {
        name: getattr(given, name)
        for name in ConnectionSettings.__slots__
        if getattr(given, name) != getattr(unset, name)
    }
    return ConnectionSettings(**{**_EDGE, **chosen})


#: What Envoy recommends for proxies that anybody reaches.
_EDGE = {
    "listener_per_connection_buffer_limit_bytes": 32768,
    "http_idle_timeout": Seconds(3600.0),
    "http_stream_idle_timeout": Seconds(300.0),
    "http_request_timeout": Seconds(300.0),
    "http_request_headers_timeout": Seconds(60.0),
    "http_max_concurrent_streams": 100,
    "http2_initial_stream_window_size": 65536,
    "http2_initial_connection_window_size": 1048576,
    "http_headers_with_underscores_action": "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
    "http_merge_slashes": True,
    "http_path_with_escaped_slashes_action": "UNESCAPE_AND_REDIRECT",
}
