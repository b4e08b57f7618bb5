"""Fields of Kubernetes' Pod that a mesh reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from controlplane.resources.common.object_reference import OwnerReference
from controlplane.resources.common.pod import PodSpec


@dataclass(frozen=True, slots=True)
class PodMetadata:
    """What `Resource` does not hold already."""

    generate_name: str = ""
    #: RFC 3339; "" while it is not being deleted. YAML may read it as a date.
    deletion_timestamp: Any = ""
    owner_references: tuple[OwnerReference, ...] = ()


@dataclass(frozen=True, slots=True)
class PodIP:
    """An address of one family."""

    ip: str = ""


@dataclass(frozen=True, slots=True)
class PodCondition:
    """`Ready` is the one that matters."""

    type: str
    status: Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class PodStatus:
    """Where it runs and whether it is ready."""

    phase: str = ""
    pod_ip: str = field(default="", metadata={"name": "podIP"})
    pod_ips: tuple[PodIP, ...] = field(default=(), metadata={"name": "podIPs"})
    host_ip: str = field(default="", metadata={"name": "hostIP"})
    conditions: tuple[PodCondition, ...] = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """A workload of Kubernetes."""

    metadata: PodMetadata = field(default_factory=PodMetadata)
    spec: PodSpec = field(default_factory=PodSpec)
    status: PodStatus = field(default_factory=PodStatus)
