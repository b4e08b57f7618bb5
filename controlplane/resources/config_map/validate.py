"""Rules of Kubernetes' ConfigMap, and of the text that is MeshConfig."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources import mesh_config
from controlplane.resources.config_map.schema import ConfigMap
from controlplane.resources.not_yet import told
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import kubernetes
from controlplane.resources.schema import below
from controlplane.sources import text

_MESH_CONFIG = ("istio-system", "istio")
_MESH = "mesh"


def validate(given: ConfigMap, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from kubernetes.data_keys(given.data, "data")
    yield from kubernetes.data_keys(given.binary_data, "binaryData")
    for key in given.data.keys() & given.binary_data.keys():
        yield Problem(below("binaryData", key), "is in data as well; keep one")
    if (meta.namespace, meta.name) == _MESH_CONFIG and _MESH in given.data:
        yield from _mesh(given.data[_MESH])


def _mesh(written: str) -> Iterator[Problem]:
    path = below("data", _MESH)
    inner = text.read(written, _MESH)
    if isinstance(inner, str):
        yield Problem(path, inner)
    if inner is None or isinstance(inner, str):
        return
    _, problems = mesh_config.apply(inner.value, path=path)
    for one in (*problems, *told(mesh_config.NOT_YET, inner.value, path)):
        # A block (`|`) begins on the line below its name.
        lines = inner.line_of(one.path.removeprefix(f"{path}.")) if "\n" in written else 0
        yield dataclasses.replace(one, lines_below=lines)
