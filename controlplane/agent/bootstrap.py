"""The bootstrap of a sidecar or gateway, ours or Envoy's: who it is and where the control plane is.

All the rest comes over ADS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.registry.canonical import canonical

_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_HTTP = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_CONTROL, _AGENT = "xds-grpc", "sds-grpc"
_CONNECT_TIMEOUT = "1s"
#: The cluster that Istio knows itself to be in without being told.
_CLUSTER = "Kubernetes"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Who the proxy is."""

    #: `sidecar` or `router`.
    type: str
    name: str
    namespace: str
    service_account: str
    address: str
    labels: dict[str, str] = field(default_factory=dict)
    #: Further metadata of the node.
    metadata: dict[str, Any] = field(default_factory=dict)
    #: What its metrics call it, where that is not its name: one of several replicas has its own.
    workload: str = ""
    #: By which spans are named.
    cluster: str = ""


def bootstrap(
    proxy: Proxy, control: str, trust_domain: str, secrets: Path, admin_port: int = 0
) -> dict[str, Any]:
    """As YAML's values. `control`: HOST:PORT of mutual TLS; `secrets`: the agent's socket;
    `admin_port`: on loopback, 0 is any."""
    host, _, port = control.rpartition(":")
    return {
        "node": {
            "id": f"{proxy.type}~{proxy.address}~{proxy.name}.{proxy.namespace}"
            f"~{proxy.namespace}.svc.cluster.local",
            "cluster": proxy.cluster or f"{proxy.name}.{proxy.namespace}",
            "metadata": {
                "NAME": proxy.name,
                "NAMESPACE": proxy.namespace,
                "SERVICE_ACCOUNT": proxy.service_account,
                "LABELS": {**canonical(proxy.labels), **proxy.labels},
                # What Istio's metrics call it, beside its labels.
                "WORKLOAD_NAME": proxy.workload or proxy.name,
                "CLUSTER_ID": _CLUSTER,
                "INSTANCE_IPS": proxy.address,
                **proxy.metadata,
            },
        },
        "admin": {"address": _socket("127.0.0.1", admin_port)},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": _CONTROL}}],
            },
            "cds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
            "lds_config": {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
        },
        "static_resources": {
            "clusters": [
                {
                    "name": _CONTROL,
                    "type": "STRICT_DNS",
                    "connect_timeout": _CONNECT_TIMEOUT,
                    "load_assignment": _endpoint(_CONTROL, _socket(host.strip("[]"), int(port))),
                    "typed_extension_protocol_options": _http2(),
                    "transport_socket": _mutual_tls(trust_domain),
                },
                {
                    "name": _AGENT,
                    "type": "STATIC",
                    "connect_timeout": _CONNECT_TIMEOUT,
                    "load_assignment": _endpoint(_AGENT, {"pipe": {"path": str(secrets)}}),
                    "typed_extension_protocol_options": _http2(),
                },
            ]
        },
    }


def _mutual_tls(trust_domain: str) -> dict[str, Any]:
    """Our certificate; and the control plane must be the control plane."""
    name = f"spiffe://{trust_domain}/ns/istio-system/sa/istiod"
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": _TLS,
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_certificate_sds_secret_configs": [_secret("default")],
                "combined_validation_context": {
                    "default_validation_context": {
                        "match_typed_subject_alt_names": [
                            {"san_type": "URI", "matcher": {"exact": name}}
                        ]
                    },
                    "validation_context_sds_secret_config": _secret("ROOTCA"),
                },
            },
        },
    }


def _secret(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "sds_config": {
            "resource_api_version": "V3",
            "initial_fetch_timeout": "0s",
            "api_config_source": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": _AGENT}}],
            },
        },
    }


def _http2() -> dict[str, Any]:
    options: dict[str, Any] = {
        "@type": _HTTP,
        "explicit_http_config": {
            "http2_protocol_options": {
                # A control plane that is gone without a word must be noticed.
                "connection_keepalive": {"interval": "30s", "timeout": "5s"}
            }
        },
    }
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options}


def _endpoint(cluster: str, address: dict[str, Any]) -> dict[str, Any]:
    host = {"endpoint": {"address": address}}
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": [host]}]}


def _socket(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
