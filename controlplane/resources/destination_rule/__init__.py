"""DestinationRule: what it is called, its shape and its rules."""

from controlplane.resources.destination_rule import not_yet
from controlplane.resources.destination_rule.schema import DestinationRule
from controlplane.resources.destination_rule.validate import validate
from controlplane.resources.resource import Kind

__all__ = ["KIND"]

KIND = Kind(
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    name="DestinationRule",
    plural="destinationrules",
    short=("dr",),
    spec=DestinationRule,
    validate=validate,
    not_yet=not_yet.TABLE,
)
