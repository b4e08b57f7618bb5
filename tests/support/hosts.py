"""Hosts that say who they are: one server for all addresses of the loopback, over HTTP or TCP."""

from __future__ import annotations

import socket

from tests.support.tcp import TcpServer


class Hosts(TcpServer):
    """Answers on all of 127.0.0.0/8; who asks over HTTP/1.1 is told the address that it came to.

    Over TCP (`http=False`) the address is sent at once, then the connection ends.
    """

    def __init__(self, *, http: bool = True) -> None:
        listener = socket.create_server(("0.0.0.0", 0), backlog=512)
        super().__init__(_answer if http else _say, listener=listener)


def _name(conn: socket.socket) -> bytes:
    return str(conn.getsockname()[0]).encode()


def _say(conn: socket.socket) -> None:
    conn.sendall(_name(conn))


def _answer(conn: socket.socket) -> None:
    name = _name(conn)
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(name)
    pending = b""
    while data := conn.recv(65536):
        pending += data
        while b"\r\n\r\n" in pending:
            _, _, pending = pending.partition(b"\r\n\r\n")
            conn.sendall(head + name)
