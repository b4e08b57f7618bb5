"""EnvoyFilter."""

from controlplane.resources.envoy_filter import not_yet
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
    not_yet=not_yet.TABLE,
)

__all__ = ["KIND"]
