"""The cluster of destinations that are no service: on to where the client was going, or nowhere."""

from __future__ import annotations

from controlplane.registry import scope
from controlplane.resources.virtual_service import action
from controlplane.resources.virtual_service.translate import Client
from controlplane.translation import names
from controlplane.world.view import View


def cluster(view: View, client: Client) -> str:
    """By the Sidecar's `outboundTrafficPolicy`, its `egressProxy` first; else MeshConfig's."""
    sidecar = client.caller.sidecar
    policy = scope.anywhere_else(view, sidecar)
    if policy.egress_proxy is not None and sidecar is not None:
        # Validation wants a port.
        return action.cluster(view, sidecar, policy.egress_proxy, 0, client)
    return names.BLACK_HOLE if policy.mode == "REGISTRY_ONLY" else names.PASSTHROUGH
