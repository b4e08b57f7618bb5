"""AuthorizationPolicy."""

from controlplane.resources.authorization_policy import not_yet
from controlplane.resources.authorization_policy.schema import AuthorizationPolicy
from controlplane.resources.authorization_policy.validate import validate
from controlplane.resources.resource import Kind

KIND = Kind(
    group="security.istio.io",
    versions=("v1", "v1beta1"),
    name="AuthorizationPolicy",
    plural="authorizationpolicies",
    short=("ap",),
    spec=AuthorizationPolicy,
    validate=validate,
    not_yet=not_yet.TABLE,
)

__all__ = ["KIND"]
