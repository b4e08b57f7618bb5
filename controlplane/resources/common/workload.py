"""A workload outside Kubernetes: a kind by itself, an endpoint of ServiceEntry, a template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controlplane.resources.schema import UInt32


@dataclass(frozen=True, slots=True)
class WorkloadEntry:
    """One workload, at an IP, a DNS name or `unix://` path."""

    #: "" when only its network is known: its gateway stands for it.
    address: str = ""
    #: Port of the workload by the port name of the service.
    ports: Mapping[str, UInt32] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    locality: str = ""
    #: 0 is 1.
    weight: UInt32 = 0
    service_account: str = ""
