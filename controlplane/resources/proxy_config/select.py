"""How a workload's sidecar is to be started: what its mesh, its namespace, its group, its pod and
the ProxyConfigs for it say, merged in Istio's order.

MeshConfig's `defaultConfig`, the ProxyConfig of the root namespace, that of its own, the annotation
`proxy.istio.io/config` (of its WorkloadGroup, of the entries that this makes, of its Pod), the
ProxyConfig that selects it: what comes later counts. A readiness probe is its group's.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from controlplane.registry import mesh, workloads
from controlplane.registry.workloads import Labels
from controlplane.resources.encode import encode
from controlplane.resources.mesh_config import MeshProxyConfig, apply_proxy_config
from controlplane.resources.proxy_config import annotation
from controlplane.resources.proxy_config.schema import ProxyConfig
from controlplane.resources.resource import Resource
from controlplane.resources.workload_group.select import group_of, named
from controlplane.world.view import View, query

_DEFAULT_ACCOUNT = "default"


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """A workload, as far as it matters here. It has proved `namespace` and `account`, its labels
    are granted; its name anybody of its account may take."""

    namespace: str
    account: str
    name: str
    labels: Labels
    #: The WorkloadGroup that it names; "" is whichever is for its labels.
    group: str = ""


def effective(view: View, subject: Subject) -> MeshProxyConfig:
    """What holds for it. Raises NoGroup."""
    config = _applied(mesh.config(view).default_config, _layers(view, subject))
    group = _group(view, subject)
    if group is not None and group.spec.probe is not None:
        config = dataclasses.replace(config, readiness_probe=group.spec.probe)
    return config


def own(view: View, subject: Subject) -> dict[str, Any]:
    """What of this is not the mesh's, for `PROXY_CONFIG` of its node: there it is laid over the
    mesh's `defaultConfig` as that changes. Raises NoGroup."""
    config = _applied(MeshProxyConfig(), _layers(view, subject))
    if config.tracing is not None:
        # Its token is not shown; nothing is reported there either.
        config = dataclasses.replace(
            config, tracing=dataclasses.replace(config.tracing, lightstep=None)
        )
    return encode(config)


def _layers(view: View, subject: Subject) -> list[dict[str, Any]]:
    """Values of ProxyConfig as YAML has them; the last one wins."""
    root = mesh.root_namespace(view)
    found = [_of_namespace(view, root)]
    if subject.namespace != root:
        found.append(_of_namespace(view, subject.namespace))
    group = _group(view, subject)
    if group is not None:
        made = group.spec.metadata.annotations if group.spec.metadata is not None else {}
        found += [annotation.read(group.annotations), annotation.read(made)]
    account, said = _of_pods(view, subject.namespace).get(subject.name, ("", {}))
    if account == subject.account:
        found.append(said)
    found.append(_selecting(view, subject.namespace, subject.labels))
    return [one for one in found if one]


def _applied(base: MeshProxyConfig, layers: list[dict[str, Any]]) -> MeshProxyConfig:
    for layer in layers:
        base = apply_proxy_config(layer, base)[0] or base
    return base


def _group(view: View, subject: Subject) -> Resource[Any] | None:
    if subject.group:
        return named(view, subject.namespace, subject.account, subject.group)
    return group_of(view, subject.namespace, subject.account, subject.labels)


def _account(pod: Resource[Any]) -> str:
    return pod.spec.spec.service_account_name or _DEFAULT_ACCOUNT


@query
def _of_namespace(view: View, namespace: str) -> dict[str, Any]:
    """The oldest for the whole namespace."""
    for one in view.resources("ProxyConfig", namespace):
        if one.spec.selector is None or not one.spec.selector.match_labels:
            return _values(one.spec)
    return {}


@query
def _of_pods(view: View, namespace: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Of the pods that say something: their service accounts, and what they say."""
    return {
        one.name: (_account(one), said)
        for one in view.resources("Pod", namespace)
        if (said := annotation.read(one.annotations))
    }


def _selecting(view: View, namespace: str, labels: Labels) -> dict[str, Any]:
    """The oldest that selects these labels."""
    for one in view.resources("ProxyConfig", namespace):
        wanted = one.spec.selector.match_labels if one.spec.selector is not None else {}
        if wanted and workloads.matches(workloads.pairs(wanted), labels):
            return _values(one.spec)
    return {}


def _values(spec: ProxyConfig) -> dict[str, Any]:
    """The same in the words of `defaultConfig`."""
    found: dict[str, Any] = {}
    if spec.concurrency is not None:
        found["concurrency"] = spec.concurrency
    if spec.environment_variables:
        found["proxyMetadata"] = dict(spec.environment_variables)
    return found
