"""Changes of headers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HeaderOperations:
    """`set` overwrites, `add` appends, `remove` deletes."""

    set: Mapping[str, str] = field(default_factory=dict)
    add: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Headers:
    """On the way there and on the way back."""

    request: HeaderOperations | None = None
    response: HeaderOperations | None = None
