"""Routes of what a sidecar receives: everything to the application."""

from __future__ import annotations

from envoy.config.route.v3.route_components_pb2 import Route, RouteAction, RouteMatch, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from controlplane.translation import names
from controlplane.translation.durations import duration


def configuration(service_port: int, port: int) -> RouteConfiguration:
    """The routes of one port of the workload. Istio names them by the service's port."""
    cluster = names.inbound(port)
    built = RouteConfiguration(name=cluster)
    built.validate_clusters.value = False
    host: VirtualHost = built.virtual_hosts.add(name=f"inbound|http|{service_port}", domains=["*"])
    host.routes.append(
        Route(
            name="default",
            match=RouteMatch(prefix="/"),
            route=RouteAction(cluster=cluster, timeout=duration(0)),
        )
    )
    return built
