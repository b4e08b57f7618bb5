"""Clients that prove nothing and take what they can: HTTP/2 that fills whatever it is let fill."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.support import h2raw

#: The head of a gRPC message that promises almost 4 MiB.
PROMISE = bytes([0]) + ((4 << 20) - 1).to_bytes(4, "big")


@dataclass
class Stranger:
    """One connection, open until the other side ends it."""

    port: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    #: How its streams were ended: `grpc-status`, "" for a reset.
    ends: list[str] = field(default_factory=list)
    #: Bytes of messages that left.
    sent: int = 0

    async def say(self, raw: bytes) -> None:
        """Any bytes."""
        self.writer.write(raw)
        await self.writer.drain()

    async def closed(self) -> None:
        """Until the other side ends the connection. It answers pings, as any client does."""
        try:
            while head := await self.reader.readexactly(9):
                body = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == h2raw.PING and not head[4] & h2raw.ACK:
                    await self.say(h2raw.frame(h2raw.PING, h2raw.ACK, 0, body))
        except (asyncio.IncompleteReadError, OSError):
            return

    async def fill(self, method: str, streams: int, size: int, token: str = "") -> None:
        """Begins so many calls, each with `size` bytes of a message that does not end; returns when
        all of them were ended, or the connection was."""
        with contextlib.suppress(ConnectionError):
            await self._fill(method, streams, size, token)

    async def _fill(self, method: str, streams: int, size: int, token: str) -> None:
        client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        client.initiate_connection()
        head = [
            (":method", "POST"), (":scheme", "https"), (":path", method), (":authority", "x"),
            ("te", "trailers"), ("content-type", "application/grpc"),
            *([("authorization", f"Bearer {token}")] if token else ()),
        ]  # fmt: skip
        left: dict[int, bytes] = {}
        begun = 0
        await self.say(client.data_to_send())
        known = False
        while known is False or left or begun < streams:
            while known and begun < streams and client.open_outbound_streams < _allowed(client):
                stream = client.get_next_available_stream_id()
                client.send_headers(stream, head)
                left[stream] = PROMISE + bytes(size)
                begun += 1
            for stream, body in list(left.items()):
                left[stream] = body[self._send(client, stream, body) :]
            await self.say(client.data_to_send())
            raw = await self.reader.read(65536)
            if not raw:
                return
            for event in client.receive_data(raw):
                match event:
                    case h2.events.RemoteSettingsChanged():
                        known = True
                    case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                        found = dict(event.headers or ()).get("grpc-status")
                        if found is not None:
                            self.ends.append(str(found))
                            left.pop(event.stream_id or 0, None)
                            with contextlib.suppress(h2.exceptions.StreamClosedError):
                                client.reset_stream(event.stream_id or 0)
                    case h2.events.StreamReset():
                        if left.pop(event.stream_id or 0, None) is not None:
                            self.ends.append("")
                    case h2.events.ConnectionTerminated():
                        return

    def _send(self, client: h2.connection.H2Connection, stream: int, body: bytes) -> int:
        size = min(client.local_flow_control_window(stream), client.max_outbound_frame_size)
        part = body[:size]
        if part:
            client.send_data(stream, part)
            self.sent += len(part)
        return len(part)


class Crowd:
    """All strangers of a test; as a context it sends them home in the end."""

    def __init__(self) -> None:
        self._all: list[Stranger] = []

    async def knock(self, port: int, *, tls: bool = True) -> Stranger:
        """A connection; with TLS whatever certificate is shown."""
        context = None
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["h2"])
        found = Stranger(port, *await asyncio.open_connection("127.0.0.1", port, ssl=context))
        self._all.append(found)
        return found

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self._all:
            one.writer.transport.abort()
        for one in self._all:
            with contextlib.suppress(OSError):
                await one.writer.wait_closed()


def _allowed(client: h2.connection.H2Connection) -> int:
    return min(client.remote_settings.max_concurrent_streams, 1000)
