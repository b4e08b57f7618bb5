"""The agent's ports for whoever wants to know whether the sidecar serves: `GET /healthz/ready`, on
`statusPort` of the workload's address, and on 15021, where load balancers ask Istio's gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Self

_PATH: Final = b"/healthz/ready"
_SECONDS: Final = 5.0
_LONGEST_LINE: Final = 8192
#: Connections at a time; more are closed at once.
_MOST: Final = 64


class StatusPort:
    """As a context it serves."""

    def __init__(
        self, address: str, ports: Sequence[int], why_not: Callable[[], Awaitable[str]]
    ) -> None:
        """`why_not` says why the sidecar does not serve, "" if it does."""
        self._address = address
        self._ports = ports
        self._why_not = why_not
        self._servers: list[asyncio.Server] = []
        self._open = 0

    async def __aenter__(self) -> Self:
        """Raises OSError, saying which port."""
        for port in self._ports:
            try:
                server = await asyncio.start_server(
                    self._serve, self._address, port, limit=_LONGEST_LINE
                )
            except OSError as error:
                self._close()
                raise OSError(
                    f"cannot listen on {self._address}:{port}, the status port: {error.strerror}"
                ) from error
            self._servers.append(server)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _MOST:
                async with asyncio.timeout(_SECONDS):
                    writer.write(await self._answer(reader))
                    await writer.drain()
        except (OSError, TimeoutError, ValueError):
            # A client that is gone, slow, or writes lines without an end.
            pass
        finally:
            self._open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        method, _, rest = (await reader.readline()).partition(b" ")
        # The head is read to its end: a connection that is closed with bytes unread is reset.
        size = 0
        while (line := await reader.readline()).strip():
            size += len(line)
            if size > _LONGEST_LINE:
                return _response(431, "the request has too many headers")
        if rest.split(b" ")[0].partition(b"?")[0] != _PATH:
            return _response(404, "only /healthz/ready is here")
        if method not in {b"GET", b"HEAD"}:
            return _response(405, "use GET")
        why_not = await self._why_not()
        return _response(503, why_not) if why_not else _response(200, "")


_REASONS: Final = {
    200: "OK",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


def _response(status: int, text: str) -> bytes:
    body = f"{text}\n".encode() if text else b""
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: text/plain\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode() + body
