"""Services whose clients stay in their own Kubernetes cluster: `serviceSettings` of MeshConfig."""

from __future__ import annotations

from controlplane.registry import mesh
from controlplane.translation.names import covers
from controlplane.world.view import View, query


@query
def cluster_local(view: View, host: str) -> bool:
    """The most specific of the hosts that settings name says it. Kubernetes' own services are
    local unless the same host, or one below it, is said not to be."""
    said = _said(view)
    covering = [one for one in said if covers(one, host)]
    return bool(covering) and said[max(covering, key=lambda one: (one == host, len(one)))]


@query
def _said(view: View) -> dict[str, bool]:
    domain = mesh.domain(view)
    said = {
        host.lower(): bool(one.settings and one.settings.cluster_local)
        for one in mesh.config(view).service_settings
        for host in one.hosts
    }
    for default in (f"*.kube-system.svc.{domain}", f"kubernetes.default.svc.{domain}"):
        if not any(not local and covers(default, host) for host, local in said.items()):
            said[default] = True
    return said
