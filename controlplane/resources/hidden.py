"""Bytes that nothing may show: keys, certificates' private halves, tokens."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Hidden:
    """Holds bytes; `reveal` is the only way to them, so that a search finds every use."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes. Not for messages, logs or dumps."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("hidden values are not pickled")
