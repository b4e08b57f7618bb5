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
    HTTPMatchRequest,
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
_AUTHORITY = frozenset({"host", ":authority", "authority"})


def forward(
    view: View, key: Key, rule: HTTPRoute, one: HTTPMatchRequest, port: int, client: Client
) -> RouteAction:
    """To the destinations, by weight."""
    seconds = rule.timeout if rule.timeout is not None else 0.0
    built = RouteAction(timeout=duration(seconds))
    # gRPC's own deadlines cannot go beyond the route's.
    built.max_stream_duration.max_stream_duration.CopyFrom(duration(seconds))
    built.max_stream_duration.grpc_timeout_header_max.CopyFrom(duration(seconds))
    built.hash_policy.extend(_hash_policies(view, key, rule, port, client))
    hashed = bool(built.hash_policy) and len(rule.route) == 1
    default = mesh.config(view).default_http_retry_policy
    policy = retries.policy(rule.retries, default, hashed=hashed)
    if policy is not None:
        built.retry_policy.CopyFrom(policy)
    if rule.rewrite is not None:
        _rewrite(built, rule.rewrite, one)
        forwarded = headers(view, client.settings).x_forwarded_host
        built.append_x_forwarded_host = bool(forwarded and forwarded.enabled)
    authority = _new_authority(rule.headers.request if rule.headers else None)
    if authority:
        built.host_rewrite_literal = authority
    for destination, percentage in _mirrors(rule):
        mirror = built.request_mirror_policies.add(
            cluster=cluster(view, key, destination, port, client)
        )
        mirror.runtime_fraction.default_value.CopyFrom(fraction(percentage))
        mirror.trace_sampled.value = False
    if len(rule.route) == 1:
        only = rule.route[0]
        built.cluster = cluster(view, key, only.destination, port, client)
        if only.headers is None:
            return built
        # A cluster by itself has no headers of its own; a share of all of it does.
        built.ClearField("cluster")
    built.weighted_clusters.CopyFrom(
        WeightedCluster(
            clusters=(
                _share(view, key, one, port, client, len(rule.route))
                for one in rule.route
                if one.weight or len(rule.route) == 1
            )
        )
    )
    return built


def cluster(view: View, key: Key, destination: Destination, port: int, client: Client) -> str:
    """The cluster of a destination. Without a port: the only one that the service has, or that on
    which the request came."""
    host = services.qualified(destination.host, key.namespace, mesh.domain(view))
    service = services.find(view, host, client.namespace)
    return names.outbound(_port(service, destination, port), destination.subset, host)


def redirect(given: HTTPRedirect, port: int) -> RedirectAction:
    """Elsewhere. `port`: on which the request came."""
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
    if chosen and (given.scheme, chosen) not in {("http", 80), ("https", 443)}:
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


def change_headers(built: Route, headers: Headers | None) -> None:
    """What a rule does to the headers of requests and responses."""
    if headers is not None:
        _change(built, headers)


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
    view: View, key: Key, one: HTTPRouteDestination, port: int, client: Client, count: int
) -> WeightedCluster.ClusterWeight:
    built = WeightedCluster.ClusterWeight(name=cluster(view, key, one.destination, port, client))
    built.weight.value = one.weight if count > 1 else 100
    if one.headers is not None:
        authority = _new_authority(one.headers.request)
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


def _rewrite(built: RouteAction, given: HTTPRewrite, one: HTTPMatchRequest) -> None:
    if given.authority:
        built.host_rewrite_literal = given.authority
    regex = given.uri_regex_rewrite
    if regex is not None:
        built.regex_rewrite.pattern.regex = regex.match
        built.regex_rewrite.substitution = regex.rewrite
    elif given.uri and one.uri is not None and one.uri.regex is not None:
        # No prefix to replace: the whole path.
        built.regex_rewrite.pattern.regex = one.uri.regex
        built.regex_rewrite.substitution = given.uri
    elif given.uri:
        built.prefix_rewrite = given.uri


def _new_authority(operations: HeaderOperations | None) -> str:
    if operations is None:
        return ""
    return next((value for name, value in operations.set.items() if name.lower() in _AUTHORITY), "")


def _change(built: Route | WeightedCluster.ClusterWeight, headers: Headers) -> None:
    if headers.request is not None:
        built.request_headers_to_add.extend(_additions(headers.request))
        built.request_headers_to_remove.extend(headers.request.remove)
    if headers.response is not None:
        built.response_headers_to_add.extend(_additions(headers.response))
        built.response_headers_to_remove.extend(headers.response.remove)


def _additions(operations: HeaderOperations) -> Iterable[HeaderValueOption]:
    overwrite = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    for name, value in sorted(operations.set.items()):
        if name.lower() not in _AUTHORITY:
            header = HeaderValue(key=name, value=value)
            yield HeaderValueOption(header=header, append_action=overwrite)
    for name, value in sorted(operations.add.items()):
        header = HeaderValue(key=name, value=value)
        yield HeaderValueOption(
            header=header, append_action=HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
        )
