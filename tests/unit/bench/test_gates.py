"""When a run may be believed."""

from dataclasses import replace

import pytest

from bench import gates
from bench.gates import Cores
from bench.loadgen import LoadResult

GOOD = LoadResult(
    ok=100,
    rps=50.0,
    statuses={"200": 100},
    errors={},
    mismatches=0,
    unfinished=0,
    latency_us={},
    lag_us={},
    own_cpu_us=1.0,
)


def test_all_good_answers_pass() -> None:
    assert gates.failure(GOOD) is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (replace(GOOD, statuses={"200": 99, "503": 1}), "503: 1"),
        (replace(GOOD, statuses={"200": 99, "302": 1}), "302: 1"),
        (replace(GOOD, errors={"reset": 2}), "reset: 2"),
        (replace(GOOD, mismatches=3), "3 wrong bodies"),
        (replace(GOOD, unfinished=4), "4 requests without an answer"),
        (replace(GOOD, ok=0, statuses={}), "no answers"),
    ],
)
def test_one_bad_answer_fails(bad: LoadResult, reason: str) -> None:
    assert reason in (gates.failure(bad) or "")


@pytest.mark.parametrize(
    ("proxy", "load", "bound"),
    [(0.80, 0.99, True), (0.99, 0.99, False), (0.99, 0.60, False), (0.50, 0.50, False)],
)
def test_the_generator_is_the_bottleneck_only_if_the_proxy_is_not(
    proxy: float, load: float, bound: bool
) -> None:
    assert gates.generator_bound(Cores(proxy, load, strangers=0.0)) is bound


def test_strangers() -> None:
    assert gates.disturbed(Cores(0.9, 0.9, strangers=0.31))
    assert not gates.disturbed(Cores(0.9, 0.9, strangers=0.29))
