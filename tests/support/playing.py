"""Tests that are coroutines."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

#: One that hangs fails.
_SECONDS = 120


def played(play: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Makes a test of a coroutine and its fixtures."""

    @functools.wraps(play)
    def test(**fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(play(**fixtures), _SECONDS))

    return test
