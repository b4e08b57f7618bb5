"""Finding out what a connection carries, from its first bytes."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_components_pb2 import ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector

from controlplane.registry import mesh
from controlplane.translation.durations import duration
from controlplane.translation.pack import any_of
from controlplane.world.view import View

_HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"
#: What the inspector says of plaintext HTTP.
PLAIN_HTTP = ("http/1.0", "http/1.1", "h2c")


def http_inspector() -> ListenerFilter:
    """The filter that looks."""
    return ListenerFilter(name=_HTTP_INSPECTOR, typed_config=any_of(HttpInspector()))


def tls_inspector() -> ListenerFilter:
    """The filter that reads SNI and ALPN of a ClientHello."""
    return ListenerFilter(
        name="envoy.filters.listener.tls_inspector", typed_config=any_of(TlsInspector())
    )


def wait(view: View, listener: Listener) -> None:
    """How long a client that says nothing is waited for, by MeshConfig: Istio's default is for
    ever. Then it is served as what its first bytes would not have told."""
    looks = any(one.name == _HTTP_INSPECTOR for one in listener.listener_filters)
    inbound = listener.traffic_direction == TrafficDirection.INBOUND
    seconds = mesh.config(view).protocol_detection_timeout if looks or inbound else 0
    listener.listener_filters_timeout.CopyFrom(duration(seconds))
    listener.continue_on_listener_filters_timeout = True
