"""The Envoy v3 bootstrap that stock Envoy and we both get, byte for byte."""

import json
from typing import Any

from bench.site import Site

TYPE = "type.googleapis.com/envoy.extensions.filters"
#: Envoy's default of 1024 would bind before the proxy does.
UNLIMITED = 100_000


def bootstrap(site: Site) -> str:
    """JSON is YAML."""
    setup = site.setup
    document = {
        "admin": {"address": _address(site.admin)},
        "static_resources": {
            "listeners": [
                {
                    "name": "bench",
                    "address": _address(site.listen),
                    "filter_chains": [{"filters": [_connection_manager(site)]}],
                }
            ],
            "clusters": [_cluster(f"c{i}", site.upstream) for i in range(setup.clusters)],
        },
    }
    return json.dumps(document, indent=1)


def _connection_manager(site: Site) -> dict[str, Any]:
    routes = [
        {"match": {"prefix": prefix}, "route": {"cluster": f"c{cluster}"}}
        for prefix, cluster in site.setup.prefixes()
    ]
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "bench",
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{TYPE}.http.router.v3.Router"},
                }
            ],
            "route_config": {
                "name": "bench",
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
            },
        },
    }


def _cluster(name: str, port: int) -> dict[str, Any]:
    thresholds = {
        "max_connections": UNLIMITED,
        "max_pending_requests": UNLIMITED,
        "max_requests": UNLIMITED,
    }
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [thresholds]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(port)}}]}],
        },
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
