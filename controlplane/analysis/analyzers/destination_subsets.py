"""Subsets that no DestinationRule defines."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.destinations import destinations
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.hints import there_are
from controlplane.analysis.hosts import fqdn


def _run(collection: Collection) -> Iterator[Finding]:
    defined = {
        (fqdn(one.spec.host, one.namespace), subset.name)
        for one in collection.of("DestinationRule")
        for subset in one.spec.subsets
    }
    names: dict[str, list[str]] = {}
    for host, name in sorted(defined):
        names.setdefault(host, []).append(name)
    for one in collection.of("VirtualService"):
        for place in destinations(one.spec):
            destination = place.destination
            wanted = (fqdn(destination.host, one.namespace), destination.subset)
            if destination.subset and wanted not in defined:
                what = "mirror+subset" if place.mirror else "host+subset"
                yield found(
                    codes.REFERENCED_RESOURCE_NOT_FOUND,
                    one.key,
                    f"{place.path}.subset",
                    what=f"{what} in destinationrule",
                    name=f"{destination.host}+{destination.subset}",
                    hint=there_are(names.get(wanted[0], ()), "subsets"),
                )


ANALYZER = Analyzer(
    name="virtualservice.DestinationRuleAnalyzer",
    description="Subsets that no DestinationRule defines",
    codes=(codes.REFERENCED_RESOURCE_NOT_FOUND,),
    run=_run,
)
