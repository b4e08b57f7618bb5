"""VirtualServices of the mesh's sidecars with a host in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found, full_name
from controlplane.analysis.hosts import ALL, covers, exported, fqdn
from controlplane.resources.resource import Key, Resource

_MESH = "mesh"


def _run(collection: Collection) -> Iterator[Finding]:
    index: dict[tuple[str, str], list[Resource[Any]]] = {}
    for one in collection.of("VirtualService"):
        if one.spec.gateways and _MESH not in one.spec.gateways:
            continue
        for scope in exported(one.spec.export_to, one.namespace):
            for host in one.spec.hosts:
                index.setdefault((scope, fqdn(host, one.namespace)), []).append(one)
    #: Hosts that everybody sees, to be held against those of one namespace.
    everywhere = [(host, ones) for (scope, host), ones in index.items() if scope == ALL]
    told: set[Key] = set()
    for (scope, host), ones in index.items():
        together = list(ones)
        if scope != ALL:
            for other, theirs in everywhere:
                if covers(other, host) or covers(host, other):
                    together += theirs
        names = sorted({full_name(one.key) for one in together})
        for one in together if len(names) > 1 else ():
            if one.key in told:
                continue
            told.add(one.key)
            code = codes.CONFLICTING_MESH_GATEWAY_HOSTS
            yield found(code, one.key, "spec.hosts", names=names, host=host)


ANALYZER = Analyzer(
    name="virtualservice.ConflictingMeshGatewayHostsAnalyzer",
    description="VirtualServices of the mesh gateway with a host in common",
    codes=(codes.CONFLICTING_MESH_GATEWAY_HOSTS,),
    run=_run,
)
