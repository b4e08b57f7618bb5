"""HTTP/2 as bytes: builders of frames, legal or not, and a peer that sends them and looks.

Nothing here obeys a limit or keeps a state that would stop a test from being rude. RFC 9113 has
the layouts (section 6) and the error codes (section 7).
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEADLINE = 20.0  # generous: only for waiting, never asserted on

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE = range(6)
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(6, 10)

END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

NO_ERROR, PROTOCOL, INTERNAL, FLOW_CONTROL, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE, REFUSED_STREAM, CANCEL, COMPRESSION, CONNECT, ENHANCE_YOUR_CALM = range(6, 12)

TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_HEADER_LIST = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8

_HEAD = struct.Struct(">HBBBI")  # length (high 16 bits, low 8), type, flags, stream
_SETTING = struct.Struct(">HI")
_U32 = struct.Struct(">I")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Any frame; its length is the payload's."""
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def headers(
    stream: int, block: bytes, *, end_stream: bool = True, end_headers: bool = True
) -> bytes:
    """A HEADERS frame with that header block."""
    flags = (END_STREAM if end_stream else 0) | (END_HEADERS if end_headers else 0)
    return frame(HEADERS, flags, stream, block)


def continuation(stream: int, block: bytes, *, end_headers: bool = False) -> bytes:
    """A CONTINUATION frame."""
    return frame(CONTINUATION, END_HEADERS if end_headers else 0, stream, block)


def data(stream: int, body: bytes = b"", *, end_stream: bool = False) -> bytes:
    """A DATA frame without padding."""
    return frame(DATA, END_STREAM if end_stream else 0, stream, body)


def settings(*pairs: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in pairs))


def settings_ack() -> bytes:
    """The acknowledgement of a SETTINGS frame."""
    return frame(SETTINGS, ACK, 0)


def rst_stream(stream: int, code: int = CANCEL) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream, _U32.pack(code))


def window_update(stream: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame; 0 and overflows are taken as they are."""
    return frame(WINDOW_UPDATE, 0, stream, _U32.pack(increment))


def priority(stream: int, depends_on: int, weight: int = 16) -> bytes:
    """A PRIORITY frame."""
    return frame(PRIORITY, 0, stream, _U32.pack(depends_on) + bytes((weight - 1,)))


def ping(opaque: bytes = b"conforms") -> bytes:
    """A PING frame."""
    return frame(PING, 0, 0, opaque)


def goaway(last_stream: int = 0, code: int = NO_ERROR) -> bytes:
    """A GOAWAY frame."""
    return frame(GOAWAY, 0, 0, _U32.pack(last_stream) + _U32.pack(code))


def literals(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A header block of literals that touch no table: the same bytes do for every stream."""
    block = bytearray()
    for name, value in fields:
        block += b"\x00" + _string(name) + _string(value)
    return bytes(block)


def indexing(name: bytes, value: bytes) -> bytes:
    """A literal that also enters the dynamic table, where it becomes index 62."""
    return b"\x40" + _string(name) + _string(value)


def request(
    method: str = "GET", path: str = "/", authority: str = "test", extra: Iterable[tuple] = ()
) -> bytes:
    """The header block of a request, of literals."""
    fields = [
        (b":method", method.encode()),
        (b":scheme", b"http"),
        (b":authority", authority.encode()),
        (b":path", path.encode()),
    ]
    return literals([*fields, *extra])


class Peer:
    """One connection, in the clear. It answers nothing by itself but the first SETTINGS."""

    def __init__(self, port: int, host: str = "127.0.0.1", rcvbuf: int | None = None) -> None:
        self.sock = socket.socket()
        if rcvbuf is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        try:
            self.sock.settimeout(DEADLINE)
            self.sock.connect((host, port))
        except OSError:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.setblocking(False)
        self.closed = "open"  # open | eof | reset
        self.goaway: int | None = None
        self.resets: dict[int, int] = {}
        self.statuses: dict[int, str] = {}
        self.ended: set[int] = set()
        self.settings: dict[int, int] = {}
        self.frames: Counter[int] = Counter()
        self.pongs: set[bytes] = set()
        self.bodies: Counter[int] = Counter()  # bytes of DATA by stream
        self._buffer = b""
        self._decoder = hpack.Decoder(max_header_list_size=1 << 20)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    @property
    def is_cut(self) -> bool:
        """Whether the other side ends the connection."""
        return self.closed != "open" or self.goaway is not None

    def handshake(self, *pairs: tuple[int, int]) -> None:
        """Preface and SETTINGS, wait for the other's, acknowledge them."""
        self.send(PREFACE + settings(*pairs))
        if not self.wait_for(lambda: self.frames[SETTINGS] > 0):
            raise ConnectionError(f"no SETTINGS came; {self.closed}, GOAWAY {self.goaway}")
        self.send(settings_ack())

    def send(self, blob: bytes, deadline: float = DEADLINE, *, read: bool = True) -> int:
        """Send as much as goes until the deadline; returns how many bytes. Reads meanwhile."""
        view = memoryview(blob)
        at, end = 0, time.monotonic() + deadline
        while at < len(view) and self.closed == "open":
            left = end - time.monotonic()
            readable, writable, _ = select.select(
                [self.sock] if read else [], [self.sock], [], max(left, 0)
            )
            if readable:
                self._receive()
            elif not writable:
                break
            if writable and self.closed == "open":
                try:
                    at += self.sock.send(view[at : at + 65536])
                except BlockingIOError:
                    continue
                except OSError:
                    # What it said before it closed is still to be read.
                    while self._receive():
                        pass
                    self.closed = "reset" if self.closed == "open" else self.closed
        return at

    def wait_for(self, done: Callable[[], bool], deadline: float = DEADLINE) -> bool:
        """Read until `done`, the other side closes, or the deadline; returns done()."""
        end = time.monotonic() + deadline
        while not done() and self.closed == "open" and (left := end - time.monotonic()) > 0:
            if select.select([self.sock], [], [], left)[0]:
                self._receive()
        return done()

    def wait_closed(self, deadline: float = DEADLINE) -> str:
        """Until the other side closes; returns open, eof or reset."""
        self.wait_for(lambda: self.closed != "open", deadline)
        return self.closed

    def wait_pong(self, opaque: bytes, deadline: float = DEADLINE) -> bool:
        """Send a PING and wait for its answer: all that was sent before has been seen then."""
        self.send(ping(opaque), deadline)
        return self.wait_for(lambda: opaque in self.pongs, deadline)

    def _receive(self) -> bool:
        try:
            got = self.sock.recv(1 << 18)
        except BlockingIOError:
            return False
        except OSError:
            self.closed = "reset"
            return False
        if not got:
            self.closed = "eof"
            return False
        self._buffer += got
        at, end = 0, len(self._buffer)
        while end - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(self._buffer, at)
            size = high << 8 | low
            if end - at < 9 + size:
                break
            self._take(kind, flags, stream, self._buffer[at + 9 : at + 9 + size])
            at += 9 + size
        self._buffer = self._buffer[at:]
        return True

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self.frames[kind] += 1
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.ended.add(stream)
        if kind == DATA:
            self.bodies[stream] += len(payload)
        elif kind == HEADERS:
            # Answers of test upstreams are small: one frame, no padding, no priority.
            fields = dict(self._decoder.decode(payload))
            self.statuses.setdefault(stream, fields.get(":status", ""))
        elif kind == RST_STREAM:
            self.resets[stream] = _U32.unpack(payload)[0]
        elif kind == SETTINGS and not flags & ACK:
            self.settings.update(_SETTING.iter_unpack(payload))
        elif kind == PING and flags & ACK:
            self.pongs.add(payload)
        elif kind == GOAWAY:
            self.goaway = _U32.unpack_from(payload, 4)[0]


def _string(value: bytes) -> bytes:
    return _integer(len(value), 7) + value


def _integer(value: int, prefix: int) -> bytes:
    """HPACK's integer (RFC 7541 section 5.1) with nothing in the bits before it."""
    limit = (1 << prefix) - 1
    if value < limit:
        return bytes((value,))
    out, value = bytearray((limit,)), value - limit
    while value >= 128:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
