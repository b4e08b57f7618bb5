"""Reading YAML's values into dataclasses: what is accepted, and what each error says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import pytest

from controlplane.problem import Origin, Problem, Refused, shown
from controlplane.resources.hidden import Hidden
from controlplane.resources.schema import (
    HiddenText,
    Length,
    Pattern,
    Port,
    Range,
    Seconds,
    decode,
    parse_duration,
)


@dataclass(frozen=True, slots=True)
class Inner:
    exact: str | None = None
    prefix: str | None = None
    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = (("exact", "prefix"),)


@dataclass(frozen=True, slots=True)
class Outer:
    host: str
    weight: Annotated[int, Range(0, 100)] = 0
    retry_on: str = ""
    timeout: Seconds | None = None
    mode: Literal["", "STRICT", "DISABLE"] = ""
    matches: tuple[Inner, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    anything: Any = None
    nested: "Outer | None" = None


def test_a_whole_object() -> None:
    value = {
        "host": "reviews",
        "weight": 90.0,
        "retryOn": "5xx",
        "timeout": "1m0.5s",
        "mode": "STRICT",
        "matches": [{"exact": "a"}, {"prefix": "b"}],
        "labels": {"a": "b"},
        "anything": {"x": [1, None]},
        "nested": {"host": "h"},
    }
    result, problems = decode(Outer, value, "spec")
    assert problems == []
    assert result == Outer(
        host="reviews",
        weight=90,
        retry_on="5xx",
        timeout=Seconds(60.5),
        mode="STRICT",
        matches=(Inner(exact="a"), Inner(prefix="b")),
        labels={"a": "b"},
        anything={"x": [1, None]},
        nested=Outer(host="h"),
    )


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ([], "spec", "must be an object, is a list"),
        ({}, "spec.host", "is required"),
        ({"host": None}, "spec.host", "is required"),
        ({"host": 1}, "spec.host", "must be a string, is 1; write it in quotes: '1'"),
        ({"host": "h", "weigth": 1}, "spec.weigth", "there is no such field; did you mean weight?"),
        ({"host": "h", "retry_on": "x"}, "spec.retry_on", "there is no such field"),
        ({"host": "h", "weight": 101}, "spec.weight", "must be from 0 to 100, is 101"),
        ({"host": "h", "weight": True}, "spec.weight", "must be a whole number, is True"),
        ({"host": "h", "weight": 1.5}, "spec.weight", "must be a whole number, is 1.5"),
        ({"host": "h", "timeout": "5"}, "spec.timeout", "must be a duration like 1.5s or 500ms"),
        ({"host": "h", "mode": "strict"}, "spec.mode", "must be one of STRICT, DISABLE"),
        ({"host": "h", "matches": {}}, "spec.matches", "must be a list, is an object"),
        ({"host": "h", "matches": [None]}, "spec.matches[0]", "is empty"),
        (
            {"host": "h", "matches": [{"exact": "a", "prefix": "b"}]},
            "spec.matches[0]",
            "exact, prefix exclude each other; keep one",
        ),
        ({"host": "h", "labels": {"a/b": 1}}, "spec.labels['a/b']", "must be a string, is 1"),
        ({"host": "h", "labels": {1: "a"}}, "spec.labels", "the key 1 must be a string"),
        ({"host": "h", "nested": {}}, "spec.nested.host", "is required"),
    ],
)
def test_what_is_wrong_and_where(value: Any, path: str, reason: str) -> None:
    result, problems = decode(Outer, value, "spec")
    assert result is None
    (problem,) = problems
    assert problem.path == path
    assert problem.reason.startswith(reason)


def test_all_problems_are_told_at_once() -> None:
    _, problems = decode(Outer, {"weight": -1, "mode": "X"}, "spec")
    assert [one.path for one in problems] == ["spec.weight", "spec.mode", "spec.host"]


@dataclass(frozen=True, slots=True)
class Special:
    raw: bytes | None = field(default=None, metadata={"name": "bytes"})
    text: str | None = None
    target_port: int | str | None = None
    mirror_percent: int | None = field(default=None, metadata={"also": "mirror_percent"})
    secret: Mapping[str, Hidden] = field(default_factory=dict)
    plain: HiddenText | None = None
    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = (("raw", "text"),)


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"bytes": "aGk="}, Special(raw=b"hi")),
        ({"bytes": "aG\nk="}, Special(raw=b"hi")),
        ({"targetPort": "http"}, Special(target_port="http")),
        ({"targetPort": 80}, Special(target_port=80)),
        ({"mirrorPercent": 1}, Special(mirror_percent=1)),
        ({"mirror_percent": 1}, Special(mirror_percent=1)),
        ({"secret": {"tls.key": "aGk="}}, Special(secret={"tls.key": Hidden(b"hi")})),
        ({"plain": "hi"}, Special(plain=HiddenText(Hidden(b"hi")))),
    ],
)
def test_special_types(value: Any, result: Special) -> None:
    assert decode(Special, value, "spec") == (result, [])


@dataclass(frozen=True, slots=True)
class Constrained:
    text: Annotated[str, Length(2, 4), Pattern("[a-z]+", "small letters")] = "ab"
    some: Annotated[tuple[Annotated[str, Length(1)], ...], Length(1, 2)] = ("a",)
    few: Annotated[Mapping[str, str], Length(0, 1)] = field(default_factory=dict)
    ports: Mapping[Port, str] = field(default_factory=dict)
    struct: Mapping[str, Any] | None = None


def test_keys_may_be_numbers_and_structs_hold_nulls() -> None:
    value = {"text": "abcd", "some": ["b"], "ports": {80: "a", "443": "b"}, "struct": {"x": None}}
    result, problems = decode(Constrained, value, "spec")
    assert problems == []
    assert result == Constrained("abcd", ("b",), {}, {80: "a", 443: "b"}, {"x": None})


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"bytes": "a"}, "spec.bytes", "is no base64; encode it with `base64 -w0`"),
        ({"bytes": "aGk=", "text": "x"}, "spec", "bytes, text exclude each other; keep one"),
        ({"targetPort": 1.5}, "spec.targetPort", "must be a whole number, is 1.5"),
        ({"secret": {"tls.key": "s3cret"}}, "spec.secret['tls.key']", "is no base64"),
        ({"secret": {"tls.key": 12345}}, "spec.secret['tls.key']", "must be base64 in a string"),
        ({"plain": 12345}, "spec.plain", "must be a string; write it in quotes"),
    ],
)
def test_special_types_that_are_wrong(value: Any, path: str, reason: str) -> None:
    result, (problem,) = decode(Special, value, "spec")
    assert result is None
    assert problem.path == path
    assert problem.reason.startswith(reason)
    assert "s3cret" not in problem.reason
    assert "12345" not in problem.reason


def test_hidden_values_do_not_show() -> None:
    (secret, _) = decode(Special, {"secret": {"k": "aGk="}, "plain": "hi"}, "spec")
    for text in (repr(secret), str(secret.plain), f"{secret.plain}"):
        assert "hi" not in text
        assert "***" in text
    assert secret.plain.reveal() == b"hi"


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({"text": "a"}, "spec.text", "must have 2 to 4 characters, has 1"),
        ({"text": ""}, "spec.text", "must not be empty"),
        ({"text": "ABC"}, "spec.text", "must be small letters, is 'ABC'"),
        ({"some": []}, "spec.some", "must not be empty"),
        ({"some": [""]}, "spec.some[0]", "must not be empty"),
        ({"some": ["a", "b", "c"]}, "spec.some", "must have 1 to 2 entries, has 3"),
        ({"few": {"a": "b", "c": "d"}}, "spec.few", "must have 0 to 1 entries, has 2"),
        ({"ports": {"http": "a"}}, "spec.ports['http']", "must be a whole number, is 'http'"),
        ({"ports": {0: "a"}}, "spec.ports[0]", "must be from 1 to 65535, is 0"),
        ({"ports": {80: "a", "80": "b"}}, "spec.ports", "the key 80 is there twice"),
        ({"struct": []}, "spec.struct", "must be an object, is a list"),
    ],
)
def test_constraints(value: Any, path: str, reason: str) -> None:
    _, problems = decode(Constrained, value, "spec")
    assert path in {one.path for one in problems}
    assert any(one.reason.startswith(reason) for one in problems)


def test_names_of_protobuf_where_they_are_asked_for() -> None:
    value = {"host": "h", "retry_on": "5xx", "nested": {"host": "i", "retry_on": "x"}}
    assert decode(Outer, value, "spec")[0] is None
    result, problems = decode(Outer, value, "spec", proto_names=True)
    assert (result.retry_on, result.nested.retry_on, problems) == ("5xx", "x", [])


def test_unknown_fields_of_kinds_that_are_not_strict_are_left_out() -> None:
    result, problems = decode(Outer, {"host": "h", "other": 1}, "spec", strict=False)
    assert (result, problems) == (Outer(host="h"), [])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1.0), ("1.5s", 1.5), ("250ms", 0.25), ("1h30m", 5400.0), ("-2s", -2.0), (".5s", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "s", "1s ", "1d", "1s2", "--1s", "1 s"])
def test_no_durations(text: str) -> None:
    assert parse_duration(text) is None


def test_a_refusal_says_the_place_first() -> None:
    problems = [Problem("spec.host", "is required", 7), Problem("", "is too large")]
    refused = Refused("VirtualService", "default", "a", problems, Origin("a.yaml", 3))
    assert str(refused) == (
        "a.yaml:7: VirtualService default/a: spec.host: is required\n"
        "a.yaml:3: VirtualService default/a: is too large"
    )


def test_a_warning_says_so() -> None:
    problems = [Problem("spec.a", "is deprecated", warning=True), Problem("spec.b", "is required")]
    assert str(Refused("Gateway", "default", "a", problems)) == (
        "Gateway default/a: spec.a: warning: is deprecated\nGateway default/a: spec.b: is required"
    )


def test_values_are_shown_short() -> None:
    assert shown("a") == "'a'"
    assert shown("x" * 100) == "'" + "x" * 56 + "..."
