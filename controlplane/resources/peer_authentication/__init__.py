"""PeerAuthentication."""

from controlplane.resources.peer_authentication.schema import PeerAuthentication
from controlplane.resources.peer_authentication.validate import validate
from controlplane.resources.resource import Kind

KIND = Kind(
    group="security.istio.io",
    versions=("v1", "v1beta1"),
    name="PeerAuthentication",
    plural="peerauthentications",
    short=("pa",),
    spec=PeerAuthentication,
    validate=validate,
)

__all__ = ["KIND"]
