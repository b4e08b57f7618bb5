"""The Envoy v3 bootstrap that stock Envoy and we both get, byte for byte."""

import json
from typing import Any

from bench import envoy_tls
from bench.site import Carries, Site, Wire

TYPE = "type.googleapis.com/envoy.extensions"
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
                    "filter_chains": [_filter_chain(site)],
                }
            ],
            "clusters": [_cluster(f"c{i}", site) for i in range(setup.clusters)],
        },
    }
    return json.dumps(document, indent=1)


def _filter_chain(site: Site) -> dict[str, Any]:
    downstream = site.setup.downstream
    last = _tcp_proxy() if downstream is Wire.TCP else _connection_manager(site)
    chain: dict[str, Any] = {"filters": [last]}
    if downstream.tls:
        chain["transport_socket"] = envoy_tls.downstream(downstream)
    return chain


def _connection_manager(site: Site) -> dict[str, Any]:
    routes = [
        {"match": {"prefix": prefix}, "route": {"cluster": f"c{cluster}"}}
        for prefix, cluster in site.setup.prefixes()
    ]
    manager = {
        "@type": f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{TYPE}.filters.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "name": "bench",
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}],
        },
    }
    if site.setup.carries is Carries.WEBSOCKET:
        manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _tcp_proxy() -> dict[str, Any]:
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": f"{TYPE}.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "bench",
            "cluster": "c0",
        },
    }


def _cluster(name: str, site: Site) -> dict[str, Any]:
    thresholds = {
        "max_connections": UNLIMITED,
        "max_pending_requests": UNLIMITED,
        "max_requests": UNLIMITED,
    }
    endpoint = {"endpoint": {"address": _address(site.upstream)}}
    cluster: dict[str, Any] = {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [thresholds]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }
    upstream = site.setup.upstream
    if upstream.h2:
        options = f"{TYPE}.upstreams.http.v3.HttpProtocolOptions"
        cluster["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": options,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    if upstream.tls:
        cluster["transport_socket"] = envoy_tls.upstream(upstream)
    return cluster


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
