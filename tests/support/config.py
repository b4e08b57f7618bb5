"""Small Envoy resources for tests, as dicts; `dump` makes YAML of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

Tree = dict[str, Any]
_T = "type.googleapis.com/"
LISTENER = _T + "envoy.config.listener.v3.Listener"
CLUSTER = _T + "envoy.config.cluster.v3.Cluster"
ROUTES = _T + "envoy.config.route.v3.RouteConfiguration"
ENDPOINTS = _T + "envoy.config.endpoint.v3.ClusterLoadAssignment"
HCM = _T + ("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager")
ROUTER = _T + "envoy.extensions.filters.http.router.v3.Router"


def address(port: int, host: str = "127.0.0.1") -> Tree:
    """A socket address."""
    return {"socket_address": {"address": host, "port_value": port}}


def load_assignment(name: str, *ports: int) -> Tree:
    """Endpoints on the loopback."""
    endpoints = [{"endpoint": {"address": address(port)}} for port in ports]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}


def cluster(name: str, *ports: int, **more: Any) -> Tree:
    """A STATIC cluster."""
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": load_assignment(name, *ports),
        **more,
    }


def eds_cluster(name: str, path: Path, **more: Any) -> Tree:
    """A cluster whose endpoints are in a file."""
    return {
        "name": name,
        "type": "EDS",
        "connect_timeout": "2s",
        "eds_cluster_config": {"eds_config": from_file(path)},
        **more,
    }


def route(prefix: str, to: str, **more: Any) -> Tree:
    """A route by prefix."""
    return {"match": {"prefix": prefix}, "route": {"cluster": to, **more}}


def route_config(name: str, *routes: Tree, **more: Any) -> Tree:
    """A RouteConfiguration with one virtual host for everything."""
    hosts = [{"name": "all", "domains": ["*"], "routes": list(routes)}]
    return {"name": name, "virtual_hosts": hosts, **more}


def hcm(routes: Tree | Path | None, **more: Any) -> Tree:
    """An HTTP connection manager; a path means RDS from that file, for the resource `routes`."""
    manager: Tree = {"@type": HCM, "stat_prefix": "web"}
    if isinstance(routes, Path):
        manager["rds"] = {"route_config_name": "routes", "config_source": from_file(routes)}
    elif routes is not None:
        manager["route_config"] = routes
    filters = [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}]
    return {**manager, "http_filters": filters, **more}


def listener(name: str, port: int, manager: Tree, **more: Any) -> Tree:
    """A listener with that connection manager."""
    chain = {
        "filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        ]
    }
    return {"name": name, "address": address(port), "filter_chains": [chain], **more}


def from_file(path: Path) -> Tree:
    """A filesystem config source."""
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def bootstrap(
    admin_port: int,
    listeners: list[Tree] | Path,
    clusters: list[Tree] | Path,
    **more: Any,
) -> str:
    """A bootstrap; a path instead of a list means LDS or CDS from that file."""
    static: Tree = {}
    dynamic: Tree = {}
    if isinstance(listeners, Path):
        dynamic["lds_config"] = from_file(listeners)
    else:
        static["listeners"] = listeners
    if isinstance(clusters, Path):
        dynamic["cds_config"] = from_file(clusters)
    else:
        static["clusters"] = clusters
    tree: Tree = {
        "node": {"id": "test-node", "cluster": "test-cluster"},
        "admin": {"address": address(admin_port)},
        "static_resources": static,
    }
    if dynamic:
        tree["dynamic_resources"] = dynamic
    return dump({**tree, **more})


def dump(tree: Any) -> str:
    """YAML text."""
    return yaml.safe_dump(tree, sort_keys=False, width=100)


_versions = iter(range(1, 1_000_000))


def discovery(kind: str, resources: list[Tree], *, as_json: bool = False) -> str:
    """A DiscoveryResponse with these resources, each its own version."""
    tree = {
        "version_info": str(next(_versions)),
        "resources": [{"@type": kind, **resource} for resource in resources],
    }
    return json.dumps(tree) if as_json else dump(tree)


def move_in(path: Path, text: str) -> None:
    """Write beside it and move it into place, which is what Envoy watches for."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    os.rename(fresh, path)
