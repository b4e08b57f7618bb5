"""Waiting for what comes by itself."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(holds: Callable[[], bool], deadline: float = 20.0) -> None:
    """Asks again until it holds."""
    end = time.monotonic() + deadline
    while not holds():
        assert time.monotonic() < end, "it never did"
        time.sleep(0.02)
