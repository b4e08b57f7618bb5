"""Rules of metadata that every kind of Istio has."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.resource import Metadata
from controlplane.resources.schema import below

#: Istio sets them on what it makes itself, or rejects them on purpose.
_RESERVED = (
    "internal.istio.io/parents",
    "internal.istio.io/parent-namespace",
    "internal.istio.io/webhook-always-reject",
)
DRY_RUN = "istio.io/dry-run"


def reserved(metadata: Metadata, *, dry_run: bool = False) -> Iterator[Problem]:
    """Annotations that users must not set; `dry_run` is for AuthorizationPolicy."""
    refused = _RESERVED if dry_run else (*_RESERVED, DRY_RUN)
    for name in refused:
        if name in metadata.annotations:
            reason = "this annotation is not allowed here; remove it"
            yield Problem(below("metadata.annotations", name), reason)
