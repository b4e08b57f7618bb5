"""TrafficExtension."""

from controlplane.resources.resource import Kind
from controlplane.resources.traffic_extension import not_yet
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
    not_yet=not_yet.TABLE,
)

__all__ = ["KIND"]
