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

_UNSEEN = RetryPolicy(retry_on=retries.UNSEEN, num_retries={"value": 2})
_GRPC = frozenset({"grpc", "grpc-web"})


def configuration(view: View, offer: Inbound) -> RouteConfiguration:
    """The routes of one port of the workload. Istio names them by the service's port."""
    policy = _retries(view, offer.protocol)
    operation = f"{offer.host}:{offer.service_port}/*" if offer.host else ""
    return _built(names.inbound(offer.port), offer.service_port, policy, operation)


def anywhere(view: View) -> RouteConfiguration:
    """The routes of ports that belong to no service."""
    return _built(names.INBOUND_PASSTHROUGH, 0, _retries(view, "auto"), ":0/*")


def _built(
    cluster: str, port: int, policy: RetryPolicy | None, operation: str
) -> RouteConfiguration:
    built = RouteConfiguration(name=cluster)
    built.validate_clusters.value = False
    host: VirtualHost = built.virtual_hosts.add(name=f"inbound|http|{port}", domains=["*"])
    action = RouteAction(cluster=cluster, timeout=duration(0))
    action.max_stream_duration.max_stream_duration.CopyFrom(duration(0))
    action.max_stream_duration.grpc_timeout_header_max.CopyFrom(duration(0))
    if policy is not None:
        action.retry_policy.CopyFrom(policy)
    route = Route(name="default", match=RouteMatch(prefix="/"), route=action)
    if operation:
        route.decorator.operation = operation
    host.routes.append(route)
    return built


def _retries(view: View, protocol: str) -> RetryPolicy | None:
    """As in Istio, calls of gRPC are not tried again here: they may stream."""
    given = mesh.config(view).default_inbound_http_retry_policy
    if given is not None:
        return None if protocol in _GRPC else retries.of_inbound(given)
    return None if protocol in _GRPC else _UNSEEN
