"""Sidecars that select no workload, or the same one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.selection import conflicting, selected, several, without_workloads
from controlplane.analysis.workloads import namespace_is_ambient
from controlplane.resources.sidecar.schema import Sidecar

_PATH = "spec.workloadSelector.labels"


def _labels(spec: Sidecar) -> Mapping[str, str]:
    return spec.workload_selector.labels if spec.workload_selector is not None else {}


def _run(collection: Collection) -> Iterator[Finding]:
    sidecars = collection.of("Sidecar")
    selecting = [one for one in sidecars if _labels(one.spec)]
    yield from without_workloads(collection, selecting, _labels, _PATH)
    for workload, own in selected(collection, selecting, _labels):
        if workload.ambient:
            reason = f"the workload {workload.name} is in ambient mode and has no sidecar"
            for one in own:
                yield found(codes.INEFFECTIVE_POLICY, one.key, _PATH, reason=reason)
        else:
            yield from conflicting(codes.CONFLICTING_SIDECAR_SELECTORS, workload, own, _PATH)
    of_namespaces = []
    for one in sidecars:
        if _labels(one.spec):
            continue
        if namespace_is_ambient(collection, one.namespace):
            reason = "the namespace is in ambient mode and has no sidecars"
            yield found(codes.INEFFECTIVE_POLICY, one.key, reason=reason)
        else:
            of_namespaces.append(one)
    yield from several(codes.MULTIPLE_SIDECARS_WITHOUT_SELECTORS, of_namespaces)


ANALYZER = Analyzer(
    name="sidecar.SelectorAnalyzer",
    description="Sidecars that select no workload, or the same one",
    codes=(
        codes.REFERENCED_RESOURCE_NOT_FOUND,
        codes.CONFLICTING_SIDECAR_SELECTORS,
        codes.MULTIPLE_SIDECARS_WITHOUT_SELECTORS,
        codes.INEFFECTIVE_POLICY,
    ),
    run=_run,
)
