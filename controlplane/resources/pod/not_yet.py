"""Fields of Pod without effect yet."""

from __future__ import annotations

from controlplane.resources.not_yet import NotYet

TABLE = (
    NotYet(
        "metadata.annotations['proxy.istio.io/config']",
        "a sidecar has what its own node says (PROXY_CONFIG), else MeshConfig's defaultConfig",
    ),
)
