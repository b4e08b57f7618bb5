"""Certificates a minute and identity."""

from controlplane.ca.limits import Limits
from controlplane.xds.identity import Identity


def test_a_burst_then_a_rate() -> None:
    now = 0.0
    limits = Limits(per_minute=60, clock=lambda: now)
    who, other = Identity("td", "ns", "a"), Identity("td", "ns", "b")
    assert sum(limits.take(who) for _ in range(100)) == 60
    assert limits.take(other)
    now = 10.0
    assert sum(limits.take(who) for _ in range(100)) == 10
    now = 10000.0
    assert sum(limits.take(who) for _ in range(100)) == 60
