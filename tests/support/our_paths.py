"""The fields of our schemas by their paths in YAML, without brackets: `spec.servers.tls.mode`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from controlplane.resources.schema import camel


@cache
def paths(spec: type[Any]) -> tuple[tuple[str, type[Any], str], ...]:
    """(path, class, attribute) of every field below a schema; what holds itself once."""
    return tuple(_fields(spec, "", (spec,)))


def dataclasses_in(spec: type[Any]) -> set[type[Any]]:
    """The classes of a schema."""
    return {spec, *(cls for _, cls, _ in paths(spec))}


def plain(path: str) -> str:
    """A path of a table, where lists and maps have brackets."""
    return path.replace("[]", "").replace("{}", "")


def _fields(
    cls: type[Any], path: str, above: tuple[Any, ...]
) -> Iterator[tuple[str, type[Any], str]]:
    hints = typing.get_type_hints(cls)
    for one in dataclasses.fields(cls):
        name = one.metadata.get("name") or camel(one.name)
        where = f"{path}.{name}" if path else name
        yield where, cls, one.name
        for inner in _dataclasses(hints[one.name]):
            if inner not in above:
                yield from _fields(inner, where, (*above, inner))


def _dataclasses(hint: Any) -> Iterator[type[Any]]:
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
    for one in get_args(hint):
        yield from _dataclasses(one)
