"""mesh.xds.subscriptions"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mesh import api
from mesh.loop import Loop
from mesh.xds.intake import Intake
from mesh.xds.store import Store
from mesh.xds.subscriptions import Subscriptions
from mesh.xds.tally import Tally
from tests.unit.mesh import fake

A = (api.ENDPOINT, "a", "cluster.a.")
B = (api.ENDPOINT, "b", "cluster.b.")
ALSO_A = (api.ENDPOINT, "a", "cluster.c.")
ALL = (api.CLUSTER, "", "cluster_manager.cds.")


class Bench:
    def __init__(self) -> None:
        self.now = 0.0
        self.core = fake.Engine()
        self.store = Store()
        self.loop = Loop(lambda: self.now)
        intake = Intake(self.core, self.store)  # type: ignore[arg-type]
        self.subscriptions = Subscriptions(intake, Tally(self.core), self.loop)  # type: ignore[arg-type]

    def unanswered(self) -> list[tuple[str, str]]:
        return [(one.name, one.scope) for one in self.subscriptions if not one.answered]

    def given_up(self) -> list[str]:
        return [call[2] for call in self.core.calls if call[0] == "fetch_timed_out"]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.loop.close()


def test_exactly_what_is_asked_for_besides_whole_types(bench: Bench) -> None:
    bench.subscriptions.begin(ALL, 0.0)
    assert bench.subscriptions.want({A: 1.0, B: 1.0}) == {api.ENDPOINT}
    assert set(bench.subscriptions.names(api.ENDPOINT)) == {"a", "b"}
    assert list(bench.subscriptions.names(api.CLUSTER)) == []
    assert bench.subscriptions.want({A: 1.0, B: 1.0}) == set()
    assert bench.subscriptions.want({B: 1.0}) == {api.ENDPOINT}
    assert [one.name for one in bench.subscriptions] == ["", "b"]
    assert bench.subscriptions.holds(api.CLUSTER, "any")
    assert not bench.subscriptions.holds(api.ENDPOINT, "a")


def test_an_answer_that_brought_nothing_is_one(bench: Bench) -> None:
    bench.subscriptions.want({A: 1.0, B: 1.0})
    bench.store.put(api.ENDPOINT, "b", b"{}")
    for name in ("a", "b"):
        for one in bench.subscriptions.of(api.ENDPOINT, name):
            bench.subscriptions.answered(one)
            bench.subscriptions.answered(one)
    assert bench.given_up() == ["a"]
    bench.now = 2.0
    bench.loop.turn(0)
    assert bench.core.stats.get("cluster.a.init_fetch_timeout") is None


def test_patience_ends_unless_it_is_endless(bench: Bench) -> None:
    bench.subscriptions.want({A: 1.0, B: 0.0})
    bench.now = 1e6
    bench.loop.turn(0)
    assert bench.unanswered() == [("b", "cluster.b.")]
    assert bench.given_up() == ["a"]
    assert bench.core.stats["cluster.a.init_fetch_timeout"] == 1
    assert "initial fetch timed out" in fake.LOG[-1][2]


def test_what_is_no_longer_wanted_is_waited_for_by_nobody(bench: Bench) -> None:
    bench.subscriptions.want({A: 1.0})
    bench.store.put(api.ENDPOINT, "a", b"{}")
    bench.subscriptions.want({})
    bench.now = 2.0
    bench.loop.turn(0)
    assert bench.given_up() == []
    assert bench.store.bodies(api.ENDPOINT) == {}
    assert len(bench.subscriptions) == 0


def test_a_second_one_for_a_resource_that_is_there(bench: Bench) -> None:
    bench.subscriptions.want({A: 1.0})
    assert bench.unanswered() == [("a", "cluster.a.")]
    bench.subscriptions.want({A: 1.0, ALSO_A: 1.0})
    assert len(bench.unanswered()) == 2, "it is not there yet"
    bench.store.put(api.ENDPOINT, "a", b"{}")
    for one in bench.subscriptions.of(api.ENDPOINT, "a"):
        bench.subscriptions.answered(one)
    bench.subscriptions.want({ALSO_A: 1.0})
    bench.subscriptions.want({A: 1.0})
    assert bench.unanswered() == []
    assert set(bench.store.bodies(api.ENDPOINT)) == {"a"}
