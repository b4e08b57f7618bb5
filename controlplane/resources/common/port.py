"""Ports with a protocol and a name."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.resources.schema import UInt32


@dataclass(frozen=True, slots=True)
class ServerPort:
    """A port on which a gateway listens (`Port` in the API)."""

    number: UInt32
    protocol: str
    name: str
    #: Deprecated, without effect.
    target_port: UInt32 = 0


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a service."""

    number: UInt32
    name: str
    #: "" is TCP.
    protocol: str = ""
    #: Port of the endpoints; 0 is `number`.
    target_port: UInt32 = 0


@dataclass(frozen=True, slots=True)
class SidecarPort:
    """A port on which a sidecar listens; egress may leave out all of it."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    #: Deprecated, without effect.
    target_port: UInt32 = 0
