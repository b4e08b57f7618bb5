"""What changed between two values of "all that a proxy has"; worked out once for all that share
them."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from controlplane.xds.translator import Encoded

    Whole = tuple[Encoded, ...]


class Difference(NamedTuple):
    """From one value to the next."""

    #: New or of another version, in the order of the new value.
    changed: Whole
    #: Of the old value, what the new one has no name for.
    gone: Whole


NOTHING = Difference((), ())


class Differences:
    """Remembers the latest answers."""

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._cache: OrderedDict[tuple[int, int], tuple[Whole, Whole, Difference]] = OrderedDict()

    def between(self, old: Whole, new: Whole) -> Difference:
        if old is new:
            return NOTHING
        key = (id(old), id(new))
        found = self._cache.get(key)
        if found is None:
            # Both are kept with the answer: no other object gets their `id` meanwhile.
            found = self._cache[key] = (old, new, _between(old, new))
            if len(self._cache) > self._limit:
                self._cache.popitem(last=False)
        return found[2]


def _between(old: Whole, new: Whole) -> Difference:
    had = {one.name: one.version for one in old}
    changed = tuple(one for one in new if had.pop(one.name, None) != one.version)
    return Difference(changed, tuple(one for one in old if one.name in had))
