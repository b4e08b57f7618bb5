"""ProxyConfig."""

from controlplane.resources.proxy_config import not_yet
from controlplane.resources.proxy_config.schema import ProxyConfig
from controlplane.resources.proxy_config.validate import validate
from controlplane.resources.resource import Kind

KIND = Kind(
    group="networking.istio.io",
    versions=("v1beta1",),
    name="ProxyConfig",
    plural="proxyconfigs",
    short=(),
    spec=ProxyConfig,
    validate=validate,
    not_yet=not_yet.TABLE,
)

__all__ = ["KIND"]
