"""Node: what it is called, its shape and its rules."""

from controlplane.resources.node.schema import Node
from controlplane.resources.node.validate import validate
from controlplane.resources.resource import Kind

__all__ = ["KIND"]

KIND = Kind(
    group="",
    versions=("v1",),
    name="Node",
    plural="nodes",
    short=("no",),
    spec=Node,
    validate=validate,
    body="",
    strict=False,
    namespaced=False,
)
