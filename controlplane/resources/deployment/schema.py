"""Fields of Kubernetes' Deployment.

Nothing is deployed. A folder of manifests holds Deployments but no Pods, so this is where labels,
identity and ports of workloads are read when there is no cluster: `mesh run` finds out what the
program it wraps is (service account, labels, container ports), and analysis knows which labels
subsets and selectors can match. Endpoints never come from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controlplane.resources.common.pod import PodTemplateSpec


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Its pods; expressions are not read, the template's labels say as much."""

    match_labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A workload."""

    template: PodTemplateSpec
    selector: LabelSelector | None = None
    #: None is 1.
    replicas: int | None = None
