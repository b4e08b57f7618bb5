"""PeerAuthentication: whether a workload takes mutual TLS, plaintext or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.schema import Length, Port

#: UNSET inherits: the port's from the workload's, that from the namespace's, that from the mesh's.
MutualTlsMode = Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]


@dataclass(frozen=True, slots=True)
class MutualTls:
    mode: MutualTlsMode = "UNSET"


@dataclass(frozen=True, slots=True)
class PeerAuthentication:
    selector: PolicySelector | None = None
    mtls: MutualTls | None = None
    #: By the port of the workload, not of the service. None: not given.
    port_level_mtls: Annotated[Mapping[Port, MutualTls], Length(1)] | None = None
