"""controlplane.sources.scalars: what sigs.k8s.io/yaml makes of a scalar, we make of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from controlplane.sources import scalars
from controlplane.sources.document import read

#: Written by sigs.k8s.io/yaml 1.6.0 (YAMLToJSONStrict of `v: TEXT` and of `TEXT: 1`).
ORACLE: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("sigs_yaml.json").read_text()
)
#: Refused here, taken there: docs/differences.md.
STRICTER = {"!!binary aGk=", "!foo bar"}


@pytest.mark.parametrize("text", sorted(ORACLE["values"].keys() - STRICTER))
def test_a_value_is_what_kubernetes_reads(text: str) -> None:
    contents = read(f"v: {text}\n".encode(), "f")
    if ORACLE["values"][text] == "error":
        assert contents.refused
        return
    (document,) = contents.documents
    value, expected = document.value["v"], ORACLE["values"][text]
    if isinstance(value, float):
        expected = float(expected)
    assert value == expected
    assert isinstance(value, bool) == isinstance(expected, bool)


@pytest.mark.parametrize("text", sorted(ORACLE["keys"].keys() - STRICTER))
def test_a_key_is_what_kubernetes_reads(text: str) -> None:
    contents = read(f"{text}: 1\n".encode(), "f")
    expected = ORACLE["keys"][text]
    if contents.refused and expected != "error":
        # Floats have no one spelling: they must be written in quotes.
        assert "must be a string; write it in quotes" in str(contents.refused[0])
        assert isinstance(scalars.resolve(text.removeprefix("!!float ")), (int, float))
    elif expected == "error":
        assert contents.refused or list(contents.documents[0].value) in (["<<"], [text])
    else:
        assert list(contents.documents[0].value) == [expected]


@pytest.mark.parametrize("text", sorted(STRICTER))
def test_tags_other_than_jsons_are_refused(text: str) -> None:
    assert "is not taken" in str(read(f"v: {text}\n".encode(), "f").refused[0])


def test_what_is_long_is_a_string() -> None:
    digits = "1" * 5_000
    assert scalars.resolve(digits) == digits
