"""How many certificates one identity may get: a fault or an attack must not fill the disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from controlplane.xds.identity import Identity

_PER_MINUTE = 30
_BURST = 60.0
_MAX_IDENTITIES = 100_000


class Limits:
    """A bucket of tokens for each identity; those that were not seen for longest are forgotten."""

    def __init__(
        self, per_minute: int = _PER_MINUTE, clock: Callable[[], float] = monotonic
    ) -> None:
        self._per_second = per_minute / 60
        self._clock = clock
        #: Tokens left, and when they were counted.
        self._buckets: OrderedDict[Identity, tuple[float, float]] = OrderedDict()

    def take(self, identity: Identity) -> bool:
        """Whether it may have one more."""
        now = self._clock()
        left, counted = self._buckets.pop(identity, (_BURST, now))
        left = min(_BURST, left + (now - counted) * self._per_second)
        allowed = left >= 1.0
        self._buckets[identity] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > _MAX_IDENTITIES:
            self._buckets.popitem(last=False)
        return allowed
