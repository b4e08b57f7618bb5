"""WebSocket for tests: frames as bytes, an echo server, and clients over HTTP/1.1 and HTTP/2.

wsproto reads what comes back; what goes out is bytes, so that it may be wrong (RFC 6455 section 5).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
from wsproto import ConnectionType, events
from wsproto.connection import Connection as Protocol
from wsproto.utilities import RemoteProtocolError

from tests.support.http1 import Headers, parse_head
from tests.support.ports import free_port

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
DEADLINE = 20.0
_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MASK = b"\x12\x34\x56\x78"
_SETTLE = 0.3  # how long the server looks for bytes that must not be there


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """A client's frame, masked."""
    size = len(payload)
    head = bytes(((0x80 if fin else 0) | rsv << 4 | opcode,))
    if size < 126:
        head += bytes((0x80 | size,))
    elif size < 1 << 16:
        head += b"\xfe" + size.to_bytes(2)
    else:
        head += b"\xff" + size.to_bytes(8)
    mask = int.from_bytes((_MASK * (size // 4 + 1))[:size])
    return head + _MASK + (int.from_bytes(payload) ^ mask).to_bytes(size)


def close_frame(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A client's Close."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2) + reason)


def upgrade_request(path: str = "/echo", upgrade: str = "websocket") -> bytes:
    """The opening handshake over HTTP/1.1."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY.decode()}\r\n\r\n"
    ).encode()


@dataclass
class Opening:
    """A request as the echo server got it."""

    start: str
    headers: Headers
    early: bytes = b""  # what came before it had answered
    after: bytes = b""  # what came after, where it did not turn into a WebSocket
    ended: threading.Event = field(default_factory=threading.Event)


class EchoServer:
    """Echoes messages; a thread per connection.

    Paths: /echo; /patient looks for early bytes before its 101; /refused answers 403, /plain 200
    and /unasked 101 whatever was asked, each after looking; /leave closes the TCP connection after
    the first message.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.openings: list[Opening] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> EchoServer:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        opening = Opening("", [])
        try:
            buffer = b""
            while b"\r\n\r\n" not in buffer:
                got = sock.recv(1 << 16)
                if not got:
                    return
                buffer += got
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            opening.start, opening.headers = parse_head(head)
            path = opening.start.split(" ")[1]
            self.openings.append(opening)
            if path not in ("/echo", "/leave"):
                while select.select([sock], [], [], _SETTLE)[0] and (got := sock.recv(1 << 16)):
                    buffer += got
            opening.early = buffer
            match path:
                case "/refused":
                    sock.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\nrefuse")
                case "/plain":
                    sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nplain")
                case _:
                    sock.sendall(_switching(opening.headers))
                    if path != "/unasked":
                        self._echo(sock, buffer, leave=path == "/leave")
                        return
            while got := sock.recv(1 << 16):
                opening.after += got
        except OSError:
            return
        finally:
            opening.ended.set()
            self._open.discard(sock)
            sock.close()

    @staticmethod
    def _echo(sock: socket.socket, trailing: bytes, *, leave: bool) -> None:
        protocol = Protocol(ConnectionType.SERVER, trailing_data=trailing)
        pieces: list[str | bytes] = []
        while True:
            try:
                for event in protocol.events():
                    match event:
                        case events.Message():
                            pieces.append(event.data)
                            if event.message_finished:
                                whole = type(event.data)().join(pieces)
                                pieces = []
                                sock.sendall(protocol.send(events.Message(data=whole)))
                                if leave:
                                    return
                        case events.Ping() | events.CloseConnection():
                            if protocol.state.name != "CLOSED":
                                sock.sendall(protocol.send(event.response()))
                            if isinstance(event, events.CloseConnection):
                                return
            except RemoteProtocolError as error:
                code = error.event_hint.code if error.event_hint is not None else 1002
                with contextlib.suppress(Exception):
                    sock.sendall(protocol.send(events.CloseConnection(code=code)))
                return
            got = sock.recv(1 << 18)
            if not got:
                return
            with contextlib.suppress(RemoteProtocolError):
                protocol.receive_data(got)


def _switching(headers: Headers) -> bytes:
    key = next((v.encode() for k, v in headers if k.lower() == "sec-websocket-key"), _KEY)
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
        b"sec-websocket-accept: " + accept + b"\r\n\r\n"
    )


class Socket:
    """A client's WebSocket over HTTP/1.1. Use `open_http1` or `open_http2`."""

    def __init__(self, sock: socket.socket, trailing: bytes = b"") -> None:
        self.sock = sock
        self._protocol = Protocol(ConnectionType.CLIENT, trailing_data=trailing)
        self.received: list[tuple[str, object]] = []
        self.closed = False

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, chunks: Sequence[bytes]) -> None:
        """Each chunk in a write of its own; what comes meanwhile is taken, so that none waits."""
        for chunk in chunks:
            view = memoryview(chunk)
            while view and not self.closed:
                readable, writable, _ = select.select(
                    [self.sock], [self.sock] if self._may_send() else [], [], DEADLINE
                )
                if not readable and not writable:
                    raise TimeoutError(f"nothing moves; received {self._summary()}")
                if readable:
                    self._take()
                if writable and not self.closed:
                    view = view[self._write(view) :]

    def expect(self, wanted: Sequence[tuple[str, object]]) -> None:
        """Wait for these events, in this order and no others."""
        end = time.monotonic() + DEADLINE
        while len(self.received) < len(wanted) and not self.closed:
            if not select.select([self.sock], [], [], max(end - time.monotonic(), 0))[0]:
                break
            self._take()
        assert self.received == list(wanted), f"got {self._summary()}; closed: {self.closed}"

    def expect_end(self) -> None:
        """Wait until the other side ends the stream, with nothing further in it."""
        before = len(self.received)
        end = time.monotonic() + DEADLINE
        while not self.closed:
            if not select.select([self.sock], [], [], max(end - time.monotonic(), 0))[0]:
                raise AssertionError(f"it does not end; received {self._summary()}")
            self._take()
        assert len(self.received) == before, self._summary()

    def _may_send(self) -> bool:
        return True

    def _write(self, data: memoryview) -> int:
        try:
            return self.sock.send(data[:65536])
        except (BrokenPipeError, ConnectionResetError):
            self.closed = True
            return len(data)

    def _take(self) -> None:
        try:
            got = self.sock.recv(1 << 18)
        except OSError:
            got = b""
        self._feed(got)

    def _feed(self, got: bytes) -> None:
        if not got:
            self.closed = True
            return
        self._protocol.receive_data(got)
        self._collect()

    def _collect(self) -> None:
        for event in self._protocol.events():
            match event:
                case events.TextMessage() | events.BytesMessage():
                    self._message(event)
                case events.Ping():
                    self.received.append(("ping", bytes(event.payload)))
                case events.Pong():
                    self.received.append(("pong", bytes(event.payload)))
                case events.CloseConnection():
                    self.received.append(("close", int(event.code)))

    _partial: str | bytes | None = None

    def _message(self, event: events.Message) -> None:
        data = event.data if isinstance(event.data, str) else bytes(event.data)
        whole = data if self._partial is None else self._partial + data
        self._partial = whole
        if event.message_finished:
            kind = "text" if isinstance(whole, str) else "binary"
            self.received.append((kind, whole))
            self._partial = None

    def _summary(self) -> str:
        return repr([(kind, _short(value)) for kind, value in self.received[:20]])


def open_http1(sock: socket.socket, path: str = "/echo", behind: bytes = b"") -> Socket:
    """Upgrade on this connection (TCP or TLS); `behind` is sent in one piece with the request."""
    sock.sendall(upgrade_request(path) + behind)
    sock.settimeout(DEADLINE)
    head = b""
    while b"\r\n\r\n" not in head:
        got = sock.recv(1 << 16)
        if not got:
            raise ConnectionError(f"closed during the handshake: {head!r}")
        head += got
    head, _, rest = head.partition(b"\r\n\r\n")
    start, headers = parse_head(head)
    fields = {name.lower(): value for name, value in headers}
    accept = base64.b64encode(hashlib.sha1(_KEY + _GUID).digest()).decode()
    assert start.split(" ")[1] == "101", head
    assert fields.get("upgrade", "").lower() == "websocket", head
    assert fields.get("connection", "").lower() == "upgrade", head
    assert fields.get("sec-websocket-accept") == accept, head
    ws = Socket(sock, rest)
    ws._collect()
    return ws


class Http2Socket(Socket):
    """A client's WebSocket on a stream of HTTP/2 (RFC 8441)."""

    def __init__(self, sock: socket.socket, path: str, behind: bytes = b"") -> None:
        super().__init__(sock)
        self.status: str | None = None
        self.reset: int | None = None
        self._greeted = False
        self._conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._conn.initiate_connection()
        self._conn.increment_flow_control_window(1 << 24)
        self._flush()
        end = time.monotonic() + DEADLINE
        self._wait(lambda: self._greeted, end)
        assert self._conn.remote_settings.enable_connect_protocol == 1
        self._stream = self._conn.get_next_available_stream_id()
        self._conn.send_headers(
            self._stream,
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", "ws.test"),
                (":path", path),
                ("sec-websocket-version", "13"),
            ],
        )
        if behind:
            self._conn.send_data(self._stream, behind)
        self._flush()
        self._wait(lambda: self.status is not None or self.reset is not None, end)

    def wait_end(self) -> None:
        """Until the stream is over, one way or another."""
        self._wait(lambda: False, time.monotonic() + DEADLINE)

    def _wait(self, done: Callable[[], bool], end: float) -> None:
        while not done() and not self.closed:
            left = max(end - time.monotonic(), 0)
            if not select.select([self.sock], [], [], left)[0]:
                raise TimeoutError("nothing comes")
            self._take()

    def _may_send(self) -> bool:
        return self._conn.local_flow_control_window(self._stream) > 0

    def _write(self, data: memoryview) -> int:
        room = self._conn.local_flow_control_window(self._stream)
        size = min(len(data), room, self._conn.max_outbound_frame_size)
        self._conn.send_data(self._stream, bytes(data[:size]))
        self._flush()
        return size

    def _flush(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendall(self._conn.data_to_send())

    def _feed(self, got: bytes) -> None:
        if not got:
            self.closed = True
            return
        for event in self._conn.receive_data(got):
            match event:
                case h2.events.RemoteSettingsChanged():
                    self._greeted = True
                case h2.events.ResponseReceived():
                    self.status = dict(event.headers)[b":status"].decode()
                case h2.events.DataReceived():
                    self._conn.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                    if self.status == "200" and event.data:
                        self._protocol.receive_data(event.data)
                        self._collect()
                case h2.events.StreamEnded():
                    self.closed = True
                case h2.events.StreamReset():
                    self.reset, self.closed = int(event.error_code), True
                case h2.events.ConnectionTerminated():
                    self.closed = True
        self._flush()


def _short(value: object) -> object:
    if isinstance(value, str | bytes) and len(value) > 40:
        return f"{type(value).__name__} of {len(value)}"
    return value
