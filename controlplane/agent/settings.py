"""How a sidecar is started: what the mesh says (ProxyConfig), as flags, environment, metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.registry.canonical import canonical
from controlplane.resources.mesh_config import MeshProxyConfig

#: Where Istio's proxies themselves are asked whether they serve.
_ENVOY_STATUS_PORT = 15021
_DEFAULT = MeshProxyConfig()
_META, _META_JSON = "ISTIO_META_", "ISTIO_METAJSON_"
_PROVED = frozenset({"INSTANCE_IPS", "LABELS", "NAME", "NAMESPACE", "SERVICE_ACCOUNT"})
_CANONICAL = "service.istio.io/canonical-name"
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
#: What takes effect when the sidecar is started again: attribute, and its name for people.
_AT_START = (
    ("concurrency", "concurrency"),
    ("proxy_metadata", "proxyMetadata"),
    ("drain_duration", "drainDuration"),
    ("file_flush_interval", "fileFlushInterval"),
    ("proxy_admin_port", "proxyAdminPort"),
    ("status_port", "statusPort"),
    ("service_cluster", "serviceCluster"),
    ("tracing_service_name", "tracingServiceName"),
)


def flags(config: MeshProxyConfig, given: Sequence[str]) -> list[str]:
    """Flags of Envoy's and of ours, behind the command `given`: what that says itself stays."""
    wanted = {"--drain-time-s": str(round(config.drain_duration))}
    if config.concurrency:
        # 0 is one worker per core, which is what a sidecar does that is told nothing.
        wanted["--concurrency"] = str(config.concurrency)
    if config.file_flush_interval:
        wanted["--file-flush-interval-msec"] = str(round(config.file_flush_interval * 1000))
    said = {word.partition("=")[0] for word in given}
    return [word for flag, value in wanted.items() if flag not in said for word in (flag, value)]


def environment(config: MeshProxyConfig, own: Mapping[str, str]) -> dict[str, str]:
    """Of the sidecar: `proxyMetadata`, which the environment that it is started in goes before."""
    return {**config.proxy_metadata, **own}


def metadata(environment: Mapping[str, str]) -> dict[str, Any]:
    """Of its node: what variables named `ISTIO_META_*` say, and `ISTIO_METAJSON_*` as JSON. What
    is no JSON is text, as in Istio's agent; who the workload is they do not say."""
    found: dict[str, Any] = {}
    for name, value in environment.items():
        if name.startswith(_META_JSON):
            try:
                found[name.removeprefix(_META_JSON)] = json.loads(value)
            except ValueError:
                found[name.removeprefix(_META_JSON)] = value
        elif name.startswith(_META):
            found[name.removeprefix(_META)] = value
    return {name: value for name, value in found.items() if name not in _PROVED}


def cluster(config: MeshProxyConfig, name: str, namespace: str, labels: Mapping[str, str]) -> str:
    """Of its node, by which spans are named: `serviceCluster`, `tracingServiceName`."""
    app = f"{labels.get('app') or name}.{namespace}"
    if config.tracing_service_name is None:
        given = config.service_cluster
        return app if given in {None, "", _DEFAULT.service_cluster} else str(given)
    service = labels.get(_CANONICAL) or canonical(labels).get(_CANONICAL) or name
    if config.tracing_service_name == "CANONICAL_NAME_ONLY":
        return service
    if config.tracing_service_name == "CANONICAL_NAME_AND_NAMESPACE":
        return f"{service}.{namespace}"
    return app


def admin_port(config: MeshProxyConfig) -> int:
    """0: any. Workloads that share a machine cannot all have Istio's."""
    port = config.proxy_admin_port
    return 0 if port == _DEFAULT.proxy_admin_port else port


def status_ports(config: MeshProxyConfig) -> tuple[int, ...]:
    """Where it is asked whether the sidecar serves, if that can be."""
    return tuple(dict.fromkeys((config.status_port, _ENVOY_STATUS_PORT)))


def status_port_is_chosen(config: MeshProxyConfig) -> bool:
    """Whether somebody has chosen it: it is no default that may be done without."""
    return config.status_port != _DEFAULT.status_port


def waits_for_idle(environment: Mapping[str, str]) -> bool:
    """`EXIT_ON_ZERO_ACTIVE_CONNECTIONS`: the end waits for connections, not for a time."""
    return environment.get("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "") in _TRUE


def needs_restart(before: MeshProxyConfig, now: MeshProxyConfig) -> list[str]:
    """The names of what has changed and takes effect at the next start only."""
    return [
        name
        for attribute, name in _AT_START
        if getattr(before, attribute) != getattr(now, attribute)
    ]
