"""Fields of WorkloadEntry, which ServiceEntry and WorkloadGroup hold as well."""

from controlplane.resources.common.workload import WorkloadEntry

__all__ = ["WorkloadEntry"]
