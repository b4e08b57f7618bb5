"""Namespace: what it is called, its shape and its rules."""

from controlplane.resources.namespace.schema import Namespace
from controlplane.resources.namespace.validate import validate
from controlplane.resources.resource import Kind

__all__ = ["KIND"]

KIND = Kind(
    group="",
    versions=("v1",),
    name="Namespace",
    plural="namespaces",
    short=("ns",),
    spec=Namespace,
    validate=validate,
    body="",
    strict=False,
    namespaced=False,
)
