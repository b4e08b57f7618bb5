"""mesh.accel.resources"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.accel.resources import diff

NAMES = st.sampled_from("abcdef")
BODIES = st.binary(max_size=3)


def test_changed_added_removed_and_twice() -> None:
    held = {"same": b"1", "changed": b"1", "gone": b"1"}
    offered = [("changed", b"2"), ("same", b"1"), ("new", b"3"), ("new", b"4")]
    assert diff(held, offered) == ([("changed", b"2"), ("new", b"3")], ["gone"], ["new"])


def test_same_prefix_is_not_the_same() -> None:
    assert diff({"a": b"12"}, [("a", b"1")]) == ([("a", b"1")], [], [])
    assert diff({"a": b"1\0"}, [("a", b"1\0\0")]) == ([("a", b"1\0\0")], [], [])


@given(st.dictionaries(NAMES, BODIES), st.lists(st.tuples(NAMES, BODIES)))
def test_applying_the_difference_gives_what_was_offered(
    held: dict[str, bytes], offered: list[tuple[str, bytes]]
) -> None:
    updated, removed, duplicated = diff(held, offered)
    result = {name: body for name, body in held.items() if name not in removed} | dict(updated)
    assert result == dict(reversed(offered))
    assert len(updated) == sum(1 for name, body in result.items() if held.get(name) != body)
    assert len(duplicated) == len(offered) - len(result)


def test_refuses_what_is_not_bytes() -> None:
    with pytest.raises(TypeError):
        diff({"a": "text"}, [("a", b"1")])  # type: ignore[dict-item]
