"""RequestAuthentication."""

from controlplane.resources.request_authentication import not_yet
from controlplane.resources.request_authentication.schema import RequestAuthentication
from controlplane.resources.request_authentication.validate import validate
from controlplane.resources.resource import Kind

KIND = Kind(
    group="security.istio.io",
    versions=("v1", "v1beta1"),
    name="RequestAuthentication",
    plural="requestauthentications",
    short=("ra",),
    spec=RequestAuthentication,
    validate=validate,
    not_yet=not_yet.TABLE,
)

__all__ = ["KIND"]
