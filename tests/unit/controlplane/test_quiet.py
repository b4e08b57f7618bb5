"""controlplane.quiet: many lines of one place are few."""

from __future__ import annotations

import io
import logging

from controlplane.quiet import Quiet


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_what_is_said_over_and_over_is_left_out_and_counted() -> None:
    clock, said = Clock(), io.StringIO()
    handler = logging.StreamHandler(said)
    handler.addFilter(Quiet(burst=2, per_second=1, clock=clock))
    logger = logging.getLogger("test_quiet")
    logger.propagate = False
    logger.addHandler(handler)

    def complain(text: str) -> None:
        logger.warning("100%% %s", text)

    for number in range(5):
        complain(str(number))
    logger.warning("another place")
    clock.time = 1.5
    complain("later")
    complain("too soon")
    clock.time = 100.0
    for number in range(3):
        complain(f"again {number}")
    assert said.getvalue().splitlines() == [
        "100% 0",
        "100% 1",
        "another place",
        "100% later (and 3 such lines before it)",
        "100% again 0 (and 1 such lines before it)",
        "100% again 1",
    ]
