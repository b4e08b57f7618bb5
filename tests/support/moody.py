"""Hosts that answer as each request asks them to: well, badly, or not at all."""

from __future__ import annotations

import socket
import threading
from collections import Counter

from tests.support.tcp import TcpServer

_OK = "200"


class Moody(TcpServer):
    """Answers on all of 127.0.0.0/8. A request says who does what: `x-plan: 127.0.0.11=500`, or
    `close` (no answer), `hang` (until the proxy has enough) and `grpc-14` (a status of gRPC's).
    The others say 200, and their address. `asked` counts requests by address."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        listener = socket.create_server(("0.0.0.0", 0), backlog=512)
        super().__init__(self._answer, listener=listener)

    def _answer(self, conn: socket.socket) -> None:
        name = str(conn.getsockname()[0])
        pending = b""
        while data := conn.recv(65536):
            pending += data
            while b"\r\n\r\n" in pending:
                head, _, pending = pending.partition(b"\r\n\r\n")
                with self._lock:
                    self.asked[name] += 1
                act = _plan(head.decode("latin-1")).get(name, _OK)
                if act == "close":
                    return
                if act == "hang":
                    conn.recv(1)
                    return
                conn.sendall(_response(name, act))


def _plan(head: str) -> dict[str, str]:
    for line in head.split("\r\n")[1:]:
        key, _, value = line.partition(":")
        if key.lower() == "x-plan":
            entries = (entry.strip().partition("=") for entry in value.split(","))
            return {host: act for host, _, act in entries}
    return {}


def _response(name: str, act: str) -> bytes:
    status, more = act, ""
    if act.startswith("grpc-"):
        status = "200"
        more = f"content-type: application/grpc\r\ngrpc-status: {act[5:]}\r\n"
    head = f"HTTP/1.1 {status} Said\r\n{more}content-length: {len(name)}\r\n\r\n"
    return (head + name).encode()
