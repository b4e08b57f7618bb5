"""Rules of Kubernetes' ConfigMap."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.config_map.schema import ConfigMap
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import kubernetes
from controlplane.resources.schema import below


def validate(given: ConfigMap, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from kubernetes.data_keys(given.data, "data")
    yield from kubernetes.data_keys(given.binary_data, "binaryData")
    for key in given.data.keys() & given.binary_data.keys():
        yield Problem(below("binaryData", key), "is in data as well; keep one")
