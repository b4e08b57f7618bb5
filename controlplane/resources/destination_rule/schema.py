"""Fields of DestinationRule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controlplane.resources.common.selector import PolicySelector
from controlplane.resources.common.traffic_policy import TrafficPolicy


@dataclass(frozen=True, slots=True)
class Subset:
    """A version of the service, by labels of its workloads."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Overrides the rule's policy field by field.
    traffic_policy: TrafficPolicy | None = None


@dataclass(frozen=True, slots=True)
class DestinationRule:
    """What holds for connections to a host once a route has chosen it."""

    host: str
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()
    #: Clients that it holds for.
    workload_selector: PolicySelector | None = None
