"""From a kind's frozen dataclasses back to JSON's values, as `schema.decode` reads them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from controlplane.resources.hidden import Hidden
from controlplane.resources.schema import Seconds, camel


def encode(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not as their defaults. What is hidden is left out."""
    found: dict[str, Any] = {}
    durations = _durations(type(value))  # type: ignore[arg-type]  # a class hashes
    for one in dataclasses.fields(value):
        given = getattr(value, one.name)
        if given == _default(one) or isinstance(given, Hidden):
            continue
        name = one.metadata.get("name") or camel(one.name)
        found[name] = f"{given:.9f}s" if one.name in durations else _encoded(given)
    return found


def _encoded(given: Any) -> Any:
    if dataclasses.is_dataclass(given):
        return encode(given)
    if isinstance(given, Mapping):
        return {str(key): _encoded(one) for key, one in given.items()}
    if isinstance(given, tuple):
        return [_encoded(one) for one in given]
    return given


def _default(one: dataclasses.Field[Any]) -> Any:
    if one.default_factory is not dataclasses.MISSING:
        return one.default_factory()
    return one.default


@cache
def _durations(cls: type[Any]) -> frozenset[str]:
    hints = typing.get_type_hints(cls)
    return frozenset(
        name for name, hint in hints.items() if hint is Seconds or Seconds in typing.get_args(hint)
    )
