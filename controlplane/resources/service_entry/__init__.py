"""ServiceEntry: what it is called, its shape and its rules."""

from controlplane.resources.resource import Kind
from controlplane.resources.service_entry import not_yet
from controlplane.resources.service_entry.schema import ServiceEntry
from controlplane.resources.service_entry.validate import validate

__all__ = ["KIND"]

KIND = Kind(
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    name="ServiceEntry",
    plural="serviceentries",
    short=("se",),
    spec=ServiceEntry,
    validate=validate,
    not_yet=not_yet.TABLE,
)
