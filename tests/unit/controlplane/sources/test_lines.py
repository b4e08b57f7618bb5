"""controlplane.sources.lines: from a field's path to its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.sources.document import read
from controlplane.sources.lines import Lines, Step, steps

TEXT = """\
# one
spec: # two
  hosts: [a,
    b]
  http:
  - match:
    - headers:
        end-user: {exact: jason}
      8080: x
    name: first
  - name: second
    base: &base
      timeout: 1s
    <<: {retries: 1}
  - *base
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", 2),
        ("spec", 2),
        ("spec.hosts", 3),
        ("spec.hosts[0]", 3),
        ("spec.hosts[1]", 4),
        ("spec.http[0].match[0].headers['end-user'].exact", 8),
        ("spec.http[0].match[0].headers.end-user", 8),
        ("spec.http[0].match[0]['8080']", 9),
        ("spec.http[1]", 11),
        ("spec.http[1].retries", 14),
        ("spec.http[2].timeout", 13),
        # What is not there is where it should be.
        ("spec.http[1].match[3].uri", 11),
        ("spec.http[7]", 5),
        ("metadata.name", 2),
        ("spec.hosts.[[", 3),
    ],
)
def test_lines_of_paths(path: str, line: int) -> None:
    assert Lines(TEXT, 1).of(path) == line
    assert Lines(TEXT, 101).of(path) == line + 100


def test_what_yaml_cannot_read_has_the_line_of_its_document() -> None:
    assert Lines('{"a": "\\ud83d\\ude00"}', 3).of("a", 3) == 3


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", []),
        ("a.b[0].c", ["a", "b", 0, "c"]),
        ("a['x.y'].b", ["a", "x.y", "b"]),
        ('a["it\'s"]', ["a", "it's"]),
        ("a['\\n']", ["a", "\n"]),
        ("['a']", ["a"]),
        ("a[x]", ["a"]),
        ("a['", ["a"]),
    ],
)
def test_steps(path: str, expected: list[Step]) -> None:
    assert steps(path) == expected


@given(st.text(max_size=40))
@settings(deadline=None)
def test_no_path_raises(path: str) -> None:
    assert 2 <= Lines(TEXT, 1).of(path) <= 15


KEYS = st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1, max_size=6)
TREES = st.recursive(
    st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


def _paths(value: Any, path: str) -> list[str]:
    """Every path in the order in which a pretty printer starts lines."""
    found = [path]
    if isinstance(value, dict):
        for key, one in value.items():
            found += _paths(one, f"{path}[{key!r}]")
    elif isinstance(value, list):
        for index, one in enumerate(value):
            found += _paths(one, f"{path}[{index}]")
    return found


def _starts(value: Any, line: int) -> tuple[list[int], int]:
    """The lines of the same, and the line after them, as `json.dumps(indent=1)` lays them out."""
    found = [line]
    children = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(value, (dict, list)) or not children:
        return found, line + 1
    line += 1
    for one in children:
        below, line = _starts(one, line)
        found += below
    return found, line + 1


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_every_path_of_a_document_has_its_line(value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=1)
    (document,) = read(f"---\n# yaml\n{text}\n".encode(), "f").documents
    assert document.value == value
    expected, _ = _starts(value, 3)
    assert [document.line_of(path) for path in _paths(value, "")] == expected
