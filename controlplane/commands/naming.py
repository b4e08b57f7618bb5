"""How people name kinds and objects on the command line: `vs`, `virtualservices/reviews`."""

from __future__ import annotations

import difflib
from typing import Final, NamedTuple

from controlplane.commands.common import CommandError
from controlplane.problem import shown
from controlplane.resources.kinds import names
from controlplane.resources.resource import Kind
from controlplane.sources.reader import Kinds

#: Every kind there is.
_ALL: Final = "all"


class Named(NamedTuple):
    """What is asked for: of one kind, the objects of these names; all, if there are none."""

    kind: Kind
    names: tuple[str, ...]


def find_kind(word: str, kinds: Kinds) -> Kind:
    """By its name, its plural or a short name in any case, with or without group and version.
    Raises CommandError."""
    by_word = names(kinds.values())
    kind = by_word.get(word.lower())
    if kind is not None:
        return kind
    near = difflib.get_close_matches(word.lower()[:100], by_word, n=1)
    guess = f"did you mean {near[0]}? " if near else ""
    known = ", ".join(sorted({one.plural for one in kinds.values()}))
    raise CommandError(f"there is no kind {shown(word)}; {guess}known are {known}")


def asked(words: list[str], kinds: Kinds) -> list[Named]:
    """`KIND`, `KIND,KIND`, `KIND NAME...`, `KIND/NAME...` or `all`. Raises CommandError."""
    if any("/" in word for word in words):
        found: list[Named] = []
        for word in words:
            kind, slash, name = word.partition("/")
            if not (kind and slash and name) or "/" in name:
                raise CommandError(f"{word!r} is not KIND/NAME, as the others are")
            found.append(Named(find_kind(kind, kinds), (name,)))
        return found
    first, *objects = words
    if first.lower() == _ALL:
        if objects:
            raise CommandError(f"{_ALL} is of every kind; give no names with it")
        every = {kind.name: kind for kind in kinds.values()}
        return [Named(kind, ()) for kind in every.values()]
    several = [find_kind(word, kinds) for word in first.split(",") if word]
    if not several:
        raise CommandError("name a kind")
    return [Named(kind, tuple(objects)) for kind in several]
