"""Text of YAML or JSON to documents, each with its place. Nothing here knows what they mean.

A text is cut at its lines of `---` before it is read, as kubectl does, so that a mistake costs its
own document only. Objects of kind List are unrolled. What could cost much is refused first: the
size of the file, the number of documents and of values, the depth.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from controlplane.problem import Origin, Problem, Refused
from controlplane.sources.composer import Budget, Malformed, compose
from controlplane.sources.lines import Lines

#: Files whose names end so hold documents.
SUFFIXES: Final = (".yaml", ".yml", ".json")


#: What is said of a list, or of a text.
NO_OBJECT: Final = "must be an object with apiVersion, kind and metadata"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. A List of 10,000 VirtualServices is some 4 MB and 500,000 values;
    an object of Kubernetes has 1.5 MB at most."""

    bytes: int = 32 << 20
    documents: int = 20_000
    #: Values, keys among them; an alias counts with all that it stands for.
    nodes: int = 2_000_000
    depth: int = 100


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a file between two lines of `---`, or one JSON object."""

    text: str
    #: Where it stands in the text of the file.
    start: int
    end: int
    #: The 1-based line on which it begins.
    line: int
    json: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """One object that somebody wrote."""

    value: dict[str, Any]
    file: str
    #: 1-based line on which the object itself begins (after `---` and comments).
    line: int
    chunk: Chunk
    #: Where it stands in its chunk: "" is all of it, `items[3]` an item of a List.
    path: str = ""
    lines: Lines = field(repr=False, compare=False, default_factory=lambda: Lines("", 1))

    @property
    def origin(self) -> Origin:
        return Origin(self.file, self.line)

    def line_of(self, path: str) -> int:
        """The 1-based line of a field, or of the nearest above it that is there."""
        whole = f"{self.path}.{path}" if self.path and path else self.path or path
        return max(self.lines.of(whole, self.line), self.line)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds. The order of documents is the file's."""

    documents: tuple[Document, ...] = ()
    #: One for each part that could not be read.
    refused: tuple[Refused, ...] = ()


def read(data: bytes, file: str, limits: Limits | None = None) -> Contents:
    """The documents of a file. Never raises for what is in it."""
    limits = limits or Limits()
    if len(data) > limits.bytes:
        reason = f"is larger than {limits.bytes >> 20} MB; split it"
        return Contents(refused=(_refused(file, 1, reason),))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        utf16 = data[:2] in {b"\xff\xfe", b"\xfe\xff"}
        reason = "is UTF-16; save it as UTF-8" if utf16 else "is not UTF-8"
        return Contents(refused=(_refused(file, 1 if utf16 else line, reason),))
    found: Iterator[Document | Refused] | None = None
    if text.lstrip()[:1] == "{":
        objects = _json_objects(text, limits)
        if objects is not None:
            found = _all(_unrolled(value, file, chunk) for value, chunk in objects)
    if found is None:
        found = _yaml(text, file, limits)
    documents: list[Document] = []
    refused: list[Refused] = []
    for one in found:
        if isinstance(one, Refused):
            refused.append(one)
        elif len(documents) < limits.documents:
            documents.append(one)
        else:
            reason = f"more than {limits.documents} documents, those from here on are not read"
            refused.append(_refused(file, one.line, reason + "; split the file"))
            break
    return Contents(tuple(documents), tuple(refused))


def whole(chunk: Chunk) -> dict[str, Any]:
    """The object of a chunk that was read before, a List as it is. A new one with each call."""
    if chunk.json:
        result: dict[str, Any] = _JSON.decode(chunk.text)
        return result
    limits = Limits()
    value, _ = compose(chunk.text, Budget(limits.nodes, limits.depth))
    return dict(value)


def chunks(text: str) -> Iterator[Chunk]:
    """The text, cut before each line of `---`."""
    start, line = 0, 1
    for match in _MARKER.finditer(text):
        if match.start() == start or _DIRECTIVES.fullmatch(text, start, match.start()):
            # Nothing stands before it, or directives (`%YAML 1.1`), which belong to it.
            continue
        yield Chunk(text[start : match.start()], start, match.start(), line)
        line += text.count("\n", start, match.start())
        start = match.start()
    if start < len(text):
        yield Chunk(text[start:], start, len(text), line)


_MARKER: Final = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVES: Final = re.compile(
    r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*%[^\n]*\n(?:[ \t]*(?:[#%][^\n]*)?\r?\n)*"
)


def _yaml(text: str, file: str, limits: Limits) -> Iterator[Document | Refused]:
    budget = Budget(limits.nodes, limits.depth)
    for chunk in chunks(text):
        try:
            value, at = compose(chunk.text, budget)
        except Malformed as error:
            yield _refused(file, _line(chunk, error.at), error.reason)
            if budget.nodes < 0:
                return
            continue
        if isinstance(value, dict):
            yield from _unrolled(value, file, chunk, _line(chunk, at))
        elif value is not None:
            yield _refused(file, _line(chunk, at), NO_OBJECT)


def _line(chunk: Chunk, at: int) -> int:
    return chunk.line + chunk.text.count("\n", 0, at)


def _unrolled(
    value: dict[str, Any], file: str, chunk: Chunk, line: int = 0
) -> Iterator[Document | Refused]:
    """The document, or the items of a List."""
    lines = Lines(chunk.text, chunk.line)
    stack = [(value, "", line or chunk.line)]
    while stack:
        one, path, line = stack.pop()
        items = one.get("items")
        kind = one.get("kind")
        if not (isinstance(kind, str) and kind.endswith("List") and isinstance(items, list)):
            yield Document(one, file, line, chunk, path, lines)
            continue
        below: list[tuple[dict[str, Any], str, int]] = []
        for index, item in enumerate(items):
            where = f"{path}.items[{index}]" if path else f"items[{index}]"
            at = lines.of(where, chunk.line)
            if isinstance(item, dict):
                below.append((item, where, at))
            else:
                yield _refused(file, at, f"{where} must be an object")
        stack += reversed(below)


def _json_objects(text: str, limits: Limits) -> list[tuple[dict[str, Any], Chunk]] | None:
    """The objects of a text of JSON, one after the other; None if it is not only that, or does not
    keep to the limits: read as YAML, which JSON is too, it is refused with its line."""
    # Each value but the first follows one of these.
    if sum(map(text.count, ",:[{")) > limits.nodes:
        return None
    objects: list[tuple[dict[str, Any], Chunk]] = []
    start, line = 0, 1
    try:
        while True:
            begin = _after_space(text, start)
            if begin == len(text):
                return objects
            value, end = _JSON.raw_decode(text, begin)
            line += text.count("\n", start, begin)
            chunk = Chunk(text[begin:end], begin, end, line, json=True)
            if not isinstance(value, dict) or not _shallow(value, limits.depth):
                return None
            if "\\u" in chunk.text:
                json.dumps(value, ensure_ascii=False).encode()  # half a pair of surrogates
            objects.append((value, chunk))
            if len(objects) > limits.documents:
                return objects
            line += text.count("\n", begin, end)
            start = end
    except (ValueError, RecursionError):
        return None


def _after_space(text: str, start: int) -> int:
    match = _JSON_SPACE.match(text, start)
    return match.end() if match else start


_JSON_SPACE: Final = re.compile(r"[ \t\r\n]*")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is there twice")
    return result


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _constant(text: str) -> NoReturn:
    raise ValueError(text)


_JSON: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_finite, parse_constant=_constant
)


def _shallow(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            below
            for one in level
            for below in (one.values() if isinstance(one, dict) else one)
            if isinstance(below, (dict, list))
        ]
        if not level:
            return True
    return False


def _all(many: Iterator[Iterator[Document | Refused]]) -> Iterator[Document | Refused]:
    for one in many:
        yield from one


def _refused(file: str, line: int, reason: str) -> Refused:
    return Refused("document", "", "", [Problem("", reason, line)], Origin(file, line))
