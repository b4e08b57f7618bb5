"""Who may come in, and when: a thousand sidecars that reconnect at once are served in turn."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from controlplane.xds.options import Limits


class Full(Exception):
    """No more streams: RESOURCE_EXHAUSTED with this text."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        #: For metrics: `total` or `identity`.
        self.reason = reason


class Admission:
    """Counts streams and hands out places in which first full states are built."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._streams = 0
        self._by_identity: Counter[Hashable] = Counter()
        self._building = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def streams(self) -> int:
        return self._streams

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def enter(self) -> None:
        """A stream has come. Raises Full."""
        if self._streams >= self._limits.streams:
            raise Full(
                "total",
                f"this control plane serves {self._limits.streams} streams and has as many:"
                " come again later, or run another one",
            )
        self._streams += 1

    def leave(self) -> None:
        self._streams -= 1

    def identify(self, identity: Hashable) -> None:
        """The stream is this identity's. Raises Full."""
        if self._by_identity[identity] >= self._limits.streams_per_identity:
            raise Full(
                "identity",
                f"{identity} has {self._limits.streams_per_identity} streams, which is the limit"
                " of one identity",
            )
        self._by_identity[identity] += 1

    def forget(self, identity: Hashable) -> None:
        self._by_identity[identity] -= 1
        if self._by_identity[identity] <= 0:
            del self._by_identity[identity]

    async def place(self) -> Place:
        """A place to build in, first come, first served."""
        if self._building >= self._limits.building or self._queue:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    # The turn came as the stream went: it is the next one's.
                    self.free()
                elif turn in self._queue:
                    self._queue.remove(turn)
                raise
        else:
            self._building += 1
        return Place(self, self._limits.building_seconds)

    def free(self) -> None:
        """A place is the next one's."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._building -= 1


class Place:
    """Held while a newcomer's first full state is built and sent, and not longer than it may be:
    who answers slowly makes nobody else wait."""

    def __init__(self, admission: Admission, seconds: float) -> None:
        self._admission: Admission | None = admission
        self._timer = asyncio.get_running_loop().call_later(seconds, self.release)

    def release(self) -> None:
        """Gives the place back; a second time does nothing."""
        admission, self._admission = self._admission, None
        if admission is not None:
            self._timer.cancel()
            admission.free()
