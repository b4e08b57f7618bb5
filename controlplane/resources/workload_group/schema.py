"""Fields of WorkloadGroup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controlplane.resources.common.probe import ReadinessProbe
from controlplane.resources.common.workload import WorkloadEntry


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """Labels and annotations of the entries that are made."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WorkloadGroup:
    """What entries of workloads that register themselves look like."""

    template: WorkloadEntry
    metadata: ObjectMeta | None = None
    probe: ReadinessProbe | None = None
