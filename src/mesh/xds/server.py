"""An xDS server: how it is spoken to, and the methods of its services."""

from __future__ import annotations

from mesh import api

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: A server as the core says it (_fastpath.pyi); None: that of the aggregated stream.
    Spoken = tuple[str, bool, str, list[tuple[str, str]], bool, float, float, int | None] | None

_SERVICE = "/envoy.service."
_METHODS = {
    api.CLUSTER: ("cluster.v3.ClusterDiscoveryService/", "Clusters"),
    api.ENDPOINT: ("endpoint.v3.EndpointDiscoveryService/", "Endpoints"),
    api.EXTENSION: ("extension.v3.ExtensionConfigDiscoveryService/", "ExtensionConfigs"),
    api.LISTENER: ("listener.v3.ListenerDiscoveryService/", "Listeners"),
    api.ROUTE: ("route.v3.RouteDiscoveryService/", "Routes"),
    api.SECRET: ("secret.v3.SecretDiscoveryService/", "Secrets"),
    "": ("discovery.v3.AggregatedDiscoveryService/", "AggregatedResources"),
}


class Server:
    """How a server is spoken to, as the core says it."""

    __slots__ = (
        "authority",
        "back_off",
        "cluster",
        "delta",
        "max_message",
        "metadata",
        "node_once",
    )

    def __init__(
        self,
        cluster: str,
        delta: bool,
        authority: str,
        metadata: list[tuple[str, str]],
        node_once: bool,
        retry_base: float,
        retry_most: float,
        max_message: int | None,
    ) -> None:
        self.cluster = cluster
        self.delta = delta
        self.authority = authority
        self.metadata = metadata
        self.node_once = node_once
        self.back_off = (retry_base, retry_most)
        self.max_message = max_message

    def path(self, type_url: str) -> str:
        """The method for a type; "": for all of them in one stream."""
        service, what = _METHODS[type_url]
        return _SERVICE + service + ("Delta" if self.delta else "Stream") + what
