"""Rules of ProxyConfig beyond types."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.common.metadata import check_metadata
from controlplane.resources.common.target import check_labels, warn_of_selector
from controlplane.resources.proxy_config.schema import ProxyConfig
from controlplane.resources.resource import Metadata


def validate(spec: ProxyConfig, metadata: Metadata) -> Iterator[Problem]:
    yield from check_metadata(metadata)
    if spec.selector is not None:
        yield from check_labels(spec.selector.match_labels, "spec.selector.matchLabels")


def warnings(spec: ProxyConfig, metadata: Metadata) -> Iterator[Problem]:
    yield from warn_of_selector(spec.selector)
