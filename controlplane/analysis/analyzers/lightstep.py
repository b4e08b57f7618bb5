"""Telemetries that report to Lightstep, which is deprecated."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found


def _run(collection: Collection) -> Iterator[Finding]:
    providers = collection.mesh.extension_providers
    deprecated = {one.name for one in providers if one.lightstep is not None}
    for one in collection.of("Telemetry") if deprecated else ():
        for index, tracing in enumerate(one.spec.tracing):
            for place, provider in enumerate(tracing.providers):
                if provider.name in deprecated:
                    path = f"spec.tracing[{index}].providers[{place}].name"
                    detail = f"the Lightstep provider {provider.name}; use an OpenTelemetry one"
                    yield found(codes.DEPRECATED, one.key, path, detail=detail)


ANALYZER = Analyzer(
    name="telemetry.LightstepAnalyzer",
    description="Telemetries that report to Lightstep",
    codes=(codes.DEPRECATED,),
    run=_run,
)
