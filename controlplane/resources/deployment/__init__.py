"""Deployment: what it is called, its shape and its rules."""

from controlplane.resources.deployment.schema import Deployment
from controlplane.resources.deployment.validate import validate
from controlplane.resources.resource import Kind

__all__ = ["KIND"]

KIND = Kind(
    group="apps",
    versions=("v1",),
    name="Deployment",
    plural="deployments",
    short=("deploy",),
    spec=Deployment,
    validate=validate,
    strict=False,
)
