"""Certificates a minute, by what proves who asks."""

import pytest

from controlplane.ca import limits as module
from controlplane.ca.limits import Limits


def test_a_burst_then_a_rate() -> None:
    now = 0.0
    limits = Limits(per_minute=60, clock=lambda: now)
    assert sum(limits.take("a") for _ in range(100)) == 60
    assert limits.take("b")
    now = 10.0
    assert sum(limits.take("a") for _ in range(100)) == 10
    now = 10000.0
    assert sum(limits.take("a") for _ in range(100)) == 60


def test_certificates_share_with_those_that_they_come_from() -> None:
    """Otherwise each would be worth sixty more."""
    limits = Limits(clock=lambda: 0.0)
    found = 0
    proofs = ["token"]
    while limits.take(proofs[-1]):
        found += 1
        proofs.append(f"certificate {found}")
        limits.inherit(proofs[-1], proofs[-2])
    assert found == 60
    assert not any(limits.take(one) for one in proofs)
    assert limits.take("another token")


def test_those_that_were_not_seen_for_longest_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_MOST", 3)
    limits = Limits(clock=lambda: 0.0)
    while limits.take("a"):
        pass
    # Who asks again and again stays known.
    for other in "bcde":
        limits.take(other)
        assert not limits.take("a")
    for other in "fgh":
        limits.take(other)
    assert limits.take("a")
