"""MeshConfig and MeshNetworks: not objects of the API, but texts in a file or in the ConfigMap
`istio`, keys `mesh` and `meshNetworks`.

`apply` reads one over another, `apply_proxy_config` a pod's annotation, `networks.read` the other.
"""

from controlplane.resources.mesh_config.merge import (
    PROXY_CONFIG_ANNOTATION,
    apply,
    apply_proxy_config,
)
from controlplane.resources.mesh_config.networks import MeshNetworks
from controlplane.resources.mesh_config.not_yet import OF_PROXY as NOT_YET_OF_PROXY
from controlplane.resources.mesh_config.not_yet import TABLE as NOT_YET
from controlplane.resources.mesh_config.proxy_config import MeshProxyConfig
from controlplane.resources.mesh_config.schema import MeshConfig

__all__ = [
    "NOT_YET",
    "NOT_YET_OF_PROXY",
    "PROXY_CONFIG_ANNOTATION",
    "MeshConfig",
    "MeshNetworks",
    "MeshProxyConfig",
    "apply",
    "apply_proxy_config",
]
