"""What each kind's own rules say."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.resources.virtual_service.reachability import unreachable


def _run(collection: Collection) -> Iterator[Finding]:
    told_elsewhere = {
        (one.key, problem.path, problem.reason)
        for one in collection.of("VirtualService")
        for problem in unreachable(one.spec)
    }
    for key, problems in collection.problems.items():
        for one in problems:
            if one.warning and (key, one.path, one.reason) in told_elsewhere:
                continue
            code = codes.SCHEMA_WARNING if one.warning else codes.SCHEMA_VALIDATION_ERROR
            said = f"{one.path}: {one.reason}" if one.path else one.reason
            yield found(code, key, one.path, problem=said)


ANALYZER = Analyzer(
    name="schema.ValidationAnalyzer",
    description="What each kind's own rules say",
    codes=(codes.SCHEMA_VALIDATION_ERROR, codes.SCHEMA_WARNING),
    run=_run,
)
