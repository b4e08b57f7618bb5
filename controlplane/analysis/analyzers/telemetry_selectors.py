"""Telemetries that select no workload, or the same one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding
from controlplane.analysis.selection import conflicting, selected, without_workloads
from controlplane.resources.telemetry.schema import Telemetry

_PATH = "spec.selector.matchLabels"


def _labels(spec: Telemetry) -> Mapping[str, str]:
    return spec.selector.match_labels if spec.selector is not None else {}


def _run(collection: Collection) -> Iterator[Finding]:
    selecting = [one for one in collection.of("Telemetry") if _labels(one.spec)]
    yield from without_workloads(collection, selecting, _labels, _PATH)
    for workload, own in selected(collection, selecting, _labels):
        yield from conflicting(codes.CONFLICTING_TELEMETRY_SELECTORS, workload, own, _PATH)


ANALYZER = Analyzer(
    name="telemetry.SelectorAnalyzer",
    description="Telemetries that select no workload, or the same one",
    codes=(codes.REFERENCED_RESOURCE_NOT_FOUND, codes.CONFLICTING_TELEMETRY_SELECTORS),
    run=_run,
)
