"""Workloads: pods and WorkloadEntries, found by namespace and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from controlplane.registry import locality
from controlplane.registry.model import Workload
from controlplane.resources.resource import Resource
from controlplane.world.proxy import NOWHERE, Locality
from controlplane.world.view import View, query

Labels = tuple[tuple[str, str], ...]

#: The label that says that a sidecar takes mutual TLS.
TLS_MODE = "security.istio.io/tlsMode"
_LOCALITY = "istio-locality"
#: Phases of pods that will not run again.
_ENDED = frozenset({"Succeeded", "Failed"})
_NETWORK = "topology.istio.io/network"
_CLUSTER = "topology.istio.io/cluster"


@query
def selected(view: View, namespace: str, selector: Labels) -> tuple[Workload, ...]:
    """The workloads of a namespace that have all the labels; none for no labels."""
    if not selector:
        return ()
    # The rarest label narrows the search; how rare is not worth asking: the first one will do.
    return tuple(
        workload
        for workload in _with_label(view, namespace, *selector[0])
        if matches(selector, workload.labels)
    )


def matches(selector: Labels, labels: Labels) -> bool:
    """Whether `labels` has all of `selector`."""
    have = dict(labels)
    return all(have.get(name) == value for name, value in selector)


@query
def entry(view: View, namespace: str, name: str) -> Workload | None:
    """One WorkloadEntry."""
    resource = view.resource("WorkloadEntry", namespace, name)
    return None if resource is None else of_entry(resource.spec, resource)


@query
def pod(view: View, namespace: str, name: str) -> Workload | None:
    """One Pod; None before it has an address."""
    resource = view.resource("Pod", namespace, name)
    if resource is None or not resource.spec.status.pod_ip:
        return None
    return _of_pod(view, resource)


def of_entry(spec: Any, resource: Resource[Any], name: str = "") -> Workload:
    """The workload of a WorkloadEntry, by itself or as an endpoint of a ServiceEntry."""
    own = name == ""
    labels = {**(resource.labels if own else {}), **spec.labels}
    # Istio: the label says it; without one, who has an identity is taken to have a sidecar.
    mutual_tls = labels.get(TLS_MODE, "istio" if spec.service_account else "") == "istio"
    return Workload(
        namespace=resource.namespace,
        name=resource.name if own else name,
        address=spec.address.removeprefix("unix://"),
        labels=pairs(labels),
        ports=pairs(spec.ports),
        service_account=spec.service_account,
        locality=locality.parse(spec.locality or labels.get(_LOCALITY, "")),
        network=spec.network or labels.get(_NETWORK, ""),
        cluster=labels.get(_CLUSTER, ""),
        weight=spec.weight or 1,
        mutual_tls=mutual_tls,
        health=_health(resource.annotations.get("fastmesh.io/health", "")),
        ports_of_service=True,
    )


def pairs(mapping: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """A mapping as a sorted tuple, which can be an argument of a query."""
    return tuple(sorted(mapping.items()))


@query
def _by_label(view: View, namespace: str) -> dict[tuple[str, str], list[Workload]]:
    found: dict[tuple[str, str], list[Workload]] = {}
    for workload in _all(view, namespace):
        for pair in workload.labels:
            found.setdefault(pair, []).append(workload)
    return found


@query
def _with_label(view: View, namespace: str, name: str, value: str) -> tuple[Workload, ...]:
    return tuple(_by_label(view, namespace).get((name, value), ()))


@query
def _all(view: View, namespace: str) -> tuple[Workload, ...]:
    entries = (
        entry(view, namespace, one.name) for one in view.resources("WorkloadEntry", namespace)
    )
    pods = (
        pod(view, namespace, one.name)
        for one in view.resources("Pod", namespace)
        if not _ends(one.spec)
    )
    return tuple(one for one in (*entries, *pods) if one is not None)


def _of_pod(view: View, resource: Resource[Any]) -> Workload:
    spec, labels = resource.spec, resource.labels
    ports = {
        port.name: port.container_port
        for container in spec.spec.containers
        for port in container.ports
        if port.name
    }
    where = NOWHERE
    if _LOCALITY in labels:
        where = locality.parse(labels[_LOCALITY])
    elif spec.spec.node_name:
        where = _node(view, spec.spec.node_name)
    return Workload(
        namespace=resource.namespace,
        name=resource.name,
        address=spec.status.pod_ip,
        labels=pairs(labels),
        ports=pairs(ports),
        service_account=spec.spec.service_account_name or "default",
        locality=where,
        network=labels.get(_NETWORK, ""),
        cluster=labels.get(_CLUSTER, ""),
        mutual_tls=labels.get(TLS_MODE) == "istio",
        node=spec.spec.node_name,
        ready=_is_ready(spec),
    )


def _ends(spec: Any) -> bool:
    """Whether a pod is none that requests are sent to, ready or not."""
    return bool(spec.metadata.deletion_timestamp or spec.status.phase in _ENDED)


def _is_ready(spec: Any) -> bool:
    """One of which nobody has said whether it is ready is taken to be."""
    return all(one.status == "True" for one in spec.status.conditions if one.type == "Ready")


@query
def _node(view: View, name: str) -> Locality:
    resource = view.resource("Node", "", name)
    return NOWHERE if resource is None else locality.of_node(dict(resource.labels))


def _health(said: str) -> Literal["HEALTHY", "UNHEALTHY", "DRAINING"]:
    return "UNHEALTHY" if said == "UNHEALTHY" else "DRAINING" if said == "DRAINING" else "HEALTHY"
