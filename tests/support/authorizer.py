"""An external authorization server (`envoy.service.auth.v3.Authorization`) that remembers what it
was asked and answers as it is told."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# The tests fork processes while gRPC's threads run; its fork handlers would break those.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

Decide = Callable[[CheckRequest], CheckResponse]
OK, DENIED = 0, 7


def allow(request: CheckRequest) -> CheckResponse:
    """Lets everybody pass."""
    del request
    return CheckResponse()


class Authorizer:
    """`decide` answers; `raw` does so in its place with bytes that need be no CheckResponse. While
    `gate` is closed calls hang."""

    def __init__(self, decide: Decide = allow, credentials: Any = None, port: int = 0) -> None:
        self.decide = decide
        self.raw: bytes | None = None
        self.abort: grpc.StatusCode | None = None
        self.asked: list[CheckRequest] = []
        self.metadata: list[dict[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.arrived = threading.Semaphore(0)
        self.cancelled = threading.Semaphore(0)
        self._server = grpc.server(ThreadPoolExecutor(16))
        handlers = {"Check": grpc.unary_unary_rpc_method_handler(self._check)}
        handler = grpc.method_handlers_generic_handler(
            "envoy.service.auth.v3.Authorization", handlers
        )
        self._server.add_generic_rpc_handlers((handler,))
        address = f"127.0.0.1:{port}"
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)

    def __enter__(self) -> Authorizer:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.stop(0).wait()

    def _check(self, message: bytes, context: Any) -> bytes:
        request = CheckRequest.FromString(message)
        self.asked.append(request)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata()})
        context.add_callback(lambda: self._ended(context))
        self.arrived.release()
        self.gate.wait()
        if self.abort is not None:
            context.abort(self.abort, "as asked")
        return self.raw if self.raw is not None else self.decide(request).SerializeToString()

    def _ended(self, context: Any) -> None:
        if not context.is_active() and not self.gate.is_set():
            self.cancelled.release()
