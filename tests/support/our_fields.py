"""The fields of our dataclasses, to compare them with a schema of somebody else's."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from controlplane.resources.hidden import Hidden
from controlplane.resources.schema import HiddenText, Seconds, camel


class Field(NamedTuple):
    """A place in a schema."""

    type: str
    enum: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()


_PLAIN: dict[Any, str] = {
    str: "string",
    bytes: "string",
    Seconds: "string",
    Hidden: "string",
    HiddenText: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
}


def our_fields(hint: Any, path: str) -> Iterator[tuple[str, Field]]:
    """Every place in the YAML of a type, below `path`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in _PLAIN:
        yield path, Field(_PLAIN[hint])
    elif hint is Any:
        yield path, Field("object")
    elif origin is Annotated:
        yield from our_fields(arguments[0], path)
    elif origin is Literal:
        yield path, Field("string", frozenset(one for one in arguments if one))
    elif origin in {Union, UnionType}:
        plain = [one for one in arguments if one is not NoneType]
        if len(plain) > 1:
            yield path, Field("|".join(sorted(_PLAIN[one] for one in plain)))
        else:
            yield from our_fields(plain[0], path)
    elif origin is tuple:
        yield path, Field("array")
        yield from our_fields(arguments[0], f"{path}[]")
    elif origin in {Mapping, dict} or origin is typing.get_origin(Mapping[str, str]):
        yield path, Field("object")
        # Of a Struct the CRD says no more than that it is an object.
        if arguments[1] is not Any:
            yield from our_fields(arguments[1], f"{path}{{}}")
    elif dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        fields, required = [], set()
        for one in dataclasses.fields(hint):
            name = one.metadata.get("name") or camel(one.name)
            fields += [(name, hints[one.name])]
            if also := one.metadata.get("also"):
                fields += [(also, hints[one.name])]
            missing = dataclasses.MISSING
            if one.default is missing and one.default_factory is missing:
                required.add(name)
        yield path, Field("object", required=frozenset(required))
        for name, below in fields:
            yield from our_fields(below, f"{path}.{name}")
    else:
        raise TypeError(f"{path}: {hint}")
