"""mesh.xds.lifetimes"""

from __future__ import annotations

from mesh import api
from mesh.loop import Loop
from mesh.xds.lifetimes import Lifetimes
from mesh.xds.response import Response


def test_times_begin_anew_with_every_word_of_a_resource() -> None:
    now = 0.0
    loop = Loop(lambda: now)
    gone: list[str] = []
    lifetimes = Lifetimes(loop, lambda _, name: gone.append(name))

    def heard(*items: tuple[str, float], removed: tuple[str, ...] = ()) -> None:
        found = [(name, "", b"", ttl) for name, ttl in items]
        lifetimes.heard(Response(api.CLUSTER, "", "", "", found, list(removed), ""))  # type: ignore[arg-type]

    heard(("a", 5.0), ("b", 5.0), ("c", 5.0), ("d", 5.0), ("e", 0.0))
    now = 4.0
    loop.turn(0)
    heard(("a", 5.0), ("b", 0.0), removed=("c",))
    now = 6.0
    loop.turn(0)
    assert gone == ["d"]
    now = 8.9
    loop.turn(0)
    assert gone == ["d"]
    now = 9.1
    loop.turn(0)
    assert gone == ["d", "a"]
    heard(("a", 1.0))
    lifetimes.clear()
    now = 99.0
    loop.turn(0)
    assert gone == ["d", "a"]
    loop.close()
