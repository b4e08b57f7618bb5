"""The log's own bound: what clients can make us say over and over must not fill the disk."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

#: Of one place in the code: so many lines at once, then so many a second.
_BURST, _PER_SECOND = 2_000.0, 10.0
#: Places that are remembered: there are fewer.
_PLACES = 1_000


@dataclass(slots=True)
class _Place:
    left: float
    counted: float
    #: Lines that were not written since the last one that was.
    dropped: int = 0


class Quiet(logging.Filter):
    """For a handler. What was left out is said with the next line of the same place."""

    def __init__(
        self,
        burst: float = _BURST,
        per_second: float = _PER_SECOND,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__()
        self._burst = burst
        self._per_second = per_second
        self._clock = clock
        self._places: OrderedDict[tuple[str, int], _Place] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        name = record.pathname, record.lineno
        place = self._places.setdefault(name, _Place(self._burst, now))
        self._places.move_to_end(name)
        if len(self._places) > _PLACES:
            self._places.popitem(last=False)
        place.left = min(self._burst, place.left + (now - place.counted) * self._per_second)
        place.counted = now
        if place.left < 1.0:
            place.dropped += 1
            return False
        place.left -= 1.0
        if place.dropped:
            record.msg = f"{record.getMessage()} (and {place.dropped} such lines before it)"
            record.args = ()
            place.dropped = 0
        return True
