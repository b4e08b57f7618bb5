"""What `mesh run` is to run, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.agent.join import Join


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    join: Join
    #: Where `join` was read.
    join_path: Path
    #: Of the workload: `reviews-v1`.
    name: str
    #: `sidecar`, or `router`: a gateway, which has no program.
    type: str
    labels: dict[str, str]
    #: On which the mesh reaches the program; () for one that only calls.
    ports: tuple[int, ...]
    #: On which the program listens, in the same order.
    application_ports: tuple[int, ...]
    command: tuple[str, ...]
    #: The sidecar: `mesh proxy`, or an Envoy.
    proxy: tuple[str, ...]
    #: Whether it must have this very name; otherwise a replica may have another beside it.
    name_is_fixed: bool = False
    #: The WorkloadGroup; "" is whichever is for its labels.
    group: str = ""
    #: `LOCAL PORT -> host:port`, for programs that know no HTTP proxy.
    egress: tuple[tuple[int, str], ...] = ()
    #: Hold those of the program's ports that were chosen for it, until it starts.
    reserved: tuple[socket.socket, ...] = ()
    address: str = ""
    http_proxy_port: int = 0
    #: 0 is what the mesh says, or any.
    admin_port: int = 0
    #: How long others have to hear that it leaves, before it takes no more.
    leave_seconds: float = 1.0
    #: How long what is under way may take at the end; None is what the mesh says.
    drain_seconds: float | None = None
    #: How long the program may take to accept connections.
    start_seconds: float = 60.0
    #: What its metrics call it; "" is its name.
    workload: str = ""


class Failed(Exception):
    """It cannot run; `str()` says why."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Whoever has started it wants it to end: once in good order, the second time at once."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self) -> None:
        if self.asked.is_set():
            self.hurry.set()
        self.asked.set()


def default_proxy() -> tuple[str, ...]:
    """Our sidecar, of this installation."""
    return (sys.executable, "-m", "mesh.cli", "proxy")
