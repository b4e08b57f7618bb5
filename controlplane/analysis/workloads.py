"""Workloads that the resources speak of.

A folder of manifests has Deployments and no Pods: the Pods that they will make count as well, and
so do WorkloadEntries and WorkloadGroups. All are taken to be in the mesh unless they say that they
are not, for no injection has happened yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.analysis.collection import Collection
from controlplane.resources.common.pod import PodSpec
from controlplane.resources.resource import Resource

KINDS = ("Pod", "Deployment", "WorkloadEntry", "WorkloadGroup")

_INJECT = "sidecar.istio.io/inject"
_DATAPLANE_MODE = "istio.io/dataplane-mode"
_REDIRECTION = "ambient.istio.io/redirection"


@dataclass(frozen=True, slots=True)
class Workload:
    resource: Resource[Any]
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    #: What runs there; None outside of Kubernetes.
    pod: PodSpec | None = None
    #: Where `pod` stands in the resource.
    path: str = ""

    @property
    def namespace(self) -> str:
        return self.resource.namespace

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def in_mesh(self) -> bool:
        said = self.labels.get(_INJECT, self.annotations.get(_INJECT, ""))
        return said.lower() != "false" and not (self.pod is not None and self.pod.host_network)

    @property
    def ambient(self) -> bool:
        return self.annotations.get(_REDIRECTION) == "enabled"


def workloads(collection: Collection) -> Iterator[Workload]:
    for one in collection.of("Pod"):
        yield Workload(one, one.labels, one.annotations, one.spec.spec, "spec")
    for one in collection.of("Deployment"):
        template = one.spec.template
        metadata = template.metadata
        labels = metadata.labels if metadata is not None else {}
        annotations = metadata.annotations if metadata is not None else {}
        yield Workload(one, labels, annotations, template.spec or PodSpec(), "spec.template.spec")
    for one in collection.of("WorkloadEntry"):
        yield Workload(one, one.spec.labels or one.labels)
    for one in collection.of("WorkloadGroup"):
        given = one.spec.metadata
        own = given.labels if given is not None else {}
        yield Workload(one, {**own, **one.spec.template.labels})


class Index:
    """Workloads by their labels, so that a selector need not look at all of them."""

    def __init__(self, of: Iterable[Workload]) -> None:
        self.all = tuple(of)
        self._by_namespace: dict[str, list[Workload]] = {}
        self._by_label: dict[tuple[str, str], list[Workload]] = {}
        for one in self.all:
            self._by_namespace.setdefault(one.namespace, []).append(one)
            for label in one.labels.items():
                self._by_label.setdefault(label, []).append(one)

    def selected(
        self, selector: Mapping[str, str], namespace: str | None = None
    ) -> Iterator[Workload]:
        """Those that have all the labels, of one namespace or of all."""
        candidates: Sequence[Workload] = self.all
        if namespace is not None:
            candidates = self._by_namespace.get(namespace, ())
        for label in selector.items():
            candidates = min(candidates, self._by_label.get(label, ()), key=len)
        for one in candidates:
            if namespace in {None, one.namespace} and matches(selector, one.labels):
                yield one


def indexed(collection: Collection) -> Index:
    return Index(workloads(collection))


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether the labels have all of the selector's."""
    return selector.items() <= labels.items()


def written(selector: Mapping[str, str]) -> str:
    """`app=a,version=v1`, in the order of the alphabet."""
    return ",".join(f"{name}={value}" for name, value in sorted(selector.items()))


def namespace_is_ambient(collection: Collection, namespace: str) -> bool:
    found = collection.find("Namespace", "", namespace)
    if found is None or found.labels.get("istio-injection") == "enabled":
        return False
    return not found.labels.get("istio.io/rev") and found.labels.get(_DATAPLANE_MODE) == "ambient"
