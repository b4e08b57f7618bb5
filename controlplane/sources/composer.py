"""One document of YAML from libyaml's events to values, counted while they come.

PyYAML's own constructor cannot be bounded: it expands, recurses and forgets duplicate keys. Here
every event is paid for before anything is made of it, aliases with all that they stand for, so a
bomb ends when the budget does. Only JSON's types come out: explicit tags other than its own, Python
objects above all, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from yaml._yaml import CParser
from yaml.error import MarkedYAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from yaml.reader import ReaderError

from controlplane.sources import scalars


class Malformed(Exception):
    """A document that cannot be read: where in its text, and why.

    Places are characters, not lines: to libyaml U+2028 and U+0085 begin lines, to editors not.
    """

    def __init__(self, at: int, reason: str) -> None:
        super().__init__(reason)
        self.at = at
        self.reason = reason


@dataclass(slots=True)
class Budget:
    """What a file may still cost."""

    nodes: int
    depth: int

    def spend(self, nodes: int, at: int) -> None:
        """Raises Malformed when nothing is left."""
        self.nodes -= nodes
        if self.nodes < 0:
            raise Malformed(
                at, "too many values, aliases counted with all that they stand for; split it"
            )


def compose(text: str, budget: Budget) -> tuple[Any, int]:
    """The value of the one document in `text`, and the character with which it begins. The value
    is None when there is nothing. Raises Malformed."""
    try:
        return _Composer(text, budget).compose()
    except MarkedYAMLError as error:
        raise _explained(error, text) from None
    except ReaderError as error:
        # A character that YAML does not allow, at that byte.
        before = text.encode()[: error.position].decode(errors="ignore")
        raise Malformed(len(before), error.reason) from None


_PREFIX: Final = "tag:yaml.org,2002:"
_CONTAINERS: Final = {MappingStartEvent: _PREFIX + "map", SequenceStartEvent: _PREFIX + "seq"}


def _explained(error: MarkedYAMLError, text: str) -> Malformed:
    """What libyaml says, and what people usually have done where it says so."""
    mark = error.problem_mark or error.context_mark
    # What is missed at the end is missed on the last line.
    at = min(mark.index, len(text.rstrip())) if mark else 0
    if error.context == "while scanning a quoted scalar" and error.context_mark:
        return Malformed(error.context_mark.index, "a quote begins here and does not end")
    if text[at : at + 1] == "\t" or _INDENTED_BY_TAB.search(text, 0, at):
        return Malformed(at, "a tab stands here; YAML is indented with spaces")
    reason = ", ".join(part for part in (error.context, error.problem) if part)
    return Malformed(at, f"{reason}{_HINTS.get(error.problem or '', '')}")


#: A tab before the first word of the line that the text ends in.
_INDENTED_BY_TAB: Final = re.compile(r"^ *\t[^\n]*\Z", re.MULTILINE)
_HINTS: Final = {
    "did not find expected key": "; is it indented as the lines above?",
    "did not find expected '-' indicator": "; is it indented as the items above?",
    "mapping values are not allowed in this context": (
        "; is it indented as the lines above? A text with ': ' in it needs quotes"
    ),
}


class _Frame:
    """A container that is being filled."""

    __slots__ = ("anchor", "before", "items", "key", "mapping", "merged")

    def __init__(self, mapping: bool, anchor: str | None, before: int) -> None:
        self.mapping = mapping
        self.items: Any = {} if mapping else []
        self.anchor = anchor
        #: The budget when it began: what it cost is known when it ends.
        self.before = before
        self.key: str | None = None
        #: What `<<` brought.
        self.merged: list[dict[str, Any]] | None = None


class _Composer:
    def __init__(self, text: str, budget: Budget) -> None:
        self._next: Callable[[], Any] = CParser(text).get_event
        self._text = text
        self._budget = budget
        #: Finished values by anchor, with what each cost.
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._stack: list[_Frame] = []

    def compose(self) -> tuple[Any, int]:
        self._next()  # the start of the stream
        if type(self._next()) is StreamEndEvent:
            return None, 0
        value, at = self._document()
        event = self._next()
        begins = event.start_mark.index
        if type(event) is DocumentStartEvent:
            raise Malformed(begins, "a document begins here without a line of ---")
        return value, at

    def _document(self) -> tuple[Any, int]:
        stack, budget = self._stack, self._budget
        result: Any = None
        first = -1
        while True:
            event = self._next()
            kind = type(event)
            if kind is DocumentEndEvent:
                return result, first
            at = event.start_mark.index
            if first < 0:
                first = at
            if kind is MappingStartEvent or kind is SequenceStartEvent:
                self._open(event, kind is MappingStartEvent, at)
                continue
            if kind is ScalarEvent:
                budget.nodes -= 1
                if budget.nodes < 0:
                    budget.spend(0, at)  # raises
                frame = stack[-1] if stack else None
                if frame is not None and frame.mapping and frame.key is None:
                    self._key(frame, event, at)
                    continue
                value = _scalar(event, at)
                if event.anchor:
                    self._anchors[event.anchor] = (value, 1)
            elif kind is AliasEvent:
                value = self._alias(event, at)
            else:
                value = self._close(kind is MappingEndEvent)
            if stack:
                _place(stack[-1], value, at)
            else:
                result = value

    def _open(self, event: Any, mapping: bool, at: int) -> None:
        stack = self._stack
        self._budget.spend(1, at)
        if len(stack) >= self._budget.depth:
            raise Malformed(at, f"nested deeper than {self._budget.depth}")
        if stack and stack[-1].mapping and stack[-1].key is None:
            if mapping and self._text.startswith("{{", at - 1):
                raise Malformed(at, "{{ belongs to a template; apply what it makes (helm template)")
            raise Malformed(at, "a key must be a string, is an object or a list")
        if event.tag and event.tag not in {"!", _CONTAINERS[type(event)]}:
            raise Malformed(at, f"the tag {_shown(event.tag)} is not taken; leave it out")
        if event.anchor:
            # Until it is finished, an alias to it would contain itself.
            self._anchors.pop(event.anchor, None)
        stack.append(_Frame(mapping, event.anchor, self._budget.nodes + 1))

    def _close(self, mapping: bool) -> Any:
        frame = self._stack.pop()
        value = frame.items
        if mapping and frame.merged:
            for brought in frame.merged:
                for name, one in brought.items():
                    value.setdefault(name, one)
        if frame.anchor:
            self._anchors[frame.anchor] = (value, frame.before - self._budget.nodes)
        return value

    def _alias(self, event: Any, at: int) -> Any:
        if event.anchor not in self._anchors:
            within = any(frame.anchor == event.anchor for frame in self._stack)
            why = "contains itself" if within else "was not defined above"
            raise Malformed(at, f"the alias *{event.anchor} {why}")
        value, cost = self._anchors[event.anchor]
        frame = self._stack[-1] if self._stack else None
        if frame is not None and frame.mapping and frame.key is None and not isinstance(value, str):
            raise Malformed(at, "a key must be a string")
        self._budget.spend(cost, at)
        return value

    def _key(self, frame: _Frame, event: Any, at: int) -> None:
        plain = event.implicit[0] and event.tag is None
        if plain and event.value == "<<":
            name = "<<"
            if frame.merged is not None:
                raise Malformed(at, "the key << is there twice; give it a list")
            frame.merged = []
        else:
            value = _scalar(event, at)
            found = scalars.key(value)
            if found is None:
                what = "null" if value is None else event.value
                raise Malformed(at, f"the key {what} must be a string; write it in quotes")
            name = found
            if event.anchor:
                self._anchors[event.anchor] = (value, 1)
            _refuse_twice(frame, name, at)
        frame.key = name


def _place(frame: _Frame, value: Any, at: int) -> None:
    if not frame.mapping:
        frame.items.append(value)
    elif frame.key is None:
        # An alias that stands for a key.
        _refuse_twice(frame, value, at)
        frame.key = value
    elif frame.key == "<<" and frame.merged is not None and not frame.merged:
        brought = value if isinstance(value, list) else [value]
        if not brought or not all(isinstance(one, dict) for one in brought):
            raise Malformed(at, "<< takes an object or a list of objects")
        frame.merged = brought
        frame.key = None
    else:
        frame.items[frame.key] = value
        frame.key = None


def _refuse_twice(frame: _Frame, name: str, at: int) -> None:
    if name in frame.items:
        raise Malformed(at, f"the key {_shown(name)} is there twice")


def _scalar(event: Any, at: int) -> scalars.Scalar:
    text: str = event.value
    tag: str | None = event.tag
    try:
        if tag is None:
            return scalars.resolve(text) if event.implicit[0] else text
        if tag in {"!", _PREFIX + "str", _PREFIX + "timestamp"}:
            return text
        value = scalars.resolve(text)
    except scalars.NotFinite:
        raise Malformed(at, f"{text} is no number that JSON has") from None
    if tag == _PREFIX + "float" and type(value) is int:
        return float(value)
    for name, allowed in (("bool", bool), ("int", int), ("float", float), ("null", type(None))):
        if tag == _PREFIX + name:
            if type(value) is allowed:
                return value
            raise Malformed(at, f"what is tagged !!{name} is none")
    raise Malformed(at, f"the tag {_shown(tag)} is not taken; leave it out")


def _shown(text: str) -> str:
    text = text.replace(_PREFIX, "!!")
    text = text if len(text) <= 60 else text[:57] + "..."
    return text if text.isprintable() else ascii(text)
