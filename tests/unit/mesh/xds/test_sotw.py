"""mesh.xds.sotw"""

from __future__ import annotations

import json
from typing import Any

from mesh import api
from mesh.xds.sotw import Sotw


def said(state: Sotw, node: bytes = b"") -> dict[str, Any]:
    assert state.due
    request: dict[str, Any] = json.loads(state.request(node))
    assert request.pop("type")
    assert not state.due
    return request


def response(state: Sotw, version: str, nonce: str) -> Any:
    return state.decode(
        json.dumps({"type_url": state.type_url, "version": version, "nonce": nonce}).encode(), False
    )


def test_a_whole_type_is_asked_for_without_names() -> None:
    state = Sotw(api.CLUSTER, True)
    assert said(state, b"me") == {"node": "me"}


def test_ack_and_nack_and_the_error_is_said_once() -> None:
    state = Sotw(api.CLUSTER, True)
    said(state)
    state.answer(response(state, "1", "a"), "")
    assert said(state) == {"version": "1", "nonce": "a"}
    state.answer(response(state, "2", "b"), "wrong")
    assert said(state) == {"version": "1", "nonce": "b", "error": "wrong"}
    state.answer(response(state, "3", "c"), "")
    assert said(state) == {"version": "3", "nonce": "c"}


def test_a_new_stream_knows_versions_but_no_nonces() -> None:
    state = Sotw(api.CLUSTER, True)
    said(state)
    state.answer(response(state, "1", "a"), "")
    said(state)
    state.answer(response(state, "2", "b"), "wrong")
    state.begin()
    assert said(state) == {"version": "1"}


def test_names_are_complete_each_time() -> None:
    state = Sotw(api.ENDPOINT, False)
    assert not state.due
    state.want(["b", "a"])
    assert said(state) == {"names": ["a", "b"]}
    state.answer(response(state, "1", "x"), "")
    state.want(["b", "c"])
    assert said(state) == {"version": "1", "nonce": "x", "names": ["b", "c"]}
    state.want(["c", "b"])
    assert not state.due


def test_the_last_name_that_goes_is_said_but_nothing_is_asked_without_names() -> None:
    state = Sotw(api.ENDPOINT, False)
    state.want(["a"])
    state.want([])
    assert not state.due, "a first request without names asks for all there is"
    state.want(["a"])
    said(state)
    state.want([])
    assert said(state) == {}
    state.begin()
    assert not state.due


def test_what_nobody_wants_any_more_is_answered_by_what_is_said_next() -> None:
    state = Sotw(api.ENDPOINT, False)
    state.want(["a"])
    said(state)
    state.want([])
    said(state)
    state.ignored(response(state, "1", "late"))
    assert not state.due
    state.want(["b"])
    assert said(state) == {"nonce": "late", "names": ["b"]}
