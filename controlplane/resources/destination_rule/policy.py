"""The policy of one port: mesh under host under subset, and a port's own in place of all."""

from __future__ import annotations

from dataclasses import replace

from controlplane.resources.common.traffic_policy import TrafficPolicy
from controlplane.resources.mesh_config.schema import MeshConfig

_NONE = TrafficPolicy()


def of_port(
    mesh: MeshConfig, host: TrafficPolicy | None, subset: TrafficPolicy | None, port: int
) -> TrafficPolicy:
    """What holds for a port of a subset ("no subset" has no policy of its own). What a port's own
    settings leave out is Envoy's default, not the host's policy: so Istio documents it."""
    base = _NONE
    default = mesh.default_traffic_policy
    if default is not None:
        base = TrafficPolicy(
            connection_pool=default.connection_pool, outlier_detection=default.outlier_detection
        )
    return _over(_over(base, host, port), subset, port)


_FIELDS = (
    "load_balancer", "connection_pool", "outlier_detection", "tls", "tunnel", "proxy_protocol",
    "retry_budget",
)  # fmt: skip
_OF_PORTS = ("load_balancer", "connection_pool", "outlier_detection", "tls")


def _over(under: TrafficPolicy, policy: TrafficPolicy | None, port: int) -> TrafficPolicy:
    """`policy` where it says something, `under` elsewhere; what it says of the port in place of
    both."""
    if policy is None:
        return under
    said = {name: getattr(policy, name) for name in _FIELDS if getattr(policy, name)}
    merged = replace(under, **said)
    for one in policy.port_level_settings:
        if one.port is not None and one.port.number == port:
            return replace(merged, **{name: getattr(one, name) for name in _OF_PORTS})
    return merged
