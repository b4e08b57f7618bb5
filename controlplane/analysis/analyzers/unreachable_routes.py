"""Rules of VirtualServices that no request reaches."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.resources.virtual_service.reachability import unreachable


def _run(collection: Collection) -> Iterator[Finding]:
    for one in collection.of("VirtualService"):
        for problem in unreachable(one.spec):
            path = problem.path
            if ".match[" in path:
                code = codes.INEFFECTIVE_MATCH
                yield found(code, one.key, path, match=path, reason=problem.reason)
            else:
                code = codes.UNREACHABLE_RULE
                yield found(code, one.key, path, rule=path, reason=problem.reason)


ANALYZER = Analyzer(
    # In Istio, a part of the schema's analyzer of VirtualService.
    name="schema.ValidationAnalyzer.VirtualService",
    description="Rules of VirtualServices that no request reaches",
    codes=(codes.UNREACHABLE_RULE, codes.INEFFECTIVE_MATCH),
    run=_run,
)
