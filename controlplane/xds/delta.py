"""The incremental protocol: sets of names that grow and shrink, and only what differs is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.xds import type_urls
from controlplane.xds.subscription import Batch, Subscription
from controlplane.xds.topic import EVERYTHING
from controlplane.xds.translator import Encoded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controlplane.xds.request import Request
    from controlplane.xds.stream import Stream
    from controlplane.xds.topic import Topic


class DeltaSubscription(Subscription):
    """One type of a delta stream."""

    __slots__ = ("stray",)

    def __init__(self, stream: Stream, type_url: str) -> None:
        super().__init__(stream, type_url)
        #: Held from an earlier stream, and not known to be still there: name to version.
        self.stray: dict[str, str] = {}

    def request(self, request: Request) -> None:
        # A stale nonce says nothing about the newest response; what is wanted counts all the same.
        self.answer(request)
        subscribe, unsubscribe = request.subscribe, request.unsubscribe
        if self.first:
            self._begin(request)
        for name in subscribe:
            self._subscribe(name)
        for name in unsubscribe:
            self._unsubscribe(name)
        if self.whole is None:
            self.stray = {}

    def _begin(self, request: Request) -> None:
        """The first request of a type; without names it wants all."""
        self.first = False
        self.stray = dict(request.held)
        if self.stray:
            self.stream.came_back()
        if not request.subscribe:
            self._subscribe(EVERYTHING)

    def _subscribe(self, name: str) -> None:
        if name == EVERYTHING:
            if self.whole is None:
                self.follow(name, self.publisher.join(self, name))
                # Even to say that there is nothing: the client waits for that.
                self.must_answer = True
            return
        if name not in self.names:
            self.follow(name, self.publisher.join(self, name))
            held = self.stray.pop(name, None)
            if held is not None:
                self.dirty[name] = held
                return
        # Who asks for what he was sent before has lost it.
        self.force(name)

    def _unsubscribe(self, name: str) -> None:
        if name == EVERYTHING:
            self.leave_everything()
            return
        self.leave(name)
        if self.whole is not None:
            # The client cannot know whether the wildcard still gives it this: tell.
            self.start()
            self.forced[name] = None

    def take(self, *, removals: bool) -> Batch | None:
        updates: Sequence[Encoded] = ()
        removed: list[str] = []
        complete = True
        if self.whole_dirty and self.whole is not None:
            if self.whole.ready:
                updates, removed, complete = self._whole(self.whole.value, removals=removals)
            else:
                complete = False
        if self.forced or self.dirty:
            more, gone, all_named = self._named(removals=removals)
            # Nothing is said twice: what the wildcard tells, and the name as well.
            told = {one.name for one in updates}
            updates = [*updates, *(one for one in more if one.name not in told)]
            removed += (name for name in gone if name not in told)
            complete = complete and all_named
        owed = self.must_answer and self.whole is not None and self.whole.ready
        if not updates and not removed and not owed:
            return None
        return Batch(updates, removed, complete, updates)

    def _whole(
        self, new: tuple[Encoded, ...], *, removals: bool
    ) -> tuple[Sequence[Encoded], list[str], bool]:
        if self.stray:
            # The client has come back with these.
            stray, self.stray = self.stray, {}
            self.base = tuple(Encoded(name, version, b"") for name, version in stray.items())
        changed, gone = self.publisher.differences.between(self.base, new)
        # What is wanted by name as well is told by name.
        if gone and not removals:
            self.base = new + gone
            return changed, [], False
        self.base = new
        self.whole_dirty = False
        return changed, [one.name for one in gone if one.name not in self.names], True

    def _named(self, *, removals: bool) -> tuple[list[Encoded], list[str], bool]:
        updates, removed, complete = [], [], True
        every = self._in_whole() if self.whole is not None else {}
        forced, dirty = self.take_marks()
        for name in dict.fromkeys((*dirty, *forced)):
            topic: Topic | None = self.names.get(name)
            held = self.held(name, dirty)
            waits = False
            if topic is None:
                value = every.get(name)
            elif topic.ready:
                value = topic.value
                # Taken away, but not yet.
                waits = value is None and held is not None and not removals and name not in forced
            else:
                value, waits = None, True
            if waits:
                complete = False
                self.dirty[name] = held
                if name in forced:
                    self.forced[name] = None
            elif value is None:
                if name in forced or (held is not None and self.type_url not in type_urls.KEPT):
                    removed.append(name)
            elif name in forced or held != value.version:
                updates.append(value)
        return updates, removed, complete

    def _in_whole(self) -> dict[str, Encoded]:
        if not self.forced.keys() - self.names.keys():
            return {}
        return {one.name: one for one in self.base}
