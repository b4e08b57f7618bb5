"""Annotations whose feature is in its alpha phase. Many; it runs when it is asked for only."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.annotations import ANNOTATIONS, IGNORED
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.resources.schema import below

_KINDS = ("Namespace", "Service", "Pod", "Deployment")


def _run(collection: Collection) -> Iterator[Finding]:
    for kind in _KINDS:
        for one in collection.of(kind):
            for name in one.annotations:
                known = ANNOTATIONS.get(name)
                if known is not None and known.alpha and name not in IGNORED:
                    at = below("metadata.annotations", name)
                    yield found(codes.ALPHA_ANNOTATION, one.key, at, annotation=f'"{name}"')


ANALYZER = Analyzer(
    name="annotations.AlphaAnalyzer",
    description="Annotations whose feature is in its alpha phase",
    codes=(codes.ALPHA_ANNOTATION,),
    run=_run,
    default=False,
)
