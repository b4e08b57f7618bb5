"""Rules of Kubernetes' Deployment."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.deployment.schema import Deployment
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import kubernetes, labels, numbers


def validate(spec: Deployment, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    template = spec.template
    found = template.metadata.labels if template.metadata is not None else {}
    yield from labels.labels(found, "spec.template.metadata.labels")
    if spec.selector is not None and not spec.selector.match_labels.items() <= found.items():
        reason = "does not match the labels of spec.template.metadata; make them the same"
        yield Problem("spec.selector.matchLabels", reason)
    if template.spec is not None:
        yield from kubernetes.containers(template.spec.containers, "spec.template.spec.containers")
        path = "spec.template.spec.initContainers"
        yield from kubernetes.containers(template.spec.init_containers, path)
    if spec.replicas is not None:
        yield from numbers.not_negative(spec.replicas, "spec.replicas")
