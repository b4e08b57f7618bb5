"""The ports on which a workload is reached: its services', or those of its Sidecar's `ingress`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controlplane.registry import protocols, proxies, scope
from controlplane.registry.model import Service
from controlplane.registry.proxies import Names, Offer
from controlplane.registry.workloads import Labels
from controlplane.resources.common.connection_pool import ConnectionPoolSettings
from controlplane.resources.common.tls import ServerTLSSettings
from controlplane.world.view import View, query


@dataclass(frozen=True, slots=True)
class Inbound:
    """One port of a workload."""

    #: The workload's.
    port: int
    #: The service's, which routes are named after.
    service_port: int
    protocol: str
    #: `ADDRESS:PORT` or `unix:///PATH` of the application; "" is where the client was going.
    endpoint: str = ""
    #: Address to listen on where nothing is captured; "" is the workload's.
    bind: str = ""
    #: Whether a socket of its own is opened, although the workload's connections are captured.
    opened: bool = False
    pool: ConnectionPoolSettings | None = None
    #: Whether a Sidecar resource lists it; its `endpoint` says where it leads.
    listed: bool = False
    #: How TLS from outside of the mesh ends here, where PeerAuthentication turns the mesh's off.
    tls: ServerTLSSettings | None = None
    #: The service that it is of, the oldest of several; None where none has the port.
    service: Service | None = None

    @property
    def host(self) -> str:
        return self.service.host if self.service else ""

    def __hash__(self) -> int:
        return hash((self.port, self.protocol, self.endpoint, self.bind))


@query
def ports(
    view: View, namespace: str, called: Names, labels: Labels, addresses: tuple[str, ...]
) -> tuple[Inbound, ...]:
    """In order of their numbers, each once."""
    key = scope.sidecar(view, namespace, labels)
    resource = view.resource(*key) if key is not None else None
    spec: Any = resource.spec if resource is not None else None
    pool = spec.inbound_connection_pool if spec is not None else None
    offers = {
        one.target: one
        for one in reversed(proxies.offers(view, namespace, called, labels, addresses))
    }
    if spec is not None and spec.ingress:
        found = {
            one.port.number: _of_listener(
                one, one.connection_pool or pool, offers.get(one.port.number)
            )
            for one in reversed(spec.ingress)
        }
    else:
        found = {
            target: Inbound(
                target, one.port.number, one.port.protocol, pool=pool, service=one.service
            )
            for target, one in offers.items()
        }
    return tuple(found[port] for port in sorted(found))


def _of_listener(one: Any, pool: ConnectionPoolSettings | None, offer: Offer | None) -> Inbound:
    return Inbound(
        port=one.port.number,
        service_port=one.port.number,
        protocol=protocols.of_name(one.port.protocol),
        endpoint=one.default_endpoint,
        bind=one.bind,
        opened=one.capture_mode == "NONE",
        pool=pool,
        listed=True,
        tls=one.tls if one.tls and one.tls.mode != "PASSTHROUGH" else None,
        service=offer.service if offer else None,
    )
