"""What the demo prints, and the score."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

#: Seconds for a proxy to become ready, or for a change to show.
PATIENCE = 30.0


class Failed(Exception):
    """The demo cannot go on; `str()` says why."""


class Show:
    """Numbered steps, each with checks; `failures` counts those that were not good."""

    def __init__(self, out: TextIO) -> None:
        self.failures = 0
        self._out = out
        self._step = 0

    def step(self, title: str) -> None:
        self._step += 1
        self.say(f"\n{self._step}. {title}")

    def say(self, text: str) -> None:
        print(text, file=self._out, flush=True)

    def check(self, good: bool, text: str) -> None:
        self.failures += not good
        self.say(f"   {'ok    ' if good else 'FAILED'} {text}")

    def lines(self, lines: list[str]) -> None:
        for line in lines:
            self.say(f"   | {line}")


def wait_for(what: str, happened: Callable[[], bool]) -> None:
    """Asks until it has happened. Raises Failed."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            raise Failed(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.02)
