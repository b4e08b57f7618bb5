"""Fields of Kubernetes' EndpointSlice; its service is in label `kubernetes.io/service-name`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controlplane.resources.common.object_reference import ObjectReference
from controlplane.resources.schema import Port


@dataclass(frozen=True, slots=True)
class EndpointConditions:
    """None is unknown: ready, serving, not terminating."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


@dataclass(frozen=True, slots=True)
class ZoneHint:
    """A zone whose clients should use the endpoint."""

    name: str


@dataclass(frozen=True, slots=True)
class EndpointHints:
    """Topology-aware routing."""

    for_zones: tuple[ZoneHint, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One workload."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions | None = None
    hostname: str = ""
    node_name: str = ""
    zone: str = ""
    target_ref: ObjectReference | None = None
    hints: EndpointHints | None = None


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """A port of every endpoint, by the service's port name."""

    #: None is all ports.
    port: Port | None = None
    name: str = ""
    #: "" is TCP.
    protocol: str = ""
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """Some of the endpoints of a service, of one address family."""

    address_type: Literal["IPv4", "IPv6", "FQDN"]
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
