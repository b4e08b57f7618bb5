"""Which servers a gateway's proxy opens: those of every Gateway that selects it."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.registry import workloads
from controlplane.registry.workloads import Labels
from controlplane.resources.gateway.schema import Server
from controlplane.resources.resource import Key
from controlplane.translation.names import covers
from controlplane.world.view import View, query


@dataclass(frozen=True, slots=True)
class Opened:
    """A server, and the Gateway that says so."""

    gateway: Key
    server: Server
    #: (namespace or `*`, host): who may bind to which hosts.
    hosts: tuple[tuple[str, str], ...]

    def __hash__(self) -> int:
        return hash((self.gateway, self.server.port.number, self.hosts))

    @property
    def name(self) -> str:
        """`namespace/name`, as VirtualServices write it."""
        return f"{self.gateway.namespace}/{self.gateway.name}"

    def narrowed(self, namespace: str, host: str) -> str:
        """The host that a VirtualService of a namespace serves here: the narrower of its own and
        the server's; "" if they have nothing in common."""
        for space, served in self.hosts:
            if space not in {"*", namespace}:
                continue
            if covers(served, host):
                return host
            if covers(host, served):
                return served
        return ""


@query
def opened(view: View, labels: Labels) -> tuple[Opened, ...]:
    """All servers of a proxy with these labels, the oldest Gateway first."""
    return tuple(
        Opened(resource.key, server, _hosts(server, resource.namespace))
        for resource in view.resources("Gateway")
        if workloads.matches(workloads.pairs(resource.spec.selector), labels)
        for server in resource.spec.servers
    )


def _hosts(server: Server, namespace: str) -> tuple[tuple[str, str], ...]:
    found = []
    for text in server.hosts:
        space, slash, host = text.rpartition("/")
        if not slash:
            space = "*"
        found.append((namespace if space == "." else space, host.lower()))
    return tuple(found)
