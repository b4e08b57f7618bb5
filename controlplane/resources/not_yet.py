"""Fields that are read and checked and have no effect yet: whoever uses one is told, or refused.

A kind's `not_yet.py` is the table of its fields; docs/parity.md has the same rows
(`tests/unit/controlplane/resources/test_not_yet.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from controlplane.problem import Problem
from controlplane.resources.schema import below


@dataclass(frozen=True, slots=True)
class NotYet:
    """One field."""

    #: From the top of the document; `[]` is each element of a list, `{}` each value of a map:
    #: `spec.servers[].tls.mode`.
    path: str
    #: What happens instead, as a clause of its own.
    instead: str
    #: Values that have no effect; none named: whatever says something.
    only: tuple[Any, ...] = ()
    #: As `only`, where values cannot be counted.
    when: Callable[[Any], bool] | None = None
    #: Something would be open that the field is to close: refused.
    unsafe: bool = False


def told(table: Iterable[NotYet], value: Any, path: str = "") -> Iterator[Problem]:
    """What is to be said of a document (or of a text inside of one, at `path`)."""
    for one in table:
        for place, given in _found(value, _steps(one.path), path):
            if _counts(one, given):
                yield Problem(place, _reason(one), warning=not one.unsafe)


def _reason(one: NotYet) -> str:
    if one.unsafe:
        return f"cannot be acted on yet and is refused, because it is about safety: {one.instead}"
    return f"is read, not acted on yet: {one.instead}"


_STEP = re.compile(r"\['(?P<key>[^']+)'\]|(?P<step>\[\]|\{\}|[^.\[\]{}]+)")


def _steps(path: str) -> list[str]:
    return [one["key"] or one["step"] for one in _STEP.finditer(path)]


def _found(value: Any, steps: list[str], path: str) -> Iterator[tuple[str, Any]]:
    if not steps:
        yield path, value
    elif steps[0] == "[]":
        for index, inner in enumerate(value) if isinstance(value, list) else ():
            yield from _found(inner, steps[1:], f"{path}[{index}]")
    elif steps[0] == "{}":
        for name, inner in value.items() if isinstance(value, dict) else ():
            yield from _found(inner, steps[1:], below(path, name))
    elif isinstance(value, dict) and value.get(steps[0]) is not None:
        inner_path = below(path, steps[0]) if path else steps[0]
        yield from _found(value[steps[0]], steps[1:], inner_path)


def _counts(one: NotYet, given: Any) -> bool:
    if one.when is not None:
        return one.when(given)
    return given in one.only if one.only else _says_something(given)


def _says_something(given: Any) -> bool:
    """Not what protobuf takes for a field that is not given; an empty object is given."""
    return isinstance(given, dict) or given not in (False, "", 0, [])
