"""Rules of Kubernetes' Namespace."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.namespace.schema import Namespace
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import names


def validate(given: Namespace, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    if meta.name:  # else it has been said already
        yield from names.dns_label(meta.name, "metadata.name", "a namespace")
