"""Runs analyzers over a collection, and sorts what they find."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.resources.resource import Key

#: On a resource: codes that are not to be told of it, with commas between, or `*`.
SUPPRESS = "galley.istio.io/analyze-suppress"


@dataclass(frozen=True, slots=True)
class Suppression:
    """`-S IST0101=VirtualService *.default`"""

    code: str
    #: `KIND NAME.NAMESPACE` or `KIND NAMESPACE/NAME`, with wildcards.
    resource: str

    def covers(self, finding: Finding) -> bool:
        key = finding.key
        names = [finding.origin]
        if key.namespace:
            names.append(f"{key.kind} {key.name}.{key.namespace}")
        return self.code == finding.code.code and any(
            fnmatch.fnmatchcase(name, self.resource) for name in names
        )


def runs(analyzer: Analyzer, collection: Collection) -> bool:
    """Whether there is enough to judge by."""
    return not analyzer.needs or collection.knows(*analyzer.needs)


def analyze(
    collection: Collection,
    analyzers: Iterable[Analyzer],
    suppressions: Sequence[Suppression] = (),
) -> list[Finding]:
    """What the analyzers find, each once; the worst first, then by code and resource."""
    findings: dict[tuple[str, Key, str, str], Finding] = {}
    for analyzer in analyzers:
        for one in _run(analyzer, collection) if runs(analyzer, collection) else ():
            if not _suppressed(one, collection, suppressions):
                findings.setdefault((one.code.code, one.key, one.path, one.message), one)
    return sorted(
        findings.values(),
        key=lambda one: (one.code.level, one.code.code, one.origin, one.message),
    )


def _run(analyzer: Analyzer, collection: Collection) -> list[Finding]:
    try:
        return list(analyzer.run(collection))
    except Exception as error:  # noqa: BLE001  # whatever it is, the others still have their say
        detail = f"{analyzer.name}: {type(error).__name__}: {error}; please report it"
        return [found(codes.INTERNAL_ERROR, Key("Analyzer", "", analyzer.name), detail=detail)]


def _suppressed(
    finding: Finding, collection: Collection, suppressions: Sequence[Suppression]
) -> bool:
    key = finding.key
    resource = collection.find(key.kind, key.namespace, key.name)
    said = resource.annotations.get(SUPPRESS, "") if resource is not None else ""
    if {"*", finding.code.code} & {one.strip() for one in said.split(",")}:
        return True
    return any(one.covers(finding) for one in suppressions)
