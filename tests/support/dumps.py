"""A dump of a sidecar's configuration, with one of each thing that a table shows."""

from __future__ import annotations

import base64
from typing import Any

_V = "type.googleapis.com/envoy.admin.v3."
_FILTER = "type.googleapis.com/envoy.extensions.filters.network."
FQDN = "reviews.default.svc.cluster.local"


def socket(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def istio(path: str) -> dict[str, Any]:
    return {"filter_metadata": {"istio": {"config": path}}}


def dump(chain: bytes = b"", key: str = "W3JlZGFjdGVkXQ==") -> dict[str, Any]:
    """`chain`: PEM of the secret `default`; `key`: as it stands in the dump."""
    bootstrap = {"node": {"id": "sidecar~10.0.0.1~a.default~x"}, "admin": socket("127.0.0.1", 1)}
    return {
        "configs": [
            {"@type": f"{_V}BootstrapConfigDump", "bootstrap": bootstrap},
            {"@type": f"{_V}ClustersConfigDump", **_clusters()},
            {"@type": f"{_V}EcdsConfigDump", "ecds_filters": _extensions()},
            {"@type": f"{_V}EndpointsConfigDump", **_endpoints()},
            {"@type": f"{_V}ListenersConfigDump", "dynamic_listeners": _listeners()},
            {"@type": f"{_V}RoutesConfigDump", "dynamic_route_configs": _routes()},
            {"@type": f"{_V}SecretsConfigDump", **_secrets(chain, key)},
        ]
    }


def _clusters() -> dict[str, Any]:
    rule = "/apis/networking.istio.io/v1/namespaces/default/destination-rule/reviews"
    found: list[dict[str, Any]] = [
        {"name": f"outbound|9080|v1|{FQDN}", "type": "EDS", "metadata": istio(rule)},
        {"name": f"outbound|9080||{FQDN}", "type": "EDS"},
        {"name": "inbound|9080||", "type": "STATIC"},
        {"name": "PassthroughCluster", "type": "ORIGINAL_DST"},
        {"name": "dynamic", "cluster_type": {"name": "envoy.clusters.dynamic_forward_proxy"}},
    ]
    return {
        "static_clusters": [{"cluster": {"name": "xds-grpc", "type": "STRICT_DNS"}}],
        "dynamic_active_clusters": [{"cluster": one} for one in found],
    }


def _extensions() -> list[dict[str, Any]]:
    kind = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
    return [{"ecds_filter": {"name": "shop.mark", "typed_config": {"@type": kind}}}]


def _endpoints() -> dict[str, Any]:
    hosts = [
        {"endpoint": {"address": socket("10.0.0.2", 9080)}, "health_status": "HEALTHY"},
        {"endpoint": {"address": socket("fd00::2", 9080)}, "health_status": "UNHEALTHY"},
    ]
    group = {"locality": {"region": "eu", "zone": "eu-1"}, "lb_endpoints": hosts}
    pipe = {"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": "/run/sds"}}}}]}
    remote = {"cluster_name": f"outbound|9080||{FQDN}", "endpoints": [group]}
    local = {"cluster_name": "sds-grpc", "endpoints": [pipe]}
    return {
        "static_endpoint_configs": [{"endpoint_config": local}],
        "dynamic_endpoint_configs": [{"endpoint_config": remote}],
    }


def clusters() -> dict[str, Any]:
    """`/clusters?format=json`"""
    hosts = [
        {"address": socket("10.0.0.2", 9080), "health_status": {"eds_health_status": "HEALTHY"}},
        {
            "address": socket("10.0.0.3", 9080),
            "health_status": {"eds_health_status": "DEGRADED", "failed_outlier_check": True},
        },
    ]
    return {
        "cluster_statuses": [
            {"name": "empty"},
            {"name": f"outbound|9080||{FQDN}", "host_statuses": hosts},
        ]
    }


def _hcm(**fields: Any) -> dict[str, Any]:
    kind = f"{_FILTER}http_connection_manager.v3.HttpConnectionManager"
    return {"filters": [{"name": "hcm", "typed_config": {"@type": kind, **fields}}]}


def _tcp(**fields: Any) -> dict[str, Any]:
    kind = f"{_FILTER}tcp_proxy.v3.TcpProxy"
    return {"filters": [{"name": "tcp", "typed_config": {"@type": kind, **fields}}]}


def _listeners() -> list[dict[str, Any]]:
    inline = {
        "virtual_hosts": [{"domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {}}]}]
    }
    match = {
        "server_names": ["a.example", "b.example"],
        "transport_protocol": "tls",
        "application_protocols": ["istio"],
        "prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}],
        "destination_port": 443,
    }
    inbound = {
        "name": "virtualInbound",
        "address": socket("0.0.0.0", 15006),
        "additional_addresses": [{"address": socket("::", 15006)}],
        "traffic_direction": "INBOUND",
        "filter_chains": [
            {"filter_chain_match": match, **_hcm(route_config=inline)},
            {"filters": [{"name": "echo", "typed_config": {"@type": "x.Echo"}}]},
        ],
        "default_filter_chain": _tcp(cluster="InboundPassthroughCluster"),
    }
    split = [{"name": "outbound|1||a", "weight": 1}, {"name": "outbound|1||b", "weight": 1}]
    outbound = {
        "name": "0.0.0.0_9080",
        "address": socket("0.0.0.0", 9080),
        "traffic_direction": "OUTBOUND",
        "filter_chains": [
            _hcm(rds={"route_config_name": "9080"}),
            _tcp(weighted_clusters={"clusters": split}),
        ],
    }
    return [{"name": one["name"], "active_state": {"listener": one}} for one in (inbound, outbound)]


def _routes() -> list[dict[str, Any]]:
    path = "/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews"
    headers = {"headers": [{"name": "end-user"}], "query_parameters": [{"name": "q"}]}
    matches: list[dict[str, Any]] = [
        {"prefix": "/a", **headers},
        {"path": "/b"},
        {"safe_regex": {"regex": "/c.*"}},
        {"path_separated_prefix": "/d"},
        {"connect_matcher": {}},
    ]
    host = {
        "name": f"{FQDN}:9080",
        "domains": [f"{FQDN}:9080", "reviews:9080", "reviews.default:9080", "reviews"],
        "routes": [{"match": one, "route": {}, "metadata": istio(path)} for one in matches],
    }
    block = {
        "name": "block_all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 404}}],
    }
    return [
        {"route_config": {"name": "9080", "virtual_hosts": [host, block]}},
        {"route_config": {"name": "empty"}},
    ]


def _secrets(chain: bytes, key: str) -> dict[str, Any]:
    inline = {"inline_bytes": base64.b64encode(chain).decode()}
    default = {
        "name": "default",
        "tls_certificate": {"certificate_chain": inline, "private_key": {"inline_bytes": key}},
    }
    roots = {"name": "ROOTCA", "validation_context": {"trusted_ca": {"inline_string": "none"}}}
    return {
        "dynamic_active_secrets": [{"secret": default}, {"secret": roots}],
        "dynamic_warming_secrets": [{"name": "kubernetes://late"}],
    }
