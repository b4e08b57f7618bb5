"""Finding out what a connection carries, from its first bytes."""

from __future__ import annotations

from envoy.config.listener.v3.listener_components_pb2 import ListenerFilter
from envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector

from controlplane.translation.pack import any_of

#: What the inspector says of plaintext HTTP.
PLAIN_HTTP = ("http/1.0", "http/1.1", "h2c")


def http_inspector() -> ListenerFilter:
    """The filter that looks."""
    return ListenerFilter(
        name="envoy.filters.listener.http_inspector", typed_config=any_of(HttpInspector())
    )


def tls_inspector() -> ListenerFilter:
    """The filter that reads SNI and ALPN of a ClientHello."""
    return ListenerFilter(
        name="envoy.filters.listener.tls_inspector", typed_config=any_of(TlsInspector())
    )
