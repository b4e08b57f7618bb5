"""Rules of WorkloadEntry."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.common.workload import WorkloadEntry
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import metadata
from controlplane.resources.rules.workloads import workload


def validate(spec: WorkloadEntry, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from metadata.reserved(meta)
    yield from workload(spec, "spec")
