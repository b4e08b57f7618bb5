"""Virtual addresses for services that have none, so that TCP ports can be told apart.

As Istio does: 240.240.0.0/16 (class E, routed nowhere), by a hash of what names the service, so
that every control plane and every restart gives the same one; who collides takes the next.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

#: The first and last two octets of 240.240.0.0/16 are left alone: 0.0, and those ending in 0/255.
_SPACE = 255 * 254


def allocate(names: Iterable[str]) -> dict[str, str]:
    """Name to address. Names beyond the space (64,770) get none."""
    taken: dict[int, str] = {}
    given: dict[str, str] = {}
    for name in sorted(set(names)):
        if len(taken) == _SPACE:
            break
        slot = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % _SPACE
        while slot in taken:
            slot = (slot + 1) % _SPACE
        taken[slot] = name
        given[name] = f"240.240.{slot // 254}.{slot % 254 + 1}"
    return given
