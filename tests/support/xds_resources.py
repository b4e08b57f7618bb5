"""Envoy resources as the control plane would translate them: a service behind one listener."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import envoy.extensions.filters.http.router.v3.router_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm_pb2,
)
from google.protobuf.json_format import ParseDict

from controlplane.resources.resource import Resource
from controlplane.xds import type_urls
from tests.support.config import Tree, address
from tests.support.xds_world import resource

_ADS: Tree = {"ads": {}, "resource_api_version": "V3"}
_HCM = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
    ".HttpConnectionManager"
)
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
# Imported so that ParseDict knows their types inside Any.
assert hcm_pb2.HttpConnectionManager
assert envoy.extensions.filters.http.router.v3.router_pb2.Router


def cluster(name: str, **more: Any) -> Resource[Any]:
    """Its endpoints come over ADS."""
    tree = {
        "name": name, "type": "EDS", "connect_timeout": "2s",
        "eds_cluster_config": {"eds_config": _ADS}, **more,
    }  # fmt: skip
    return _resource(type_urls.CLUSTER, name, cluster_pb2.Cluster(), tree)


def endpoints(name: str, *hosts: tuple[str, int]) -> Resource[Any]:
    """A load assignment; a host is an address and a port."""
    group = {
        "locality": {"region": "local"},
        "load_balancing_weight": 1,
        "lb_endpoints": [{"endpoint": {"address": address(port, host)}} for host, port in hosts],
    }
    tree = {"cluster_name": name, "endpoints": [group] if hosts else []}
    return _resource(type_urls.ENDPOINT, name, endpoint_pb2.ClusterLoadAssignment(), tree)


def route(name: str, to: str) -> Resource[Any]:
    """Everything to one cluster."""
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": to}}],
    }
    tree = {"name": name, "virtual_hosts": [host]}
    return _resource(type_urls.ROUTE, name, route_pb2.RouteConfiguration(), tree)


def listener(name: str, port: int, routes: str, *, filters: Sequence[str] = ()) -> Resource[Any]:
    """HTTP on a port of the loopback; its routes come over ADS."""
    manager = {
        "name": "hcm",
        "typed_config": {
            "@type": _HCM,
            "stat_prefix": name,
            "rds": {"config_source": _ADS, "route_config_name": routes},
            "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
        },
    }
    chain = {"filters": [*({"name": one} for one in filters), manager]}
    tree = {"name": name, "address": address(port), "filter_chains": [chain]}
    return _resource(type_urls.LISTENER, name, listener_pb2.Listener(), tree)


def api_listener(name: str, routes: str) -> Resource[Any]:
    """What gRPC's own client takes for the service of that name."""
    manager = {
        "@type": _HCM,
        "rds": {"config_source": _ADS, "route_config_name": routes},
        "http_filters": [{"name": "router", "typed_config": {"@type": _ROUTER}}],
    }
    tree = {"name": name, "api_listener": {"api_listener": manager}}
    return _resource(type_urls.LISTENER, name, listener_pb2.Listener(), tree)


def _resource(type_url: str, name: str, message: Any, tree: Tree) -> Resource[Any]:
    body: bytes = ParseDict(tree, message).SerializeToString(deterministic=True)
    return resource(type_url, name, body)
