"""Who may send a request: the filters that ask, in Istio's order."""

from __future__ import annotations

from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)

from controlplane.registry.workloads import Labels
from controlplane.translation.listeners import authorization, ext_authz
from controlplane.world.view import View


def http_filters(view: View, namespace: str, labels: Labels) -> list[hcm.HttpFilter]:
    """CUSTOM policies, then tokens, then AUDIT, DENY and ALLOW, which may ask for claims."""
    return [
        *ext_authz.http_filters(view, namespace, labels),
        *authorization.http_filters(view, namespace, labels),
    ]
