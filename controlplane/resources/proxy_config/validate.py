"""Rules of ProxyConfig beyond types."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.common.target import check_selector
from controlplane.resources.proxy_config.schema import ProxyConfig
from controlplane.resources.resource import Metadata
from controlplane.resources.rules.metadata import reserved


def validate(spec: ProxyConfig, metadata: Metadata) -> Iterator[Problem]:
    yield from reserved(metadata)
    yield from check_selector(spec.selector)
