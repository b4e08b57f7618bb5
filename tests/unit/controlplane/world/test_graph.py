"""The graph against a model: whatever changes, every answer is what working it out anew gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.resources.resource import Key, Resource
from controlplane.world.view import View, query
from controlplane.world.world import World

runs: list[str] = []


@query
def shout(view: View, name: str) -> str:
    runs.append(f"shout {name}")
    resource = view.resource("Word", "default", name)
    if resource is None:
        raise LookupError(name)
    return resource.spec.upper()[:1]


@query
def sentence(view: View, *names: str) -> str:
    runs.append("sentence")
    return " ".join(shout(view, name) for name in names)


@query
def everything(view: View) -> tuple[str, ...]:
    runs.append("everything")
    return tuple(one.name for one in view.resources("Word"))


@query
def endless(view: View) -> str:
    return endless(view)


def word(name: str, spec: str, created: float = 0.0, namespace: str = "default") -> Resource[str]:
    return Resource(Key("Word", namespace, name), spec, created=created)


@pytest.fixture
def world() -> World:
    world = World()
    world.change([word("a", "one"), word("b", "two")])
    runs.clear()
    return world


def test_an_answer_is_worked_out_once(world: World) -> None:
    assert sentence(world.view(), "a", "b") == "O T"
    assert sentence(world.view(), "a", "b") == "O T"
    assert runs == ["sentence", "shout a", "shout b"]


def test_only_what_read_a_change_runs_again(world: World) -> None:
    sentence(world.view(), "a", "b")
    runs.clear()
    world.change([word("b", "four"), word("c", "five")])
    assert sentence(world.view(), "a", "b") == "O F"
    assert runs == ["shout b", "sentence"]


def test_an_equal_answer_stops_the_change(world: World) -> None:
    sentence(world.view(), "a", "b")
    runs.clear()
    world.change([word("b", "twelve")])
    assert sentence(world.view(), "a", "b") == "O T"
    assert runs == ["shout b"]


def test_an_equal_resource_changes_nothing(world: World) -> None:
    sentence(world.view(), "a", "b")
    runs.clear()
    world.change([word("b", "two")])
    sentence(world.view(), "a", "b")
    assert runs == []


def test_an_error_is_an_answer_until_something_changes(world: World) -> None:
    for _ in range(2):
        with pytest.raises(LookupError, match="z"):
            sentence(world.view(), "a", "z")
    assert runs == ["sentence", "shout a", "shout z"]
    world.change([word("z", "zed")])
    assert sentence(world.view(), "a", "z") == "O Z"


def test_a_query_that_asks_for_itself_is_an_error(world: World) -> None:
    with pytest.raises(RuntimeError, match="asks for itself"):
        endless(world.view())


def test_lists_are_in_the_order_in_which_resources_win(world: World) -> None:
    world.change([word("c", "", created=-1.0), word("a", "", namespace="aa")])
    assert everything(world.view()) == ("c", "a", "a", "b")


def test_facts_are_inputs_too(world: World) -> None:
    @query
    def fact(view: View) -> int:
        return view.fact("count", 0) + 1

    assert fact(world.view()) == 1
    world.change(facts={"count": 4})
    assert fact(world.view()) == 5


def test_watched_nodes_are_reported_when_they_may_have_changed(world: World) -> None:
    view, graph = world.view(), world.graph
    nodes = {name: view.node(shout, (name,)) for name in "ab"}
    watcher = object()
    for node in nodes.values():
        graph.watch(node, watcher)
        graph.value_of(node)
    assert graph.touched() == set()
    world.change([word("b", "x")])
    assert graph.touched() == {nodes["b"]}
    assert graph.touched() == set()
    graph.value_of(nodes["b"])
    graph.unwatch(nodes["b"], watcher)
    world.change([word("b", "y")])
    assert graph.touched() == set()


def test_answers_that_nobody_wants_are_forgotten(world: World) -> None:
    sentence(world.view(), "a", "b")
    everything(world.view())
    watched = world.view().node(everything, ())
    world.graph.watch(watched, self_watcher := object())
    for _ in range(10):
        world.change()
    # The sentence, its two words and their resources; the list stays, it is watched.
    assert world.graph.collect() == 5
    assert len(world.graph) == 2
    world.graph.unwatch(watched, self_watcher)
    assert world.graph.collect() == 2


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[str, str | None]]:
    name = st.sampled_from("abcd")
    value = st.none() | st.sampled_from(["x", "xx", "y", "z"])
    return draw(st.lists(st.tuples(name, value), max_size=4))


@given(st.lists(st.tuples(changes(), st.lists(st.sampled_from("abcd"), max_size=3)), max_size=12))
def test_it_never_differs_from_working_it_out_anew(steps: list[Any]) -> None:
    world = World()
    model: dict[str, str] = {}
    for changed, asked in steps:
        for name, value in changed:
            if value is None:
                model.pop(name, None)
            else:
                model[name] = value
        world.change(
            [word(name, model[name]) for name, _ in changed if name in model],
            [Key("Word", "default", name) for name, _ in changed if name not in model],
        )
        view = world.view()
        assert everything(view) == tuple(sorted(model))
        if all(name in model for name in asked):
            assert sentence(view, *asked) == " ".join(model[name].upper()[:1] for name in asked)
        else:
            with pytest.raises(LookupError):
                sentence(view, *asked)
        world.graph.collect(revisions=1)
