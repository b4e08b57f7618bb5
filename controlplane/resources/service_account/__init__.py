"""ServiceAccount: what it is called, its shape and its rules."""

from controlplane.resources.resource import Kind
from controlplane.resources.service_account.schema import ServiceAccount
from controlplane.resources.service_account.validate import validate

__all__ = ["KIND"]

KIND = Kind(
    group="",
    versions=("v1",),
    name="ServiceAccount",
    plural="serviceaccounts",
    short=("sa",),
    spec=ServiceAccount,
    validate=validate,
    body="",
    strict=False,
)
