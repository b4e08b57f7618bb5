"""Regular expressions: RE2's language, and never a bomb."""

import pytest

from controlplane.resources.rules.regex import regex


def _said(text: str) -> list[str]:
    return [problem.reason for problem in regex(text, "spec.x")]


@pytest.mark.parametrize("text", [".*", "^/a/(b|c)$", r"\pL+", "(?i)a", r"\Qa.b\E", "é{2,3}"])
def test_what_re2_takes(text: str) -> None:
    assert _said(text) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must not be empty"),
        ("x" * 1025, "must be 1024 bytes at most"),
        ("é" * 513, "must be 1024 bytes at most"),
        ("(", "'(' is no RE2 expression: missing ): ("),
        (r"(a)\1", "is no RE2 expression: invalid escape sequence"),
        ("(?<=a)b", "is no RE2 expression: invalid"),
        ("a{1001}", "is no RE2 expression: invalid repetition size"),
        ("((a{100}){100}){100}", "is no RE2 expression: invalid repetition size"),
        (r"\pL{1000}", "is no RE2 expression: pattern too large"),
        ("a{1000}" * 40, "has 40004 steps when compiled, 32768 at most; simplify it"),
        ("\ud800", "is no RE2 expression"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    (said,) = _said(text)
    assert reason in said
    assert len(said) < 250
