"""Gateways of the same workloads with the same host on the same port."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found, full_name
from controlplane.analysis.gateway_hosts import server_hosts
from controlplane.analysis.workloads import Index, indexed, matches, written
from controlplane.resources.resource import Resource


def _run(collection: Collection) -> Iterator[Finding]:
    gateways = collection.of("Gateway")
    all_workloads = indexed(collection)
    #: By port, bind and host: who has them.
    owners: dict[tuple[int, str, str], list[Resource[Any]]] = {}
    for gateway in gateways:
        for server in gateway.spec.servers:
            for host in server_hosts(server, gateway.namespace):
                key = (server.port.number, server.bind, host)
                owners.setdefault(key, []).append(gateway)
    for gateway in gateways:
        for place, server in enumerate(gateway.spec.servers):
            others = {
                full_name(other.key)
                for host in server_hosts(server, gateway.namespace)
                for other in owners[server.port.number, server.bind, host]
                if other.key != gateway.key and _together(gateway, other, all_workloads)
            }
            if others:
                yield found(
                    codes.CONFLICTING_GATEWAYS,
                    gateway.key,
                    f"spec.servers[{place}]",
                    gateways=sorted(others),
                    selector=written(gateway.spec.selector),
                    port=server.port.number,
                    hosts=list(server.hosts),
                )


def _together(one: Resource[Any], other: Resource[Any], all_workloads: Index) -> bool:
    """Whether they are for the same workloads."""
    if one.spec.selector == other.spec.selector:
        return True
    own = all_workloads.selected(one.spec.selector)
    return any(matches(other.spec.selector, each.labels) for each in own)


ANALYZER = Analyzer(
    name="gateway.ConflictingGatewayAnalyzer",
    description="Gateways of the same workloads with the same host on the same port",
    codes=(codes.CONFLICTING_GATEWAYS,),
    run=_run,
)
