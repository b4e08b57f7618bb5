"""Several Telemetries for the whole of a namespace."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding
from controlplane.analysis.selection import several


def _run(collection: Collection) -> Iterator[Finding]:
    whole = [
        one
        for one in collection.of("Telemetry")
        # What is attached to a Gateway or a Service is not for the namespace.
        if one.spec.selector is None and one.spec.target_ref is None and not one.spec.target_refs
    ]
    yield from several(codes.MULTIPLE_TELEMETRIES_WITHOUT_SELECTORS, whole)


ANALYZER = Analyzer(
    name="telemetry.DefaultSelectorAnalyzer",
    description="Several Telemetries for the whole of a namespace",
    codes=(codes.MULTIPLE_TELEMETRIES_WITHOUT_SELECTORS,),
    run=_run,
)
