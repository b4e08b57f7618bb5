"""What one stream wants of one type, what it holds, what is under way and what it refused.

The rules that both protocols share; `delta` and `sotw` have those of each. No I/O: a stream asks
`take` for what to send and tells `sent` and `answer`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

from controlplane.xds import type_urls
from controlplane.xds.names import Names
from controlplane.xds.topic import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controlplane.resources.resource import Key
    from controlplane.xds.push import Publisher
    from controlplane.xds.request import Request
    from controlplane.xds.stream import Stream
    from controlplane.xds.topic import Topic
    from controlplane.xds.translator import Encoded


#: What stands between names in the text of a refusal.
_WORDS = re.compile(r"[\s'\",;()\[\]]+")


#: Causes of a refusal that are named.
_CAUSES = 8


class Batch(NamedTuple):
    """What one response says."""

    resources: Sequence[Encoded]
    removed: Sequence[str]
    #: Nothing is kept back: who acknowledges this has the revision whole.
    complete: bool
    #: Those of `resources` that the client did not have like this.
    news: Sequence[Encoded]


class Flight(NamedTuple):
    """A response that the client has not answered."""

    nonce: str
    revision: int
    batch: Batch
    at: float


class Refusal(NamedTuple):
    """The newest NACK."""

    text: str
    #: The world's revision that the refused response told.
    revision: int
    at: float
    #: Names that the text names, with the versions refused; "" if it names none.
    resources: dict[str, str]
    #: Resources of the world that have changed since the client last took what it refuses now.
    causes: tuple[Key, ...] = ()

    def told(self) -> str:
        """For people: why, and what to look at."""
        if not self.causes:
            return self.text
        named = [
            f"{one.kind} {'/'.join(filter(None, (one.namespace, one.name)))}"
            for one in self.causes[:_CAUSES]
        ]
        if len(self.causes) > _CAUSES:
            named.append(f"{len(self.causes) - _CAUSES} more")
        return f"{self.text} (changed since it was accepted: {', '.join(named)})"


class Subscription(ABC):
    """One type of one stream."""

    __slots__ = (
        "acked", "acked_revision", "answered_at", "base", "dirty", "first", "flight", "forced",
        "must_answer", "names", "news", "nonce", "refusal", "sent_at", "sent_revision",
        "stream", "type_url", "whole", "whole_dirty",
    )  # fmt: skip

    def __init__(self, stream: Stream, type_url: str) -> None:
        self.stream = stream
        self.type_url = type_url
        #: Followed by wildcard, and by name.
        self.whole: Topic | None = None
        self.names = Names()
        #: What the client holds by wildcard, as it was sent.
        self.base: tuple[Encoded, ...] = ()
        self.whole_dirty = False
        #: Names that may have changed since, with the version that the client holds (None: it has
        #: none). Of all other names it holds what the topic says.
        self.dirty: dict[str, str | None] = {}
        #: Names that are sent even if they have not changed. (No sets where there are as many as
        #: streams: an empty one is three times an empty dict.)
        self.forced: dict[str, None] = {}
        #: A response is owed even if there is nothing to say.
        self.must_answer = False
        #: Something has come up since `take` was last asked.
        self.news = False
        self.first = True
        self.flight: Flight | None = None
        #: Of the newest response; "" before there is one.
        self.nonce = ""
        self.refusal: Refusal | None = None
        self.sent_at = 0.0
        self.sent_revision = 0
        self.answered_at = 0.0
        #: Is there a response that was acknowledged (not refused)? Then of which revision.
        self.acked_revision = 0
        #: The revision that the client is known to have whole, while something is under way.
        self.acked = 0

    # -- what clients ask for --

    @abstractmethod
    def request(self, request: Request) -> None:
        """A request of this type: an answer to a response, a change of what is wanted, or both."""

    @abstractmethod
    def take(self, *, removals: bool) -> Batch | None:
        """What to send now, if anything; it counts as sent. Without `removals` nothing leaves that
        the client would have to give up."""

    def answer(self, request: Request) -> bool:
        """Notes an ACK or a NACK. False: the nonce is not that of the newest response."""
        if not request.nonce or not self.nonce:
            # Before the first response a nonce is of an earlier stream, and says nothing.
            return True
        if request.nonce != self.nonce:
            self.stream.board.expired(self)
            return False
        flight = self.flight
        if flight is not None:
            self.flight = None
            self.answered_at = self.stream.now()
            if flight.batch.complete:
                self.acked = flight.revision
            if request.error is not None:
                self._refuse(flight, request.error)
            else:
                self.acked_revision = flight.revision
                self._accept(flight.batch)
                self.names = self.publisher.alike.of(self.names)
            self.stream.answered(self, flight, refused=request.error is not None)
        return True

    def follow(self, name: str, topic: Topic) -> None:
        """Wants `name`, or all by EVERYTHING. Whatever is there of it is to be sent."""
        self.start()
        if name == EVERYTHING:
            self.whole = topic
            self.whole_dirty = True
        else:
            self.names = self.names.own()
            self.names[name] = topic
            self.dirty[name] = None

    def leave(self, name: str) -> None:
        """Wants `name` no more."""
        if name not in self.names:
            return
        self.names = self.names.own()
        self.publisher.leave(self.names.pop(name))
        self.dirty.pop(name, None)
        self.forced.pop(name, None)
        self.settle_refusal((name,))

    def leave_everything(self) -> None:
        """The wildcard ends; names stay."""
        whole, self.whole = self.whole, None
        self.base, self.whole_dirty, self.must_answer = (), False, False
        if whole is not None:
            self.publisher.leave(whole)

    def close(self) -> None:
        topics, self.names = self.names.values(), Names()
        for topic in topics:
            self.publisher.leave(topic)
        self.leave_everything()

    def force(self, name: str) -> None:
        """The client asks for `name` again, unchanged as it may be, or not there."""
        if name in self.names:
            self.start()
            self.forced[name] = None

    def renew(self, name: str) -> None:
        """The client needs `name` again, if it is there."""
        held = self.held(name, self.dirty)
        if held is not None:
            self.start()
            # A version that nothing has.
            self.dirty[name] = ""

    def take_marks(self) -> tuple[dict[str, None], dict[str, str | None]]:
        """The names that are forced, and those that are dirty; none are from now on. (What was
        large stays large, and what a newcomer asks for is many names, once.)"""
        marks = self.forced, self.dirty
        self.forced, self.dirty = {}, {}
        return marks

    def held(self, name: str, dirty: Mapping[str, str | None]) -> str | None:
        """The version that the client holds of a name."""
        if name in dirty:
            return dirty[name]
        topic = self.names.get(name)
        return None if topic is None else version_of(topic.value)

    def follows(self, topic: Topic) -> bool:
        return self.whole is topic or self.names.get(topic.name) is topic

    # -- what the push tells --

    @property
    def publisher(self) -> Publisher:
        return self.stream.publisher

    def touch(self, topic: Topic, was: Encoded | None) -> None:
        """The topic has another value than `was`."""
        self.start()
        if topic is self.whole:
            self.whole_dirty = True
        else:
            self.dirty.setdefault(topic.name, version_of(was))

    def start(self) -> None:
        """Something is about to be under way: until here the client had all."""
        self.news = True
        if self.clean and self.nonce:
            self.acked = self.publisher.revision

    @property
    def pending(self) -> bool:
        """Is there something to be sent (or found to be equal)?"""
        return self.whole_dirty or bool(self.dirty) or bool(self.forced) or self.must_answer

    @property
    def clean(self) -> bool:
        # Without `pending`: this is asked of all types of all streams, several times a push.
        return self.flight is None and not (
            self.whole_dirty or self.dirty or self.forced or self.must_answer
        )

    def synced(self, revision: int) -> bool:
        """Does the client have all that the world had at `revision`?"""
        return (self.publisher.revision if self.clean else self.acked) >= revision

    def sent(self, nonce: str, batch: Batch) -> None:
        self.nonce = nonce
        self.sent_at = self.stream.now()
        self.sent_revision = self.publisher.revision
        self.flight = Flight(nonce, self.sent_revision, batch, self.sent_at)
        # What is owed of the wildcard is owed until there is a value to tell.
        self.must_answer = self.must_answer and self.whole is not None and not self.whole.ready

    @property
    def has_all(self) -> bool:
        """Of a clean one: was anything of what it wants ever there?"""
        return bool(self.sent_at or self.base) or self.named > 0

    @property
    def named(self) -> int:
        """How many of the names that are wanted are there."""
        return sum(topic.value is not None for topic in self.names.values())

    @property
    def full_state(self) -> bool:
        return self.type_url in type_urls.WHOLE

    def errors(self) -> list[str]:
        """Why some of what the client has is not the newest that the world gives."""
        topics = [*self.names.values(), *([self.whole] if self.whole else [])]
        return [f"{topic.name}: {topic.error}" for topic in topics if topic.error is not None]

    def settle_refusal(self, names: Iterable[str]) -> None:
        """These names are no longer what was refused."""
        if self.refusal is None:
            return
        for name in names:
            self.refusal.resources.pop(name, None)
        if not self.refusal.resources:
            self.refusal = None

    def _refuse(self, flight: Flight, text: str) -> None:
        words = set(_WORDS.split(text))
        words |= {word.rstrip(":.") for word in words}
        told = flight.batch.resources
        # A refusal of nothing in particular ends with the next acknowledgement: "".
        named = {one.name: one.version for one in told if one.name in words}
        refused = named or {"": ""}
        topics = {self.names.get(one) or self.whole for one in named or (it.name for it in told)}
        causes = self.publisher.causes(topics, self.acked_revision, flight.revision)
        if self.refusal is not None:
            refused = {**self.refusal.resources, **refused}
            causes = sorted({*self.refusal.causes, *causes})
        self.refusal = Refusal(text, flight.revision, self.answered_at, refused, tuple(causes))

    def _accept(self, batch: Batch) -> None:
        if self.refusal is not None:
            names = [one.name for one in batch.resources]
            self.settle_refusal([*names, *batch.removed, ""])


def version_of(value: Encoded | None) -> str | None:
    """The version of a resource that may not be there."""
    return None if value is None else value.version
