"""mesh.xds.backoff"""

from __future__ import annotations

from mesh.xds.backoff import BackOff


def test_intervals_double_up_to_the_longest() -> None:
    back_off = BackOff(0.5, 3.0, lambda: 1.0)
    assert [back_off.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    back_off.reset()
    assert back_off.next() == 0.5


def test_each_wait_is_anything_up_to_the_interval() -> None:
    back_off = BackOff(1.0, 1.0)
    waits = {back_off.next() for _ in range(100)}
    assert len(waits) > 90
    assert all(0.0 <= wait < 1.0 for wait in waits)
