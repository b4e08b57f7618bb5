"""What the agent asks of its sidecar, by the admin port: ours and Envoy's answer alike."""

from __future__ import annotations

import asyncio
from typing import Final

_SECONDS: Final = 5.0
_LONGEST: Final = 1 << 20
#: Whose requests and connections are those of others: of a sidecar and of a gateway, by the
#: beginnings of their statistics' names.
_SIDECAR: Final = (b"http.inbound", b"cluster.inbound")
_GATEWAY: Final = (b"http.outbound", b"cluster.outbound")


class SidecarPort:
    """An admin port on loopback."""

    def __init__(self, port: int, *, gateway: bool) -> None:
        self._port = port
        self._others = _GATEWAY if gateway else _SIDECAR

    async def is_ready(self) -> bool:
        """LIVE: it has what it needs to serve."""
        status, _ = await self._ask("GET", "/ready")
        return status == 200

    async def drain(self) -> None:
        """Connections of others are told that they end; requests under way go on."""
        await self._ask("POST", "/drain_listeners?graceful&inboundonly")

    async def under_way(self) -> int:
        """How many requests of others are; 0 where nobody knows."""
        _, body = await self._ask("GET", "/stats?usedonly&filter=rq_active%24")
        pairs = (line.partition(b": ") for line in body.splitlines())
        return sum(
            int(value)
            for name, _, value in pairs
            if name.startswith(self._others) and value.isdigit()
        )

    async def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        """Status and body; 0 when there is no answer."""
        try:
            async with asyncio.timeout(_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    head = f"{method} {path} HTTP/1.1\r\nhost: admin\r\ncontent-length: 0\r\n"
                    writer.write(f"{head}connection: close\r\n\r\n".encode())
                    answer = await reader.read(_LONGEST)
                    while more := await reader.read(_LONGEST):
                        answer += more
                        if len(answer) > _LONGEST:
                            break
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return 0, b""
        top, _, body = answer.partition(b"\r\n\r\n")
        status = top.split(b" ")[1:2]
        return int(status[0]) if status and status[0].isdigit() else 0, body
