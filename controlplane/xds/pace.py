"""Who may cost what: a request of fifty thousand names takes a second in which nobody else is
served. An identity whose request took long has its next one read after a pause, whichever of its
streams that is on: what it asks for costs others a fifth of their time at most."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from time import monotonic

#: Seconds that are nobody's business: ten thousand names that others follow already.
_FREE = 0.05
_SHARE = 4.0
_LONGEST = 10.0


class Pace:
    """Of one event loop."""

    def __init__(
        self,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._until: dict[Hashable, float] = {}

    async def turn(self, who: Hashable) -> None:
        """Waits until the pause of `who` is over. What follows must not wait before `spent`."""
        while (left := self._until.get(who, 0.0) - self._clock()) > 0:
            await self._sleep(left)
        self._until.pop(who, None)

    def spent(self, who: Hashable, since: float) -> None:
        """A request of `who` was read, which began at `since`. None is trusted."""
        now = self._clock()
        if who is not None and now - since > _FREE:
            self._until[who] = now + min((now - since) * _SHARE, _LONGEST)

    def now(self) -> float:
        return self._clock()
