"""The HTTP routes of a VirtualService as Envoy's."""

from __future__ import annotations

from dataclasses import dataclass

from envoy.config.core.v3.base_pb2 import Metadata as EnvoyMetadata
from envoy.config.route.v3.route_components_pb2 import Decorator, Route

from controlplane.registry import workloads
from controlplane.registry.scope import Caller
from controlplane.registry.workloads import Labels
from controlplane.resources.resource import Key
from controlplane.resources.virtual_service import action, delegates, match, policies, select
from controlplane.resources.virtual_service.schema import HTTPMatchRequest, HTTPRoute
from controlplane.translation import names
from controlplane.translation.settings import DEFAULT, Settings
from controlplane.world.view import View


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends the requests, as far as routes depend on it."""

    caller: Caller
    #: Those of its labels that matches and selectors ask for.
    labels: Labels
    #: `mesh`, or the names of the gateways that it serves, `namespace/name`.
    gateways: tuple[str, ...] = (select.MESH,)
    settings: Settings = DEFAULT
    #: Whether requests come in TLS that ends here.
    encrypted: bool = False

    @property
    def namespace(self) -> str:
        return self.caller.namespace


def routes(view: View, key: Key, port: int, client: Client) -> list[Route]:
    """The routes of requests that came in on a port, in order, for one client. What comes behind a
    route that takes everything can never be reached and is left out."""
    found: list[Route] = []
    for rule in delegates.routes(view, key):
        for one in rule.match or (HTTPMatchRequest(),):
            if not _for_client(one, key.namespace, port, client):
                continue
            built = _route(view, key, rule, one, port, client)
            found.append(built)
            if match.takes_everything(built.match):
                return found
    return found


def _for_client(one: HTTPMatchRequest, namespace: str, port: int, client: Client) -> bool:
    if one.port and one.port != port:
        return False
    if one.gateways:
        # As in Istio: what names gateways is about them, and not about labels and namespaces.
        named = {select.gateway(name, namespace) for name in one.gateways}
        return not named.isdisjoint(client.gateways)
    return (
        not one.source_namespace or one.source_namespace == client.namespace
    ) and workloads.matches(workloads.pairs(one.source_labels), client.labels)


def _route(
    view: View, key: Key, rule: HTTPRoute, one: HTTPMatchRequest, port: int, client: Client
) -> Route:
    # Istio's names, which patches ask for.
    name = f"{rule.name}.{one.name}" if one.name else rule.name
    built = Route(name=name, match=match.route_match(one))
    if one.stat_prefix:
        built.stat_prefix = one.stat_prefix
    if rule.redirect is not None:
        moved = action.redirect(rule.redirect, port, encrypted=client.encrypted)
        built.redirect.CopyFrom(moved)
    elif rule.direct_response is not None:
        built.direct_response.CopyFrom(action.direct_response(rule.direct_response))
    else:
        built.route.CopyFrom(action.forward(view, key, rule, port, client))
    built.decorator.CopyFrom(Decorator(operation=_operation(built, key, port)))
    action.change_headers(built, rule)
    policies.add(built, rule)
    built.metadata.CopyFrom(_origin(key))
    return built


def _operation(built: Route, key: Key, port: int) -> str:
    """The name of spans, as Istio gives it: `HOST:PORT/PATH*`; without a cluster of its own by the
    VirtualService and the port on which requests come."""
    wanted = built.match
    path = wanted.path or wanted.safe_regex.regex or f"{wanted.prefix}*"
    to = names.parse_outbound(built.route.cluster)
    return f"{to.host}:{to.port}{path}" if to else f"{key.name}:{port}{path}"


def _origin(key: Key) -> EnvoyMetadata:
    """Where a route came from, for people who read a dump."""
    built = EnvoyMetadata()
    path = f"/apis/networking.istio.io/v1/namespaces/{key.namespace}/virtual-service/{key.name}"
    built.filter_metadata["istio"].update({"config": path})
    return built
