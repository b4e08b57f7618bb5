"""Waiting between two tries: Envoy's jittered exponential back-off."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def _random() -> float:
    """From 0 up to 1. The module `random` would cost the sidecar half a megabyte."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


class BackOff:
    """Each wait is anything up to an interval that doubles from `base` to `most` seconds."""

    def __init__(self, base: float, most: float, random: Callable[[], float] = _random) -> None:
        self._base = base
        self._most = most
        self._random = random
        self._interval = base

    def next(self) -> float:
        interval = self._interval
        self._interval = min(interval * 2, self._most)
        return interval * self._random()

    def reset(self) -> None:
        self._interval = self._base
