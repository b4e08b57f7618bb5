"""TrafficExtension."""

from controlplane.resources.resource import Kind
from controlplane.resources.traffic_extension.schema import TrafficExtension
from controlplane.resources.traffic_extension.validate import validate

KIND = Kind(
    group="extensions.istio.io",
    versions=("v1alpha1",),
    name="TrafficExtension",
    plural="trafficextensions",
    short=(),
    spec=TrafficExtension,
    validate=validate,
)

__all__ = ["KIND"]
