"""mesh.xds.intake"""

from __future__ import annotations

import json
from typing import Any

import pytest

from mesh import api
from mesh.xds.intake import Intake, Outcome
from mesh.xds.store import Store
from tests.unit.mesh import fake


class Bench:
    def __init__(self) -> None:
        self.core = fake.Engine()
        self.store = Store()
        self.intake = Intake(self.core, self.store)  # type: ignore[arg-type]

    def whole(self, version: str, *resources: dict[str, Any], **more: Any) -> Outcome:
        return self.intake.whole(api.CLUSTER, fake.pairs(list(resources)), version, **more)

    def part(self, version: str, *resources: dict[str, Any], **more: Any) -> Outcome:
        return self.intake.part(api.CLUSTER, fake.pairs(list(resources)), version, **more)

    def held(self) -> dict[str, str]:
        """Name to version of what is in use."""
        held, _ = self.store.snapshot(api.CLUSTER)
        return {name: one.version for name, one in held.items()}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_of_a_whole_type_what_is_absent_goes(bench: Bench) -> None:
    assert bench.whole("1", {"name": "a"}, {"name": "b"}, {"name": "c"}).changed()
    outcome = bench.whole("2", {"name": "a"}, {"name": "b", "x": 1}, alive=["c"])
    assert (outcome.applied.accepted, outcome.applied.removed) == (["b"], [])
    assert bench.held() == {"a": "1", "b": "2", "c": "1"}
    bench.whole("3", {"name": "a"})
    assert bench.held() == {"a": "1"}
    assert not bench.whole("4", {"name": "a"}).changed()
    assert bench.store.version(api.CLUSTER) == "4"


def test_of_a_part_only_what_is_removed_goes(bench: Bench) -> None:
    bench.whole("1", {"name": "a"}, {"name": "b"})
    bench.part("2", {"name": "c"}, removed=["a"], versions={"c": "own"})
    assert bench.held() == {"b": "1", "c": "own"}
    assert bench.store.version(api.CLUSTER) == "1", "the caller knows what a part means for it"


def test_what_is_refused_keeps_its_last_version_and_is_named(bench: Bench) -> None:
    bench.whole("1", {"name": "a"}, {"name": "b"})
    refused = [("b", "field", "unreadable"), ("b", "", "and more")]
    outcome = bench.whole("2", {"name": "a", "bad": "why"}, refused=refused)
    assert outcome.problems == [
        "cluster 'b': field: unreadable",
        "cluster 'b': and more",
        "cluster 'a': field: why",
    ]
    assert set(outcome.bad) == {"a", "b"}
    assert bench.held() == {"a": "1", "b": "1"}
    _, failed = bench.store.snapshot(api.CLUSTER)
    assert failed["b"].details == "field: unreadable; and more"
    assert (failed["b"].body, json.loads(failed["a"].body)["bad"]) == (b"", "why")
    assert bench.store.version(api.CLUSTER) == "1", "nothing of it was used"
    bench.whole("3", {"name": "a"}, {"name": "b"})
    assert bench.store.snapshot(api.CLUSTER)[1] == {}


def test_a_name_that_is_there_twice(bench: Bench) -> None:
    for take in (bench.whole, bench.part):
        outcome = take("1", {"name": "a"}, {"name": "a", "x": 1})
        assert outcome.problems == ["cluster 'a' is there twice"]
        held, _ = bench.store.snapshot(api.CLUSTER)
        assert json.loads(held["a"].body) == {"name": "a"}


def test_static_resources_are_nobodys_to_remove(bench: Bench) -> None:
    bench.store.put(api.CLUSTER, "static", b"{}", static=True)
    bench.whole("1")
    assert "static" in bench.held()


def test_followers_hear_of_everything_in_their_order(bench: Bench) -> None:
    heard: list[str] = []
    bench.intake.followers += [lambda _: heard.append("first"), lambda _: heard.append("second")]
    outcome = bench.whole("1", {"name": "a"})
    assert heard == []
    bench.intake.follow(outcome.applied)
    assert heard == ["first", "second"]
