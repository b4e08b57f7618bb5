"""Registries in MeshNetworks that nobody knows."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.resources.resource import Key
from controlplane.resources.schema import below

_KNOWN = frozenset({"Kubernetes", "External", "Mock"})
_REMOTE = "istio/multiCluster"


def _run(collection: Collection) -> Iterator[Finding]:
    known = set(_KNOWN)
    for one in collection.of("Secret"):
        if one.labels.get(_REMOTE) == "true":
            known |= {*one.spec.data, *one.spec.string_data}
    key = Key("ConfigMap", collection.mesh.root_namespace, "istio")
    for name, network in collection.networks.networks.items():
        for index, endpoints in enumerate(network.endpoints):
            registry = endpoints.from_registry
            if registry is not None and registry not in known:
                path = f"{below('data.meshNetworks.networks', name)}.endpoints[{index}]"
                code = codes.UNKNOWN_SERVICE_REGISTRY
                yield found(code, key, path, registry=registry, network=name)


ANALYZER = Analyzer(
    name="meshnetworks.MeshNetworksAnalyzer",
    description="Registries in MeshNetworks that are not known",
    codes=(codes.UNKNOWN_SERVICE_REGISTRY,),
    run=_run,
)
