"""Annotations of Istio's on the wrong kind, with a wrong value, deprecated or unknown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.annotation_values import CHECKS
from controlplane.analysis.annotations import ANNOTATIONS, IGNORED, is_istios
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.resources.resource import Key
from controlplane.resources.schema import below

_KINDS = ("Namespace", "Service", "Pod", "Deployment")
_INJECT = "sidecar.istio.io/inject"
_INSTEAD = {_INJECT: ' in favor of the label "sidecar.istio.io/inject"'}


def _run(collection: Collection) -> Iterator[Finding]:
    for kind in _KINDS:
        for one in collection.of(kind):
            path = "metadata.annotations"
            yield from _check(one.key, kind, one.annotations, one.labels, path)
    for one in collection.of("Deployment"):
        # Its pods are not there yet.
        metadata = one.spec.template.metadata
        if metadata is not None:
            path = "spec.template.metadata.annotations"
            yield from _check(one.key, "Pod", metadata.annotations, metadata.labels, path)


def _check(
    key: Key, kind: str, annotations: Mapping[str, str], labels: Mapping[str, str], path: str
) -> Iterator[Finding]:
    for name, value in annotations.items():
        if not is_istios(name) or name in IGNORED:
            continue
        at = below(path, name)
        known = ANNOTATIONS.get(name)
        if known is None:
            yield found(codes.UNKNOWN_ANNOTATION, key, at, annotation=name)
            continue
        # Whoever has both the annotation and the label that replaced it knows.
        if known.deprecated and not (name == _INJECT and name in labels):
            instead = _INSTEAD.get(name, "")
            yield found(
                codes.DEPRECATED_ANNOTATION, key, at, annotation=f'"{name}"', instead=instead
            )
        if "Any" in known.kinds:
            continue
        if kind not in known.kinds:
            kinds = ", ".join(known.kinds)
            yield found(codes.MISPLACED_ANNOTATION, key, at, annotation=name, kinds=kinds)
        elif problem := CHECKS.get(name, _anything)(value):
            yield found(codes.INVALID_ANNOTATION, key, at, annotation=name, problem=problem)


def _anything(value: str) -> str:
    del value
    return ""


ANALYZER = Analyzer(
    name="annotations.K8sAnalyzer",
    description="Istio's annotations on the wrong kind, with a wrong value, deprecated, unknown",
    codes=(
        codes.MISPLACED_ANNOTATION,
        codes.UNKNOWN_ANNOTATION,
        codes.INVALID_ANNOTATION,
        codes.DEPRECATED_ANNOTATION,
    ),
    run=_run,
)
