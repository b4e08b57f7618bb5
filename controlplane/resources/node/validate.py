"""Rules of Kubernetes' Node."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.node.schema import Node
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import addresses


def validate(node: Node, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    for index, one in enumerate(node.status.addresses):
        if one.type in {"InternalIP", "ExternalIP"}:
            yield from addresses.ip(one.address, f"status.addresses[{index}].address")
