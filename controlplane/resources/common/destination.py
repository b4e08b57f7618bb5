"""Where traffic goes, by the names of the registry."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.resources.schema import UInt32


@dataclass(frozen=True, slots=True)
class PortSelector:
    """A port of a service. 0 is not given."""

    number: UInt32 = 0


@dataclass(frozen=True, slots=True)
class Destination:
    """A service, a subset that a DestinationRule defines, a port of the service."""

    #: Short names are read in the namespace of the resource.
    host: str
    subset: str = ""
    port: PortSelector | None = None
