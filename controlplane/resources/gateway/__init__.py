"""Gateway: what it is called, its shape and its rules."""

from controlplane.resources.gateway import not_yet
from controlplane.resources.gateway.schema import Gateway
from controlplane.resources.gateway.validate import validate
from controlplane.resources.resource import Kind

__all__ = ["KIND"]

KIND = Kind(
    group="networking.istio.io",
    versions=("v1", "v1beta1", "v1alpha3"),
    name="Gateway",
    plural="gateways",
    short=("gw",),
    spec=Gateway,
    validate=validate,
    not_yet=not_yet.TABLE,
)
