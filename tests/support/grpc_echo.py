"""A gRPC service for tests, without generated code: messages are bytes."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# The tests fork processes while gRPC's threads run; its fork handlers would break those.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc

SERVICE = "test.Echo"


class Server:
    """Methods: Unary (the message `fail:NAME` aborts with that status), ServerStream, ClientStream,
    Both, and Hang, which waits for its cancellation.
    """

    def __init__(self, credentials: Any = None, address: str = "127.0.0.1:0") -> None:
        self.hanging = threading.Event()
        self.cancelled = threading.Event()
        self.metadata: list[dict[str, Any]] = []
        self._server = grpc.server(ThreadPoolExecutor(16))
        handlers = {
            "Unary": grpc.unary_unary_rpc_method_handler(self._unary),
            "ServerStream": grpc.unary_stream_rpc_method_handler(self._server_stream),
            "ClientStream": grpc.stream_unary_rpc_method_handler(self._client_stream),
            "Both": grpc.stream_stream_rpc_method_handler(self._both),
            "Hang": grpc.unary_unary_rpc_method_handler(self._hang),
        }
        handler = grpc.method_handlers_generic_handler(SERVICE, handlers)
        self._server.add_generic_rpc_handlers((handler,))
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)

    def __enter__(self) -> Server:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()

    def _unary(self, message: bytes, context: Any) -> bytes:
        self.metadata.append(dict(context.invocation_metadata()))
        context.send_initial_metadata((("x-initial", "a"), ("x-bytes-bin", b"\x00\xff")))
        context.set_trailing_metadata((("x-trailing", "b"),))
        if message.startswith(b"fail:"):
            context.abort(grpc.StatusCode[message[5:].decode()], "as asked: é")
        return message

    def _server_stream(self, message: bytes, _: Any) -> Iterator[bytes]:
        for number in range(5):
            yield message + b"%d" % number

    def _client_stream(self, messages: Iterator[bytes], _: Any) -> bytes:
        return b"".join(messages)

    def _both(self, messages: Iterator[bytes], _: Any) -> Iterator[bytes]:
        yield from messages

    def _hang(self, message: bytes, context: Any) -> bytes:
        context.add_callback(self.cancelled.set)
        self.hanging.set()
        self.cancelled.wait(30)
        return message


def message(payload: bytes, flags: int = 0) -> bytes:
    """A message, or with 0x80 the trailers of gRPC-Web, in its frame."""
    return struct.pack(">BI", flags, len(payload)) + payload


def messages(body: bytes) -> list[tuple[int, bytes]]:
    """(flags, payload) of all frames of a body."""
    found = []
    while body:
        flags, size = struct.unpack(">BI", body[:5])
        found.append((flags, body[5 : 5 + size]))
        body = body[5 + size :]
    return found
