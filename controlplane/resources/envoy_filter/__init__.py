"""EnvoyFilter."""

from controlplane.resources.envoy_filter.schema import EnvoyFilter
from controlplane.resources.envoy_filter.validate import validate
from controlplane.resources.resource import Kind

KIND = Kind(
    group="networking.istio.io",
    versions=("v1alpha3",),
    name="EnvoyFilter",
    plural="envoyfilters",
    short=(),
    spec=EnvoyFilter,
    validate=validate,
)

__all__ = ["KIND"]
