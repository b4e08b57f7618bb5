"""WorkloadGroup: what it is called, its shape and its rules."""

from controlplane.resources.resource import Kind
from controlplane.resources.workload_group.schema import WorkloadGroup
from controlplane.resources.workload_group.validate import validate

__all__ = ["KIND"]

KIND = Kind(
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    name="WorkloadGroup",
    plural="workloadgroups",
    short=("wg",),
    spec=WorkloadGroup,
    validate=validate,
)
