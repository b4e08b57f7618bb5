"""From a field's path to its line, for errors: `spec.http[0].match`.

Nothing is remembered while a document is read, for errors are rare: the document is read again, by
a composer that keeps marks, when a line is first asked for.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from typing import Final

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

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
        self._root: Node | None = None
        self._composed = False
        #: Fields of objects that were asked for: one with many wrong ones is looked through once.
        self._known: dict[int, dict[str, tuple[Node, int]]] = {}
        #: Where lines end.
        self._ends: list[int] = []

    def of(self, path: str, otherwise: int = 0) -> int:
        """The 1-based line of the field, or of the nearest that is there above it; `otherwise`
        when there is none (the text is JSON that YAML cannot read)."""
        if not self._composed:
            self._composed = True
            self._ends = [match.start() for match in re.finditer("\n", self._text)]
            try:
                self._root = yaml.compose(self._text, Loader=yaml.CSafeLoader)
            except yaml.YAMLError:
                self._root = None
        if self._root is None:
            return otherwise
        node, at = self._root, int(self._root.start_mark.index)
        for step in steps(path):
            below = self._below(node, step)
            if below is None:
                break
            node, at = below
        # Not libyaml's line: to it U+2028 begins one as well.
        return self._first + bisect_left(self._ends, at)

    def _below(self, node: Node, step: Step) -> tuple[Node, int] | None:
        if isinstance(node, SequenceNode) and isinstance(step, int):
            if step >= len(node.value):
                return None
            item: Node = node.value[step]
            return item, int(item.start_mark.index)
        if not isinstance(node, MappingNode):
            return None
        known = self._known.get(id(node))
        if known is None:
            known = self._known[id(node)] = _fields(node)
        return known.get(str(step)) or self._merged(node, step)

    def _merged(self, node: MappingNode, step: Step) -> tuple[Node, int] | None:
        for key, value in node.value:
            if _name(key) == "<<":
                for one in value.value if isinstance(value, SequenceNode) else [value]:
                    if (found := self._below(one, step)) is not None:
                        return found
        return None


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


def _fields(node: MappingNode) -> dict[str, tuple[Node, int]]:
    """The first of each name."""
    found: dict[str, tuple[Node, int]] = {}
    for key, value in node.value:
        name = _name(key)
        if name is not None:
            found.setdefault(name, (value, int(key.start_mark.index)))
    return found


def _name(node: Node) -> str | None:
    """The key as `composer` made it."""
    if not isinstance(node, ScalarNode):
        return None
    if node.style:
        return str(node.value)
    try:
        return scalars.key(scalars.resolve(node.value))
    except scalars.NotFinite:
        return None
