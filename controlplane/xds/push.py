"""Changes of the world become news for streams: gathered, worked out in slices, told at once.

A round works out every touched topic of one revision before any stream is told: what leaves fits
together. It gives the loop its turn every few milliseconds; if the world changes meanwhile it
goes on with the newer one. A topic that nobody followed before joins a round as well, which then
does not wait for quiet.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any

from controlplane.xds.difference import Differences
from controlplane.xds.endpoints import EndpointNames
from controlplane.xds.names import Alike
from controlplane.xds.request import BadRequest
from controlplane.xds.topic import EVERYTHING, Topic
from controlplane.xds.wire import Responses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controlplane.resources.resource import Key
    from controlplane.world.graph import Node
    from controlplane.world.world import World
    from controlplane.xds.identity import Identity
    from controlplane.xds.options import Options
    from controlplane.xds.status import Board
    from controlplane.xds.stream import Stream
    from controlplane.xds.subscription import Subscription
    from controlplane.xds.translator import Translator

LOG = logging.getLogger(__name__)

#: How long the loop may be kept from the streams.
SLICE = 0.004
#: Rounds that begin anew because the world has changed; the next one is finished in one go.
RESTARTS = 3
#: Answers of `causes` that are kept.
_CAUSES = 64
#: Or when so many names were given up meanwhile.
_LEFT = 10_000
#: Answers that nobody watches are forgotten after so many revisions.
COLLECT_EVERY = 8


class Publisher:
    """Knows what every topic's value is as of `revision`, and who follows it."""

    def __init__(
        self, world: World, translator: Translator, options: Options, board: Board, epoch: str
    ) -> None:
        self.world = world
        self.board = board
        #: The revision that streams are told.
        self.revision = world.revision
        #: News are being handed out: nobody sends until all have theirs.
        self.committing = False
        #: Topics whose query raised at the newest revision: streams keep their last good value.
        self.failing: set[Topic] = set()
        self.responses = Responses(options.limits.cached_bytes)
        self.differences = Differences()
        self.endpoint_names = EndpointNames()
        self.alike = Alike()
        self.now: Callable[[], float] = monotonic
        self._translator = translator
        self._debounce = options.debounce
        self._limits = options.limits
        #: How many topics each identity was the first to ask for.
        self._paid: Counter[Identity] = Counter()
        #: Topics that nobody follows any more, since their answers were last forgotten.
        self._left = 0
        self._epoch = epoch
        self._topics: dict[tuple[Node, str], Topic] = {}
        #: Topics that have not been worked out yet.
        self._new: set[Topic] = set()
        self._waiting_streams: set[Stream] = set()
        #: What refusals have asked for.
        self._causes: dict[tuple[Node, int, int], list[Key]] = {}
        self._wake = asyncio.Event()
        #: Of the changes that wait: the first, the newest; 0 for none.
        self._first_change = 0.0
        self._last_change = 0.0
        self._last_round = 0.0
        self._collected = world.revision

    @property
    def version(self) -> str:
        """What clients are told as the version: when we started, and the world's revision."""
        return f"{self._epoch}/{self.revision}"

    @property
    def topics(self) -> int:
        return len(self._topics)

    def changed(self) -> None:
        """The world is at another revision."""
        self._last_change = self.now()
        self._first_change = self._first_change or self._last_change
        self._wake.set()

    # -- who follows what --

    def join(self, subscription: Subscription, name: str) -> Topic:
        """The topic of a name (or EVERYTHING), followed by the subscription from now on."""
        node = self._node(subscription, name)
        topic = self._topics.get((node, name))
        if topic is None:
            payer = self._pay(subscription)
            topic = self._topics[node, name] = Topic(node, name, payer)
            graph = self.world.graph
            graph.watch(node, topic)
            if self.world.revision == self.revision and node.checked and not node.stale:
                value, error = _value(topic, self)
                self._note(topic, error)
                if error is None:
                    topic.value, topic.ready = value, True
            else:
                self._new.add(topic)
                self._wake.set()
        topic.join(subscription)
        return topic

    def leave(self, topic: Topic) -> None:
        """One subscription follows the topic no more."""
        topic.leave()
        if not topic.count:
            self.world.graph.unwatch(topic.node, topic)
            self._topics.pop((topic.node, topic.name), None)
            self._repay(topic.payer)
            self._new.discard(topic)
            self.failing.discard(topic)

    def _pay(self, subscription: Subscription) -> Identity | None:
        """A topic more is an identity's. Raises BadRequest for one that has too many."""
        payer, most = subscription.stream.identity, self._limits.topics_per_identity
        if payer is not None:
            if self._paid[payer] >= most:
                raise BadRequest(
                    f"{payer} was the first to ask for {most} names that somebody still follows,"
                    " which is the limit of one identity"
                )
            self._paid[payer] += 1
        return payer

    def _repay(self, payer: Identity | None) -> None:
        if payer is not None:
            self._paid[payer] -= 1
            if not self._paid[payer]:
                del self._paid[payer]
        # Their answers are forgotten when the world changes; names that come and go while it rests
        # must not add up.
        self._left += 1
        if self._left >= max(_LEFT, len(self._topics)):
            self._left = 0
            self.world.graph.collect(-1)

    def causes(self, topics: Iterable[Topic | None], after: int, upto: int) -> list[Key]:
        """What has changed within these revisions and concerns the topics. (Many streams refuse
        the same, one after the other: the answer is kept.)"""
        if not after:
            return []
        found: set[Key] = set()
        for topic in filter(None, topics):
            asked = (topic.node, after, upto)
            if asked not in self._causes:
                if len(self._causes) >= _CAUSES:
                    self._causes.clear()
                self._causes[asked] = self.world.changed(after, upto, topic.node)
            found.update(self._causes[asked])
        return sorted(found)

    def wake_later(self, stream: Stream) -> None:
        """The stream has something to send, when all have been told."""
        self._waiting_streams.add(stream)

    # -- rounds --

    async def run(self) -> None:
        """Rounds, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self.world.revision != self.revision:
                await self._quiet()
            try:
                await self.round()
            except Exception:
                # A mistake of ours must not end all pushes; the next change tries again.
                LOG.exception("a push failed; streams keep what they have")
                self._new |= set(self._topics.values())

    def due(self) -> float:
        """When what has changed is to leave."""
        due = min(self._last_change + self._debounce.quiet, self._first_change + self._debounce.cap)
        if self._new:
            # A newcomer has nothing at all: it does not wait for quiet.
            due = min(due, self._last_round + self._debounce.quiet)
        return due

    async def _quiet(self) -> None:
        """Until nothing has changed for a while, or one has waited long enough."""
        if not self._first_change:
            # Nobody has said so; count from here.
            self._first_change = self._last_change = self.now()
        while (left := self.due() - self.now()) > 0:
            try:
                await asyncio.wait_for(self._wake.wait(), left)
            except TimeoutError:
                return
            self._wake.clear()

    async def round(self) -> None:
        """Works out what has changed, now, and hands it out."""
        began = self._last_round = self.now()
        first_change, self._first_change = self._first_change, 0.0
        changed, revision = await self._work_out()
        if first_change:
            self.board.debounced(began - first_change)
        await self._commit(changed, revision, first_change)
        if self.world.revision >= self._collected + COLLECT_EVERY:
            self._collected = self.world.revision
            self.world.graph.collect(COLLECT_EVERY)

    async def _work_out(self) -> tuple[dict[Topic, Any], int]:
        """New values of topics, all of one revision, which is returned as well."""
        staged: dict[Topic, Any] = {}
        todo: set[Topic] = set()
        restarts, until = 0, self.now() + SLICE
        while True:
            revision = self.world.revision
            todo |= self._touched()
            while todo:
                topic = todo.pop()
                if topic.count:
                    staged[topic] = _value(topic, self)
                if restarts < RESTARTS and self.now() > until:
                    await asyncio.sleep(0)
                    until = self.now() + SLICE
                    if self.world.revision != revision:
                        break
            else:
                # Without a pause between the last look and here, this is all of it.
                if not (todo := self._touched()):
                    return staged, revision
                continue
            restarts += 1

    def _touched(self) -> set[Topic]:
        new, self._new = self._new, set()
        for node in self.world.graph.touched():
            new.update(one for one in node.watchers if isinstance(one, Topic))
        return new

    async def _commit(self, staged: dict[Topic, Any], revision: int, since: float) -> None:
        """Hands the values out."""
        told: set[Stream] = set()
        self.committing = True
        try:
            until = self.now() + SLICE
            for topic, (value, error) in staged.items():
                self._note(topic, error)
                if error is not None or (topic.ready and value is topic.value):
                    continue
                was, topic.value, topic.ready = topic.value, value, True
                for subscription in topic.following():
                    subscription.touch(topic, was)
                    told.add(subscription.stream)
                if self.now() > until:
                    await asyncio.sleep(0)
                    until = self.now() + SLICE
        finally:
            self.committing = False
            self.revision = revision
        waiting, self._waiting_streams = self._waiting_streams, set()
        self.board.committed(told, since)
        await self._kick(told | waiting)

    def _note(self, topic: Topic, error: str | None) -> None:
        was, topic.error = topic.error, error
        if error is None:
            self.failing.discard(topic)
            return
        self.failing.add(topic)
        if error != was:
            self.board.failed(topic)

    async def _kick(self, streams: Iterable[Stream]) -> None:
        until = self.now() + SLICE
        for stream in streams:
            stream.kick()
            if self.now() > until:
                await asyncio.sleep(0)
                until = self.now() + SLICE

    def _node(self, subscription: Subscription, name: str) -> Node:
        view, proxy = self.world.view(), subscription.stream.proxy
        if name == EVERYTHING:
            return self._translator.everything(view, subscription.type_url, proxy)
        return self._translator.named(view, subscription.type_url, proxy, name)


def _value(topic: Topic, publisher: Publisher) -> tuple[Any, str | None]:
    """The value at the world's revision, or why there is none."""
    try:
        return publisher.world.graph.value_of(topic.node), None
    except Exception as error:  # noqa: BLE001  # whatever a query raises, streams keep what was good
        return None, f"{type(error).__name__}: {error}"
