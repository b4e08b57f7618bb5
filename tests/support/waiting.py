"""Waiting for what comes by itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from tests.support.client import Connection


def until(holds: Callable[[], bool], deadline: float = 20.0) -> None:
    """Asks again until it holds."""
    end = time.monotonic() + deadline
    while not holds():
        assert time.monotonic() < end, "it never did"
        time.sleep(0.02)


def serves(port: int, deadline: float = 20.0) -> bool:
    """Whether it comes to answer requests with 200."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            with Connection(port) as conn:
                if conn.request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").status == 200:
                    return True
        except (OSError, AssertionError):
            pass
        time.sleep(0.02)
    return False


def refuses(port: int, deadline: float = 20.0) -> bool:
    """Whether it comes to take no new connections."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            return True
        time.sleep(0.02)
    return False
