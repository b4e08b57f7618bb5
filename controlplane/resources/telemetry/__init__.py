"""Telemetry."""

from controlplane.resources.resource import Kind
from controlplane.resources.telemetry.schema import Telemetry
from controlplane.resources.telemetry.validate import validate

KIND = Kind(
    group="telemetry.istio.io",
    versions=("v1", "v1alpha1"),
    name="Telemetry",
    plural="telemetries",
    short=("telemetry",),
    spec=Telemetry,
    validate=validate,
)

__all__ = ["KIND"]
