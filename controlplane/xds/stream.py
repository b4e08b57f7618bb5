"""One stream of one proxy: its subscriptions, and what may leave before what.

Make before break. Types leave in the order of `type_urls.ORDER`; listeners and routes wait until
the client has answered for the clusters they may name, and has the endpoints of new ones. What is
taken away waits until nobody can refer to it: a cluster until listeners and routes that no longer
name it were acknowledged. At most one response of a type is under way, so that a slow client costs
itself only: what changes meanwhile coalesces.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from controlplane.xds import type_urls, wire
from controlplane.xds.delta import DeltaSubscription
from controlplane.xds.request import BadRequest
from controlplane.xds.sotw import SotwSubscription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controlplane.world.proxy import Proxy
    from controlplane.xds.endpoints import EndpointNames
    from controlplane.xds.identity import Identity
    from controlplane.xds.options import Limits
    from controlplane.xds.push import Publisher
    from controlplane.xds.request import Request
    from controlplane.xds.status import Board
    from controlplane.xds.subscription import Batch, Flight, Subscription

C, E, L, R = type_urls.CLUSTER, type_urls.ENDPOINT, type_urls.LISTENER, type_urls.ROUTE

_PLACES = {url: place for place, url in enumerate(type_urls.ORDER)}

#: What has to be as the client has acknowledged it before something of a type is taken away.
REMOVED_AFTER: dict[str, tuple[str, ...]] = {
    C: (L, R),
    E: (C, L, R),
    R: (L,),
    type_urls.SECRET: (C, L),
    type_urls.EXTENSION: (L,),
}


class Stream:
    """What a proxy was sent and has answered. `wake` is called when there is something to send."""

    def __init__(
        self,
        proxy: Proxy,
        identity: Identity | None,
        publisher: Publisher,
        board: Board,
        limits: Limits,
        wake: Callable[[], None],
        *,
        delta: bool,
        only: str = "",
    ) -> None:
        self.proxy = proxy
        self.identity = identity
        self.publisher = publisher
        self.board = board
        self.delta = delta
        self.now = publisher.now
        self.connected_at = self.now()
        #: When the oldest change was made that this client does not have yet; 0 when it has all.
        self.behind_since = 0.0
        #: When it was told of news that have not begun to leave; 0 for none.
        self.queued_at = 0.0
        self.subscriptions: dict[str, Subscription] = {}
        #: The same, in the order in which they leave.
        self._in_order: list[Subscription] = []
        self._limits = limits
        self._wake = wake
        self._only = only
        self._nonces = 0
        #: Endpoints that the client needs for clusters it was sent.
        self._awaited: set[str] = set()
        self._patience: asyncio.TimerHandle | None = None
        #: Nothing is taken away before this time from a client that has come back: until it has
        #: asked for everything nobody knows what it refers to.
        self._back_until = 0.0
        self._back: asyncio.TimerHandle | None = None
        #: Since when a type waits for clusters.
        self._waits: dict[str, float] = {}

    def receive(self, request: Request) -> None:
        """A request that the client has sent. Raises BadRequest."""
        if request.type_url == type_urls.HEALTH:
            self.board.health(self, request.error)
            return
        found = self.subscriptions.get(request.type_url)
        if found is None:
            found = self._subscription(request.type_url)
        found.request(request)
        if request.subscribe or request.unsubscribe:
            # What is asked for again may be no name of the stream: of the wildcard it is told anew.
            names = sum(max(len(one.names), len(one.forced)) for one in self.subscriptions.values())
            if names > self._limits.names:
                raise BadRequest(f"{names} names on one stream, more than {self._limits.names}")
        self.kick()
        self.board.progress(self)

    def kick(self) -> None:
        """There may be something to send."""
        for one in self._in_order:
            if one.flight is None and one.pending:
                self._wake()
                break

    def next(self) -> bytes | None:
        """The next response, counted as sent; None if there is nothing that may leave now."""
        if self.publisher.committing:
            self.publisher.wake_later(self)
            return None
        settled = False
        for found in self._in_order:
            if found.flight is not None or not found.pending or not self._may_leave(found):
                continue
            found.news = False
            batch = found.take(removals=self._may_remove(found))
            if found.type_url == E and self._awaited:
                self._arrived(one for one in self._awaited if _nothing(found, one))
            if batch is not None:
                return self._respond(found, batch)
            settled = True
        if settled:
            # What may have differed did not: the client has it, and will not say so.
            self.board.progress(self)
        return None

    def answered(self, found: Subscription, flight: Flight, *, refused: bool) -> None:
        """The client has answered a response."""
        if found.type_url == E and self._awaited:
            self._arrived(one.name for one in flight.batch.resources)
            self._arrived(flight.batch.removed)
        if refused:
            self.board.refused(self, found)

    def came_back(self) -> None:
        """The client holds something from an earlier stream."""
        if self._back is None:
            seconds = self._limits.patience_seconds
            self._back_until = self.now() + seconds
            self._back = asyncio.get_running_loop().call_later(seconds, self.kick)

    @property
    def clean(self) -> bool:
        """Does the client have all, and has it said so?"""
        return all(one.clean for one in self._in_order)

    def close(self) -> None:
        for one in self.subscriptions.values():
            one.close()
        self.subscriptions, self._in_order = {}, []
        for timer in (self._patience, self._back):
            if timer is not None:
                timer.cancel()

    def _subscription(self, type_url: str) -> Subscription:
        if self._only and type_url != self._only:
            raise BadRequest(f"this service serves {self._only} only, not {type_url[:200]}")
        if len(self.subscriptions) >= self._limits.types:
            raise BadRequest(f"more than {self._limits.types} types on one stream")
        kind = DeltaSubscription if self.delta else SotwSubscription
        found = self.subscriptions[type_url] = kind(self, type_url)
        self._in_order = sorted(self.subscriptions.values(), key=_place)
        return found

    def _may_leave(self, found: Subscription) -> bool:
        match found.type_url:
            case type_urls.ENDPOINT:
                return not self._unsent(C)
            case type_urls.LISTENER:
                return self._clusters_are_there(L)
            case type_urls.ROUTE:
                return self._clusters_are_there(R) and not self._unsent(L)
        return True

    def _clusters_are_there(self, type_url: str) -> bool:
        if not self._awaited and not self._busy(C):
            self._waits.pop(type_url, None)
            return True
        # Clusters that change all the time must not keep the others for ever.
        since = self._waits.setdefault(type_url, self.now())
        return self.now() - since > self._limits.patience_seconds

    def _may_remove(self, found: Subscription) -> bool:
        if self.now() < self._back_until:
            return False
        for url in REMOVED_AFTER.get(found.type_url, ()):
            one = self.subscriptions.get(url)
            # While it refuses the newest, the client lives by an older one, which may name this.
            if one is not None and (not one.clean or one.refusal is not None):
                return False
        return True

    def _unsent(self, type_url: str) -> bool:
        """Is there news of this type that has not left?"""
        found = self.subscriptions.get(type_url)
        return found is not None and found.news

    def _busy(self, type_url: str) -> bool:
        """Is there news of this type that has not left or was not answered?"""
        found = self.subscriptions.get(type_url)
        return found is not None and (found.flight is not None or found.news)

    def _respond(self, found: Subscription, batch: Batch) -> bytes:
        responses, url = self.publisher.responses, found.type_url
        version = self.publisher.version
        if self.delta:
            body = responses.delta(url, version, batch.resources, batch.removed)
        else:
            body = responses.sotw(url, version, batch.resources)
        self._nonces += 1
        nonce = f"{self._nonces:x}"
        if url == C:
            self._await_endpoints(batch)
        found.sent(nonce, batch)
        self.board.sent(found, len(body))
        return body + wire.nonce(nonce)

    def _await_endpoints(self, batch: Batch) -> None:
        """A cluster that is new or has changed starts only when it is given its endpoints, even
        if it had them before."""
        names: EndpointNames = self.publisher.endpoint_names
        known = self.subscriptions.get(E)
        for cluster in batch.news:
            name = names.of(cluster)
            if name:
                self._awaited.add(name)
                if known is not None:
                    known.renew(name)
        if self._awaited and self._patience is None:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(self._limits.patience_seconds, self._go_on)

    def _arrived(self, names: Iterable[str]) -> None:
        self._awaited = self._awaited.difference(names)
        if not self._awaited and self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _go_on(self) -> None:
        """Not every client asks for all endpoints."""
        self._patience = None
        self._awaited = set()
        self.kick()


def _place(found: Subscription) -> int:
    """What has none in the order stays behind those that have, as it came."""
    return _PLACES.get(found.type_url, len(_PLACES))


def _nothing(endpoints: Subscription, name: str) -> bool:
    """Is it known that there are no endpoints of this name?"""
    topic = endpoints.names.get(name)
    return topic is not None and topic.ready and topic.value is None
