"""What a workload that registers itself is called. Anybody of a namespace may choose a name first;
a second service account that has the same one is registered beside it, not refused."""

from __future__ import annotations

import hashlib

#: Names have 253 characters at most.
_LONGEST = 253
_DIGITS = 16


def plain(name: str) -> str:
    """Of a node's `NAME.NAMESPACE`."""
    return name.partition(".")[0]


def apart(name: str, account: str) -> str:
    """The name of a plain one that another service account has. The dot is in no plain name, so
    that nobody can choose this one."""
    mark = hashlib.sha256(f"{account}/{name}".encode()).hexdigest()[:_DIGITS]
    return f"{name[: _LONGEST - _DIGITS - 1].rstrip('-')}.{mark}"


def candidates(name: str, account: str) -> tuple[str, str]:
    """What a workload may be registered as, its very own name first."""
    return apart(name, account), name
