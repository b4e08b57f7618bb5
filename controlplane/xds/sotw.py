"""The state of the world: each request lists all that is wanted; responses of listeners and
clusters hold all that there is, of other types what the client has not got yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controlplane.xds.subscription import Batch, Subscription
from controlplane.xds.topic import EVERYTHING

if TYPE_CHECKING:
    from controlplane.xds.request import Request
    from controlplane.xds.translator import Encoded


class SotwSubscription(Subscription):
    """One type of a state-of-the-world stream."""

    __slots__ = ()

    def request(self, request: Request) -> None:
        if not self.answer(request):
            # The answer to the newest response brings the list again.
            return
        names = dict.fromkeys(request.subscribe)
        every = EVERYTHING in names and self.full_state
        names.pop(EVERYTHING, None)
        if not request.subscribe and self.full_state:
            # Empty is all, until a name was ever given; from then on it is nothing.
            every = self.first or (self.whole is not None and not self.names)
        again = not request.nonce and bool(self.nonce)
        self.first = False
        self._want(names, every=every)
        if again:
            # The client has begun anew on the same stream.
            self.start()
            self.base, self.dirty = (), dict.fromkeys(self.names)
            self.forced = dict.fromkeys(self.names)
            self.whole_dirty = self.whole is not None
            self.must_answer = self.full_state

    def _want(self, names: dict[str, None], *, every: bool) -> None:
        for name in self.names.keys() - names.keys():
            self.leave(name)
        for name in names:
            if name not in self.names:
                self.follow(name, self.publisher.join(self, name))
                # Of listeners and clusters the answer tells whether there is one.
                self.must_answer = self.must_answer or self.full_state
        if every and self.whole is None:
            self.follow(EVERYTHING, self.publisher.join(self, EVERYTHING))
            self.must_answer = True
        elif not every and self.whole is not None:
            self.leave_everything()
        if self.whole is None and self.full_state:
            self.base = tuple(one for one in self.base if one.name in self.names)

    def take(self, *, removals: bool) -> Batch | None:
        return self._full(removals=removals) if self.full_state else self._new()

    def _full(self, *, removals: bool) -> Batch | None:
        topics = [*self.names.values(), *([self.whole] if self.whole is not None else [])]
        if not all(topic.ready for topic in topics):
            return None
        new = self._all()
        changed, gone = self.publisher.differences.between(self.base, new)
        kept_back = bool(gone) and not removals
        if kept_back:
            new += gone
        else:
            self.whole_dirty = False
            self.dirty = {}
        forced = bool(self.forced) or self.must_answer
        self.forced = {}
        if not changed and (not gone or kept_back) and not forced:
            return None
        self.base = new
        return Batch(new, (), not kept_back, changed)

    def _all(self) -> tuple[Encoded, ...]:
        whole: tuple[Encoded, ...] = self.whole.value if self.whole is not None else ()
        if not self.names:
            return whole
        named = {one.name for one in whole}
        values = (topic.value for name, topic in self.names.items() if name not in named)
        return whole + tuple(value for value in values if value is not None)

    def _new(self) -> Batch | None:
        """Endpoints, routes, secrets: what is not there is not spoken of."""
        updates, complete = [], True
        forced, dirty = self.take_marks()
        for name in dict.fromkeys((*dirty, *forced)):
            topic = self.names[name]
            held = self.held(name, dirty)
            if not topic.ready:
                complete = False
                self.dirty[name] = held
                if name in forced:
                    self.forced[name] = None
            elif topic.value is not None and (name in forced or held != topic.value.version):
                updates.append(topic.value)
        return Batch(updates, (), complete, updates) if updates else None
