"""CONNECT-UDP (RFC 9298): capsules, clients over HTTP/1.1 and HTTP/2, and a host of datagrams."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from tests.support import h2peer
from tests.support.http1 import Headers

PATH = "/.well-known/masque/udp/target.test/53/"
CAPSULE: tuple[str, str] = ("capsule-protocol", "?1")
_PATIENCE = 20.0


def varint(value: int) -> bytes:
    """RFC 9000 section 16, the shortest form."""
    for size, mark in ((1, 0), (2, 1), (4, 2), (8, 3)):
        if value < 1 << (8 * size - 2):
            return (mark << (8 * size - 2) | value).to_bytes(size, "big")
    raise ValueError(value)


def capsule(value: bytes, kind: int = 0) -> bytes:
    """A capsule (RFC 9297 section 3.2)."""
    return varint(kind) + varint(len(value)) + value


def datagram(payload: bytes, context: int = 0) -> bytes:
    """A DATAGRAM capsule with a UDP payload."""
    return capsule(varint(context) + payload)


def datagrams(stream: bytes) -> list[bytes]:
    """The UDP payloads of a stream of such capsules, all whole."""
    found, at = [], 0

    def number() -> int:
        nonlocal at
        size = 1 << (stream[at] >> 6)
        value = int.from_bytes(stream[at : at + size], "big") & ((1 << (8 * size - 2)) - 1)
        at += size
        return value

    while at < len(stream):
        kind, size = number(), number()
        end = at + size
        context = number()
        if (kind, context) != (0, 0) or end > len(stream):
            raise ValueError(f"no datagram at {at} of {stream!r}")
        found.append(stream[at:end])
        at = end
    return found


def upgrade_request(path: str = PATH, *more: str, method: str = "GET") -> bytes:
    """The head of an HTTP/1.1 request (RFC 9298 section 3.2)."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: proxy.test",
        "Connection: Upgrade",
        "Upgrade: connect-udp",
        "Capsule-Protocol: ?1",
        *more,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def connect_request(path: str = PATH, *more: tuple[str, str]) -> Headers:
    """The head of an extended CONNECT (RFC 9298 section 3.4)."""
    return [
        (":method", "CONNECT"),
        (":protocol", "connect-udp"),
        (":scheme", "http"),
        (":authority", "proxy.test"),
        (":path", path),
        CAPSULE,
        *more,
    ]


class UdpHost:
    """Echoes datagrams and keeps them; `answers` says otherwise what to send for one."""

    def __init__(self, answers: Callable[[bytes], list[bytes]] | None = None) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.peers: list[tuple[str, int]] = []
        self._got: list[bytes] = []
        self._answers = answers or (lambda payload: [payload])
        self._changed = threading.Condition()
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> UdpHost:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """The port is free from here on."""
        self._socket.close()

    def got(self, count: int) -> list[bytes]:
        """Waits for so many datagrams; all there are then."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._got) >= count, _PATIENCE):
                raise AssertionError(f"{len(self._got)} datagrams, waited for {count}")
            return list(self._got)

    def forget(self) -> None:
        """What came so far."""
        with self._changed:
            self._got = []

    def send(self, payload: bytes, to: tuple[str, int]) -> None:
        """A datagram that nobody asked for."""
        self._socket.sendto(payload, to)

    def _serve(self) -> None:
        while True:
            try:
                payload, peer = self._socket.recvfrom(1 << 17)
            except OSError:
                return
            with self._changed:
                self._got.append(payload)
                self.peers.append(peer)
                self._changed.notify_all()
            with contextlib.suppress(OSError):
                for answer in self._answers(payload):
                    self._socket.sendto(answer, peer)


class Udp2:
    """A tunnel over a stream of HTTP/2."""

    def __init__(
        self, client: h2peer.Client, headers: Headers | None = None, *, end: bool = False
    ) -> None:
        self.client = client
        client.wait_for(lambda: bool(client.peer_settings))
        self.stream = client.begin(headers or connect_request(), end=end)
        client.wait_for(lambda: bool(self.stream.headers) or self.stream.over)

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Bytes of the stream."""
        self.client.send_body(self.stream.id, data, end=end)

    def receive(self, size: int) -> bytes:
        """All bytes of the stream, once there are so many."""
        self.client.wait_for(lambda: len(self.stream.body) >= size or self.stream.over)
        return self.stream.body


class Udp1:
    """A tunnel over HTTP/1.1."""

    def __init__(self, port: int, request: bytes | None = None, behind: bytes = b"") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), _PATIENCE)
        self.sock.sendall((request or upgrade_request()) + behind)
        self.head = b""
        self.body = b""
        while b"\r\n\r\n" not in self.head:
            self.head += self._some()
        self.head, _, self.body = self.head.partition(b"\r\n\r\n")

    def __enter__(self) -> Udp1:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    @property
    def status(self) -> int:
        """Of the response."""
        return int(self.head.split(b" ")[1])

    def send(self, data: bytes) -> None:
        """Bytes of the stream."""
        self.sock.sendall(data)

    def receive(self, size: int) -> bytes:
        """All bytes of the stream, once there are so many."""
        while len(self.body) < size:
            self.body += self._some()
        return self.body

    def ended(self) -> bool:
        """Waits for the other side's end: nothing more came before it."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def _some(self) -> bytes:
        piece = self.sock.recv(1 << 16)
        if not piece:
            raise ConnectionError(f"closed after {self.head!r} {self.body!r}")
        return piece
