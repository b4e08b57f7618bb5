"""Fields of Kubernetes' Node; region and zone are in its labels."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """An address; `type` is InternalIP, ExternalIP, Hostname, ..."""

    type: str
    address: str


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What is known of the machine."""

    addresses: tuple[NodeAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: locality of its pods, address of gateways of type NodePort."""

    status: NodeStatus = field(default_factory=NodeStatus)
