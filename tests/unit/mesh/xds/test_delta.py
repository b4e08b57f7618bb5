"""mesh.xds.delta"""

from __future__ import annotations

import json
from typing import Any

import pytest

from mesh import api
from mesh.xds.delta import Delta


def said(state: Delta, node: bytes = b"") -> dict[str, Any]:
    assert state.due
    request: dict[str, Any] = json.loads(state.request(node))
    assert request.pop("type")
    assert not state.due
    return request


def response(
    state: Delta, nonce: str, *resources: tuple[str, str], removed: tuple[str, ...] = ()
) -> Any:
    document = {
        "type_url": state.type_url,
        "nonce": nonce,
        "resources": [{"name": name, "version": version} for name, version in resources],
        "removed": removed,
    }
    return state.decode(json.dumps(document).encode(), False)


def test_a_whole_type_is_asked_for_without_names() -> None:
    state = Delta(api.CLUSTER, True)
    assert said(state, b"me") == {"node": "me"}


def test_ack_and_nack() -> None:
    state = Delta(api.CLUSTER, True)
    said(state)
    state.answer(response(state, "n1", ("a", "1"), ("b", "1")), "")
    assert said(state) == {"nonce": "n1"}
    state.answer(response(state, "n2", ("a", "2")), "wrong")
    assert said(state) == {"nonce": "n2", "error": "wrong"}


def test_a_new_stream_says_what_is_there() -> None:
    state = Delta(api.CLUSTER, True)
    said(state)
    state.answer(response(state, "n1", ("a", "1"), ("b", "1")), "")
    said(state)
    state.answer(response(state, "n2", ("a", "2")), "wrong")
    state.begin()
    assert said(state) == {"known": {"a": "1", "b": "1"}}
    state.answer(response(state, "n3", removed=("b",)), "")
    said(state)
    state.begin()
    assert said(state) == {"known": {"a": "1"}}


def test_only_changes_of_names_are_said() -> None:
    state = Delta(api.ENDPOINT, False)
    assert not state.due
    state.want(["b", "a"])
    assert said(state) == {"more": ["a", "b"]}
    state.want(["b", "c"])
    assert said(state) == {"more": ["c"], "less": ["a"]}
    state.want(["c", "b"])
    assert not state.due


def test_a_change_of_names_rides_on_an_answer() -> None:
    state = Delta(api.ENDPOINT, False)
    state.want(["a"])
    said(state)
    state.answer(response(state, "n", ("a", "1")), "")
    state.want(["a", "b"])
    assert said(state) == {"nonce": "n", "more": ["b"]}


def test_a_name_left_and_wanted_again_is_subscribed_to_again() -> None:
    state = Delta(api.ENDPOINT, False)
    state.want(["a"])
    said(state)
    state.answer(response(state, "n", ("a", "1")), "")
    said(state)
    state.want([])
    state.want(["a"])
    assert said(state) == {"more": ["a"]}
    state.begin()
    assert said(state) == {"more": ["a"]}, "it was let go of meanwhile"


def test_a_name_wanted_and_left_before_it_was_said_is_not_said() -> None:
    state = Delta(api.ENDPOINT, False)
    state.want(["a"])
    said(state)
    state.want(["a", "b"])
    state.want(["a"])
    assert said(state) == {}


def test_names_beside_the_whole_type() -> None:
    state = Delta(api.CLUSTER, True)
    state.want(["x"])
    assert said(state) == {"more": ["*", "x"]}


@pytest.mark.parametrize(
    ("resources", "removed", "says"),
    [
        ((("a", "1"), ("a", "2")), (), "among added/updated resources"),
        ((("a", "1"),), ("a",), "in the union of added+removed resources"),
        ((), ("a", "a"), "in the union of added+removed resources"),
        ((("a", "1"),), ("b",), ""),
    ],
)
def test_names_that_are_there_twice(
    resources: tuple[tuple[str, str], ...], removed: tuple[str, ...], says: str
) -> None:
    state = Delta(api.CLUSTER, True)
    problem = state.check(response(state, "n", *resources, removed=removed))
    assert problem.endswith(says)
    assert bool(problem) == bool(says)


def test_a_heartbeat_is_of_what_is_in_use() -> None:
    state = Delta(api.CLUSTER, True)
    state.answer(response(state, "n1", ("a", "1")), "")

    def beat(name: str, version: str) -> str:
        one = {"name": name, "version": version, "ttl": 5.0, "heartbeat": True}
        document = {"type_url": api.CLUSTER, "nonce": "n", "resources": [one]}
        return state.check(state.decode(json.dumps(document).encode(), False))

    assert beat("a", "1") == ""
    assert "a of version '2' has no resource" in beat("a", "2")
    assert "b of version '1' has no resource" in beat("b", "1")
    state.forget("a")
    assert "that version is not in use" in beat("a", "1")


def test_what_nobody_wants_any_more_is_answered() -> None:
    state = Delta(api.ENDPOINT, False)
    state.want(["a"])
    said(state)
    state.want([])
    assert said(state) == {"less": ["a"]}
    state.ignored(response(state, "late", ("a", "1")))
    assert said(state) == {"nonce": "late"}
    state.begin()
    assert not state.due


def test_resources_of_an_earlier_life_and_those_whose_time_is_up() -> None:
    state = Delta(api.CLUSTER, True)
    state.seed({"a": "1", "b": "1"})
    assert said(state) == {"known": {"a": "1", "b": "1"}}
    state.forget("a")
    state.begin()
    assert said(state) == {"known": {"b": "1"}}
