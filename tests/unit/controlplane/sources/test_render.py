"""controlplane.sources.render: what is written reads back as it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controlplane.sources import render
from controlplane.sources.document import read

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
WORDS = st.sampled_from(["y", "017", "1e3", "on", "", "~", ".nan", "1_0", "a: b", "- a", "a\n b\n"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT | WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXT | WORDS, VALUES, max_size=4))
@example({"a": "  lead\n\n  more\n\n"})
@example({"a": "\ttab\nx"})
@example({"a": "x\n\n\n"})
@example({"": {"\x85": "\ufeff"}})
@settings(deadline=None)
def test_yaml_reads_back(value: dict[str, Any]) -> None:
    contents = read(render.to_yaml(value).encode(), "f")
    assert contents.refused == ()
    assert [one.value for one in contents.documents] == [value]


@given(st.dictionaries(TEXT, VALUES, max_size=4))
@settings(deadline=None)
def test_json_reads_back(value: dict[str, Any]) -> None:
    contents = read(render.to_json(value).encode(), "f")
    assert contents.refused == ()
    assert [one.value for one in contents.documents] == [value]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [1, 2]}, "b: 1\na:\n- 1\n- 2\n"),
        ({"a": "yes"}, "a: 'yes'\n"),
        ({"a": "one\ntwo\n"}, "a: |\n  one\n  two\n"),
        ({"a": "plain words"}, "a: plain words\n"),
    ],
)
def test_it_looks_as_people_write_it(value: dict[str, Any], text: str) -> None:
    assert render.to_yaml(value) == text


def test_no_aliases() -> None:
    shared = {"a": 1}
    assert "&" not in render.to_yaml({"x": shared, "y": shared})
