"""Who has what: the state of every connected proxy, and who still lacks a revision.

`apply --wait` is `wait(revision, timeout)`; `mesh status`, `/debug/syncz` and CSDS are `report()`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from controlplane.xds import type_urls
from controlplane.xds.translator import Encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from controlplane.world.proxy import Proxy
    from controlplane.xds.metrics import Metrics
    from controlplane.xds.stream import Stream
    from controlplane.xds.subscription import Subscription
    from controlplane.xds.topic import Topic

LOG = logging.getLogger(__name__)


class State(StrEnum):
    """In istioctl's words."""

    SYNCED = "SYNCED"
    STALE = "STALE"
    NOT_SENT = "NOT SENT"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One type of one proxy."""

    type_url: str
    state: State
    #: What the client or a query said, with names; what is waited for if the state is STALE.
    text: str = ""
    #: World revisions: of the newest response, of the newest that was acknowledged. 0 is none.
    sent: int = 0
    acked: int = 0
    #: Seconds ago; None if never.
    sent_age: float | None = None
    answered_age: float | None = None
    #: Names that the client refuses, with the versions.
    refused: tuple[tuple[str, str], ...] = ()
    resources: int = 0
    #: Has the client asked for it?
    subscribed: bool = True


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """One stream."""

    proxy: Proxy
    #: As proved; "" on a trusted port.
    identity: str
    delta: bool
    connected_age: float
    types: tuple[TypeStatus, ...]


class Verdict(NamedTuple):
    """What became of a revision at one proxy. `reason` says why it is not SYNCED."""

    proxy: Proxy
    state: State
    reason: str


class Presence(Protocol):
    """Somebody who wants to know which proxies are connected."""

    def came(self, proxy: Proxy) -> None:
        """A stream has begun; a proxy may have several."""

    def left(self, proxy: Proxy) -> None:
        """A stream has ended."""

    def health(self, proxy: Proxy, reason: str | None) -> None:
        """What its agent has found of its application: None is healthy."""


class Board:
    """All streams, and those who wait for them."""

    def __init__(
        self, metrics: Metrics, now: Callable[[], float], presence: Presence | None = None
    ) -> None:
        self.metrics = metrics
        self._presence = presence
        self.streams: set[Stream] = set()
        self._now = now
        self._waiting: set[_Waiting] = set()

    def report(self) -> list[ProxyStatus]:
        """Every connected proxy, by name."""
        return list(self.each())

    def each(self) -> Iterator[ProxyStatus]:
        """As `report`, one after the other: streams of a large mesh want their turn between."""
        return (self.status(stream) for stream in self.by_name())

    def by_name(self) -> list[Stream]:
        """All streams, by namespace and name of their proxies."""
        return sorted(self.streams, key=lambda one: (one.proxy.namespace, one.proxy.id))

    def status(self, stream: Stream) -> ProxyStatus:
        """One proxy."""
        known = [url for url in type_urls.ORDER if url not in stream.subscriptions]
        types = [self._of_type(one) for one in stream.subscriptions.values()]
        types += [
            TypeStatus(url, State.NOT_SENT, "not subscribed to", subscribed=False) for url in known
        ]
        place = {url: index for index, url in enumerate(type_urls.ORDER)}
        return ProxyStatus(
            proxy=stream.proxy,
            identity=str(stream.identity or ""),
            delta=stream.delta,
            connected_age=self._now() - stream.connected_at,
            types=tuple(sorted(types, key=lambda one: place.get(one.type_url, len(place)))),
        )

    def resources(self, name: str, identity: str = "") -> dict[str, list[Encoded]]:
        """What the streams of a proxy were sent, by type; empty if it has none. `identity`: only of
        that one, because anybody of a namespace may take any name."""
        found: dict[str, list[Encoded]] = {}
        for stream in self.streams:
            if stream.proxy.id == name and identity in {"", str(stream.identity or "")}:
                for one in stream.subscriptions.values():
                    found.setdefault(one.type_url, []).extend(held(one))
        return found

    def told(self, revision: int) -> int:
        """How many streams were sent something of this revision or a newer one."""
        return sum(
            any(one.sent_revision >= revision for one in stream.subscriptions.values())
            for stream in self.streams
        )

    async def wait(self, revision: int, timeout: float) -> list[Verdict]:
        """Until every proxy that is connected now has the world's `revision`, refuses it, or has
        gone, at most `timeout` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        concerned = set(self.streams)
        # Who had all may have asked for more since: what a listener names is asked for after it.
        while pending := {one for one in concerned & self.streams if not _final(one, revision)}:
            waiting = _Waiting(revision, pending)
            self._waiting.add(waiting)
            try:
                await asyncio.wait((waiting.done,), timeout=max(0.0, deadline - loop.time()))
            finally:
                self._waiting.discard(waiting)
            if not waiting.done.done():
                break
        verdicts = [verdict(stream, revision) for stream in self.streams]
        return sorted(verdicts, key=lambda one: (one.proxy.namespace, one.proxy.id))

    # -- what streams and the push tell --

    def connected(self, stream: Stream) -> None:
        self.streams.add(stream)
        self.metrics.connected.set(len(self.streams))
        if self._presence is not None:
            self._presence.came(stream.proxy)

    def gone(self, stream: Stream) -> None:
        self.streams.discard(stream)
        self.metrics.connected.set(len(self.streams))
        if self._presence is not None:
            self._presence.left(stream.proxy)
        for waiting in self._waiting:
            waiting.streams.discard(stream)
            waiting.look()

    def health(self, stream: Stream, reason: str | None) -> None:
        """An agent says how its application is: why it is unhealthy, or None."""
        if self._presence is not None:
            self._presence.health(stream.proxy, reason)

    def sent(self, subscription: Subscription, size: int) -> None:
        stream = subscription.stream
        self.metrics.pushed(subscription.type_url, size)
        if stream.queued_at:
            self.metrics.queue_time.observe(self._now() - stream.queued_at)
            stream.queued_at = 0.0

    def progress(self, stream: Stream) -> None:
        """The stream may have all now."""
        if stream.behind_since and stream.clean:
            self.metrics.convergence.observe(self._now() - stream.behind_since)
            stream.behind_since = 0.0
        for waiting in self._waiting:
            waiting.progress(stream)
            waiting.look()

    def refused(self, stream: Stream, subscription: Subscription) -> None:
        refusal = subscription.refusal
        if refusal is None:
            return
        self.metrics.rejected(subscription.type_url)
        LOG.warning(
            "%r refuses %s of revision %d: %r",
            stream.proxy.id,
            type_urls.short(subscription.type_url).upper(),
            refusal.revision,
            refusal.told(),
        )

    def expired(self, subscription: Subscription) -> None:
        self.metrics.expired_nonce(subscription.type_url)

    def debounced(self, seconds: float) -> None:
        self.metrics.debounce_time.observe(seconds)

    def failed(self, topic: Topic) -> None:
        """A query raised; its streams keep what they have."""
        self.metrics.failed()
        LOG.error("%r cannot be worked out, what was sent stays: %s", topic.name, topic.error)

    def committed(self, told: Iterable[Stream], since: float) -> None:
        """A revision has been handed out to these streams; it began with a change at `since`, or
        (0) with newcomers."""
        now = self._now()
        for stream in told:
            stream.behind_since = stream.behind_since or since
            stream.queued_at = stream.queued_at or now
        # Those who are not concerned have it already.
        for waiting in self._waiting:
            for stream in list(waiting.streams):
                waiting.progress(stream)
            waiting.look()

    def _of_type(self, one: Subscription) -> TypeStatus:
        state, text = state_of(one)
        refused = one.refusal.resources if one.refusal is not None else {}
        return TypeStatus(
            type_url=one.type_url,
            state=state,
            text=text,
            sent=one.sent_revision,
            acked=one.acked_revision,
            sent_age=self._now() - one.sent_at if one.sent_at else None,
            answered_age=self._now() - one.answered_at if one.answered_at else None,
            refused=tuple(item for item in refused.items() if item[0]),
            resources=len(one.base) + one.named,
        )


class _Waiting:
    """Somebody who waits for a revision to be everywhere."""

    def __init__(self, revision: int, streams: set[Stream]) -> None:
        self.streams = streams
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._revision = revision

    def progress(self, stream: Stream) -> None:
        if stream in self.streams and _final(stream, self._revision):
            self.streams.discard(stream)

    def look(self) -> None:
        if not self.streams and not self.done.done():
            self.done.set_result(None)


def _final(stream: Stream, revision: int) -> bool:
    """Is the verdict SYNCED or ERROR? Asked at every answer while somebody waits."""
    held = stream.publisher.revision >= revision and bool(stream.subscriptions)
    for one in stream.subscriptions.values():
        if one.refusal is not None and one.refusal.revision >= revision:
            return True
        held = held and (one.clean or one.acked >= revision)
    return held or (
        bool(stream.publisher.failing) and verdict(stream, revision).state is State.ERROR
    )


def verdict(stream: Stream, revision: int) -> Verdict:
    """Does the proxy have this revision?"""
    late: list[str] = []
    never: list[str] = []
    failing = bool(stream.publisher.failing)
    for one in stream.subscriptions.values():
        name = type_urls.short(one.type_url).upper()
        if failing and (errors := one.errors()):
            return Verdict(stream.proxy, State.ERROR, f"{name}: {'; '.join(errors)}")
        if one.refusal is not None and one.refusal.revision >= revision:
            return Verdict(stream.proxy, State.ERROR, f"{name}: {one.refusal.told()}")
        if not one.clean and not one.synced(revision):
            (late if one.sent_at else never).append(f"{name}: {_lacks(one)}")
    if stream.publisher.revision < revision:
        late.append(f"revision {revision} is not worked out yet")
    if late:
        return Verdict(stream.proxy, State.STALE, "; ".join(late + never))
    if never or not stream.subscriptions:
        return Verdict(stream.proxy, State.NOT_SENT, "; ".join(never) or "has asked for nothing")
    return Verdict(stream.proxy, State.SYNCED, "")


def state_of(one: Subscription) -> tuple[State, str]:
    if one.refusal is not None:
        return State.ERROR, one.refusal.told()
    if errors := one.errors():
        return State.ERROR, "; ".join(errors)
    if one.clean:
        # A delta client may have come back with all there is: nothing was sent, nothing lacks.
        return (State.SYNCED, "") if one.has_all else (State.NOT_SENT, "nothing was sent")
    return (State.STALE if one.sent_at else State.NOT_SENT), _lacks(one)


def held(one: Subscription) -> Iterator[Encoded]:
    """What the client was sent, as far as it still is there."""
    yield from one.base
    for name, topic in one.names.items():
        if name not in one.dirty:
            if topic.value is not None:
                yield topic.value
        elif (version := one.dirty[name]) is not None:
            # Another one is about to be sent; this one's body is no longer here.
            yield Encoded(name, version, b"")


def _lacks(one: Subscription) -> str:
    if one.flight is not None:
        return "sent, not answered yet"
    if errors := one.errors():
        return "; ".join(errors)
    if not one.news:
        return "removals wait until listeners and routes are acknowledged"
    return "not sent yet"
