"""Which endpoints a cluster will ask for: what has to be there before routes may name it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2
from google.protobuf.message import DecodeError

if TYPE_CHECKING:
    from controlplane.xds.translator import Encoded


class EndpointNames:
    """Looks into clusters; remembers the latest."""

    def __init__(self, limit: int = 20_000) -> None:
        self._limit = limit
        self._known: OrderedDict[Encoded, str] = OrderedDict()

    def of(self, cluster: Encoded) -> str:
        """The name of the load assignment; "" for clusters that have none of EDS."""
        found = self._known.get(cluster)
        if found is None:
            found = self._known[cluster] = _read(cluster)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)
        return found


def _read(cluster: Encoded) -> str:
    try:
        message = cluster_pb2.Cluster.FromString(cluster.body)
    except DecodeError:
        # The client will refuse it: nothing to wait for.
        return ""
    if message.type != cluster_pb2.Cluster.EDS:
        return ""
    name: str = message.eds_cluster_config.service_name or message.name
    return name
