"""What `mesh run` is to run, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.agent.join import Join
from controlplane.agent.ports import is_free


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


def check_ports(plan: Plan, address: str, http_proxy: int, admin: int) -> None:
    """Says which port is in use, before anything is started that would say it less well: a program
    that was there before would get this one's requests. What is "" or 0 is not chosen yet. Raises
    Failed, and OSError for what nobody may listen on here."""
    held = {one.getsockname()[1] for one in plan.reserved}
    wanted = [
        ("127.0.0.1", http_proxy, "the sidecar's HTTP proxy (--http-proxy-port)"),
        ("127.0.0.1", admin, "the sidecar's admin port (--admin-port)"),
        *((address, port, f"the service (--port {port})") for port in plan.ports),
        *(("127.0.0.1", port, f"{to} (--egress)") for port, to in plan.egress),
        *(
            ("127.0.0.1", port, f"the program (--port N:{port}; --port N:auto takes a free one)")
            for port in plan.application_ports
            if port not in held
        ),
    ]
    for host, port, what in wanted:
        if host and port and not is_free(host, port):
            raise Failed(f"{host}:{port} is in use by another process; it is to be for {what}")


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
