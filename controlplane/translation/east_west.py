"""What an east-west gateway passes on without ending it: mutual TLS that says in its SNI for which
cluster it is (`AUTO_PASSTHROUGH`)."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.registry import scope
from controlplane.registry.model import Port, Service
from controlplane.registry.workloads import Labels
from controlplane.resources.destination_rule import select
from controlplane.resources.gateway.select import Opened
from controlplane.translation import names
from controlplane.translation.gateways import Gate, is_passed_on
from controlplane.world.view import View, query


@dataclass(frozen=True, slots=True)
class PassedOn:
    """One cluster of a service."""

    service: Service
    port: Port
    subset: str

    @property
    def name(self) -> str:
        """Of the cluster, and the SNI that asks for it."""
        return names.sni(self.port.number, self.subset, self.service.host)


@query
def of_server(view: View, one: Opened, namespace: str, labels: Labels) -> tuple[PassedOn, ...]:
    """The clusters of the mesh's own services among a server's hosts. `labels`: those that
    selectors of DestinationRules ask for."""
    return tuple(
        PassedOn(service, port, subset)
        for service in scope.of_caller(view, scope.Caller(namespace)).services()
        if not service.external and one.narrowed(service.namespace, service.host) == service.host
        for rule in (select.rule(view, service, namespace, labels),)
        for port in service.ports
        if port.protocol != "udp"
        for subset in ("", *(subset.name for subset in rule.subsets))
    )


@query
def of_gates(
    view: View, gates: tuple[Gate, ...], namespace: str, labels: Labels
) -> tuple[PassedOn, ...]:
    """Those of all servers, each once."""
    found = {
        each.name: each
        for gate in gates
        for one in gate.servers
        if is_passed_on(one)
        for each in of_server(view, one, namespace, labels)
    }
    return tuple(found[name] for name in sorted(found))
