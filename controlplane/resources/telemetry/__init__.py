"""Telemetry."""

from controlplane.resources.resource import Kind
from controlplane.resources.telemetry import not_yet
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
    not_yet=not_yet.TABLE,
)

__all__ = ["KIND"]
