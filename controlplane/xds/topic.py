"""One node of the graph that streams follow: its last good value, and who wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controlplane.world.graph import Node
    from controlplane.xds.identity import Identity
    from controlplane.xds.subscription import Subscription

#: The name of "all that the proxy has".
EVERYTHING = "*"


class Topic:
    """Watches a node for all streams that are sent its value."""

    __slots__ = ("count", "error", "followers", "name", "node", "payer", "ready", "value")

    def __init__(self, node: Node, name: str, payer: Identity | None = None) -> None:
        self.node = node
        self.name = name
        #: Who asked for it first: it counts as one of his, for as long as anybody follows it.
        self.payer = payer
        #: The value that streams are sent: of the last push, not of a change that is under way.
        self.value: Any = None
        #: Has there ever been a value? Until then nothing is said: "nothing" would mean removal.
        self.ready = False
        #: Why the value is not the newest: what the query raised.
        self.error: str | None = None
        #: Those who follow, and some who did: a list takes a fifth of a set, and who leaves it is
        #: not looked for but left out later.
        self.followers: list[Subscription] = []
        self.count = 0

    def join(self, subscription: Subscription) -> None:
        self.followers.append(subscription)
        self.count += 1

    def leave(self) -> None:
        """One of the followers follows no more."""
        self.count -= 1
        if len(self.followers) > 2 * self.count + 8:
            self.followers = list(dict.fromkeys(self.following()))

    def following(self) -> Iterator[Subscription]:
        """Those who follow; one who came back may be there twice."""
        return (one for one in self.followers if one.follows(self))
