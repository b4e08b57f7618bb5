"""Who may send a request: the filters that ask, in Istio's order."""

from __future__ import annotations

from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as hcm,
)

from controlplane.registry.workloads import Labels
from controlplane.resources.request_authentication.translate import authentication
from controlplane.translation.listeners import authorization, ext_authz
from controlplane.translation.listeners.manager import http_filter
from controlplane.world.view import View


def http_filters(
    view: View, namespace: str, labels: Labels, *, gateway: bool = False
) -> list[hcm.HttpFilter]:
    """CUSTOM policies, then tokens, then AUDIT, DENY and ALLOW, which may ask for claims."""
    tokens = authentication(view, namespace, labels, gateway=gateway)
    return [
        *ext_authz.http_filters(view, namespace, labels),
        *([] if tokens is None else [http_filter("envoy.filters.http.jwt_authn", tokens)]),
        *authorization.http_filters(view, namespace, labels),
    ]
