"""Endpoints: what it is called, its shape and its rules."""

from controlplane.resources.endpoints.schema import Endpoints
from controlplane.resources.endpoints.validate import validate
from controlplane.resources.resource import Kind

__all__ = ["KIND"]

KIND = Kind(
    group="",
    versions=("v1",),
    name="Endpoints",
    plural="endpoints",
    short=("ep",),
    spec=Endpoints,
    validate=validate,
    body="",
    strict=False,
)
