"""Durations and percentages at their bounds."""

import pytest

from controlplane.resources.common.percent import Percent
from controlplane.resources.rules import numbers
from controlplane.resources.schema import Seconds


@pytest.mark.parametrize("seconds", [0.001, 0.25, 1.5, 86400.123, 315576000000.0, None])
def test_durations_taken(seconds: float | None) -> None:
    given = None if seconds is None else Seconds(seconds)
    assert list(numbers.duration(given, "p")) == []


@pytest.mark.parametrize("seconds", [0.0, -1.0, 0.0009, 0.0015, 1.0001])
def test_durations_refused(seconds: float) -> None:
    assert len(list(numbers.duration(Seconds(seconds), "p"))) == 1


def test_zero_where_it_means_off() -> None:
    assert list(numbers.duration(Seconds(0.0), "p", zero=True)) == []
    assert len(list(numbers.duration(Seconds(0.0001), "p", zero=True))) == 1


@pytest.mark.parametrize(
    ("value", "taken"),
    [(0, True), (100, True), (0.0001, True), (0.00001, False), (-1, False), (100.1, False)],
)
def test_percentages(value: float, taken: bool) -> None:
    assert (list(numbers.percent(Percent(value), "p", smallest=0.0001)) == []) is taken


def test_no_number_is_no_percentage() -> None:
    assert len(list(numbers.percent(Percent(float("nan")), "p"))) == 1
