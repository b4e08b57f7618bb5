"""Ports, durations, percentages, statuses."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.problem import Problem
from controlplane.resources.common.percent import Percent
from controlplane.resources.schema import Seconds


def port(number: int, path: str) -> Iterator[Problem]:
    """1 to 65535."""
    if not 1 <= number <= 65535:
        yield Problem(path, f"must be a port from 1 to 65535, is {number}")


def duration(seconds: Seconds | None, path: str, *, zero: bool = False) -> Iterator[Problem]:
    """At least 1ms, in whole milliseconds. None passes; `zero`: so does 0."""
    if seconds is None or (zero and not seconds):
        return
    if seconds < 0.001:
        or_zero = " (or 0)" if zero else ""
        yield Problem(path, f"must be at least 1ms{or_zero}, is {seconds:g}s")
        return
    milliseconds = seconds * 1000
    # As near as floats of this size can come.
    if abs(milliseconds - round(milliseconds)) > max(1e-6, milliseconds * 1e-12):
        yield Problem(path, f"must be in whole milliseconds, is {seconds:g}s")


def not_negative(number: int, path: str) -> Iterator[Problem]:
    """0 or more."""
    if number < 0:
        yield Problem(path, f"must not be negative, is {number}")


def whole_percent(number: int, path: str) -> Iterator[Problem]:
    """0 to 100."""
    if not 0 <= number <= 100:
        yield Problem(path, f"must be from 0 to 100, is {number}")


def percent(value: Percent | None, path: str, *, smallest: float = 0.0) -> Iterator[Problem]:
    """0 to 100; what lies between 0 and `smallest` cannot be expressed."""
    if value is None:
        return
    # Written so that NaN fails it.
    if not 0 <= value.value <= 100:
        yield Problem(f"{path}.value", f"must be from 0 to 100, is {value.value:g}")
    elif 0 < value.value < smallest:
        yield Problem(f"{path}.value", f"must be 0 or at least {smallest:g}, is {value.value:g}")


def http_status(status: int, path: str) -> Iterator[Problem]:
    """200 to 599: a final answer."""
    if not 200 <= status <= 599:
        yield Problem(path, f"must be an HTTP status from 200 to 599, is {status}")
