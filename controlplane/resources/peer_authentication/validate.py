"""Rules of PeerAuthentication beyond types."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.common.target import check_selector
from controlplane.resources.peer_authentication.schema import PeerAuthentication
from controlplane.resources.resource import Metadata
from controlplane.resources.rules.metadata import reserved


def validate(spec: PeerAuthentication, metadata: Metadata) -> Iterator[Problem]:
    yield from reserved(metadata)
    yield from check_selector(spec.selector)
    if spec.port_level_mtls and (spec.selector is None or not spec.selector.match_labels):
        reason = "is for the ports of some workloads; name them in spec.selector.matchLabels"
        yield Problem("spec.portLevelMtls", reason)
