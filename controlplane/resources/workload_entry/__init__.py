"""WorkloadEntry: what it is called, its shape and its rules."""

from controlplane.resources.resource import Kind
from controlplane.resources.workload_entry.schema import WorkloadEntry
from controlplane.resources.workload_entry.validate import validate

__all__ = ["KIND"]

KIND = Kind(
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    name="WorkloadEntry",
    plural="workloadentries",
    short=("we",),
    spec=WorkloadEntry,
    validate=validate,
)
