"""Sidecar: what it is called, its shape and its rules."""

from controlplane.resources.resource import Kind
from controlplane.resources.sidecar.schema import Sidecar
from controlplane.resources.sidecar.validate import validate

__all__ = ["KIND"]

KIND = Kind(
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    name="Sidecar",
    plural="sidecars",
    short=(),
    spec=Sidecar,
    validate=validate,
)
