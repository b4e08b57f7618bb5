"""From a field's path to its line, for errors: `spec.http[0].match`.

Nothing is remembered while a document is read, for errors are rare: the document is read again,
with places only, when a line is first asked for. Event by event, because libyaml's own composer
would keep all threads of the process waiting until it is through.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from typing import Any, Final, TypeAlias

from yaml._yaml import CParser
from yaml.error import YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from controlplane.sources import scalars

Step = str | int

_STEP: Final = re.compile(
    r"\[(?P<index>\d{1,9})\]"
    r"|\[(?P<quoted>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")\]"
    r"|\.?(?P<name>[^.\[\]]+)"
)


class Lines:
    """The lines of one document that could be read (so its size is bounded)."""

    def __init__(self, text: str, first: int) -> None:
        """`first` is the line of the file, 1-based, on which `text` begins."""
        self._text = text
        self._first = first
        self._root: _Place | None = None
        self._composed = False
        #: Where lines end.
        self._ends: list[int] = []

    def of(self, path: str, otherwise: int = 0) -> int:
        """The 1-based line of the field, or of the nearest that is there above it; `otherwise`
        when there is none (the text is JSON that YAML cannot read)."""
        if not self._composed:
            self._composed = True
            self._ends = [match.start() for match in re.finditer("\n", self._text)]
            self._root = _places(self._text)
        if self._root is None:
            return otherwise
        node, at = self._root, _at(self._root)
        for step in steps(path):
            below = _below(node, step)
            if below is None:
                break
            node, at = below
        # Not libyaml's line: to it U+2028 begins one as well.
        return self._first + bisect_left(self._ends, at)


def steps(path: str) -> list[Step]:
    """`spec.http[0].headers['a.b']` is `spec`, `http`, 0, `headers`, `a.b`. What is no path any
    more is left out with all that follows."""
    found: list[Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            break
        if match["index"] is not None:
            found.append(int(match["index"]))
        elif match["quoted"] is not None:
            found.append(str(ast.literal_eval(match["quoted"])))
        else:
            found.append(match["name"])
        position = match.end()
    return found


class _Object:
    """Where the fields of an object are; of each name the first counts."""

    __slots__ = ("at", "fields", "merged")

    def __init__(self, at: int) -> None:
        self.at = at
        #: By name: what it holds, and where its key is.
        self.fields: dict[str, tuple[_Place, int]] = {}
        #: What `<<` brings.
        self.merged: list[_Place] = []


class _List:
    __slots__ = ("at", "items")

    def __init__(self, at: int) -> None:
        self.at = at
        self.items: list[_Place] = []


#: Of a scalar it is enough to know where it begins.
_Place: TypeAlias = _Object | _List | int


def _at(place: _Place) -> int:
    return place if isinstance(place, int) else place.at


def _below(place: _Place, step: Step) -> tuple[_Place, int] | None:
    if isinstance(place, _List) and isinstance(step, int):
        if step >= len(place.items):
            return None
        item = place.items[step]
        return item, _at(item)
    if not isinstance(place, _Object):
        return None
    if (found := place.fields.get(str(step))) is not None:
        return found
    for brought in place.merged:
        for one in brought.items if isinstance(brought, _List) else [brought]:
            if (found := _below(one, step)) is not None:
                return found
    return None


def _places(text: str) -> _Place | None:
    """The first document's; None if it cannot be read."""
    try:
        return _read(CParser(text).get_event)
    except YAMLError:
        return None


def _read(following: Any) -> _Place | None:
    following()  # the start of the stream
    following()  # the start of the document
    stack: list[_Object | _List] = []
    #: Of objects: the key that waits for its value, and where it is.
    keys: list[tuple[str | None, int] | None] = []
    anchors: dict[str, tuple[_Place, str | None]] = {}
    root: _Place | None = None
    while True:
        event = following()
        kind = type(event)
        if kind is DocumentEndEvent or kind not in _VALUES:
            return root
        at = int(event.start_mark.index)
        place: _Place
        name: str | None = None
        if kind is MappingEndEvent or kind is SequenceEndEvent:
            stack.pop()
            keys.pop()
            continue
        if kind is AliasEvent:
            if event.anchor not in anchors:
                return None
            place, name = anchors[event.anchor]
        else:
            if kind is ScalarEvent:
                place, name = at, _name(event)
            else:
                place = _Object(at) if kind is MappingStartEvent else _List(at)
            if event.anchor:
                anchors[event.anchor] = place, name
        if not stack:
            root = place
        elif isinstance(stack[-1], _List):
            stack[-1].items.append(place)
        elif keys[-1] is None:
            keys[-1] = name, at
        else:
            _put(stack[-1], keys[-1], place)
            keys[-1] = None
        if kind is MappingStartEvent or kind is SequenceStartEvent:
            assert not isinstance(place, int)
            stack.append(place)
            keys.append(None)


_VALUES: Final = {
    AliasEvent,
    ScalarEvent,
    MappingStartEvent,
    MappingEndEvent,
    SequenceStartEvent,
    SequenceEndEvent,
}


def _put(where: _Object, key: tuple[str | None, int], place: _Place) -> None:
    name, at = key
    if name == "<<":
        # A list is not complete yet: what is in it is looked at when it is asked for.
        where.merged.append(place)
    if name is not None:
        where.fields.setdefault(name, (place, at))


def _name(event: Any) -> str | None:
    """The key as `composer` made it."""
    if event.style:
        return str(event.value)
    try:
        return scalars.key(scalars.resolve(event.value))
    except scalars.NotFinite:
        return None
