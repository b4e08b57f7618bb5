"""Rules hold for whatever can be read: they never raise, and every path leads to a place.

Documents are made from the schemas' own types, with values that are often wrong.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import typing
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.resources.hidden import Hidden
from controlplane.resources.kinds import KINDS
from controlplane.resources.resource import Kind
from controlplane.resources.schema import HiddenText, Range, Seconds, camel
from tests.support.documents import read

_TEXTS = (
    *("", "a", "a.b", "*", "*.a", "*a.b", "a/b", "./*", "~/*", "a_b", "/x", "-", "a b", "mesh"),
    *("10.0.0.1", "::1", "fe80::1%e", "10.0.0.0/8", "::/129", "unix:///x", "unix://", "unix://@x"),
    *(
        "HTTP",
        "https",
        "TCP",
        "MONGO",
        "UDP",
        "x" * 300,
        "é\ud7ff",
        "\n",
        "%",
        "%X(a)%",
        "(",
        "a{99}",
    ),
    *("outbound_.80_._.a", "configmap://default/a", "configmap://", "127.0.0.1:80", "[::1]:0", ":"),
    *("@request.auth.claims[a]", ":path", "Host", "v1", "default", ".", "~", "5xx,reset", "us/*"),
)
_INTEGERS = (0, 1, -1, 80, 100, 101, 65535, 65536, 2**31 - 1, 2**32 - 1)
_DURATIONS = ("0s", "1ms", "1us", "-1s", "1h", "1.5s", "87600h")


def _keys() -> st.SearchStrategy[str]:
    return st.sampled_from(_TEXTS)


@cache
def _values(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is str:
        return st.sampled_from(_TEXTS)
    if hint is bool:
        return st.booleans()
    if hint is int:
        return st.sampled_from(_INTEGERS)
    if hint is float:
        return st.sampled_from([0.0, 0.5, 1e-9, 100.0, 101.0, -1.0, float("nan")])
    if hint is Seconds:
        return st.sampled_from(_DURATIONS)
    if hint in {bytes, Hidden}:
        return st.sampled_from(["", "aGk="])
    if hint is HiddenText:
        return st.sampled_from(["", "hi"])
    if hint is Any:
        return st.sampled_from([None, 1, "a", {"a": [1]}])
    if origin is Annotated:
        bounds = [one for one in arguments[1:] if isinstance(one, Range)]
        numbers = [0, 1, 80, 100, 65535]
        if not bounds:
            return _values(arguments[0])
        fit = [one for one in numbers if bounds[0].least <= one <= bounds[0].most]
        return st.sampled_from(fit)
    if origin is Literal:
        return st.sampled_from([one for one in arguments if one])
    if origin in {Union, UnionType}:
        return st.one_of(*(_values(one) for one in arguments if one is not NoneType))
    if origin is tuple:
        return st.lists(_values(arguments[0]), max_size=3)
    if origin is get_origin(Mapping[str, str]):
        keys = _keys() if arguments[0] is str else st.sampled_from(["1", "80"])
        return st.dictionaries(keys, _values(arguments[1]), max_size=2)
    assert dataclasses.is_dataclass(hint), hint
    hints = typing.get_type_hints(hint, include_extras=True)
    needed, free = {}, {}
    excluded = {name for group in getattr(hint, "ONE_OF", ()) for name in group[1:]}
    for one in dataclasses.fields(hint):
        name = one.metadata.get("name") or camel(one.name)
        missing = dataclasses.MISSING
        strategy = st.deferred(lambda inner=hints[one.name]: _values(inner))
        if one.default is missing and one.default_factory is missing:
            needed[name] = strategy
        elif one.name not in excluded:
            free[name] = strategy
        else:
            # One of a group: seldom, as two of them are refused before any rule.
            free[name] = st.one_of(st.none(), st.none(), st.none(), strategy)
    return st.fixed_dictionaries(needed, optional=free)


_ANY = sorted(
    {id(kind): kind for kind in KINDS.values()}.values(), key=lambda kind: (kind.group, kind.name)
)


@pytest.mark.parametrize("kind", _ANY, ids=lambda kind: f"{kind.name}.{kind.group}")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_rules_never_raise_and_paths_lead_somewhere(kind: Kind, data: st.DataObject) -> None:
    body = data.draw(_values(kind.spec))
    document = {
        "apiVersion": kind.api_versions()[0],
        "kind": kind.name,
        "metadata": {"name": "a", "namespace": "default", **body.pop("metadata", {})}
        if not kind.body
        else {"name": "a", "namespace": "default"},
    }
    document |= {kind.body: body} if kind.body else body
    _, problems = read(document)
    # What stands at the top of kinds without a spec may be missing as a whole.
    there = document if kind.body else {"spec": {}, "status": {}, "data": {}, **document}
    for problem in problems:
        assert problem.reason
        assert len(problem.reason) < 600
        assert _leads_somewhere(there, problem.path), problem


_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_STEP = re.compile(rf"\.?([A-Za-z_][A-Za-z0-9_]*)|\[(\d+)\]|\[({_QUOTED})\]")


def _leads_somewhere(document: Any, path: str) -> bool:
    """All of the path is there but for its end, which may be what is missing."""
    steps: list[Any] = []
    position = 0
    while position < len(path):
        found = _STEP.match(path, position)
        if found is None:
            return False
        name, index, key = found.groups()
        steps.append(name or (int(index) if index else ast.literal_eval(key)))
        position = found.end()
    place = document
    for number, step in enumerate(steps[:-1]):
        try:
            place = place[step]
        except KeyError:
            # A message that is missing as a whole, of which a field is required.
            return number == len(steps) - 2
        except (IndexError, TypeError):
            return False
    return isinstance(place, (dict, list))
