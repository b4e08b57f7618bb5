"""Secret: what it is called, its shape and its rules."""

from controlplane.resources.resource import Kind
from controlplane.resources.secret.schema import Secret
from controlplane.resources.secret.validate import validate

__all__ = ["KIND"]

KIND = Kind(
    group="",
    versions=("v1",),
    name="Secret",
    plural="secrets",
    short=(),
    spec=Secret,
    validate=validate,
    body="",
    strict=False,
)
