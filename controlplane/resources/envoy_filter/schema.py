"""EnvoyFilter: patches to the Envoy configuration that translation made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from controlplane.resources.common.selector import WorkloadSelector
from controlplane.resources.common.target import TargetReferences
from controlplane.resources.schema import Int32, Port, UInt32

ApplyTo = Literal[
    "INVALID",
    "LISTENER",
    "FILTER_CHAIN",
    "NETWORK_FILTER",
    "HTTP_FILTER",
    "ROUTE_CONFIGURATION",
    "VIRTUAL_HOST",
    "HTTP_ROUTE",
    "CLUSTER",
    "EXTENSION_CONFIG",
    "BOOTSTRAP",
    "LISTENER_FILTER",
]
Context = Literal["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"]
PatchOperation = Literal[
    "INVALID",
    "MERGE",
    "ADD",
    "REMOVE",
    "INSERT_BEFORE",
    "INSERT_AFTER",
    "INSERT_FIRST",
    "REPLACE",
    "MERGE_AND_REPLACE_LIST",
]


@dataclass(frozen=True, slots=True)
class ProxyMatch:
    #: A regular expression for the node's version.
    proxy_version: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClusterMatch:
    """Fields at their zero match everything."""

    port_number: UInt32 = 0
    service: str = ""
    subset: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class RouteMatch:
    name: str = ""
    action: Literal["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"] = "ANY"


@dataclass(frozen=True, slots=True)
class VirtualHostMatch:
    name: str = ""
    domain_name: str = ""
    route: RouteMatch | None = None


@dataclass(frozen=True, slots=True)
class RouteConfigurationMatch:
    port_number: UInt32 = 0
    port_name: str = ""
    #: `NAMESPACE/NAME` of the Gateway.
    gateway: str = ""
    vhost: VirtualHostMatch | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class SubFilterMatch:
    name: str = ""


@dataclass(frozen=True, slots=True)
class FilterMatch:
    name: str = ""
    sub_filter: SubFilterMatch | None = None


@dataclass(frozen=True, slots=True)
class FilterChainMatch:
    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""
    filter: FilterMatch | None = None
    destination_port: UInt32 = 0
    #: The socket's name: `envoy.transport_sockets.tls`; raw_buffer where there is none.
    transport_socket: str = ""


@dataclass(frozen=True, slots=True)
class ListenerMatch:
    port_number: UInt32 = 0
    port_name: str = ""
    filter_chain: FilterChainMatch | None = None
    listener_filter: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class WaypointRouteMatch:
    name: str = ""


@dataclass(frozen=True, slots=True)
class WaypointMatch:
    port_number: Port | None = None
    route: WaypointRouteMatch | None = None
    filter: FilterMatch | None = None


@dataclass(frozen=True, slots=True)
class ConfigObjectMatch:
    context: Context = "ANY"
    proxy: ProxyMatch | None = None
    listener: ListenerMatch | None = None
    route_configuration: RouteConfigurationMatch | None = None
    cluster: ClusterMatch | None = None
    waypoint: WaypointMatch | None = None

    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("listener", "route_configuration", "cluster", "waypoint"),
    )


@dataclass(frozen=True, slots=True)
class Patch:
    operation: PatchOperation = "INVALID"
    #: The JSON form of an Envoy message, which one depends on `apply_to`.
    value: Mapping[str, Any] | None = None
    #: Where ADD puts an HTTP filter.
    filter_class: Literal["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"] = "UNSPECIFIED"


@dataclass(frozen=True, slots=True)
class ConfigPatch:
    """`EnvoyConfigObjectPatch`."""

    apply_to: ApplyTo = "INVALID"
    match: ConfigObjectMatch | None = None
    patch: Patch | None = None


@dataclass(frozen=True, slots=True)
class EnvoyFilter:
    workload_selector: WorkloadSelector | None = None
    target_refs: TargetReferences = ()
    config_patches: tuple[ConfigPatch, ...] = ()
    #: The smallest first; those of the root namespace before those of the workload's.
    priority: Int32 = 0
