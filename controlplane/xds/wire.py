"""Responses as bytes. They are joined from parts and never packed: a resource's bytes are copied,
not looked at, and a response that many streams get is joined once. Only the nonce is each
stream's own, and a protobuf field may stand anywhere: it goes behind the rest.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controlplane.xds.translator import Encoded

#: Tells clients who serves them: `control_plane.identifier`.
IDENTIFIER = "fastmesh"

_ONCE = 1024


def text(number: int, value: str) -> bytes:
    """A field of a string; nothing for an empty one."""
    return block(number, value.encode()) if value else b""


def block(number: int, value: bytes) -> bytes:
    """A field of bytes or of a message."""
    return b"%c%b%b" % (number << 3 | 2, _varint(len(value)), value)


def nonce(value: str) -> bytes:
    """The field that both responses call `nonce`."""
    return text(5, value)


class Responses:
    """Joins responses; keeps the latest of those that were wanted twice, up to a number of bytes
    in all: most that is one stream's own is wanted once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = 0
        self._cache: OrderedDict[tuple[object, ...], tuple[bytes, Sequence[Encoded]]] = (
            OrderedDict()
        )
        #: Hashes of what was wanted once: the latest.
        self._once: OrderedDict[int, None] = OrderedDict()

    def sotw(self, type_url: str, version: str, resources: Sequence[Encoded]) -> bytes:
        """A `DiscoveryResponse` without its nonce."""
        key = ("sotw", type_url, version, *map(id, resources))
        found = self._cache.get(key)
        if found is None:
            typed = text(1, type_url)
            parts = [text(1, version), text(4, type_url), block(6, text(1, IDENTIFIER))]
            parts += [block(2, typed + block(2, one.body)) for one in resources]
            return self._keep(key, b"".join(parts), resources)
        self._cache.move_to_end(key)
        return found[0]

    def delta(
        self, type_url: str, version: str, resources: Sequence[Encoded], removed: Sequence[str]
    ) -> bytes:
        """A `DeltaDiscoveryResponse` without its nonce."""
        key = ("delta", type_url, version, tuple(removed), *map(id, resources))
        found = self._cache.get(key)
        if found is None:
            typed = text(1, type_url)
            parts = [text(1, version), text(4, type_url), block(7, text(1, IDENTIFIER))]
            parts += [
                block(
                    2,
                    text(3, one.name) + text(1, one.version) + block(2, typed + block(2, one.body)),
                )
                for one in resources
            ]
            parts += [block(6, name.encode()) for name in removed]
            return self._keep(key, b"".join(parts), resources)
        self._cache.move_to_end(key)
        return found[0]

    def _keep(
        self, key: tuple[object, ...], response: bytes, resources: Sequence[Encoded]
    ) -> bytes:
        mark = hash(key)
        if mark not in self._once:
            self._once[mark] = None
            if len(self._once) > _ONCE:
                self._once.popitem(last=False)
            return response
        # With the resources, so that no other object gets an `id` that stands in the key.
        self._cache[key] = (response, tuple(resources))
        self._kept += len(response)
        while self._kept > self._limit:
            self._kept -= len(self._cache.popitem(last=False)[1][0])
        return response


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
