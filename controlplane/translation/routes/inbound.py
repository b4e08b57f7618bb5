"""Routes of what a sidecar receives: everything to the application."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import (
    RetryPolicy,
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from controlplane.registry import mesh
from controlplane.registry.inbound import Inbound
from controlplane.resources.virtual_service import retries
from controlplane.translation import names
from controlplane.translation.durations import duration
from controlplane.world.view import View

#: An application that closes an idle connection just then has seen nothing of the request.
_UNSEEN = RetryPolicy(retry_on="reset-before-request", num_retries={"value": 2})
_GRPC = frozenset({"grpc", "grpc-web"})


def configuration(view: View, offer: Inbound) -> RouteConfiguration:
    """The routes of one port of the workload. Istio names them by the service's port."""
    cluster = names.inbound(offer.port)
    built = RouteConfiguration(name=cluster)
    built.validate_clusters.value = False
    host: VirtualHost = built.virtual_hosts.add(
        name=f"inbound|http|{offer.service_port}", domains=["*"]
    )
    action = RouteAction(cluster=cluster, timeout=duration(0))
    action.max_stream_duration.max_stream_duration.CopyFrom(duration(0))
    action.max_stream_duration.grpc_timeout_header_max.CopyFrom(duration(0))
    policy = _retries(view, offer)
    if policy is not None:
        action.retry_policy.CopyFrom(policy)
    route = Route(name="default", match=RouteMatch(prefix="/"), route=action)
    if offer.host:
        route.decorator.operation = f"{offer.host}:{offer.service_port}/*"
    host.routes.append(route)
    return built


def _retries(view: View, offer: Inbound) -> RetryPolicy | None:
    """As in Istio, calls of gRPC are not tried again here: they may stream."""
    given = mesh.config(view).default_inbound_http_retry_policy
    if given is not None:
        return retries.policy(given, None)
    return None if offer.protocol in _GRPC else _UNSEEN
