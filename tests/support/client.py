"""A raw socket client: sends the bytes it is given, keeps the bytes it gets."""

from __future__ import annotations

import socket
import ssl
import struct
import time
from dataclasses import dataclass, field

from tests.support.http1 import Message, parse_responses

DEADLINE = 20.0  # generous: only for waiting, never asserted on


@dataclass(frozen=True)
class Pause:
    """Wait without sending."""

    seconds: float


@dataclass(frozen=True)
class Await:
    """Wait until this many responses (interim ones counted) are complete, or the peer closes."""

    responses: int = 1


@dataclass(frozen=True)
class AwaitHead:
    """Wait until the n-th response's head is here; its body may still be on the way."""

    responses: int = 1


class HalfClose:
    """Shut down the sending side."""


class Reset:
    """Close with a RST."""


Step = bytes | Pause | Await | AwaitHead | HalfClose | Reset


@dataclass
class Exchange:
    """What one connection gave back."""

    raw: bytes
    messages: list[Message]
    leftover: bytes
    closed: str = "open"  # open | eof | reset
    methods: list[str] = field(default_factory=list)

    @property
    def finals(self) -> list[Message]:
        """The responses that are not interim."""
        return [m for m in self.messages if m.status >= 200 or m.status == 101]

    @property
    def last(self) -> Message:
        """The last final response."""
        return self.finals[-1]


class Connection:
    """One connection to a proxy, driven step by step; with `tls`, after its handshake."""

    def __init__(
        self,
        port: int,
        host: str = "127.0.0.1",
        rcvbuf: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.sock = socket.socket()
        if rcvbuf is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(DEADLINE)
        try:
            self.sock.connect((host, port))
            if tls is not None:
                self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.raw = b""
        self.closed = "open"
        self.methods: list[str] = []

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """Close with a RST instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def send(self, data: bytes) -> bool:
        """Send all of it; False if the peer has closed."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self, timeout: float = DEADLINE) -> bool:
        """Take what is there; False when nothing came in time or the peer has closed."""
        if self.closed != "open":
            return False
        self.sock.settimeout(max(timeout, 0.001))
        try:
            data = self.sock.recv(1 << 16)
        except TimeoutError:
            return False
        except OSError:
            self.closed = "reset"
            return False
        if not data:
            self.closed = "eof"
            return False
        self.raw += data
        return True

    def parsed(self) -> tuple[list[Message], bytes]:
        return parse_responses(self.raw, self.methods, eof=self.closed == "eof")

    def wait_for(self, responses: int, deadline: float = DEADLINE, *, head: bool = False) -> None:
        """Until that many responses are complete (or begun, with head=True)."""
        end = time.monotonic() + deadline
        while self.closed == "open" and time.monotonic() < end:
            messages, _ = self.parsed()
            done = len(messages) if head else sum(m.complete for m in messages)
            if done >= responses:
                return
            self.receive(end - time.monotonic())

    def wait_closed(self, deadline: float = DEADLINE) -> str:
        """Until the peer closes; returns open, eof or reset."""
        end = time.monotonic() + deadline
        while self.closed == "open" and time.monotonic() < end:
            self.receive(end - time.monotonic())
        return self.closed

    def request(self, data: bytes, method: str = "GET") -> Message:
        """Send one request, wait for its final response."""
        before = len(self.exchange().finals)
        self.methods.append(method)
        self.send(data)
        end = time.monotonic() + DEADLINE
        while self.closed == "open" and time.monotonic() < end:
            finals = self.exchange().finals
            if len(finals) > before and finals[before].complete:
                return finals[before]
            self.receive(end - time.monotonic())
        finals = self.exchange().finals
        if len(finals) > before:
            return finals[before]
        raise ConnectionError(f"no response; closed={self.closed}, got {self.raw[-200:]!r}")

    def exchange(self) -> Exchange:
        messages, leftover = self.parsed()
        return Exchange(self.raw, messages, leftover, self.closed, self.methods)


def run_steps(
    port: int,
    steps: tuple[Step, ...],
    methods: list[str],
    responses: int,
    settle: float,
    deadline: float = DEADLINE,
) -> Exchange:
    """Play the steps, wait for the responses, then see whether the connection stays open."""
    with Connection(port) as conn:
        conn.methods = methods
        for step in steps:
            match step:
                case bytes():
                    if not conn.send(step):
                        break
                case Pause(seconds):
                    until = time.monotonic() + seconds
                    while conn.closed == "open" and time.monotonic() < until:
                        conn.receive(until - time.monotonic())
                case Await(count):
                    conn.wait_for(count, deadline)
                case AwaitHead(count):
                    conn.wait_for(count, deadline, head=True)
                case HalfClose():
                    conn.sock.shutdown(socket.SHUT_WR)
                case Reset():
                    exchange = conn.exchange()
                    conn.reset()
                    return exchange
        end = time.monotonic() + deadline
        while conn.closed == "open" and time.monotonic() < end:
            finals = conn.exchange().finals
            if sum(m.complete for m in finals) >= responses:
                break
            conn.receive(end - time.monotonic())
        conn.wait_closed(settle)
        return conn.exchange()
