"""A Gateway's workloads, the hosts of its servers, and which VirtualServices may use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.analysis import codes
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.hosts import ALL, LOCAL, covers
from controlplane.analysis.workloads import written
from controlplane.resources.gateway.schema import Server
from controlplane.resources.resource import Resource


def server_hosts(server: Server, namespace: str) -> Iterator[str]:
    """`NAMESPACE/HOST`, or `HOST` where VirtualServices of every namespace may use it."""
    for host in server.hosts:
        its, slash, name = host.partition("/")
        if not slash or its == ALL:
            yield name if slash else host
        else:
            yield f"{namespace if its == LOCAL else its}/{name}"


def serves(gateway: Resource[Any], host: str, namespace: str) -> bool:
    """Whether a VirtualService of the namespace may have the host there."""
    for server in gateway.spec.servers:
        for one in server_hosts(server, gateway.namespace):
            its, slash, name = one.partition("/")
            if slash and its != namespace:
                continue
            name = name if slash else one
            if covers(name, host) or covers(host, name):
                return True
    return False


def reference(name: str, namespace: str) -> tuple[str, str]:
    """Namespace and name of what a VirtualService calls a gateway."""
    its, slash, rest = name.partition("/")
    return (its, rest) if slash else (namespace, name)


def no_workloads(gateway: Resource[Any]) -> Finding:
    """Its labels select nothing. More than one analyzer finds it; it is told once."""
    return found(
        codes.REFERENCED_RESOURCE_NOT_FOUND,
        gateway.key,
        "spec.selector",
        what="selector",
        name=written(gateway.spec.selector),
    )
