"""Pipes (unix sockets): Envoy resources that use them, servers behind them, clients of them."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

from tests.support import config
from tests.support.http1 import Message, parse_responses
from tests.support.tcp import TcpServer, read_all

_PATIENCE = 20.0


def pipe(path: Path | str, mode: int | None = None) -> config.Tree:
    """An address; `@name` is one of the abstract namespace."""
    tree: config.Tree = {"path": str(path)}
    if mode is not None:
        tree["mode"] = mode
    return {"pipe": tree}


def cluster(name: str, *paths: Path | str, **more: Any) -> config.Tree:
    """A STATIC cluster of pipes."""
    endpoints = [{"endpoint": {"address": pipe(path)}} for path in paths]
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}
    return config.cluster(name, **{"load_assignment": assignment, **more})


def listen(path: Path | str) -> socket.socket:
    """A listening socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(_name(path))
    listener.listen(256)
    return listener


def connect(path: Path | str) -> socket.socket:
    """A client's socket."""
    conn = socket.socket(socket.AF_UNIX)
    conn.settimeout(_PATIENCE)
    try:
        conn.connect(_name(path))
    except OSError:
        conn.close()
        raise
    return conn


def fetch(path: Path | str, target: str = "/", *headers: str, before: bytes = b"") -> Message:
    """A GET on a connection of its own; `before` goes in front of it."""
    lines = [f"GET {target} HTTP/1.1", "host: a.test", "connection: close", *headers, "", ""]
    with connect(path) as conn:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            conn.sendall(before + "\r\n".join(lines).encode())
        messages, _ = parse_responses(read_all(conn), ["GET"], eof=True)
    return messages[-1]


def mirror(conn: socket.socket) -> None:
    """Answer every request with its own head; one that came straight may ask for the end."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            more = conn.recv(65536)
            if not more:
                return
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(head), head))
        if b"connection: close" in head:
            return


def mirror_at(path: Path | str) -> TcpServer:
    """`mirror` behind a pipe."""
    return TcpServer(mirror, listener=listen(path))


def _name(path: Path | str) -> str:
    text = str(path)
    return "\0" + text[1:] if text.startswith("@") else text
