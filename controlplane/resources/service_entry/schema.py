"""Fields of ServiceEntry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from controlplane.resources.common.port import ServicePort
from controlplane.resources.common.selector import WorkloadSelector
from controlplane.resources.common.workload import WorkloadEntry

Location = Literal["MESH_EXTERNAL", "MESH_INTERNAL"]
Resolution = Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]


@dataclass(frozen=True, slots=True)
class ServiceEntry:
    """A service that the registry would not know otherwise."""

    hosts: tuple[str, ...]
    #: VIPs, or CIDRs; none: some are given.
    addresses: tuple[str, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    location: Location = "MESH_EXTERNAL"
    resolution: Resolution = "NONE"
    endpoints: tuple[WorkloadEntry, ...] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
