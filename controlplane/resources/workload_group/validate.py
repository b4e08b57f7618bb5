"""Rules of WorkloadGroup: the template and the probe."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.proxy_config import annotation
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import labels, metadata, probes
from controlplane.resources.rules.workloads import workload
from controlplane.resources.workload_group.schema import WorkloadGroup


def validate(spec: WorkloadGroup, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from metadata.reserved(meta)
    if spec.metadata is not None:
        yield from labels.labels(spec.metadata.labels, "spec.metadata.labels")
        yield from annotation.problems(spec.metadata.annotations, "spec.metadata.annotations")
    yield from annotation.problems(meta.annotations)
    yield from workload(spec.template, "spec.template", template=True)
    if spec.probe is not None:
        yield from probes.probe(spec.probe, "spec.probe")
