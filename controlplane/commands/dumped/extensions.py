"""`proxy-config ecds`: configurations of filters that came by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controlplane.commands.dumped.dump import Held, obj, text


def rows(found: Iterable[Held]) -> Iterator[list[str]]:
    """The titles first."""
    yield ["ECDS NAME", "TYPE"]
    lines = [(_type(one), one.name) for one in found]
    yield from ([name, kind] for kind, name in sorted(lines))


def chosen(found: Iterable[Held], *, name: str = "") -> list[Held]:
    """Those that the flags ask for."""
    return [one for one in found if name in {"", one.name}]


def _type(one: Held) -> str:
    url = text(obj(one.value.get("typed_config")), "@type")
    return url.removeprefix("type.googleapis.com/") or "-"
