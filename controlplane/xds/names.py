"""What subscriptions want by name. Sidecars of a mesh want the same names, and the table of them is
the largest thing that a stream has: those that are alike are one, until somebody changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from controlplane.xds.topic import Topic

#: Smaller ones are not worth looking for.
FEWEST = 8


class Names(dict[str, "Topic"]):
    """Topics by their names. One that is `shared` is never changed: see `own`."""

    __slots__ = ("__weakref__", "shared")

    def __init__(self, topics: dict[str, Topic] | None = None) -> None:
        super().__init__(topics or {})
        self.shared = False

    def own(self) -> Names:
        """The same, and nobody else's: to be changed."""
        return Names(self) if self.shared else self


class Alike:
    """The tables that are shared, for as long as somebody has them."""

    def __init__(self) -> None:
        self._held: WeakValueDictionary[int, Names] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._held)

    def of(self, names: Names) -> Names:
        """The one that all share, if there is one that equals `names`; else `names`, from now on
        shared."""
        if names.shared or len(names) < FEWEST:
            return names
        # A topic has one name, so that topics tell all.
        mark = hash(frozenset(names.values()))
        held = self._held.get(mark)
        if held is None:
            names.shared = True
            self._held[mark] = names
            return names
        return held if held == names else names
