"""Hosts that say who they are: one server for all addresses of the loopback, over HTTP or TCP."""

from __future__ import annotations

import contextlib
import socket
import threading


class Hosts:
    """Listens on 127.0.0.0/8; whoever asks over HTTP/1.1 is told the address that it came to.

    Over TCP (`http=False`) the address is sent at once, then the connection ends.
    """

    def __init__(self, *, http: bool = True) -> None:
        self._http = http
        self._listener = socket.create_server(("0.0.0.0", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Hosts:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        with contextlib.suppress(OSError), conn:
            name = conn.getsockname()[0].encode()
            if not self._http:
                conn.sendall(name)
                return
            head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(name)
            pending = b""
            while data := conn.recv(65536):
                pending += data
                while b"\r\n\r\n" in pending:
                    _, _, pending = pending.partition(b"\r\n\r\n")
                    conn.sendall(head + name)
