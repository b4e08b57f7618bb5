"""Workloads that the resources speak of.

A folder of manifests has Deployments and no Pods: the Pods that they will make count as well, and
so do WorkloadEntries and WorkloadGroups. All are taken to be in the mesh unless they say that they
are not, for no injection has happened yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
