"""ProxyConfig: how the sidecars of some workloads are started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.schema import Length, Range


@dataclass(frozen=True, slots=True)
class ProxyImage:
    #: `default`, `debug`, `distroless`.
    image_type: str = ""


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    selector: PolicySelector | None = None
    #: Workers; 0 is one per core.
    concurrency: Annotated[int, Range(0, 2**31 - 1)] | None = None
    environment_variables: Mapping[str, Annotated[str, Length(0, 2048)]] = field(
        default_factory=dict
    )
    image: ProxyImage | None = None
