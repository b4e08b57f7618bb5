"""Service: what it is called, its shape and its rules."""

from controlplane.resources.resource import Kind
from controlplane.resources.service import not_yet
from controlplane.resources.service.schema import Service
from controlplane.resources.service.validate import validate

__all__ = ["KIND"]

KIND = Kind(
    group="",
    versions=("v1",),
    name="Service",
    plural="services",
    short=("svc",),
    spec=Service,
    validate=validate,
    not_yet=not_yet.TABLE,
    body="",
    strict=False,
)
