"""From YAML's values to the frozen dataclasses of a kind, with every error and its path.

A kind's `schema.py` holds frozen dataclasses. This module reads their annotations:

| annotation | accepts |
|---|---|
| `str`, `bool`, `int`, `float` | the same; `Annotated[int, Range(0, 65535)]` bounds it |
| `Annotated[X, Length(1, 16)]` | a string, list or object of such a length |
| `Annotated[str, Pattern(regex, meaning)]` | a string that the whole of the expression matches |
| `Literal["A", "B"]` | one of the names (an enum); a `""` default stands for not given |
| `Seconds` | Go's and protobuf's durations: `1.5s`, `500ms`, `1h30m`; gives seconds |
| `X | None` | X, or the field is absent; `null` is absent too, as in protobuf's JSON |
| `tuple[X, ...]` | a list |
| `Mapping[str, X]` | an object with any keys |
| `Mapping[int, X]`, `Mapping[Port, X]` | an object whose keys are numbers, quoted or not |
| `bytes` | base64 |
| `Hidden`, `HiddenText` | base64, or plain text, that no message, `repr` or dump may show |
| `int | str` | Kubernetes' IntOrString |
| `Any` | any JSON value, bounded in depth and size by the source (protobuf's Struct) |
| a dataclass | an object; `ONE_OF = (("a", "b"),)` allows one of each group at most |

Field names are lowerCamelCase in YAML and snake_case here; `field(metadata={"name": ...})` says
otherwise, `"also"` names a second spelling. A field without a default is required.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, Literal, NamedTuple, NewType, Union, get_args, get_origin

from controlplane.problem import MOST, Problem, bounded, shown
from controlplane.resources.hidden import Hidden

#: A duration in seconds.
Seconds = NewType("Seconds", float)
#: Plain text in YAML that must be hidden (`Secret.stringData`).
HiddenText = NewType("HiddenText", Hidden)


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, both allowed."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Length:
    """Bounds of a string's characters, a list's elements or an object's fields."""

    least: int
    most: float = math.inf


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a string must look like, for machines and for people."""

    regex: str
    #: Ends the sentence "must be ...".
    meaning: str


Port = Annotated[int, Range(1, 65535)]
UInt32 = Annotated[int, Range(0, 2**32 - 1)]
UInt64 = Annotated[int, Range(0, 2**64 - 1)]
Int32 = Annotated[int, Range(-(2**31), 2**31 - 1)]
Percent = Annotated[float, Range(0, 100)]

#: Type of `ONE_OF`: groups of attributes of which one may be given.
OneOf = tuple[tuple[str, ...], ...]

#: Reads a value at a path, adds to the problems, gives what it read (None where it could not).
_Reader = Callable[[Any, str, list[Problem]], Any]


class _Mode(NamedTuple):
    """How objects are read."""

    strict: bool = True
    proto_names: bool = False


def decode(
    cls: type[Any], value: Any, path: str, *, strict: bool = True, proto_names: bool = False
) -> tuple[Any, list[Problem]]:
    """Reads `value` as `cls`. Returns (instance, []) or (None, problems).

    `strict`: fields that the dataclass does not have are problems; otherwise they are left out.
    `proto_names`: `connect_timeout` is taken for `connectTimeout`, as in protobuf's JSON.
    """
    problems = _Problems()
    mode = _Mode(strict, proto_names)
    reader: _Reader = _dataclass_reader(cls, mode)  # type: ignore[arg-type]  # a class hashes
    try:
        result = reader(value, path, problems)
    except _Enough:
        result = None
    return (None if problems else result), bounded(problems)


class _Enough(Exception):
    """More is wrong than anybody will read."""


class _Problems(list[Problem]):
    """Ends the reading of what is wrong throughout: each problem costs more than what it is of."""

    def append(self, one: Problem) -> None:
        super().append(one)
        if len(self) > MOST:
            raise _Enough


def camel(name: str) -> str:
    """`http2_max_requests` is `http2MaxRequests`."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


@cache
def field_names(cls: type[Any], proto_names: bool = False) -> Mapping[str, str]:
    """The attribute of a schema's dataclass for each name that YAML may use; of several names of
    one attribute, the preferred one first."""
    names: dict[str, str] = {}
    for one in dataclasses.fields(cls):
        names[one.metadata.get("name") or camel(one.name)] = one.name
    for one in dataclasses.fields(cls):
        if also := one.metadata.get("also"):
            names.setdefault(also, one.name)
        if proto_names:
            names.setdefault(one.name, one.name)
    return names


_DURATION = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<unit>h|ms|us|µs|ns|m|s)")
#: Protobuf's bound of durations.
_LONGEST = 315_576_000_000.0
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def parse_duration(text: str) -> Seconds | None:
    """Seconds of Go's `1h30m`, `0.5s`; None if it is no duration."""
    sign, rest = (-1.0, text[1:]) if text.startswith("-") else (1.0, text)
    position, seconds = 0, 0.0
    for part in _DURATION.finditer(rest):
        if part.start() != position:
            return None
        seconds += float(part["number"]) * _UNITS[part["unit"]]
        position = part.end()
    if position == 0 or position != len(rest):
        return None
    return Seconds(sign * seconds)


@cache
def _dataclass_reader(cls: type[Any], mode: _Mode) -> _Reader:
    hints = typing.get_type_hints(cls, include_extras=True)
    # A schema may contain itself, so readers of fields are made when they are first used.
    readers = {
        one.name: cache(lambda hint=hints[one.name]: _reader(hint, mode))
        for one in dataclasses.fields(cls)
    }
    attributes = field_names(cls, mode.proto_names)  # type: ignore[arg-type]  # a class hashes
    fields = {name: (attribute, readers[attribute]) for name, attribute in attributes.items()}
    names = {attribute: name for name, attribute in reversed([*attributes.items()])}
    missing = dataclasses.MISSING
    required = [
        names[one.name]
        for one in dataclasses.fields(cls)
        if one.default is missing and one.default_factory is missing
    ]
    groups: tuple[tuple[str, ...], ...] = getattr(cls, "ONE_OF", ())

    def read(value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, dict):
            problems.append(Problem(path, f"must be an object, is {_what(value)}"))
            return None
        before = len(problems)
        values: dict[str, Any] = {}
        for name, given in value.items():
            known = fields.get(name) if isinstance(name, str) else None
            if known is None:
                if mode.strict:
                    problems.append(Problem(below(path, name), _unknown(name, fields)))
            elif given is not None:
                values[known[0]] = known[1]()(given, below(path, name), problems)
        for name in required:
            if fields[name][0] not in values:
                problems.append(Problem(below(path, name), "is required"))  # noqa: PERF401
        for group in groups:
            given_of = [names[name] for name in group if name in values]
            if len(given_of) > 1:
                reason = f"{', '.join(given_of)} exclude each other; keep one"
                problems.append(Problem(path, reason))
        return cls(**values) if len(problems) == before else None

    return read


def _reader(hint: Any, mode: _Mode) -> _Reader:
    if hint is Any:
        return _read_any
    special = _SPECIAL.get(hint) if isinstance(hint, (type, NewType)) else None
    if special is not None:
        return special
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass_reader(hint, mode)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        reader = _reader(arguments[0], mode)
        for constraint in arguments[1:]:
            reader = _CONSTRAINTS[type(constraint)](reader, constraint)
        return reader
    if origin is Literal:
        return _enum(arguments)
    if origin in {Union, types.UnionType}:
        if set(arguments) >= {int, str}:
            return _read_int_or_str
        (inner,) = (one for one in arguments if one is not type(None))
        return _reader(inner, mode)
    if origin is tuple:
        return _list(_reader(arguments[0], mode))
    if origin in {Mapping, dict}:
        return _map(_key_reader(arguments[0]), _reader(arguments[1], mode))
    raise TypeError(f"schemas have no fields of type {hint}")


def _read_any(value: Any, path: str, problems: list[Problem]) -> Any:
    return value


def _read_str(value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, str):
        return value
    hint = f"; write it in quotes: '{value}'" if isinstance(value, (int, float)) else ""
    problems.append(Problem(path, f"must be a string, is {_what(value)}{hint}"))
    return None


def _read_bool(value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, bool):
        return value
    problems.append(Problem(path, f"must be true or false, is {_what(value)}"))
    return None


def _read_int(value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    problems.append(Problem(path, f"must be a whole number, is {_what(value)}"))
    return None


def _read_float(value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    problems.append(Problem(path, f"must be a number, is {_what(value)}"))
    return None


def _read_duration(value: Any, path: str, problems: list[Problem]) -> Any:
    seconds = parse_duration(value) if isinstance(value, str) else None
    if seconds is None:
        problems.append(Problem(path, f"must be a duration like 1.5s or 500ms, is {_what(value)}"))
    elif abs(seconds) > _LONGEST:
        problems.append(Problem(path, f"must be shorter than 10000 years, is {_what(value)}"))
    return seconds


def _read_int_or_str(value: Any, path: str, problems: list[Problem]) -> Any:
    return value if isinstance(value, str) else _read_int(value, path, problems)


def _read_bytes(value: Any, path: str, problems: list[Problem]) -> Any:
    # Never shows the value: it may be a secret.
    if not isinstance(value, str):
        problems.append(Problem(path, "must be base64 in a string"))
        return None
    try:
        # Line breaks are what `base64` and YAML's `|` make.
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        problems.append(Problem(path, "is no base64; encode it with `base64 -w0`"))
        return None


def _read_hidden(value: Any, path: str, problems: list[Problem]) -> Any:
    decoded = _read_bytes(value, path, problems)
    return None if decoded is None else Hidden(decoded)


def _read_hidden_text(value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, str):
        return Hidden(value.encode())
    problems.append(Problem(path, "must be a string; write it in quotes"))
    return None


_SPECIAL: dict[Any, _Reader] = {
    str: _read_str,
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    bytes: _read_bytes,
    Seconds: _read_duration,
    Hidden: _read_hidden,
    HiddenText: _read_hidden_text,
}


def _bounded(inner: _Reader, bounds: Range) -> _Reader:
    def read(value: Any, path: str, problems: list[Problem]) -> Any:
        number = inner(value, path, problems)
        # The comparison is written so that NaN fails it.
        if number is not None and not bounds.least <= number <= bounds.most:
            reason = f"must be from {bounds.least} to {bounds.most}, is {number}"
            problems.append(Problem(path, reason))
        return number

    return read


def _sized(inner: _Reader, bounds: Length) -> _Reader:
    def read(value: Any, path: str, problems: list[Problem]) -> Any:
        result = inner(value, path, problems)
        # What was given counts: an entry that is wrong was told already.
        if result is not None and not bounds.least <= len(value) <= bounds.most:
            unit = "characters" if isinstance(value, str) else "entries"
            if not value:
                reason = "must not be empty"
            elif bounds.most == math.inf:
                reason = f"must have {bounds.least} {unit} at least, has {len(value)}"
            else:
                reason = f"must have {bounds.least} to {bounds.most} {unit}, has {len(value)}"
            problems.append(Problem(path, reason))
        return result

    return read


def _matching(inner: _Reader, pattern: Pattern) -> _Reader:
    regex = re.compile(pattern.regex)

    def read(value: Any, path: str, problems: list[Problem]) -> Any:
        text = inner(value, path, problems)
        if text is not None and not regex.fullmatch(text):
            problems.append(Problem(path, f"must be {pattern.meaning}, is {_what(value)}"))
        return text

    return read


#: How each of the things that `Annotated` may carry is held to.
_CONSTRAINTS: dict[type, Callable[[_Reader, Any], _Reader]] = {
    Range: _bounded,
    Length: _sized,
    Pattern: _matching,
}


def _enum(names: tuple[str, ...]) -> _Reader:
    def read(value: Any, path: str, problems: list[Problem]) -> Any:
        if value in names:
            return value
        known = ", ".join(name for name in names if name)
        problems.append(Problem(path, f"must be one of {known}; is {_what(value)}"))
        return None

    return read


def _list(inner: _Reader) -> _Reader:
    def read(value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, list):
            problems.append(Problem(path, f"must be a list, is {_what(value)}"))
            return None
        return tuple(
            _present(inner, one, f"{path}[{index}]", problems) for index, one in enumerate(value)
        )

    return read


def _map(key: _Reader, inner: _Reader) -> _Reader:
    def read(value: Any, path: str, problems: list[Problem]) -> Any:
        if not isinstance(value, dict):
            problems.append(Problem(path, f"must be an object, is {_what(value)}"))
            return None
        read_all: dict[Any, Any] = {}
        for name, given in value.items():
            known = key(name, path, problems)
            if known in read_all:
                problems.append(Problem(path, f"the key {known!r} is there twice"))
            elif known is not None:
                read_all[known] = _present(inner, given, below(path, name), problems)
        return read_all

    return read


def _key_reader(hint: Any) -> _Reader:
    if hint is str:
        return _read_key
    inner = _reader(hint, _Mode())

    def read(value: Any, path: str, problems: list[Problem]) -> Any:
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value):
            value = int(value)
        return inner(value, f"{path}[{value!r}]", problems)

    return read


def _read_key(value: Any, path: str, problems: list[Problem]) -> Any:
    if isinstance(value, str):
        return value
    problems.append(Problem(path, f"the key {value!r} must be a string; write it in quotes"))
    return None


def _present(inner: _Reader, value: Any, path: str, problems: list[Problem]) -> Any:
    if value is None and inner is not _read_any:
        problems.append(Problem(path, "is empty"))
        return None
    return inner(value, path, problems)


#: A label's, with its prefix, is the longest that can be right.
_LONGEST_NAME = 320


def below(path: str, name: object) -> str:
    """The path of a field or of a map's key: `spec.labels['a/b']`."""
    text = str(name)
    if len(text) > _LONGEST_NAME:
        text = f"{text[:_LONGEST_NAME]}..."
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        return f"{path}[{text!r}]"
    return f"{path}.{text}" if path else text


def _unknown(name: object, fields: Mapping[str, Any]) -> str:
    reason = "there is no such field"
    near = difflib.get_close_matches(str(name)[:100], list(fields), n=1)
    if near:
        return f"{reason}; did you mean {near[0]}?"
    few = 0 < len(fields) <= _FEW
    return f"{reason}; there are {', '.join(fields)}" if few else reason


#: So many fields are told when none is near.
_FEW: Final = 16


def _what(value: Any) -> str:
    """The value, short enough for a message."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "empty"
    return shown(value)
