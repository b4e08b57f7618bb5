"""Free TCP ports below the kernel's ephemeral range: no outgoing connection can take one."""

from __future__ import annotations

import os
import random
import socket
import time

_LOW, _HIGH = 11_000, 31_000
_taken: set[int] = set()
_random = random.Random(os.getpid() * 7919)


def free_port() -> int:
    """A port nobody listens on now and that this process has not handed out before."""
    for _ in range(2_000):
        port = _random.randrange(_LOW, _HIGH)
        if port in _taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise RuntimeError(f"no free port between {_LOW} and {_HIGH}")


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
