"""Services that MeshConfig's providers name: which cluster leads to them."""

from __future__ import annotations

from typing import NamedTuple

from controlplane.registry import services
from controlplane.translation import names
from controlplane.world.view import View, query


class Target(NamedTuple):
    """A service of a provider."""

    host: str
    cluster: str


@query
def target(view: View, service: str, port: int) -> Target | None:
    """`HOST` or `NAMESPACE/HOST` on a port; None if the registry has no such service. Whoever the
    service is exported to: an operator names providers, not a namespace's owner."""
    namespace, slash, host = service.rpartition("/")
    host = host.lower()
    known = (one for one in services.named(view, host) if not slash or one.namespace == namespace)
    if next(known, None) is None:
        return None
    return Target(host, names.outbound(port, "", host))
