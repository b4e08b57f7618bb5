"""Which workloads, by their labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WorkloadSelector:
    """The networking kinds' selector; no labels means all workloads of the namespace."""

    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolicySelector:
    """The selector of policies, and of DestinationRule (`istio.type.v1beta1`)."""

    match_labels: Mapping[str, str] = field(default_factory=dict)
