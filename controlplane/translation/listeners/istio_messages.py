"""Configurations of Istio's own filters, which no package on PyPI carries.

Field numbers are the filters' (Envoy, contrib/istio).
"""

from __future__ import annotations

from google.protobuf import duration_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

_BOOL, _STRING = FieldDescriptorProto.TYPE_BOOL, FieldDescriptorProto.TYPE_STRING
_ENUM, _MESSAGE = FieldDescriptorProto.TYPE_ENUM, FieldDescriptorProto.TYPE_MESSAGE
_ONE, _MANY = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED


def _stats() -> FileDescriptorProto:
    file = FileDescriptorProto(
        name="fastmesh/istio_stats.proto",
        package="stats",
        syntax="proto3",
        dependency=[duration_pb2.DESCRIPTOR.name],
    )
    metric = file.message_type.add(name="MetricConfig")
    entry = metric.nested_type.add(name="DimensionsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_STRING, label=_ONE)
    entry.field.add(name="value", number=2, type=_STRING, label=_ONE)
    _nested(metric, "dimensions", 1, ".stats.MetricConfig.DimensionsEntry", _MANY)
    metric.field.add(name="name", number=2, type=_STRING, label=_ONE)
    metric.field.add(name="tags_to_remove", number=3, type=_STRING, label=_MANY)
    metric.field.add(name="drop", number=5, type=_BOOL, label=_ONE)
    config = file.message_type.add(name="PluginConfig")
    config.field.add(name="disable_host_header_fallback", number=6, type=_BOOL, label=_ONE)
    _nested(config, "tcp_reporting_duration", 7, ".google.protobuf.Duration")
    _nested(config, "metrics", 8, ".stats.MetricConfig", _MANY)
    return file


def _peer_metadata() -> FileDescriptorProto:
    package = "io.istio.http.peer_metadata"
    file = FileDescriptorProto(
        name="fastmesh/istio_peer_metadata.proto", package=package, syntax="proto3"
    )
    config = file.message_type.add(name="Config")
    headers = config.nested_type.add(name="IstioHeaders")
    headers.field.add(name="skip_external_clusters", number=1, type=_BOOL, label=_ONE)
    for name, number in (("DiscoveryMethod", 3), ("PropagationMethod", 1)):
        method = config.nested_type.add(name=name)
        _nested(method, "istio_headers", number, f".{package}.Config.IstioHeaders")
    for name, number, kind in (
        ("downstream_discovery", 1, "DiscoveryMethod"),
        ("upstream_discovery", 2, "DiscoveryMethod"),
        ("downstream_propagation", 3, "PropagationMethod"),
        ("upstream_propagation", 4, "PropagationMethod"),
    ):
        _nested(config, name, number, f".{package}.Config.{kind}", _MANY)
    return file


def _alpn() -> FileDescriptorProto:
    package = "istio.envoy.config.filter.http.alpn.v2alpha1"
    file = FileDescriptorProto(name="fastmesh/istio_alpn.proto", package=package, syntax="proto3")
    config = file.message_type.add(name="FilterConfig")
    protocol = config.enum_type.add(name="Protocol")
    for number, name in enumerate(("HTTP10", "HTTP11", "HTTP2")):
        protocol.value.add(name=name, number=number)
    one = config.nested_type.add(name="AlpnOverride")
    one.field.add(
        name="upstream_protocol",
        number=1,
        type=_ENUM,
        label=_ONE,
        type_name=f".{package}.FilterConfig.Protocol",
    )
    one.field.add(name="alpn_override", number=2, type=_STRING, label=_MANY)
    _nested(config, "alpn_override", 1, f".{package}.FilterConfig.AlpnOverride", _MANY)
    return file


def _exchange() -> FileDescriptorProto:
    file = FileDescriptorProto(
        name="fastmesh/istio_metadata_exchange.proto",
        package="envoy.tcp.metadataexchange.config",
        syntax="proto3",
    )
    config = file.message_type.add(name="MetadataExchange")
    config.field.add(name="protocol", number=1, type=_STRING, label=_ONE)
    return file


def _nested(
    message: DescriptorProto,
    name: str,
    number: int,
    kind: str,
    label: FieldDescriptorProto.Label.ValueType = _ONE,
) -> None:
    message.field.add(name=name, number=number, type=_MESSAGE, label=label, type_name=kind)


_POOL = Default()
for _file in (_stats(), _peer_metadata(), _alpn(), _exchange()):
    _POOL.Add(_file)

PluginConfig = GetMessageClass(_POOL.FindMessageTypeByName("stats.PluginConfig"))
PeerMetadata = GetMessageClass(_POOL.FindMessageTypeByName("io.istio.http.peer_metadata.Config"))
Alpn = GetMessageClass(
    _POOL.FindMessageTypeByName("istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig")
)
MetadataExchange = GetMessageClass(
    _POOL.FindMessageTypeByName("envoy.tcp.metadataexchange.config.MetadataExchange")
)
