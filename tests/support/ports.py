"""Free TCP ports below the kernel's ephemeral range: no outgoing connection can take one.

A proxy's listeners share their port with whoever else asks for it (SO_REUSEPORT), so a port that
two tests were given fails neither, and each serves some of the other's connections. A process
therefore takes whole blocks of ports: it holds a name in the abstract namespace of Unix sockets
for each, which is unique in a network namespace, as its ports are, and ends with the process.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator

_LOW, _HIGH, _BLOCK = 11_000, 31_000, 100
_lock = threading.Lock()
_held: list[socket.socket] = []  # the names of the blocks that are ours


def _ports() -> Iterator[int]:
    """Every port of every block that nobody else has, each once."""
    blocks = list(range(_LOW, _HIGH, _BLOCK))
    random.SystemRandom().shuffle(blocks)
    for first in blocks:
        name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            name.bind(f"\0fastmesh-test-ports-{first}")
        except OSError:
            name.close()
            continue
        _held.append(name)
        yield from range(first, first + _BLOCK)


_left = _ports()


def free_port() -> int:
    """A port nobody listens on now and that no process of tests has been given."""
    with _lock:
        for port in _left:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("0.0.0.0", port))
                except OSError:
                    continue
            return port
    raise RuntimeError(f"no free port between {_LOW} and {_HIGH}")


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    ports = [free_port()]
    while ports[-1] - ports[0] < count - 1:
        ports.append(free_port())
        if ports[-1] != ports[-2] + 1:
            ports = ports[-1:]
    return ports[0]


def wait_listening(port: int, deadline: float = 20.0) -> None:
    """Until somebody accepts connections there."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nobody listens on port {port} after {deadline} s")
