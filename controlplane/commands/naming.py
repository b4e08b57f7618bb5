"""How people name kinds and objects on the command line: `vs`, `virtualservices/reviews`."""

from __future__ import annotations

import difflib
from typing import NamedTuple

from controlplane.commands.common import CommandError
from controlplane.resources.resource import Kind
from controlplane.sources.reader import Kinds


class Named(NamedTuple):
    """What is asked for: of one kind, the objects of these names; all, if there are none."""

    kind: Kind
    names: tuple[str, ...]


def find_kind(word: str, kinds: Kinds) -> Kind:
    """By its name, its plural or a short name in any case, with or without group and version.
    Raises CommandError."""
    by_word = _words(kinds)
    kind = by_word.get(word.lower())
    if kind is not None:
        return kind
    near = difflib.get_close_matches(word.lower()[:100], by_word, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    names = ", ".join(sorted({one.plural for one in kinds.values()}))
    raise CommandError(f"there is no kind {word!r}{guess}; known are {names}")


def asked(words: list[str], kinds: Kinds) -> list[Named]:
    """`KIND`, `KIND,KIND`, `KIND NAME...` or `KIND/NAME...`. Raises CommandError."""
    if any("/" in word for word in words):
        found: list[Named] = []
        for word in words:
            kind, slash, name = word.partition("/")
            if not (kind and slash and name) or "/" in name:
                raise CommandError(f"{word!r} is not KIND/NAME, as the others are")
            found.append(Named(find_kind(kind, kinds), (name,)))
        return found
    first, *names = words
    several = [find_kind(word, kinds) for word in first.split(",") if word]
    if not several:
        raise CommandError("name a kind")
    return [Named(kind, tuple(names)) for kind in several]


def _words(kinds: Kinds) -> dict[str, Kind]:
    words: dict[str, Kind] = {}
    for kind in kinds.values():
        for word in (kind.plural, kind.name.lower(), *kind.short):
            words.setdefault(word, kind)
            if kind.group:
                words[f"{word}.{kind.group}"] = kind
                for version in kind.versions:
                    words[f"{word}.{version}.{kind.group}"] = kind
    return words
