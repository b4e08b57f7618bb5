"""One node of the graph that streams follow: its last good value, and who wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controlplane.world.graph import Node
    from controlplane.xds.subscription import Subscription

#: The name of "all that the proxy has".
EVERYTHING = "*"


class Topic:
    """Watches a node for all streams that are sent its value."""

    __slots__ = ("error", "name", "node", "ready", "subscribers", "value")

    def __init__(self, node: Node, name: str) -> None:
        self.node = node
        self.name = name
        #: The value that streams are sent: of the last push, not of a change that is under way.
        self.value: Any = None
        #: Has there ever been a value? Until then nothing is said: "nothing" would mean removal.
        self.ready = False
        #: Why the value is not the newest: what the query raised.
        self.error: str | None = None
        self.subscribers: set[Subscription] = set()
