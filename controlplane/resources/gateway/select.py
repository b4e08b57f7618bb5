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

    def common(self, namespace: str, host: str) -> tuple[str, ...]:
        """The hosts that a VirtualService of a namespace serves here: its own where the server has
        it, else those of the server's that it covers."""
        served = [one for space, one in self.hosts if space in {"*", namespace}]
        if any(covers(one, host) for one in served):
            return (host,)
        return tuple(dict.fromkeys(one for one in served if covers(host, one)))

    def narrowed(self, namespace: str, host: str) -> str:
        """The first of them, "" if there is none."""
        return next(iter(self.common(namespace, host)), "")


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
