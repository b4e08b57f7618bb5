"""TLS and TCP routes of VirtualServices: to which clusters connections go, by SNI and port."""

from __future__ import annotations

from dataclasses import dataclass, replace

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


def of_gateway(
    view: View, opened: Opened, port: int, client: Client, *, by_name: bool
) -> list[Forward]:
    """The routes of a gateway's server, in order: of TLS that is passed on (`by_name`) one for each
    SNI that nobody has yet, otherwise the first of TCP, which has all connections. What a server
    does not serve is left out; addresses, labels and namespaces of clients do not count there."""
    found: list[Forward] = []
    taken: set[str] = set()
    for key in bound(view, opened, client):
        for one in of_tls(view, key, port, client) if by_name else of_tcp(view, key, port, client):
            if not by_name:
                return [replace(one, subnets=())]
            names = tuple(
                narrowed
                for name in one.server_names
                if (narrowed := opened.narrowed(key.namespace, name)) and narrowed not in taken
            )
            taken.update(names)
            if names:
                found.append(replace(one, server_names=names, subnets=()))
    return found


def bound(view: View, opened: Opened, client: Client) -> tuple[Key, ...]:
    """The VirtualServices of a gateway's server, the oldest first."""
    found = select.for_gateways(view, client.gateways, client.namespace)
    return tuple(dict.fromkeys(key for host, key in found if opened.narrowed(key.namespace, host)))


def of_tls(view: View, key: Key, port: int, client: Client) -> list[Forward]:
    """The TLS routes of one VirtualService, for connections that came in on a port."""
    resource = view.resource(*key)
    return [
        _forward(view, key, route.route, match, port, client)
        for route in (resource.spec.tls if resource is not None else ())
        for match in route.match
        if _for_client(match, key.namespace, port, client)
    ]


def of_tcp(view: View, key: Key, port: int, client: Client) -> list[Forward]:
    """The TCP routes of one VirtualService."""
    resource = view.resource(*key)
    return [
        _forward(view, key, route.route, match, port, client)
        for route in (resource.spec.tcp if resource is not None else ())
        for match in route.match or (L4MatchAttributes(),)
        if _for_client(match, key.namespace, port, client)
    ]


def _forward(
    view: View,
    key: Key,
    to: tuple[RouteDestination, ...],
    match: TLSMatchAttributes | L4MatchAttributes,
    port: int,
    client: Client,
) -> Forward:
    clusters = _clusters(view, key, to, port, client)
    # Several destinations are counted together, by Istio's name.
    prefix = clusters[0][0] if len(to) == 1 else f"{key.name}.{key.namespace}"
    names = match.sni_hosts if isinstance(match, TLSMatchAttributes) else ()
    return Forward(
        prefix, clusters, tuple(name.lower() for name in names), match.destination_subnets
    )


def _for_client(
    match: TLSMatchAttributes | L4MatchAttributes, namespace: str, port: int, client: Client
) -> bool:
    named = {select.gateway(name, namespace) for name in match.gateways}
    if (match.port and match.port != port) or (named and named.isdisjoint(client.gateways)):
        return False
    if select.MESH not in client.gateways:
        return True
    return (
        not match.source_namespace or match.source_namespace == client.namespace
    ) and workloads.matches(workloads.pairs(match.source_labels), client.labels)


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
