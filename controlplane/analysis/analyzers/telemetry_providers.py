"""Telemetries that log to nobody."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found


def _run(collection: Collection) -> Iterator[Finding]:
    if collection.mesh.default_providers.access_logging:
        return
    for one in collection.of("Telemetry"):
        for index, logging in enumerate(one.spec.access_logging):
            if not logging.disabled and not logging.providers:
                yield found(
                    codes.TELEMETRY_WITHOUT_PROVIDER,
                    one.key,
                    f"spec.accessLogging[{index}]",
                    name=one.name,
                    namespace=one.namespace,
                )


ANALYZER = Analyzer(
    name="telemetry.ProviderAnalyzer",
    description="Telemetries that log to nobody",
    codes=(codes.TELEMETRY_WITHOUT_PROVIDER,),
    run=_run,
)
