"""TLS and TCP routes of VirtualServices: to which clusters connections go, by SNI and port."""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.registry import workloads
from controlplane.resources.gateway.select import Opened
from controlplane.resources.resource import Key
from controlplane.resources.virtual_service import action, select
from controlplane.resources.virtual_service.schema import (
    L4MatchAttributes,
    RouteDestination,
    TLSMatchAttributes,
)
from controlplane.resources.virtual_service.translate import Client
from controlplane.world.view import View


@dataclass(frozen=True, slots=True)
class Forward:
    """Where connections go."""

    stat_prefix: str
    #: Cluster and weight.
    clusters: tuple[tuple[str, int], ...]
    #: By SNI; empty is every connection.
    server_names: tuple[str, ...] = ()
    #: CIDRs of the addresses that were meant; empty is every one.
    subnets: tuple[str, ...] = ()


def routes(view: View, opened: Opened, port: int, client: Client) -> list[Forward]:
    """The routes of a gateway's server, in order. What a server does not serve is left out."""
    found: list[Forward] = []
    taken: set[str] = set()
    for host, key in select.for_gateways(view, client.gateways, client.namespace):
        if not opened.narrowed(key.namespace, host):
            continue
        for one in of_resource(view, key, port, client):
            names = tuple(
                narrowed
                for name in one.server_names
                if (narrowed := opened.narrowed(key.namespace, name)) and narrowed not in taken
            )
            if one.server_names and not names:
                continue
            if not one.server_names and "" in taken:
                # The first route of a port without SNI is for all of its connections.
                continue
            taken.update(names or ("",))
            found.append(Forward(one.stat_prefix, one.clusters, names, one.subnets))
    return found


def of_resource(view: View, key: Key, port: int, client: Client) -> list[Forward]:
    """The TLS and TCP routes of one VirtualService, for connections that came in on a port."""
    resource = view.resource(*key)
    if resource is None:
        return []
    found = []
    for route in resource.spec.tls:
        for match in route.match:
            if _for_client(match, key.namespace, port, client):
                clusters = _clusters(view, key, route.route, port, client)
                names = tuple(name.lower() for name in match.sni_hosts)
                found.append(Forward(clusters[0][0], clusters, names, match.destination_subnets))
    for route in resource.spec.tcp:
        for match in route.match or (L4MatchAttributes(),):
            if _for_client(match, key.namespace, port, client):
                clusters = _clusters(view, key, route.route, port, client)
                found.append(Forward(clusters[0][0], clusters, (), match.destination_subnets))
    return found


def _for_client(
    match: TLSMatchAttributes | L4MatchAttributes, namespace: str, port: int, client: Client
) -> bool:
    named = {select.gateway(name, namespace) for name in match.gateways}
    return (
        (not match.port or match.port == port)
        and (not match.source_namespace or match.source_namespace == client.namespace)
        and workloads.matches(workloads.pairs(match.source_labels), client.labels)
        and (not named or not named.isdisjoint(client.gateways))
    )


def _clusters(
    view: View, key: Key, destinations: tuple[RouteDestination, ...], port: int, client: Client
) -> tuple[tuple[str, int], ...]:
    one = len(destinations) == 1
    return tuple(
        (action.cluster(view, key, given.destination, port, client), 100 if one else given.weight)
        for given in destinations
        # A share of nothing is refused by Envoy; so is left out.
        if one or given.weight
    )
