"""HTTP/2 over the `h2` package: a client, and an upstream that records and answers from a script.

Nothing is normalised or validated on the way, so that tests can send what is wrong and see what
came exactly as it came. `h2raw` is for frames that no library would send.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame

from tests.support import h2raw
from tests.support.http1 import Headers
from tests.support.ports import free_port
from tests.support.upstream import remember_sni

DEADLINE = 20.0  # generous: only for waiting, never asserted on
_LENIENT = {
    "header_encoding": "latin-1",
    "validate_outbound_headers": False,
    "normalize_outbound_headers": False,
    "validate_inbound_headers": False,
    "normalize_inbound_headers": False,
}
_NEVER = (1 << 31) - 1 - 65535
OK: Headers = [(":status", "200"), ("content-length", "2")]


def get(path: str = "/", *more: tuple[str, str], method: str = "GET") -> Headers:
    """The headers of a request."""
    head = [(":method", method), (":scheme", "http"), (":authority", "h"), (":path", path)]
    return [*head, *more]


@dataclass
class Stream:
    """What one stream brought: of a response for a client, of a request for an upstream."""

    connection: int = 0
    id: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    size: int = 0  # of the body, when it is not kept
    trailers: Headers = field(default_factory=list)
    informational: list[Headers] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    sni: str | None = None
    never_indexed: list[str] = field(default_factory=list)  # names of such headers

    @property
    def status(self) -> int:
        """The status of a response; 0 before there is one."""
        return int(self.get(":status") or 0)

    @property
    def path(self) -> str:
        """The path of a request."""
        return self.get(":path") or ""

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.ended or self.reset is not None

    def get(self, name: str) -> str | None:
        """The first value of a header."""
        return next((v for k, v in self.headers if k == name), None)

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [v for k, v in self.headers if k == name]


class _Connection(h2.connection.H2Connection):
    """A GOAWAY does not end what is under way (RFC 9113 section 6.8); for the library it does."""

    def _receive_goaway_frame(
        self, frame: hyperframe.frame.GoAwayFrame
    ) -> tuple[list[hyperframe.frame.Frame], list[h2.events.Event]]:
        seen = h2.events.ConnectionTerminated()
        seen.error_code = frame.error_code
        seen.last_stream_id = frame.last_stream_id
        return [], [seen]


class _Side:
    """What a client's and an upstream's connection have in common. Not for several threads."""

    def __init__(
        self, sock: socket.socket, *, client: bool, settings: dict[int, int], window: int
    ) -> None:
        self.sock = sock
        self.is_client = client
        self.closed = "open"  # open | eof | reset
        self.goaway: h2.events.ConnectionTerminated | None = None
        self.goaways: list[tuple[int, int]] = []  # last stream and code of each
        self.peer_settings: dict[int, int] = {}
        self.pings = 0
        self.auto_window = True
        self.keep_bodies = True
        self.streams: dict[int, Stream] = {}
        self.h2 = _Connection(
            h2.config.H2Configuration(client_side=client, **_LENIENT)  # type: ignore[arg-type]
        )
        self.h2.local_settings = h2.settings.Settings(
            client=client,
            initial_values={**self.h2.local_settings, **settings},  # type: ignore[dict-item]
        )
        self.h2.initiate_connection()
        # Told to the peer, not enforced: it may open streams before it has read our SETTINGS.
        streams = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1 << 20}
        known = {**self.h2.local_settings, **streams}
        self.h2.local_settings = h2.settings.Settings(client=client, initial_values=known)
        if window > 65535:
            self.h2.increment_flow_control_window(window - 65535)
        self.flush()

    def flush(self) -> None:
        """Send what the library has to say."""
        if (data := self.h2.data_to_send()) and self.closed == "open":
            try:
                self.sock.settimeout(DEADLINE)
                self.sock.sendall(data)
            except OSError:
                self.closed = "reset"

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
        try:
            events = self.h2.receive_data(data)
        except h2.exceptions.ProtocolError as error:
            self.flush()
            self.closed = f"protocol error: {error!r}"
            return False
        for event in events:
            self._take(event)
        self.flush()
        return True

    def wait_for(self, done: Callable[[], bool], deadline: float = DEADLINE) -> bool:
        """Read until `done`, the other side closes, or the deadline; returns done()."""
        end = time.monotonic() + deadline
        while not done() and self.closed == "open" and (left := end - time.monotonic()) > 0:
            self.receive(left)
        return done()

    def send_body(self, stream: int, body: bytes, *, end: bool = True) -> bool:
        """As the windows allow; False if the stream or the connection ended before."""
        view = memoryview(body)
        while view:
            seen = self.streams[stream]
            if self.closed != "open" or seen.reset is not None:
                return False
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                if not self.receive():
                    return False
                continue
            # A client's last frame ends the request; an upstream ends its with an empty one.
            last = end and self.is_client and room >= len(view)
            self.h2.send_data(stream, bytes(view[:room]), end_stream=last)
            self.flush()
            view = view[room:]
            if last:
                return True
        if end:
            self.h2.end_stream(stream)
            self.flush()
        return True

    def open_window(self, stream: int, size: int) -> None:
        """Give credit by hand (with `auto_window` off), on the stream and the connection."""
        self.h2.increment_flow_control_window(size)
        self.h2.increment_flow_control_window(size, stream)
        self.flush()

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived() | h2.events.RequestReceived():
                seen = self._stream(event.stream_id)
                seen.headers = _fields(event.headers)
                marked = [h for h in event.headers or () if not getattr(h, "indexable", True)]
                seen.never_indexed = [name for name, _ in _fields(marked)]
            case h2.events.InformationalResponseReceived():
                self._stream(event.stream_id).informational.append(_fields(event.headers))
            case h2.events.TrailersReceived():
                self._stream(event.stream_id).trailers = _fields(event.headers)
            case h2.events.DataReceived():
                seen = self._stream(event.stream_id)
                seen.size += len(event.data or b"")
                if self.keep_bodies:
                    seen.body += event.data or b""
                if self.auto_window:
                    with contextlib.suppress(h2.exceptions.ProtocolError):
                        size = event.flow_controlled_length or 0
                        self.h2.acknowledge_received_data(size, event.stream_id or 0)
            case h2.events.StreamEnded():
                self._stream(event.stream_id).ended = True
            case h2.events.StreamReset():
                self._stream(event.stream_id).reset = int(event.error_code or 0)
            case h2.events.ConnectionTerminated():
                self.goaway = event
                self.goaways.append((event.last_stream_id or 0, int(event.error_code or 0)))
            case h2.events.RemoteSettingsChanged():
                changed = event.changed_settings
                self.peer_settings |= {int(k): v.new_value for k, v in changed.items()}
            case h2.events.PingReceived():
                self.pings += 1

    def _stream(self, number: int | None) -> Stream:
        return self.streams.setdefault(number or 0, Stream(id=number or 0))


class Client(_Side):
    """One connection to a proxy: prior knowledge, or the ALPN of `tls`."""

    def __init__(
        self,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        settings: dict[int, int] | None = None,
        window: int = _NEVER,
        rcvbuf: int | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        sock = socket.socket()
        if rcvbuf is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(DEADLINE)
        try:
            sock.connect((host, port))
            if tls is not None:
                sock = tls.wrap_socket(sock, server_hostname="localhost")
        except OSError:
            sock.close()
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        given = {h2.settings.SettingCodes.ENABLE_PUSH: 0, **(settings or {})}
        super().__init__(sock, client=True, settings=given, window=window)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket, without a word."""
        self.sock.close()

    def begin(self, headers: Headers, *, end: bool = True) -> Stream:
        """Send the head of a request."""
        number = self.h2.get_next_available_stream_id()
        stream = self._stream(number)
        self.h2.send_headers(number, headers, end_stream=end)
        self.flush()
        return stream

    def trailers(self, stream: Stream, fields: Headers) -> None:
        """End a request with trailers."""
        self.h2.send_headers(stream.id, fields, end_stream=True)
        self.flush()

    def reset(self, stream: Stream, code: int = h2.errors.ErrorCodes.CANCEL) -> None:
        """Give a request up."""
        self.h2.reset_stream(stream.id, code)
        self.flush()

    def finish(self, stream: Stream, deadline: float = DEADLINE) -> Stream:
        """Wait for the whole response (or its reset)."""
        self.wait_for(lambda: stream.over, deadline)
        return stream

    def request(
        self,
        headers: Headers,
        body: bytes | None = None,
        trailers: Headers | None = None,
        deadline: float = DEADLINE,
    ) -> Stream:
        """A request and its response."""
        stream = self.begin(headers, end=body is None and trailers is None)
        if body is not None:
            self.send_body(stream.id, body, end=trailers is None)
        if trailers is not None:
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self.trailers(stream, trailers)
        return self.finish(stream, deadline)

    def wait_closed(self, deadline: float = DEADLINE) -> str:
        """Until the other side closes; returns how."""
        self.wait_for(lambda: self.closed != "open", deadline)
        return self.closed


@dataclass(frozen=True)
class Answer:
    """How to answer one request.

    `steps`: header lists are sent as HEADERS, bytes as DATA, numbers are slept; `("reset", code)`
    and `("goaway", code)` send those frames, the latter with this stream as the
    last, or `("goaway", code, last)`; `("drain", code)` sends it with the highest stream that was
    seen, and takes none beyond it (`unprocessed` counts them); "end"
    ends the stream, "close" the connection, "rst" by a TCP reset, "hang" keeps silent. A list that
    ends with a header list or bytes ends the stream there.
    `after`: answer when the head is in ("head") or when the whole request is ("body").
    """

    steps: Sequence[Headers | bytes | float | str | tuple[str, int] | tuple[str, int, int]] = (
        OK,
        b"ok",
    )
    after: str = "body"


class Upstream:
    """A thread per connection; answers in the order in which requests become ready."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        settings: dict[int, int] | None = None,
        window: int = _NEVER,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.requests: list[Stream] = []
        self.by_path: dict[str, Answer] = {}
        self.accepted = 0
        self.unprocessed = 0
        self.connections: list[_Side] = []
        self.auto_window = True
        self.keep_bodies = True
        self._queue: list[Answer] = []
        self._tls = tls
        self._settings = settings or {}
        self._window = window
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def script(self, answers: Sequence[Answer]) -> None:
        """The answers to the next requests; forgets older scripts and recordings."""
        with self._lock:
            self._queue = list(answers)
            self.requests = []

    def stop(self) -> None:
        """Close the listener and every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()

    def drop_connections(self) -> None:
        """Close every connection, as a restarted upstream would."""
        for side in self.connections:
            with contextlib.suppress(OSError):
                side.sock.shutdown(socket.SHUT_RDWR)

    def wait_requests(self, count: int, deadline: float = DEADLINE) -> list[Stream]:
        """Until that many requests have begun; returns what is there then."""
        end = time.monotonic() + deadline
        while len(self.requests) < count and time.monotonic() < end:
            time.sleep(0.005)
        return self.requests

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.accepted += 1
                number = self.accepted
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError), contextlib.closing(sock):
            if self._tls is not None:
                self._tls.sni_callback = remember_sni
                sock = self._tls.wrap_socket(sock, server_side=True)
            with contextlib.closing(sock):
                side = _Side(sock, client=False, settings=self._settings, window=self._window)
                side.auto_window, side.keep_bodies = self.auto_window, self.keep_bodies
                self.connections.append(side)
                _Serving(self, side, number).run()

    def _begin(self, stream: Stream) -> Answer:
        with self._lock:
            self.requests.append(stream)
            path = stream.path.split("?")[0]
            if path in self.by_path:
                return self.by_path[path]
            return self._queue.pop(0) if self._queue else Answer()


class _Serving:
    """One connection of an upstream: streams wait for their turn, each step when it is due."""

    def __init__(self, upstream: Upstream, side: _Side, number: int) -> None:
        self._upstream, self._side, self._number = upstream, side, number
        self._answers: dict[int, Answer] = {}
        self._due: dict[int, tuple[float, list]] = {}  # type: ignore[type-arg]
        self._last: int | None = None

    def run(self) -> None:
        side = self._side
        while side.closed == "open":
            seen = len(side.streams)
            for stream in list(side.streams.values()):
                self._look(stream)
            for number in list(self._due):
                self._play(number)
            if side.closed != "open" or len(side.streams) > seen:
                continue  # A body that was sent meanwhile has read for others too.
            wait = min((at for at, _ in self._due.values()), default=None)
            side.receive(DEADLINE * 10 if wait is None else max(wait - time.monotonic(), 0))

    def _look(self, stream: Stream) -> None:
        if self._last is not None and stream.id > self._last:
            if self._answers.setdefault(stream.id, _DONE) is _DONE and not stream.connection:
                stream.connection = self._number
                self._upstream.unprocessed += 1
            return
        if stream.headers and stream.id not in self._answers:
            stream.connection = self._number
            stream.sni = getattr(self._side.sock, "sni", None)
            self._answers[stream.id] = self._upstream._begin(stream)
        answer = self._answers.get(stream.id)
        if answer is None or answer is _DONE:
            return
        if stream.ended or answer.after == "head":
            self._answers[stream.id] = _DONE
            self._due[stream.id] = (0.0, list(answer.steps))

    def _play(self, number: int) -> None:
        at, steps = self._due[number]
        side = self._side
        stream = side.streams[number]
        while steps and at <= time.monotonic():
            step = steps.pop(0)
            end = not steps
            try:
                match step:
                    case bytes():
                        side.send_body(number, step, end=end)
                    case list():
                        side.h2.send_headers(number, step, end_stream=end)
                    case float() | int():
                        at = time.monotonic() + step
                        self._due[number] = (at, steps)
                    case ("reset", code):
                        side.h2.reset_stream(number, code)
                    case ("goaway", code):
                        side.sock.sendall(h2raw.goaway(number, code))
                    case ("goaway", code, last):
                        side.sock.sendall(h2raw.goaway(last, code))
                    case ("drain", code):
                        self._last = max(side.streams)
                        side.sock.sendall(h2raw.goaway(self._last, code))
                    case "end":
                        side.h2.end_stream(number)
                    case "hang":
                        steps.clear()
                    case "close":
                        side.flush()
                        side.closed = "here"
                    case "rst":
                        side.flush()
                        linger = b"\x01\0\0\0\0\0\0\0"
                        side.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        side.closed = "here"
                    case _:
                        raise ValueError(step)
                side.flush()
            except h2.exceptions.ProtocolError:
                if stream.reset is None and side.goaway is None and not side.closed:
                    raise
                steps.clear()
        if not steps:
            del self._due[number]


_DONE = Answer(())


def _fields(headers: object) -> Headers:
    return [(_text(k), _text(v)) for k, v in headers]  # type: ignore[attr-defined]


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
