"""What a route does: forward, redirect, answer by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    RedirectAction,
    Route,
    RouteAction,
    WeightedCluster,
)
from envoy.type.v3.percent_pb2 import FractionalPercent

from controlplane.registry import mesh, services
from controlplane.registry.model import Service
from controlplane.resources.common.destination import Destination
from controlplane.resources.common.headers import HeaderOperations, Headers
from controlplane.resources.common.percent import Percent
from controlplane.resources.destination_rule import hashing
from controlplane.resources.resource import Key
from controlplane.resources.virtual_service import retries
from controlplane.resources.virtual_service.schema import (
    HTTPDirectResponse,
    HTTPRedirect,
    HTTPRewrite,
    HTTPRoute,
    HTTPRouteDestination,
)
from controlplane.translation import names
from controlplane.translation.durations import duration
from controlplane.translation.settings import headers
from controlplane.world.view import View

if TYPE_CHECKING:
    from controlplane.resources.virtual_service.translate import Client

_REDIRECTS = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}
#: Headers whose change is a change of the authority.
_AUTHORITY = frozenset({"host", ":authority"})


def forward(view: View, key: Key, rule: HTTPRoute, port: int, client: Client) -> RouteAction:
    """To the destinations, by weight."""
    built = RouteAction()
    limit(built, rule.timeout)
    built.hash_policy.extend(_hash_policies(view, key, rule, port, client))
    hashed = bool(built.hash_policy) and len(rule.route) == 1
    default = mesh.config(view).default_http_retry_policy
    policy = retries.policy(rule.retries, default, hashed=hashed)
    if policy is not None:
        built.retry_policy.CopyFrom(policy)
    authority = _new_authority(rule.headers)
    if rule.rewrite is not None:
        _rewrite(built, rule.rewrite)
        forwarded = headers(view, client.settings).x_forwarded_host
        built.append_x_forwarded_host = bool(forwarded and forwarded.enabled)
        authority = rule.rewrite.authority or authority
    if len(rule.route) == 1:
        # What the only destination says is said of the route; the route's own authority stays.
        authority = authority or _new_authority(rule.route[0].headers)
    if authority:
        built.host_rewrite_literal = authority
    for destination, percentage in _mirrors(rule):
        if percentage is not None and not percentage.value:
            continue
        mirror = built.request_mirror_policies.add(
            cluster=cluster(view, key, destination, port, client)
        )
        mirror.runtime_fraction.default_value.CopyFrom(fraction(percentage))
        mirror.trace_sampled.value = False
    if len(rule.route) == 1:
        built.cluster = cluster(view, key, rule.route[0].destination, port, client)
        return built
    built.weighted_clusters.CopyFrom(
        WeightedCluster(
            clusters=(_share(view, key, one, port, client) for one in rule.route if one.weight)
        )
    )
    return built


def limit(built: RouteAction, timeout: float | None) -> None:
    """How long an answer may take; none is for ever. Deadlines of gRPC's callers cannot go beyond
    that, and hold where nothing else is said. Not as `max_stream_duration`: tunnels and long
    uploads would end by it, too."""
    built.timeout.CopyFrom(duration(timeout or 0.0))
    built.max_grpc_timeout.CopyFrom(built.timeout)


def cluster(view: View, key: Key, destination: Destination, port: int, client: Client) -> str:
    """The cluster of a destination. Without a port: the only one that the service has, or that on
    which the request came."""
    host = services.qualified(destination.host, key.namespace, mesh.domain(view))
    host = services.concrete(view, host)
    service = services.find(view, host, client.namespace)
    return names.outbound(_port(service, destination, port), destination.subset, host)


def redirect(given: HTTPRedirect, port: int, *, encrypted: bool) -> RedirectAction:
    """Elsewhere. `port`: on which the request came; `encrypted`: whether in TLS."""
    built = RedirectAction(
        host_redirect=given.authority,
        response_code=_REDIRECTS[given.redirect_code or 301],
    )
    if given.uri:
        built.path_redirect = given.uri
    elif given.prefix_rewrite:
        built.prefix_rewrite = given.prefix_rewrite
    if given.scheme:
        built.scheme_redirect = given.scheme
    chosen = given.port
    if chosen is None and given.derive_port == "FROM_REQUEST_PORT":
        chosen = port
    # As in Istio: what the scheme says by itself is not written.
    scheme = given.scheme or ("https" if encrypted else "http")
    if chosen and (scheme, chosen) not in {("http", 80), ("https", 443)}:
        built.port_redirect = chosen
    return built


def direct_response(given: HTTPDirectResponse) -> DirectResponseAction:
    """An answer of the proxy's own."""
    built = DirectResponseAction(status=given.status)
    if given.body is not None and given.body.string is not None:
        built.body.inline_string = given.body.string
    elif given.body is not None and given.body.raw is not None:
        built.body.inline_bytes = given.body.raw
    return built


def change_headers(built: Route, rule: HTTPRoute) -> None:
    """What a rule does to the headers of requests and responses, then its only destination."""
    if rule.headers is not None:
        _change(built, rule.headers)
    if len(rule.route) == 1 and rule.route[0].headers is not None:
        _change(built, rule.route[0].headers)


def fraction(percentage: Percent | None) -> FractionalPercent:
    """A share, to a millionth; none given is all."""
    value = 100.0 if percentage is None else percentage.value
    return FractionalPercent(numerator=round(value * 10_000), denominator=FractionalPercent.MILLION)


def _port(service: Service | None, destination: Destination, port: int) -> int:
    if destination.port and destination.port.number:
        return destination.port.number
    return service.ports[0].number if service and len(service.ports) == 1 else port


def _hash_policies(
    view: View, key: Key, rule: HTTPRoute, port: int, client: Client
) -> list[RouteAction.HashPolicy]:
    found: list[RouteAction.HashPolicy] = []
    for one in rule.route:
        host = services.qualified(one.destination.host, key.namespace, mesh.domain(view))
        service = services.find(view, host, client.namespace)
        if service is None:
            continue
        number = _port(service, one.destination, port)
        hashed = hashing.of_destination(
            view, service, number, one.destination.subset, client.namespace, client.labels
        )
        if hashed is not None and hashed not in found:
            found.append(hashed)
    return found


def _share(
    view: View, key: Key, one: HTTPRouteDestination, port: int, client: Client
) -> WeightedCluster.ClusterWeight:
    built = WeightedCluster.ClusterWeight(name=cluster(view, key, one.destination, port, client))
    built.weight.value = one.weight
    if one.headers is not None:
        authority = _new_authority(one.headers)
        if authority:
            built.host_rewrite_literal = authority
        _change(built, one.headers)
    return built


def _mirrors(rule: HTTPRoute) -> Iterable[tuple[Destination, Percent | None]]:
    for policy in rule.mirrors:
        yield policy.destination, policy.percentage
    if rule.mirror is not None:
        percentage = rule.mirror_percentage
        if percentage is None and rule.mirror_percent is not None:
            percentage = Percent(float(rule.mirror_percent))
        yield rule.mirror, percentage


def _rewrite(built: RouteAction, given: HTTPRewrite) -> None:
    regex = given.uri_regex_rewrite
    if regex is not None:
        built.regex_rewrite.pattern.regex = regex.match
        built.regex_rewrite.substitution = regex.rewrite
    elif given.uri:
        # Of a path that was matched as a whole, by value or by expression, the whole.
        built.prefix_rewrite = given.uri


def _new_authority(headers: Headers | None) -> str:
    """What is set, before what is added."""
    operations = headers.request if headers is not None else None
    if operations is None:
        return ""
    named = (
        value
        for values in (operations.set, operations.add)
        for name, value in values.items()
        if name.lower() in _AUTHORITY
    )
    return next(named, "")


def _change(built: Route | WeightedCluster.ClusterWeight, headers: Headers) -> None:
    if headers.request is not None:
        built.request_headers_to_add.extend(_additions(headers.request))
        built.request_headers_to_remove.extend(_changeable(headers.request.remove))
    if headers.response is not None:
        built.response_headers_to_add.extend(_additions(headers.response))
        built.response_headers_to_remove.extend(_changeable(headers.response.remove))


def _changeable(names: Iterable[str]) -> list[str]:
    """As in Istio, without what is no header of its own: Envoy would refuse the route."""
    return [one for one in names if not one.startswith(":") and one.lower() != "host"]


def _additions(operations: HeaderOperations) -> Iterable[HeaderValueOption]:
    overwrite = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    for name in _changeable(sorted(operations.set)):
        header = HeaderValue(key=name, value=operations.set[name])
        yield HeaderValueOption(header=header, append_action=overwrite)
    for name in _changeable(sorted(operations.add)):
        header = HeaderValue(key=name, value=operations.add[name])
        yield HeaderValueOption(
            header=header, append_action=HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
        )
