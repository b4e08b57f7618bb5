"""Annotations whose feature is in its alpha phase. Many; it runs when it is asked for only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.annotations import ANNOTATIONS, IGNORED
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.resources.resource import Resource
from controlplane.resources.schema import below

_KINDS = ("Namespace", "Service", "Pod", "Deployment")
#: The injector writes them on pods that a CNI plug-in prepares.
_BY_INJECTION = frozenset(
    {
        "sidecar.istio.io/interceptionMode",
        "traffic.sidecar.istio.io/excludeInboundPorts",
        "traffic.sidecar.istio.io/includeInboundPorts",
        "traffic.sidecar.istio.io/includeOutboundIPRanges",
    }
)


def _run(collection: Collection) -> Iterator[Finding]:
    for kind in _KINDS:
        for one in collection.of(kind):
            ignored = IGNORED | _BY_INJECTION if _is_prepared_by_cni(one) else IGNORED
            for name in one.annotations:
                known = ANNOTATIONS.get(name)
                if known is not None and known.alpha and name not in ignored:
                    at = below("metadata.annotations", name)
                    yield found(codes.ALPHA_ANNOTATION, one.key, at, annotation=f'"{name}"')


def _is_prepared_by_cni(resource: Resource[Any]) -> bool:
    if resource.key.kind != "Pod":
        return False
    return all(one.name != "istio-init" for one in resource.spec.spec.init_containers)


ANALYZER = Analyzer(
    name="annotations.AlphaAnalyzer",
    description="Annotations whose feature is in its alpha phase",
    codes=(codes.ALPHA_ANNOTATION,),
    run=_run,
    default=False,
)
