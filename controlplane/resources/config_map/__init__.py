"""ConfigMap: what it is called, its shape and its rules."""

from controlplane.resources.config_map.schema import ConfigMap
from controlplane.resources.config_map.validate import validate
from controlplane.resources.resource import Kind

__all__ = ["KIND"]

KIND = Kind(
    group="",
    versions=("v1",),
    name="ConfigMap",
    plural="configmaps",
    short=("cm",),
    spec=ConfigMap,
    validate=validate,
    body="",
    strict=False,
)
