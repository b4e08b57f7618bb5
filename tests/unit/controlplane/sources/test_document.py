"""controlplane.sources.document: text to documents with their places, bounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.problem import Refused
from controlplane.sources.document import Contents, Limits, chunks, read, whole


def values(text: str, **limits: int) -> list[dict[str, Any]]:
    contents = read(text.encode(), "f", Limits(**limits))
    assert contents.refused == ()
    return [one.value for one in contents.documents]


def refusal(text: str | bytes, **limits: int) -> str:
    contents = read(text.encode() if isinstance(text, str) else text, "f", Limits(**limits))
    (refused,) = contents.refused
    return str(refused)


def test_documents_have_the_line_on_which_they_begin() -> None:
    text = "# head\n\na: 1\n---\n# nothing\n---\n\n# two\nb: 2\n--- # three\nc: 3\n--- {d: 4}\n"
    contents = read(text.encode(), "f")
    assert [(one.line, one.value) for one in contents.documents] == [
        (3, {"a": 1}),
        (9, {"b": 2}),
        (11, {"c": 3}),
        (12, {"d": 4}),
    ]


@pytest.mark.parametrize("text", ["", "\n", "# only\n", "---\n---\n", "null\n", "\ufeff", "~"])
def test_nothing_is_no_document(text: str) -> None:
    assert read(text.encode(), "f") == Contents()


def test_a_mistake_costs_its_own_document_only() -> None:
    contents = read(b"a: 1\n---\nb: [\n---\nc: 3\n---\n- x\n---\nd: 4\n", "f")
    assert [one.value for one in contents.documents] == [{"a": 1}, {"c": 3}, {"d": 4}]
    first, second = map(str, contents.refused)
    assert first.startswith("f:3: document: while parsing a flow")
    assert second == "f:7: document: must be an object with apiVersion, kind and metadata"


def test_windows_line_ends_and_a_byte_order_mark() -> None:
    assert values("\ufeffa: 1\r\n---\r\nb: x\r\n") == [{"a": 1}, {"b": "x"}]


def test_directives_belong_to_the_document_that_they_precede() -> None:
    assert values("# c\n%YAML 1.1\n---\na: 1\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


def test_anchors_and_merges() -> None:
    text = "a: &x {k: 1, l: 2}\nb: *x\nc:\n  l: 3\n  <<: *x\nd: {<<: [{k: 5}, *x]}\n&y e: *y\n"
    assert values(text) == [
        {
            "a": {"k": 1, "l": 2},
            "b": {"k": 1, "l": 2},
            "c": {"k": 1, "l": 3},
            "d": {"k": 5, "l": 2},
            "e": "e",
        }
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3: document: the key a is there twice"),
        ("a: {8080: 1, '8080': 2}\n", "f:1: document: the key 8080 is there twice"),
        ("a:\n  1.5: x\n", "f:2: document: the key 1.5 must be a string; write it in quotes"),
        ("~: x\n", "f:1: document: the key null must be a string; write it in quotes"),
        ("? [a]\n: x\n", "f:1: document: a key must be a string, is an object or a list"),
        ("a: 1\n\tb: 2\n", "f:2: document: a tab stands here; YAML is indented with spaces"),
        ("a:\n  b: [\n\t1\n\t}\n", "f:4: document: a tab stands here; YAML is indented with"),
        ("a: 1\nb: 'x\nc: 2\n", "f:2: document: a quote begins here and does not end"),
        (
            "a: 1\n b: 2\n",
            "f:2: document: mapping values are not allowed in this context; is it ind",
        ),
        ("a: {b: 1}\n c: 1\n", "did not find expected key; is it indented as the lines above?"),
        ("{{ if .Values.x }}\n", "f:1: document: {{ belongs to a template; apply what it makes"),
        ("a: 1\nb: {{ .Values.x }}\n", "f:2: document: {{ belongs to a template"),
        ("a: &x [1]\nb: {*x : 1}\n", "f:2: document: a key must be a string"),
        ("a: *x\n", "f:1: document: the alias *x was not defined above"),
        ("a: &x [*x]\n", "f:1: document: the alias *x contains itself"),
        ("a: !!python/object:os.system x\n", "the tag !!python/object:os.system is not taken"),
        ("a: !!set {x}\n", "the tag !!set is not taken"),
        ("a: !!int x\n", "what is tagged !!int is none"),
        ("a: .inf\n", "f:1: document: .inf is no number that JSON has"),
        ("<<: 1\n", "<< takes an object or a list of objects"),
        ("a: &x {}\nb: {<<: *x, <<: *x}\n", "the key << is there twice"),
        ("a: 1\n...\nb: 2\n", "f:3: document: "),
        ("a: \x01\n", "document: "),
        ('{"a": 1, "a": 2}', "f:1: document: the key a is there twice"),
        ('{"a":\n NaN, "a": 1}', "f:2: document: the key a is there twice"),
    ],
)
def test_what_is_refused_says_where_and_why(text: str, says: str) -> None:
    assert says in refusal(text)


def test_lines_are_those_of_editors() -> None:
    text = "é: 1\r\nb: 'x\u2028\x85'\r\n☃:\r\n  c: 😀\n---\nd: \u2028\n"
    document = read(text.encode(), "f").documents[0]
    assert [document.line_of(path) for path in ("é", "b", "☃.c")] == [1, 2, 4]
    assert refusal(text + "e: *x\n").startswith("f:7: document: the alias")
    assert refusal(text + "é☃: \x01\n").startswith("f:7: document: control characters")


def test_what_is_no_utf8() -> None:
    assert refusal(b"a: 1\nb: \xff\n") == "f:2: document: is not UTF-8"
    assert refusal("a: 1\n".encode("utf-16")) == "f:1: document: is UTF-16; save it as UTF-8"


# -- bounds --


def bomb(levels: int) -> str:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "limits", "says"),
    [
        (bomb(12), {}, "f:7: document: too many values"),
        ("a: &a [1]\n" + "b: &b {x: *a}\n" * 1, {"nodes": 7}, "too many values"),
        ("[" * 1_000_000, {}, "nested deeper than 100"),
        ('{"a":' * 500_000, {}, "nested deeper than 100"),
        ('{"a":' * 200 + "1" + "}" * 200, {}, "nested deeper than 100"),
        ("- a\n" * 2_000, {"nodes": 1_000}, "f:1000: document: too many values"),
        ('{"a": [' + "1," * 2_000 + "1]}", {"nodes": 1_000}, "too many values"),
        ("a: " + "x" * 100, {"bytes": 100}, "is larger than"),
        ("a: 1\n---\n" * 4, {"documents": 3}, "f:7: document: more than 3 documents"),
        ('{"a": 1}\n' * 4, {"documents": 3}, "f:4: document: more than 3 documents"),
        ("kind: List\nitems:\n" + "- a: 1\n" * 4, {"documents": 3}, "f:6: document: more than 3"),
    ],
)
def test_it_is_refused_before_it_costs(text: str, limits: dict[str, int], says: str) -> None:
    assert says in refusal(text, **limits)


def test_the_limit_itself_is_taken() -> None:
    deep = "a: " + "[" * 99 + "]" * 99
    assert values(deep)
    assert "nested deeper" in refusal("a: " + "[" * 100 + "]" * 100)


def test_limits_hold_over_all_documents() -> None:
    contents = read(b"a: [1, 2]\n---\n" * 10, "f", Limits(nodes=12))
    assert len(contents.documents) == 2
    assert len(contents.refused) == 1


# -- lists --


def test_lists_are_unrolled_with_lines() -> None:
    text = """kind: List
apiVersion: v1
items:
- kind: A
  x: 1
- kind: BList
  items:
    - kind: B
      k:
        l: 2
- wrong
- kind: C
"""
    contents = read(text.encode(), "f")
    a, b, c = contents.documents
    assert [(one.value["kind"], one.line, one.path) for one in (a, b, c)] == [
        ("A", 4, "items[0]"),
        ("B", 8, "items[1].items[0]"),
        ("C", 12, "items[3]"),
    ]
    assert b.line_of("k.l") == 10
    assert str(contents.refused[0]) == "f:11: document: items[2] must be an object"
    assert whole(a.chunk)["items"][3] == {"kind": "C"}


# -- JSON --


def test_json_is_read_as_json() -> None:
    text = '{"a": "\\ud83d\\ude00\\/", "b":\t[1.0, 1e2, true, null]}\n {"c": {}}'
    contents = read(text.encode(), "f.json")
    assert [one.value for one in contents.documents] == [
        {"a": "😀/", "b": [1.0, 100.0, True, None]},
        {"c": {}},
    ]
    assert [one.line for one in contents.documents] == [1, 2]
    assert all(one.chunk.json for one in contents.documents)
    assert whole(contents.documents[1].chunk) == {"c": {}}


def test_a_flow_mapping_is_no_json() -> None:
    assert values("{a: b}\n---\n{c: d}\n") == [{"a": "b"}, {"c": "d"}]


def test_half_a_pair_of_surrogates_is_refused() -> None:
    assert "f:1: document: " in refusal('{"a": "\\ud83d"}')


def test_many_json_objects_cost_their_length() -> None:
    # Quadratic, these would be minutes.
    assert len(values("{}\n" * 20_000)) == 20_000


# -- properties --


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
@settings(max_examples=500, deadline=None)
def test_no_bytes_raise(data: bytes) -> None:
    contents = read(data, "f")
    for one in contents.documents:
        json.dumps(one.value)
        assert 1 <= one.line <= one.line_of("spec.a[0]['b']")
    assert all(isinstance(one, Refused) and str(one) for one in contents.refused)


#: Pieces of YAML: what they make together is nearly right.
PIECES = st.lists(
    st.sampled_from(
        [
            "a",
            ": ",
            "\n",
            "- ",
            "---\n",
            "{",
            "}",
            "[",
            "]",
            "&x ",
            "*x",
            "<<",
            "!!str ",
            "'",
            '"',
            "#c\n",
            "  ",
            "|\n",
            "? ",
            "%YAML 1.1\n",
            "...\n",
            ",",
            "\t",
            "1",
            "kind: List\nitems:\n",
        ]
    ),
    max_size=30,
).map("".join)


@given(PIECES)
@settings(max_examples=1_000, deadline=None)
def test_no_pieces_of_yaml_raise(text: str) -> None:
    contents = read(text.encode(), "f")
    for one in contents.documents:
        json.dumps(one.value)
        assert one.line <= text.count("\n") + 1


@given(PIECES)
@settings(max_examples=300, deadline=None)
def test_chunks_are_the_text(text: str) -> None:
    found = list(chunks(text))
    assert "".join(one.text for one in found) == text
    for one in found:
        assert text[one.start : one.end] == one.text
        assert one.line == text.count("\n", 0, one.start) + 1
