"""controlplane.commands.naming: how kinds and objects are named."""

from __future__ import annotations

import pytest

from controlplane.commands.common import CommandError
from controlplane.commands.naming import Named, asked, find_kind
from tests.support.kinds import KINDS, ROUTE, SECRET, ZONE


@pytest.mark.parametrize(
    "word",
    [
        "route",
        "Route",
        "routes",
        "rt",
        "routes.test.mesh",
        "route.test.mesh",
        "route.v1beta1.test.mesh",
    ],
)
def test_names_of_a_kind(word: str) -> None:
    assert find_kind(word, KINDS) is ROUTE


@pytest.mark.parametrize("word", ["", "routs", "routes.other", "secret.v1", "x" * 10_000])
def test_what_is_no_kind(word: str) -> None:
    with pytest.raises(CommandError, match=r"known are routes, secrets, zones$"):
        find_kind(word, KINDS)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rt"], [Named(ROUTE, ())]),
        (["rt", "a", "b"], [Named(ROUTE, ("a", "b"))]),
        (["rt,zone,secrets"], [Named(ROUTE, ()), Named(ZONE, ()), Named(SECRET, ())]),
        (["all"], [Named(ROUTE, ()), Named(ZONE, ()), Named(SECRET, ())]),
        (["rt/a", "zone/z"], [Named(ROUTE, ("a",)), Named(ZONE, ("z",))]),
    ],
)
def test_what_is_asked_for(words: list[str], expected: list[Named]) -> None:
    assert asked(words, KINDS) == expected


@pytest.mark.parametrize("words", [["rt/a", "b"], ["rt/"], ["/a"], ["rt/a/b"], [","], ["all", "a"]])
def test_what_cannot_be_asked_for(words: list[str]) -> None:
    with pytest.raises(CommandError):
        asked(words, KINDS)
