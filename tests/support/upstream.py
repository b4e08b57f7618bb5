"""A recording upstream: keeps the exact request bytes, answers from a script.

A script is a list of `Reply`; the first request takes the first, and so on; with the list
empty, the default answer is `200`, body `ok`. Scripts may also be bound to a path.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.support.http1 import Headers, parse_head, read_chunked
from tests.support.ports import free_port

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Reply:
    """How to answer one request.

    `parts`: bytes are written, numbers are slept, and the words close, reset, half and hang end the
    connection (FIN both ways, RST, FIN on the sending side, nothing until the peer closes);
    wait_body reads the request's body before going on. Functions are called: they wait, or tell.
    `after`: answer when the head is in ("head") or when the whole request is ("body").
    """

    parts: Sequence[bytes | float | str | Callable[[], object]] = (OK,)
    after: str = "body"


@dataclass
class Received:
    """One request as the upstream got it."""

    connection: int
    head: bytes
    start: str
    headers: Headers
    body: bytes = b""
    trailers: Headers = field(default_factory=list)
    framing: str = "none"
    complete: bool = False
    sni: str | None = None
    peer: dict[str, object] = field(default_factory=dict)  # the client's certificate

    @property
    def path(self) -> str:
        return self.start.split(" ")[1]

    def get(self, name: str) -> str | None:
        """The first value of a header."""
        return next((v for k, v in self.headers if k.lower() == name.lower()), None)

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [v for k, v in self.headers if k.lower() == name.lower()]


class Upstream:
    """A thread per connection; small, slow and exact. With `tls`, behind that."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._tls = tls
        if tls is not None:
            tls.sni_callback = remember_sni
        self.port = port or free_port()
        self.requests: list[Received] = []
        self.accepted = 0
        self.by_path: dict[str, Reply] = {}
        self._queue: list[Reply] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stopped = False
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, self.port))
        self._listener.listen(1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def script(self, replies: Sequence[Reply]) -> None:
        """The answers to the next requests; forgets older scripts and recordings."""
        with self._lock:
            self._queue = list(replies)
            self.requests = []

    def stop(self) -> None:
        """Close the listener and every connection."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close every connection, as a restarted upstream would."""
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def wait_requests(self, count: int, deadline: float = 20.0) -> list[Received]:
        """Until that many requests have begun."""
        end = time.monotonic() + deadline
        while len(self.requests) < count and time.monotonic() < end:
            time.sleep(0.005)
        if len(self.requests) < count:
            raise AssertionError(f"{len(self.requests)} requests came, waited for {count}")
        return self.requests

    def _accept(self) -> None:
        while not self._stopped:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            number = self.accepted
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                plain = sock
                self._open.discard(plain)
                with contextlib.closing(plain):
                    sock = self._tls.wrap_socket(plain, server_side=True)
                self._open.add(sock)
            buffer = b""
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = sock.recv(1 << 16)
                    if not data:
                        return
                    buffer += data
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                start, headers = parse_head(head)
                request = Received(number, head + b"\r\n\r\n", start, headers)
                if isinstance(sock, ssl.SSLSocket):
                    request.sni = getattr(sock, "sni", None)
                    request.peer = sock.getpeercert() or {}
                with self._lock:
                    self.requests.append(request)
                    path = request.path.split("?")[0]
                    if path in self.by_path:
                        reply = self.by_path[path]
                    else:
                        reply = self._queue.pop(0) if self._queue else Reply()
                if reply.after == "body":
                    buffer = self._read_body(sock, request, buffer)
                if reply.after == "head" and "wait_body" in reply.parts:
                    at = list(reply.parts).index("wait_body")
                    self._answer(sock, request, Reply(reply.parts[:at]))
                    buffer = self._read_body(sock, request, buffer)
                    reply = Reply(reply.parts[at + 1 :])
                if not self._answer(sock, request, reply):
                    return
                if reply.after == "head":
                    buffer = self._read_body(sock, request, buffer)
                if not request.complete:
                    return
        except OSError:
            return
        finally:
            self._open.discard(sock)
            sock.close()

    @staticmethod
    def _read_body(sock: socket.socket, request: Received, buffer: bytes) -> bytes:
        chunked = "chunked" in (request.get("transfer-encoding") or "").lower()
        length = int(request.get("content-length") or 0)
        if not chunked and length == 0:
            request.complete = True
            return buffer
        request.framing = "chunked" if chunked else "length"
        pieces = [buffer]
        have = len(buffer)
        while True:
            if chunked:
                buffer = b"".join(pieces)
                pieces = [buffer]
                result = read_chunked(buffer)
                request.body, request.trailers = result.body, result.trailers
                if result.complete:
                    request.complete = True
                    return buffer[result.consumed :]
            elif have >= length:
                buffer = b"".join(pieces)
                request.body, request.complete = buffer[:length], True
                return buffer[length:]
            data = sock.recv(1 << 18)
            if not data:
                if not chunked:
                    request.body = b"".join(pieces)
                return b""
            pieces.append(data)
            have += len(data)

    @staticmethod
    def _answer(sock: socket.socket, request: Received, reply: Reply) -> bool:
        for part in reply.parts:
            match part:
                case bytes():
                    sock.sendall(part)
                case "close":
                    # Not a RST: what is unread must be read first.
                    sock.shutdown(socket.SHUT_WR)
                    sock.settimeout(2.0)
                    with contextlib.suppress(OSError):
                        while sock.recv(1 << 16):
                            pass
                    return False
                case "half":
                    sock.shutdown(socket.SHUT_WR)
                case "reset":
                    linger = struct.pack("ii", 1, 0)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    return False
                case "hang":
                    while data := sock.recv(1 << 16):
                        request.body += data
                    return False
                case float() | int():
                    time.sleep(part)
                case _ if callable(part):
                    part()
                case _:
                    raise ValueError(part)
        return True


def remember_sni(sock: ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
    """An `sni_callback`: the name that was asked for, as an attribute of the socket."""
    sock.sni = name  # type: ignore[attr-defined]


class Blackhole:
    """A port whose handshakes never finish: the accept queue is full."""

    def __init__(self) -> None:
        self.port = free_port()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(0)
        self._fill = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", self.port))
            self._fill.append(sock)
        time.sleep(0.05)

    def stop(self) -> None:
        for sock in [*self._fill, self._listener]:
            sock.close()
