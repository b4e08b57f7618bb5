"""The services behind the sidecars: HTTP/1.1, WebSocket and bare TCP. gRPC is in `clock`."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from typing import Protocol

from mesh.demo import websocket

#: Headers that a service repeats in its answer, where it got them.
REPEATED = ("x-demo", "x-forwarded-client-cert")


class Service(Protocol):
    """What the stage starts and ends."""

    def start(self) -> None:
        """Serves, on threads of its own."""

    def stop(self) -> None:
        """Ends, and closes its port."""


class _Server(socketserver.ThreadingTCPServer):
    """A thread per connection, on a port of the loopback."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", port), handler)

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class HttpService(_Server):
    """An HTTP/1.1 service that says who it is and what it was asked."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        super().__init__(port, _HttpHandler)


class _HttpHandler(http.server.BaseHTTPRequestHandler):
    """Answers every GET with JSON."""

    protocol_version = "HTTP/1.1"
    #: Buffered: head and body leave in one packet.
    wbufsize = -1
    server: HttpService

    def do_GET(self) -> None:
        seen = {"service": self.server.name, "path": self.path}
        seen |= {name: self.headers[name] for name in REPEATED if name in self.headers}
        body = json.dumps(seen).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """The proxy's access log is the one to look at."""


class ChatService(_Server):
    """A WebSocket that repeats every message."""

    def __init__(self, port: int) -> None:
        super().__init__(port, _ChatHandler)


class _ChatHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        if not websocket.accept(self.rfile, self.wfile):
            return
        while (message := websocket.read(self.rfile)) is not None:
            websocket.write(self.wfile, message, masked=False)
        websocket.close(self.wfile, masked=False)


class LineService(_Server):
    """Bare TCP: repeats every line, in capitals, and ends when the client has ended."""

    def __init__(self, port: int) -> None:
        super().__init__(port, _LineHandler)


class _LineHandler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.upper())
