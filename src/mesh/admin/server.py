"""The admin port's HTTP/1.1 server: one thread, one poll(2), the data plane's own parser.

Bounded in every direction, because an admin port is often reachable by more than its operator:
connections, bytes of a request, seconds until it is complete, seconds until the answer is taken.
"""

from __future__ import annotations

import select
import socket
import threading
import time

from mesh import engine
from mesh.admin.endpoint import Answer, BadRequest, Query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mesh.admin.endpoint import Endpoint, Process

MAX_CONNECTIONS = 64
MAX_HEAD = 16 << 10
MAX_BODY = 64 << 10
#: For a whole request to arrive, and for a keep-alive connection to bring the next one.
READ_SECONDS = 30.0
#: Without any progress in sending an answer.
WRITE_SECONDS = 30.0

_REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Payload Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_LOCAL_NAMES = ("localhost", "ip6-localhost")


class Router:
    """From a request to an answer; knows no sockets."""

    def __init__(
        self, process: Process, endpoints: Mapping[str, Endpoint], *, check_host: bool = False
    ) -> None:
        self._process = process
        self._endpoints = endpoints
        #: Refuse POSTs under a host name: a web page may have pointed its own name at us.
        self._check_host = check_host

    def answer(self, method: str, target: str, host: str) -> Answer:
        """Never raises."""
        path, _, query = target.partition("?")
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            listing = help_text(self._endpoints)
            return Answer(f"invalid path. {listing}", status=404)
        if endpoint.mutates and method != "POST":
            return Answer(f"Method {method} not allowed, POST required.", status=405)
        if endpoint.mutates and self._check_host and not is_local_name(host):
            return Answer(
                f"POST under the name '{host}' is refused on a loopback admin port: use its IP "
                "address or localhost.\n",
                status=403,
            )
        try:
            return endpoint.handle(self._process, Query(query))
        except BadRequest as error:
            return Answer(str(error), error.content_type, error.status)
        except Exception as error:  # noqa: BLE001 - one endpoint's defect must not end the server
            engine.log("error", "admin", f"{target}: {type(error).__name__}: {error}")
            return Answer(f"{type(error).__name__} in {path}; see the log\n", status=500)


def help_text(endpoints: Mapping[str, Endpoint]) -> str:
    """Envoy's /help."""
    lines = ["admin commands are:"]
    for path in sorted(endpoints):
        endpoint = endpoints[path]
        lines.append(f"  {path}{' (POST)' if endpoint.mutates else ''}: {endpoint.about}")
        lines += [f"      {name}: {about}" for name, about in endpoint.parameters]
    return "\n".join(lines) + "\n"


def is_local_name(host: str) -> bool:
    """Whether a Host header names an address or localhost, not a name somebody else owns."""
    if host.startswith("["):
        return "]" in host
    name = host.rpartition(":")[0] if ":" in host else host
    return name in _LOCAL_NAMES or name.replace(".", "").isdigit()


class Connection:
    """One client: bytes in, requests, bytes out. Does no I/O."""

    def __init__(self, router: Router, now: float) -> None:
        self._router = router
        self._buffer = bytearray()
        self._skip = 0
        self.out = bytearray()
        self.close_after = False
        self.deadline = now + READ_SECONDS

    def feed(self, data: bytes, now: float) -> None:
        """Takes what was read; complete requests put their answers into `out`."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self._buffer += data
        while self._buffer and not self.close_after and self._request(now):
            pass

    def _request(self, now: float) -> bool:
        """Answers the first request of the buffer, if it is complete."""
        try:
            head = engine.parse_request_head(bytes(self._buffer))
        except ValueError as error:
            self._refuse(400, f"{error}\n")
            return False
        if head is None:
            if len(self._buffer) > MAX_HEAD:
                self._refuse(431, f"more than {MAX_HEAD} bytes of headers\n")
            return False
        size, method, target, headers, length = head
        if length < 0:
            self._refuse(411, "a body needs a content-length here\n")
            return False
        if length > MAX_BODY:
            self._refuse(413, f"more than {MAX_BODY} bytes of body\n")
            return False
        fields = {name.lower(): value for name, value in headers}
        self._skip = max(0, length - (len(self._buffer) - size))
        del self._buffer[: size + length]
        self.close_after = "close" in fields.get("connection", "").lower()
        answer = self._router.answer(method, target, fields.get("host", ""))
        self._put(answer, without_body=method == "HEAD")
        self.deadline = now + READ_SECONDS
        return True

    def _refuse(self, status: int, text: str) -> None:
        self.close_after = True
        self._put(Answer(text, status=status))

    def _put(self, answer: Answer, *, without_body: bool = False) -> None:
        head = (
            f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}\r\n"
            f"content-type: {answer.content_type}\r\n"
            "cache-control: no-cache, max-age=0\r\n"
            "x-content-type-options: nosniff\r\n"
            f"date: {time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime())}\r\n"
            "server: envoy\r\n"
            f"content-length: {len(answer.body)}\r\n"
            + ("connection: close\r\n" if self.close_after else "")
            + "\r\n"
        )
        self.out += head.encode()
        if not without_body:
            self.out += answer.body


class Server:
    """Listens and serves on a thread of its own until `close`."""

    def __init__(
        self,
        address: tuple[str, int],
        process: Process,
        endpoints: Mapping[str, Endpoint],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises OSError if the address cannot be had."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(address)
            self._listener.listen(128)
        except OSError:
            self._listener.close()
            raise
        self._listener.setblocking(False)
        host, port = self._listener.getsockname()[:2]
        #: Where it listens: `port` is known even if 0 was asked for.
        self.address: tuple[str, int] = (host, port)
        loopback = host == "::1" or host.startswith("127.")
        self._router = Router(process, endpoints, check_host=loopback)
        self._clock = clock
        self._open: dict[int, tuple[socket.socket, Connection]] = {}
        self._poll = select.poll()
        self._poll.register(self._listener, select.POLLIN)
        self._stop_read, self._stop_write = socket.socketpair()
        self._poll.register(self._stop_read, select.POLLIN)
        self._thread = threading.Thread(target=self._serve, name="admin", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stops once the answers under way are sent, or cannot be sent at once."""
        self._stop_write.close()
        if self._thread.is_alive():
            self._thread.join(2)

    def discard(self) -> None:
        """Closes a server that was never started."""
        self._shut()
        self._stop_write.close()

    def _serve(self) -> None:
        while True:
            for fd, events in self._poll.poll(self._patience()):
                if fd == self._stop_read.fileno():
                    self._shut()
                    return
                if fd == self._listener.fileno():
                    self._accept()
                elif fd in self._open:
                    self._serve_one(fd, events)
            self._drop_late()

    def _patience(self) -> float | None:
        """Milliseconds until the first deadline."""
        if not self._open:
            return None
        first = min(connection.deadline for _, connection in self._open.values())
        return max(0.0, first - self._clock()) * 1000 + 1

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if len(self._open) >= MAX_CONNECTIONS:
            client.close()
            return
        client.setblocking(False)
        self._open[client.fileno()] = (client, Connection(self._router, self._clock()))
        self._poll.register(client, select.POLLIN)

    def _serve_one(self, fd: int, events: int) -> None:
        client, connection = self._open[fd]
        try:
            if events & (select.POLLIN | select.POLLHUP | select.POLLERR) and not connection.out:
                data = client.recv(16384)
                if not data:
                    self._drop(fd)
                    return
                connection.feed(data, self._clock())
            if connection.out:
                sent = client.send(connection.out)
                del connection.out[:sent]
                connection.deadline = self._clock() + (
                    WRITE_SECONDS if connection.out else READ_SECONDS
                )
        except BlockingIOError:
            pass
        except OSError:
            self._drop(fd)
            return
        if connection.close_after and not connection.out:
            self._drop(fd)
            return
        # A client that does not take its answer is not read from: that bounds `out`.
        self._poll.modify(fd, select.POLLOUT if connection.out else select.POLLIN)

    def _drop(self, fd: int) -> None:
        client, _ = self._open.pop(fd)
        self._poll.unregister(fd)
        client.close()

    def _drop_late(self) -> None:
        now = self._clock()
        for fd in [fd for fd, (_, one) in self._open.items() if one.deadline <= now]:
            self._drop(fd)

    def _shut(self) -> None:
        for fd, (client, connection) in list(self._open.items()):
            if connection.out:
                try:
                    client.send(connection.out)
                except OSError:
                    pass
            self._drop(fd)
        self._listener.close()
        self._stop_read.close()
