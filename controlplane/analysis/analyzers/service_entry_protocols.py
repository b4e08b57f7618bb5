"""ServiceEntries with one host and port and different protocols."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found, full_name
from controlplane.analysis.hosts import ALL, exported
from controlplane.resources.resource import Key

_Entry = tuple[str, Key]


def _run(collection: Collection) -> Iterator[Finding]:
    index: dict[tuple[str, str, int], list[_Entry]] = {}
    for one in collection.of("ServiceEntry"):
        for scope in exported(one.spec.export_to, one.namespace):
            for host in one.spec.hosts:
                for port in one.spec.ports:
                    entry = ((port.protocol or "TCP").upper(), one.key)
                    index.setdefault((scope, host, port.number), []).append(entry)
    told: set[Key] = set()
    for (scope, host, number), entries in index.items():
        together = [*entries, *(index.get((ALL, host, number), []) if scope != ALL else [])]
        protocols = sorted({protocol for protocol, _ in together})
        if len(protocols) < 2:
            continue
        names = ", ".join(sorted({full_name(key) for _, key in together}))
        for _, key in together:
            if key not in told:
                told.add(key)
                yield found(
                    codes.CONFLICTING_SERVICE_ENTRY_PROTOCOL,
                    key,
                    "spec.ports",
                    names=names,
                    host=host,
                    port=number,
                    protocols=", ".join(protocols),
                )


ANALYZER = Analyzer(
    name="serviceentry.ConflictingServiceEntryProtocolAnalyzer",
    description="ServiceEntries with one host and port and different protocols",
    codes=(codes.CONFLICTING_SERVICE_ENTRY_PROTOCOL,),
    run=_run,
)
