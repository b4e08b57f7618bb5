"""Rules of Kubernetes' Secret. No message shows a value."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import kubernetes
from controlplane.resources.schema import below
from controlplane.resources.secret.schema import Secret

#: Kubernetes' bound of all values together.
_LARGEST = 1024 * 1024
_TLS = ("tls.crt", "tls.key")


def validate(secret: Secret, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    yield from kubernetes.data_keys(secret.data, "data")
    yield from kubernetes.data_keys(secret.string_data, "stringData")
    values = {**secret.data, **secret.string_data}
    size = sum(len(value.reveal()) for value in values.values())
    if size > _LARGEST:
        yield Problem("data", f"has {size} bytes, {_LARGEST} at most")
    if secret.type == "kubernetes.io/tls":
        for key in _TLS:
            if key not in values:
                yield Problem(below("data", key), "is required by type kubernetes.io/tls")
