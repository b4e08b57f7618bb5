"""VirtualService: what it is called, its shape and its rules."""

from controlplane.resources.resource import Kind
from controlplane.resources.virtual_service import not_yet
from controlplane.resources.virtual_service.schema import VirtualService
from controlplane.resources.virtual_service.validate import validate

__all__ = ["KIND"]

KIND = Kind(
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    name="VirtualService",
    plural="virtualservices",
    short=("vs",),
    spec=VirtualService,
    validate=validate,
    not_yet=not_yet.TABLE,
)
