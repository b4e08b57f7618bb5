"""consistentHash as hash policies of routes: clusters hold the table, routes the key."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import RouteAction

from controlplane.registry import mesh
from controlplane.registry.model import Service
from controlplane.registry.workloads import Labels
from controlplane.resources.common.load_balancer import ConsistentHashLB
from controlplane.resources.destination_rule import policy, select
from controlplane.translation.durations import duration
from controlplane.world.view import View, query


@query
def of_destination(
    view: View, service: Service, port: int, subset: str, client: str, labels: Labels
) -> RouteAction.HashPolicy | None:
    """What of a request is hashed on its way to a destination; None if nothing is."""
    rule = select.rule(view, service, client, select.relevant(view, labels))
    chosen = rule.subset(subset)
    holds = policy.of_port(
        mesh.config(view), rule.policy, chosen.traffic_policy if chosen else None, port
    )
    balancer = holds.load_balancer
    if balancer is None or balancer.consistent_hash is None:
        return None
    return hash_policy(balancer.consistent_hash)


def hash_policy(given: ConsistentHashLB) -> RouteAction.HashPolicy | None:
    """What of a request is hashed; None if nothing is named."""
    built = RouteAction.HashPolicy()
    if given.http_header_name is not None:
        built.header.header_name = given.http_header_name
    elif given.http_cookie is not None:
        cookie = given.http_cookie
        built.cookie.name = cookie.name
        built.cookie.path = cookie.path
        if cookie.ttl is not None:
            built.cookie.ttl.CopyFrom(duration(cookie.ttl))
        for one in cookie.attributes:
            built.cookie.attributes.add(name=one.name, value=one.value)
    elif given.use_source_ip:
        built.connection_properties.source_ip = True
    elif given.http_query_parameter_name is not None:
        built.query_parameter.name = given.http_query_parameter_name
    else:
        return None
    return built
