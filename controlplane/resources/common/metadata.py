"""What the metadata of Istio's kinds must not say."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.resource import Metadata

DRY_RUN = "istio.io/dry-run"

#: Istio sets these on what it makes itself; they would give a user's resource others' rights.
_INTERNAL = ("internal.istio.io/parents", "internal.istio.io/parent-namespace")


def check_metadata(metadata: Metadata, *, dry_run: bool = False) -> Iterator[Problem]:
    """`dry_run`: the kind knows how to be tried without effect (AuthorizationPolicy)."""
    for name in _INTERNAL:
        if name in metadata.annotations:
            yield Problem(f"metadata.annotations[{name!r}]", "is Istio's own; leave it out")
    if DRY_RUN in metadata.annotations and not dry_run:
        reason = "is for AuthorizationPolicy only; this resource has its effect, leave it out"
        yield Problem(f"metadata.annotations[{DRY_RUN!r}]", reason)
