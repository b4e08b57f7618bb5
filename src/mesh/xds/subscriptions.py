"""Who waits for what of a server: subscriptions by resource and by type, their first fetch and how
long it may take.
"""

from __future__ import annotations

from mesh import engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mesh.loop import Loop, Timer
    from mesh.xds.intake import Intake
    from mesh.xds.tally import Tally

    #: (type_url, resource name; "" for all of the type, scope of its statistics)
    Key = tuple[str, str, str]


class Subscription:
    """Somebody waits for a resource, or for all of a type."""

    __slots__ = ("answered", "name", "scope", "timer", "type_url")

    def __init__(self, type_url: str, name: str, scope: str) -> None:
        self.type_url = type_url
        self.name = name
        self.scope = scope
        #: The first fetch has ended, well or badly: nothing waits for it any more.
        self.answered = False
        self.timer: Timer | None = None


class Subscriptions:
    """Of one stream. Several may be for one resource: each has statistics of its own."""

    def __init__(self, intake: Intake, tally: Tally, loop: Loop) -> None:
        self._intake = intake
        self._tally = tally
        self._loop = loop
        self._all: dict[Key, Subscription] = {}
        #: By type to name; "" are those to all of the type.
        self._named: dict[str, dict[str, list[Subscription]]] = {}

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._all.values())

    def __len__(self) -> int:
        return len(self._all)

    def want(self, asked: dict[Key, float]) -> set[str]:
        """Exactly these, besides those to all of a type; the values are the seconds to wait for the
        first answer. Returns the types of which something came or went."""
        more = [key for key in asked if key not in self._all]
        gone = [key for key in self._all if key[1] and key not in asked]
        # What only changes hands stays.
        for key in more:
            self.begin(key, asked[key])
        for key in gone:
            self.end(key)
        return {key[0] for key in (*gone, *more)}

    def begin(self, key: Key, timeout: float) -> None:
        type_url, name, scope = key
        one = self._all[key] = Subscription(type_url, name, scope)
        others = self._named.setdefault(type_url, {}).setdefault(name, [])
        others.append(one)
        self._tally.begin(type_url, scope)
        self._tally.attempt(scope)
        if len(others) > 1 and others[0].answered:
            # It came for another one: the server has no reason to send it again.
            one.answered = True
        elif timeout > 0:
            one.timer = self._loop.after(timeout, lambda: self._timed_out(one))

    def end(self, key: Key) -> None:
        one = self._all.pop(key)
        if one.timer is not None:
            one.timer.cancel()
        others = self._named[one.type_url][one.name]
        others.remove(one)
        if not others:
            del self._named[one.type_url][one.name]
            if one.name:
                self._intake.store.drop(one.type_url, one.name)

    def end_all(self) -> None:
        for key in list(self._all):
            self.end(key)

    def of(self, type_url: str, name: str) -> list[Subscription]:
        return self._named.get(type_url, {}).get(name, [])

    def names(self, type_url: str) -> Iterable[str]:
        return filter(None, self._named.get(type_url, ()))

    def holds(self, type_url: str, name: str) -> bool:
        """Whether there is one that a resource comes by."""
        named = self._named.get(type_url, {})
        return "" in named or name in named

    def answered(self, one: Subscription) -> None:
        """The first fetch has ended. If it brought nothing, what waited for it goes on without,
        as in Envoy."""
        if one.answered:
            return
        one.answered = True
        if one.timer is not None:
            one.timer.cancel()
        if one.name and not self._intake.store.holds(one.type_url, one.name):
            self._intake.core.fetch_timed_out(one.type_url, one.name)

    def _timed_out(self, one: Subscription) -> None:
        one.timer = None
        if one.answered:
            return
        self._tally.timed_out(one.scope)
        self._tally.attempt(one.scope)
        engine.log(
            "warning",
            "config",
            f"gRPC config: initial fetch timed out for {one.type_url}"
            + (f" '{one.name}'" if one.name else ""),
        )
        self.answered(one)
