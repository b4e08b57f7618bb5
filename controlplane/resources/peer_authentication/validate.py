"""Rules of PeerAuthentication beyond types."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.common.metadata import check_metadata
from controlplane.resources.common.target import check_labels, warn_of_selector
from controlplane.resources.peer_authentication.schema import PeerAuthentication
from controlplane.resources.resource import Metadata


def validate(spec: PeerAuthentication, metadata: Metadata) -> Iterator[Problem]:
    yield from check_metadata(metadata)
    selector = spec.selector
    if selector is not None:
        yield from check_labels(selector.match_labels, "spec.selector.matchLabels")
    if spec.port_level_mtls and (selector is None or not selector.match_labels):
        reason = "is for the ports of some workloads; name them in spec.selector.matchLabels"
        yield Problem("spec.portLevelMtls", reason)


def warnings(spec: PeerAuthentication, metadata: Metadata) -> Iterator[Problem]:
    yield from warn_of_selector(spec.selector)
