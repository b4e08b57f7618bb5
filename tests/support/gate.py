"""A gate that ends tunnels: an HTTP/1.1 or HTTP/2 server that does what a tunnel's host name asks
for, and notes what it saw.

`echo.test:1` is echoed and ended when the client has; see `WAYS` for the others.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import hyperframe.frame

from tests.support.http1 import Headers

CUTS = ("reset", "close")  # at once, or after the client's first bytes if something was said
LAST_CHUNK = b"0\r\n\r\n"

# By the first label of the host name: the status, then what is said before the echo begins, and how
# the gate ends ("": when the client has).
WAYS: dict[str, tuple[int, bytes, str]] = {
    "echo": (200, b"", ""),
    "interim": (200, b"", ""),
    "hello": (200, b"hello ", ""),
    "first": (200, b"bye", "end"),
    "trailers": (200, b"bye", "trailers"),
    "reset": (200, b"part", "reset"),
    "gone": (200, b"part", "close"),
    "created": (201, b"", ""),
    "empty": (204, b"", ""),
    "forbidden": (403, b"", "head"),
    "over": (200, b"", "head"),
    "refused": (0, b"", "reset"),
    "closed": (0, b"", "close"),
    "silent": (0, b"", "never"),
}


@dataclass
class Seen:
    """One tunnel."""

    connection: int
    headers: Headers
    data: bytes = b""
    end: str = ""
    asked: tuple[int, bytes, str] = field(default=(200, b"", ""), repr=False)

    def line(self) -> str:
        """All of it, for comparison."""
        return f"{sorted(self.headers)} {self.data!r} {self.end or '-'}"


class Gate:
    """Serves one version of HTTP; a thread a connection."""

    def __init__(self, version: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.may_shake = threading.Event()  # TLS waits for it
        self._serve = self._http2 if version == 2 else self._http1
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.seen: list[Seen] = []
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._one, args=(conn, self.accepted), daemon=True).start()

    def _one(self, conn: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError), conn:
            if self._tls is None:
                self._serve(conn, number)
            else:
                self.may_shake.wait()
                with self._tls.wrap_socket(conn, server_side=True) as secure:
                    self._serve(secure, number)

    def _note(self, number: int, headers: Headers, authority: str) -> Seen:
        seen = Seen(number, headers, asked=WAYS[authority.split(".", maxsplit=1)[0]])
        self.seen.append(seen)
        return seen

    def _http1(self, conn: socket.socket, number: int) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := conn.recv(4096)):
                return
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        headers = [(":method", method), (":target", target)]
        headers += [tuple(each.split(": ", 1)) for each in fields]  # type: ignore[misc]
        host = next(value for name, value in headers if name == "host")
        seen = self._note(number, headers, host)
        seen.data = rest
        try:
            self._tunnel1(conn, seen, host)
        except OSError:
            seen.end = "end"  # how a connection is closed is no part of HTTP/1.1

    def _tunnel1(self, conn: socket.socket, seen: Seen, host: str) -> None:
        status, said, end = seen.asked
        if end == "never":
            seen.end = "end" if not conn.recv(1) else ""
            return
        if host.startswith("interim"):
            conn.sendall(b"HTTP/1.1 103 Early Hints\r\nx-hint: a\r\n\r\n")
        if not status:
            return
        length = "content-length: 0\r\n" if end == "head" and status >= 300 else ""
        head = f"HTTP/1.1 {status} Said\r\nx-gate: {host}\r\n{length}\r\n"
        conn.sendall(head.encode() + said)
        if end in CUTS:
            seen.data += conn.recv(65536)
        if end:
            conn.shutdown(socket.SHUT_WR)
        elif seen.data:
            conn.sendall(seen.data)
        is_chunked = ("transfer-encoding", "chunked") in seen.headers
        while not (is_chunked and seen.data.endswith(LAST_CHUNK)) and (data := conn.recv(65536)):
            seen.data += data
            if not end:
                conn.sendall(data.removesuffix(LAST_CHUNK) if is_chunked else data)
        seen.end = "end"

    def _http2(self, conn: socket.socket, number: int) -> None:
        _Http2(self, conn, number).run()


class _Connection(h2.connection.H2Connection):
    """A GOAWAY does not end what is under way (RFC 9113 section 6.8); for the library it does."""

    def _receive_goaway_frame(
        self, frame: hyperframe.frame.GoAwayFrame
    ) -> tuple[list[hyperframe.frame.Frame], list[h2.events.Event]]:
        return [], []


class _Http2:
    def __init__(self, gate: Gate, conn: socket.socket, number: int) -> None:
        self.gate, self.conn, self.number = gate, conn, number
        self.h2 = _Connection(
            h2.config.H2Configuration(
                client_side=False,
                header_encoding="latin-1",
                validate_inbound_headers=False,
                validate_outbound_headers=False,
            )
        )
        self.h2.initiate_connection()
        self.tunnels: dict[int, Seen] = {}
        self.queues: dict[int, bytearray] = {}
        self.open = True

    def run(self) -> None:
        """Until either side closes."""
        self._flush()
        while self.open and (data := self.conn.recv(65536)):
            for event in self.h2.receive_data(data):
                self._take(event)
            for stream in list(self.queues):
                self._send(stream)
            self._flush()

    def _flush(self) -> None:
        self.conn.sendall(self.h2.data_to_send())

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._begin(
                    event.stream_id or 0, [(str(k), str(v)) for k, v in event.headers or []]
                )
            case h2.events.DataReceived():
                stream = event.stream_id or 0
                seen = self.tunnels[stream]
                seen.data += event.data or b""
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                if seen.asked[0] and seen.asked[2] in CUTS:
                    self._cut(stream, seen)
                elif stream in self.queues:
                    self.queues[stream] += event.data or b""
            case h2.events.StreamEnded():
                self.tunnels[event.stream_id or 0].end = "end"
            case h2.events.StreamReset():
                self.tunnels[event.stream_id or 0].end = "reset"
                self.queues.pop(event.stream_id or 0, None)

    def _begin(self, stream: int, headers: Headers) -> None:
        host = next(value for name, value in headers if name == ":authority")
        seen = self.tunnels[stream] = self.gate._note(self.number, headers, host)
        status, said, end = seen.asked
        if host.startswith("interim"):
            self.h2.send_headers(stream, [(":status", "103"), ("x-hint", "a")])
        if status:
            head = [(":status", str(status)), ("x-gate", host)]
            self.h2.send_headers(stream, head, end_stream=end == "head")
        if said:
            self.h2.send_data(stream, said, end_stream=end == "end")
        if end == "trailers":
            self.h2.send_headers(stream, [("x-trailer", host)], end_stream=True)
        elif end in CUTS and not status:
            self._cut(stream, seen)
        elif not end:
            self.queues[stream] = bytearray()

    def _cut(self, stream: int, seen: Seen) -> None:
        if seen.asked[2] == "reset":
            refused, cancelled = 7, 8
            self.h2.reset_stream(stream, cancelled if seen.asked[0] else refused)
        self._flush()
        self.open = seen.asked[2] == "reset"

    def _send(self, stream: int) -> None:
        queue, seen = self.queues[stream], self.tunnels[stream]
        while queue:
            window = self.h2.local_flow_control_window(stream)
            room = min(window, self.h2.max_outbound_frame_size)
            if room <= 0:
                return
            self.h2.send_data(stream, bytes(queue[:room]))
            del queue[:room]
        if seen.end == "end":
            self.h2.end_stream(stream)
            del self.queues[stream]
