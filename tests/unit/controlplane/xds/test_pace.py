"""controlplane.xds.pace: what costs much makes who asks for it wait, and nobody else."""

from __future__ import annotations

import pytest

from controlplane.xds.pace import Pace
from tests.support.playing import played


class Clock:
    """Sleeping is what moves it."""

    def __init__(self) -> None:
        self.time = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@played
async def test_a_pause_after_what_took_long() -> None:
    clock = Clock()
    pace = Pace(clock, clock.sleep)

    async def request(who: str | None, seconds: float) -> list[float]:
        clock.slept = []
        await pace.turn(who)
        since = pace.now()
        clock.time += seconds
        pace.spent(who, since)
        return clock.slept

    assert await request("a", 0.05) == []
    assert await request("a", 1.0) == []
    # Others do not wait.
    assert await request("b", 0.01) == []
    assert await request("a", 0.01) == [pytest.approx(3.99)]
    assert await request("a", 60.0) == []
    assert await request("a", 0.0) == [10.0]
    # An agent's own sidecar, a trusted port.
    assert await request(None, 60.0) == []
    assert await request(None, 0.0) == []


@played
async def test_streams_of_one_identity_go_one_after_the_other() -> None:
    """They all wake at the end of the pause; the first that costs much makes the others wait on."""
    clock = Clock()
    pace = Pace(clock, clock.sleep)
    pace.spent("a", clock.time - 1.0)
    turn, again = pace.turn("a"), pace.turn("a")
    await turn
    since = pace.now()
    clock.time += 1.0
    pace.spent("a", since)
    clock.slept = []
    await again
    assert clock.slept == [4.0]
