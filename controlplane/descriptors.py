"""How many files the process may have open, and so how many connections: strangers must not use up
those that sidecars, the audit log and configuration need."""

from __future__ import annotations

import resource
from dataclasses import replace

from controlplane.xds.options import Limits

#: Files, folders that are watched, the status port's connections, libraries.
_RESERVED = 256
#: More are of no use.
_MOST = 65_536
#: The port for newcomers gets no more than this part.
_NEWCOMERS = 8


def raise_limit() -> int:
    """Takes what is of use of what the administrator allows; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def fitting(limits: Limits, files: int, ports: int) -> Limits:
    """`limits` with the connections that so many files allow; `ports`: those besides that for
    newcomers. Raises ValueError if that is next to none."""
    room = files - _RESERVED
    if room < _NEWCOMERS * 2:
        raise ValueError(f"{files} open files are too few for a control plane: raise `ulimit -n`")
    join = min(limits.join_connections, room // _NEWCOMERS)
    each = min(limits.connections, (room - join) // max(ports, 1))
    return replace(limits, connections=each, join_connections=join)
