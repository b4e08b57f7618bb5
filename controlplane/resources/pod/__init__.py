"""Pod: what it is called, its shape and its rules."""

from controlplane.resources.pod.schema import Pod
from controlplane.resources.pod.validate import validate
from controlplane.resources.resource import Kind

__all__ = ["KIND"]

KIND = Kind(
    group="",
    versions=("v1",),
    name="Pod",
    plural="pods",
    short=("po",),
    spec=Pod,
    validate=validate,
    body="",
    strict=False,
)
