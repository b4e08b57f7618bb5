"""Fields of Kubernetes' Endpoints (the older form of EndpointSlice)."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.resources.common.object_reference import ObjectReference
from controlplane.resources.schema import Port


@dataclass(frozen=True, slots=True)
class EndpointAddress:
    """One address."""

    ip: str
    hostname: str = ""
    node_name: str = ""
    target_ref: ObjectReference | None = None


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """A port of every address, by the service's port name."""

    port: Port
    name: str = ""
    #: "" is TCP.
    protocol: str = ""
    app_protocol: str = ""


@dataclass(frozen=True, slots=True)
class EndpointSubset:
    """Addresses times ports."""

    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the service of the same name is."""

    subsets: tuple[EndpointSubset, ...] = ()
