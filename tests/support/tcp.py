"""Plain TCP (and TLS) peers for tests: a server whose every connection runs one function, and what
clients do with a socket."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable

Serve = Callable[[socket.socket], None]
_PATIENCE = 20.0


def echo(conn: socket.socket) -> None:
    """Send back what comes; end when the peer has."""
    while data := conn.recv(65536):
        conn.sendall(data)


def say(text: bytes) -> Serve:
    """Send this, then end."""
    return lambda conn: conn.sendall(text)


class TcpServer:
    """Runs `serve` on every connection, in a thread each, then closes it. `listener`: instead of a
    free port of the loopback."""

    def __init__(
        self,
        serve: Serve = echo,
        *,
        tls: ssl.SSLContext | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        self._serve = serve
        self._tls = tls
        self._listener = listener or socket.create_server(("127.0.0.1", 0), backlog=256)
        name = self._listener.getsockname()
        self.port: int = name[1] if isinstance(name, tuple) else 0  # of a pipe
        self.accepted = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> TcpServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def wait_accepted(self, count: int) -> None:
        """Until so many connections have come."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.accepted >= count, _PATIENCE):
                raise AssertionError(f"{self.accepted} connections, waited for {count}")

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self.accepted += 1
                self._changed.notify_all()
            threading.Thread(target=self._one, args=(conn,), daemon=True).start()

    def _one(self, conn: socket.socket) -> None:
        with contextlib.suppress(OSError), conn:
            if self._tls is None:
                self._serve(conn)
                return
            with self._tls.wrap_socket(conn, server_side=True) as secure:
                self._serve(secure)


def connect(port: int) -> socket.socket:
    """A client's socket."""
    conn = socket.create_connection(("127.0.0.1", port), _PATIENCE)
    conn.settimeout(_PATIENCE)
    return conn


def read_all(conn: socket.socket) -> bytes:
    """Everything up to the peer's end; a reset ends it, too."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while data := conn.recv(65536):
            parts.append(data)
    return b"".join(parts)


def read_exactly(conn: socket.socket, count: int) -> bytes:
    """So many bytes, or fewer if the peer ends."""
    data = b""
    while len(data) < count and (more := conn.recv(count - len(data))):
        data += more
    return data


def exchange(conn: socket.socket, data: bytes, count: int | None = None) -> bytes:
    """Send all of this while reading `count` bytes (by default so many), or fewer if the peer ends.

    In one thread: before Python 3.13 nothing locks a TLS socket, and OpenSSL's are not thread-safe.
    """
    count = len(data) if count is None else count
    left, parts, got = memoryview(data), [], 0
    conn.setblocking(False)
    try:
        while got < count:
            moved = False
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                if left:
                    left = left[conn.send(left[:65536]) :]
                    moved = True
            with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                more = conn.recv(65536)
                if not more:
                    break
                parts.append(more)
                got += len(more)
                moved = True
            if not moved:
                ready = select.select([conn], [conn] if left else [], [], _PATIENCE)
                if not any(ready):
                    raise TimeoutError(f"{got} of {count} bytes came, {len(left)} left to send")
    finally:
        conn.settimeout(_PATIENCE)
    return b"".join(parts)


def ask(port: int, data: bytes = b"") -> bytes:
    """Send, end our side, read to the end."""
    with connect(port) as conn:
        with contextlib.suppress(OSError):
            conn.sendall(data)
            conn.shutdown(socket.SHUT_WR)
        return read_all(conn)


def reset(conn: socket.socket) -> None:
    """Close with RST."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Until it holds."""
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.02)
