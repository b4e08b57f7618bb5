"""Rules of Kubernetes' ServiceAccount: its name becomes a part of a SPIFFE ID."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem, shown
from controlplane.resources.resource import Metadata
from controlplane.resources.rules import names
from controlplane.resources.service_account.schema import ServiceAccount


def validate(given: ServiceAccount, meta: Metadata) -> Iterator[Problem]:
    """All rules that need no other resource."""
    if not names.is_fqdn(f"{meta.name}.a") or len(meta.name) > 253:
        reason = f"{shown(meta.name)} is no name: letters, digits, - and . inside, 253 at most"
        yield Problem("metadata.name", reason)
