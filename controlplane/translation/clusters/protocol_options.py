"""HttpProtocolOptions of a cluster."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from controlplane.translation.pack import any_of

KEY = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
#: What Istio's sidecars allow each other.
_MAX_STREAMS = 1073741824


def use_http2(cluster: Cluster) -> None:
    """Hosts are spoken to in HTTP/2, by prior knowledge or, inside mutual TLS, by ALPN `h2`."""
    options = HttpProtocolOptions()
    http2 = Http2ProtocolOptions()
    http2.max_concurrent_streams.value = _MAX_STREAMS
    options.explicit_http_config.http2_protocol_options.CopyFrom(http2)
    cluster.typed_extension_protocol_options[KEY].CopyFrom(any_of(options))
