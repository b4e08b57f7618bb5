"""EndpointSlice: what it is called, its shape and its rules."""

from controlplane.resources.endpoint_slice.schema import EndpointSlice
from controlplane.resources.endpoint_slice.validate import validate
from controlplane.resources.resource import Kind

__all__ = ["KIND"]

KIND = Kind(
    group="discovery.k8s.io",
    versions=("v1",),
    name="EndpointSlice",
    plural="endpointslices",
    short=(),
    spec=EndpointSlice,
    validate=validate,
    body="",
    strict=False,
)
