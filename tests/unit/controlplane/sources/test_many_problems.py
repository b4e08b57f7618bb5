"""What is wrong throughout: refused with the first hundred reasons, and looked at no longer."""

from __future__ import annotations

import difflib
import json
from typing import Any

import pytest

from controlplane.problem import MOST, Problem, Refused, bounded
from controlplane.sources import document, reader
from tests.support.kinds import KINDS

HEAD = "apiVersion: test.mesh/v1\nkind: Route\n"
MANY = 5_000


def refused(text: str) -> Refused:
    (one,) = document.read(text.encode(), "f.yaml").documents
    with pytest.raises(Refused) as raised:
        reader.read(one, KINDS)
    return raised.value


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("metadata: {name: a}\nspec:\n" + "".join(f"  x{n}: 1\n" for n in range(MANY)), "spec.x7"),
        ("spec: {}\nmetadata:\n" + "".join(f"  x{n}: 1\n" for n in range(MANY)), "metadata.x7"),
        (
            "metadata: {name: a}\nspec:\n  routes:\n" + "  - {weight: b}\n" * MANY,
            "spec.routes[3].weight",
        ),
        (
            "metadata:\n  name: a\n  labels:\n" + "".join(f"    x{n}: [1]\n" for n in range(MANY)),
            "metadata.labels.x7",
        ),
    ],
)
def test_the_first_are_told_and_that_there_are_more(
    text: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    guesses: list[Any] = []
    real = difflib.get_close_matches

    def guess(word: str, *more: Any, **named: Any) -> list[str]:
        guesses.append(word)
        return real(word, *more, **named)

    monkeypatch.setattr(difflib, "get_close_matches", guess)
    found = refused(HEAD + text)
    assert len(found.problems) == MOST + 1
    assert "and more; these are 100 of them" in str(found)
    assert path in [one.path for one in found.problems]
    # Each with the line of what it is about, one or two of each.
    assert len({one.line for one in found.problems}) > MOST // 2
    assert len(guesses) <= MOST + 1


def test_a_name_without_end_is_said_in_part() -> None:
    head, endless = {"apiVersion": "test.mesh/v1", "kind": "Route"}, "x" * 100_000
    for wrong in (
        {**head, "metadata": {"name": "a"}, "spec": {endless: 1}},
        {**head, "metadata": {"name": "a"}, endless: 1},
        {**head, "metadata": {"name": endless}},
        {**head, "metadata": {"name": "a", "labels": {endless: "b"}}},
        {"apiVersion": "v1", "kind": endless, "metadata": {"name": "a"}},
        {"apiVersion": endless, "kind": "Route", "metadata": {"name": "a"}},
    ):
        assert len(str(refused(json.dumps(wrong)))) < 2_000


def test_what_refuses_is_told_behind_any_number_of_warnings() -> None:
    warnings = [Problem(f"a[{n}]", "odd", warning=True) for n in range(MOST + 5)]
    assert all(one.warning for one in bounded(warnings))
    assert len(bounded(warnings)) == MOST + 1
    found = bounded([*warnings, Problem("b", "bad"), *warnings])
    assert [one.path for one in found if not one.warning] == ["b", ""]
    assert bounded(warnings[:MOST]) == warnings[:MOST]
