"""AuthorizationPolicies that are for no workload, or speak of namespaces that there are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.workloads import KINDS, Index, workloads, written
from controlplane.resources.resource import Resource


def _run(collection: Collection) -> Iterator[Finding]:
    all_workloads = Index(one for one in workloads(collection) if one.in_mesh or one.ambient)
    namespaces = {one.name for one in collection.of("Namespace")}
    for policy in collection.of("AuthorizationPolicy"):
        if collection.knows(*KINDS):
            yield from _workloads(policy, collection, all_workloads)
        if collection.knows("Namespace"):
            yield from _namespaces(policy, namespaces)


def _workloads(
    policy: Resource[Any], collection: Collection, all_workloads: Index
) -> Iterator[Finding]:
    spec = policy.spec
    if spec.target_ref is not None or spec.target_refs:
        return
    mesh_wide = policy.namespace == collection.mesh.root_namespace
    if mesh_wide and spec.selector is None:
        return
    labels = spec.selector.match_labels if spec.selector is not None else {}
    namespace = None if mesh_wide else policy.namespace
    if next(all_workloads.selected(labels, namespace), None) is not None:
        return
    path = "spec.selector.matchLabels" if spec.selector is not None else ""
    yield found(codes.NO_MATCHING_WORKLOADS, policy.key, path, labels=written(labels) or "none")


def _namespaces(policy: Resource[Any], namespaces: set[str]) -> Iterator[Finding]:
    for index, rule in enumerate(policy.spec.rules):
        for place, one in enumerate(rule.from_):
            if one.source is None:
                continue
            for field, values in (
                ("namespaces", one.source.namespaces),
                ("notNamespaces", one.source.not_namespaces),
            ):
                for number, value in enumerate(values):
                    if not any(_means(value, namespace) for namespace in namespaces):
                        path = f"spec.rules[{index}].from[{place}].source.{field}[{number}]"
                        yield found(
                            codes.REFERENCED_RESOURCE_NOT_FOUND,
                            policy.key,
                            path,
                            what="namespace",
                            name=value,
                        )


def _means(pattern: str, namespace: str) -> bool:
    """Exact, `p*`, `*s`, `*`."""
    if pattern.startswith("*"):
        return namespace.endswith(pattern[1:])
    if pattern.endswith("*"):
        return namespace.startswith(pattern[:-1])
    return pattern == namespace


ANALYZER = Analyzer(
    name="auth.AuthorizationPoliciesAnalyzer",
    description="AuthorizationPolicies for no workload, or with unknown namespaces",
    codes=(codes.NO_MATCHING_WORKLOADS, codes.REFERENCED_RESOURCE_NOT_FOUND),
    run=_run,
)
