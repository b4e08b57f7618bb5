"""Patches of route configurations, virtual hosts and routes."""

from __future__ import annotations

from typing import Any

from envoy.config.route.v3.route_pb2 import RouteConfiguration

from controlplane.resources.envoy_filter import lists, select
from controlplane.resources.envoy_filter.merge import merge
from controlplane.resources.envoy_filter.schema import (
    RouteConfigurationMatch,
    RouteMatch,
    VirtualHostMatch,
)
from controlplane.resources.envoy_filter.select import Target, Wanted
from controlplane.translation.gateways import parse_route_name
from controlplane.translation.names import parse_port
from controlplane.translation.pack import packed
from controlplane.world.view import View
from controlplane.xds.translator import Encoded, encoded

SORTS = ("ROUTE_CONFIGURATION", "VIRTUAL_HOST", "HTTP_ROUTE")
_ANY, _ANY_HOST, _ANY_ROUTE = RouteConfigurationMatch(), VirtualHostMatch(), RouteMatch()
_ACTIONS = {"ROUTE": "route", "REDIRECT": "redirect", "DIRECT_RESPONSE": "direct_response"}


def patched(view: View, found: Encoded | None, context: str, target: Target) -> Encoded | None:
    """A route configuration, patched. Without patches it is not unpacked."""
    wanted = {sort: select.patches(view, target, sort) for sort in SORTS}
    if found is None or not any(wanted.values()):
        return found
    routes = RouteConfiguration.FromString(found.body)
    patch_message(routes, context, wanted)
    return encoded(found.name, packed(routes))


def patch_message(
    routes: RouteConfiguration, context: str, wanted: dict[str, tuple[Wanted, ...]]
) -> None:
    """Changes a route configuration."""
    for patch in wanted["ROUTE_CONFIGURATION"]:
        if _concerns(patch, routes, context) and patch.patch.operation.startswith("MERGE"):
            name = routes.name
            replace = patch.patch.operation == "MERGE_AND_REPLACE_LIST"
            merge(routes, patch.value(), replace_lists=replace)
            routes.name = name
    for patch in wanted["VIRTUAL_HOST"]:
        if _concerns(patch, routes, context):
            host = _host_of(patch)
            lists.apply(routes.virtual_hosts, patch, _is_host(host), anywhere=host == _ANY_HOST)
    for patch in wanted["HTTP_ROUTE"]:
        if not _concerns(patch, routes, context):
            continue
        host = _host_of(patch)
        route = host.route or _ANY_ROUTE
        for one in routes.virtual_hosts:
            if _is_host(host)(one):
                lists.apply(one.routes, patch, _is_route(route), anywhere=route == _ANY_ROUTE)


def _concerns(patch: Wanted, routes: RouteConfiguration, context: str) -> bool:
    if not patch.about(context):
        return False
    match = patch.match.route_configuration or _ANY
    if match.name and match.name != routes.name:
        return False
    if match.port_number and match.port_number != _port(routes.name):
        return False
    parts = routes.name.split(".")
    of_gateway = parts[0] == "https" and len(parts) >= 5
    if match.gateway and of_gateway and match.gateway != f"{parts[-1]}/{parts[-2]}":
        return False
    return not (match.port_name and of_gateway and match.port_name != parts[2])


def _port(name: str) -> int | None:
    """The port in `9080`, `host:9080`, `http.8080`, `inbound|9080||`."""
    gateway = parse_route_name(name)
    if gateway is not None:
        return gateway[1]
    if name.startswith("inbound|"):
        return parse_port(name.split("|")[1])
    return parse_port(name.rpartition(":")[2])


def _host_of(patch: Wanted) -> VirtualHostMatch:
    match = patch.match.route_configuration
    return (match.vhost if match else None) or _ANY_HOST


def _is_host(wanted: VirtualHostMatch) -> Any:
    return lambda one: (
        (not wanted.name or wanted.name == one.name)
        and (not wanted.domain_name or wanted.domain_name in one.domains)
    )


def _is_route(wanted: RouteMatch) -> Any:
    return lambda one: (
        (not wanted.name or wanted.name == one.name)
        and (wanted.action == "ANY" or one.HasField(_ACTIONS[wanted.action]))
    )
