"""gRPC: a service that streams ticks, and its client; `grpcio` without generated code.

demo.Clock/Tick takes a message and streams messages; each message is bare bytes, UTF-8.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mesh.demo.show import Failed

METHOD = "/demo.Clock/Tick"
TICKS = 3
#: The loopback needs no proxy, whatever the environment says.
_OPTIONS = [("grpc.enable_http_proxy", 0)]


class ClockService:
    """Ticks when `ready` is released: so no tick is made before its predecessor has arrived."""

    def __init__(self, port: int) -> None:
        try:
            import grpc
        except ModuleNotFoundError:
            raise Failed("grpcio is missing: pip install 'fastmesh[control]'") from None
        self.ready = threading.Semaphore(0)
        tick = grpc.unary_stream_rpc_method_handler(self._tick)
        self._server: Any = grpc.server(ThreadPoolExecutor(4), options=_OPTIONS)
        service, method = METHOD.strip("/").split("/")
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, {method: tick})]
        )
        self._server.add_insecure_port(f"127.0.0.1:{port}")

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop(grace=None).wait(5)

    def _tick(self, question: bytes, context: Any) -> Iterator[bytes]:
        metadata = dict(context.invocation_metadata())
        caller = identity(metadata.get("x-forwarded-client-cert", ""))
        for number in range(1, TICKS + 1):
            if not self.ready.acquire(timeout=10):
                return
            yield f"{question.decode()} {number} for {caller}".encode()
        context.set_trailing_metadata([("ticks", str(TICKS))])

    def ask(self, port: int) -> tuple[list[str], str, str]:
        """Calls the service through a proxy's port. (messages, status, trailer `ticks`)"""
        import grpc

        with grpc.insecure_channel(f"127.0.0.1:{port}", options=_OPTIONS) as channel:
            call = channel.unary_stream(METHOD)(b"tick", timeout=10)
            messages = []
            self.ready.release()
            try:
                for message in call:
                    messages.append(message.decode())
                    self.ready.release()
            except grpc.RpcError:
                pass  # the status says it
            trailers = dict(call.trailing_metadata())
            return messages, str(call.code().name), trailers.get("ticks", "")


def identity(forwarded_client_cert: str) -> str:
    """The URI in an x-forwarded-client-cert header, or ''."""
    parts = forwarded_client_cert.split(";")
    return next((part.removeprefix("URI=") for part in parts if part.startswith("URI=")), "")
