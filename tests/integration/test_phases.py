"""Many messages at once, of sizes around every bound of reading ahead and sending later: each
client gets its own answer, whole (docs/adr/0008)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartMesh
from tests.support import config, tls_config
from tests.support.certs import Authority, client_context
from tests.support.client import Connection
from tests.support.ports import free_port

_CONNECTIONS = 64
_ROUNDS = 12
_DEADLINE = 60
# Read ahead: 2,000 bytes with the head; kept for later: 16 KiB; copied: 2 KiB.
_SIZES = [0, 1, 700, *range(1700, 2101, 40), 2047, 2048, 2049, 4000, 8000, 16_200, 16_384, 70_000]


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """One message: head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"transfer-encoding: chunked" not in lower:
        length = int(lower.partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
        return head, await reader.readexactly(length)
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return head, body


class _Origin:
    """An origin server that gives back what it got, framed as it came."""

    def __init__(self) -> None:
        self._exchanges: set[asyncio.Task[None] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._exchanges.add(asyncio.current_task())
        try:
            while True:
                head, body = await _message(reader)
                writer.write(b"HTTP/1.1 200 OK\r\n" + _framed(body, b"chunked" in head.lower()))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            await _close(writer)

    async def ended(self) -> None:
        """When the proxy has closed its connections, or they are cut."""
        tasks = [task for task in self._exchanges if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


def _framed(body: bytes, is_chunked: bool) -> bytes:
    """The last header line and the body; chunks are of 900 bytes."""
    if not is_chunked:
        return b"content-length: %d\r\n\r\n%b" % (len(body), body)
    parts = [body[at : at + 900] for at in range(0, len(body), 900)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def _request(rng: random.Random, client: int, last: bool) -> tuple[bytes, bytes]:
    """A request and its body, which no other client sends."""
    size = rng.choice(_SIZES)
    body = (b"%d-%d." % (client, rng.randrange(10**9)) * (size // 4 + 1))[:size]
    head = b"POST /%d HTTP/1.1\r\nhost: h\r\n" % client
    if last:
        head += b"connection: close\r\n"
    return head + _framed(body, rng.random() < 0.3), body


@contextlib.asynccontextmanager
async def _clients(
    port: int, tls: ssl.SSLContext | None
) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    name = "localhost" if tls else None
    opening = [
        asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=name)
        for _ in range(_CONNECTIONS)
    ]
    opened = await asyncio.gather(*opening)
    try:
        yield opened
    finally:
        for _, writer in opened:
            await _close(writer)


async def _run(port: int, tls: ssl.SSLContext | None, upstream: int, seed: int) -> None:
    rng = random.Random(seed)
    origin = _Origin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", upstream)
    async with server, _clients(port, tls) as clients:
        for turn in range(_ROUNDS):
            last = turn == _ROUNDS - 1
            expected = []
            # All at once, some with two requests in a row.
            for number, (_, writer) in enumerate(clients):
                many = 1 if last else rng.choice([1, 1, 1, 2])
                made = [_request(rng, number, last) for _ in range(many)]
                writer.write(b"".join(text for text, _ in made))
                expected.append([body for _, body in made])
            for (reader, _), bodies in zip(clients, expected, strict=True):
                for body in bodies:
                    head, got = await _message(reader)
                    assert head.startswith(b"HTTP/1.1 200 ")
                    assert got == body
        for reader, _ in clients:
            assert await reader.read() == b""
        server.close()
        await origin.ended()


@pytest.mark.parametrize("hops", ["plain", "tls"])
@pytest.mark.parametrize("seed", [1, 2])
def test_everybody_gets_what_they_asked_for(
    start: StartMesh, tmp_path: Path, hops: str, seed: int
) -> None:
    port, admin, upstream = free_port(), free_port(), free_port()
    ca = Authority(tmp_path / "ca")
    listener = config.listener(
        "l", port, config.hcm(config.route_config("r", config.route("/", "up")))
    )
    if hops == "tls":
        listener["filter_chains"][0]["transport_socket"] = tls_config.downstream_tls(ca.server())
    start(config.bootstrap(admin, [listener], [config.cluster("up", upstream)]), admin,
          "--concurrency", "1")  # fmt: skip
    tls = client_context(ca.cert) if hops == "tls" else None
    asyncio.run(asyncio.wait_for(_run(port, tls, upstream, seed), _DEADLINE))


def test_more_answers_than_may_wait(start: StartMesh) -> None:
    """400 requests time out in one turn, as the proxy was held meanwhile: each is told."""
    port, admin = free_port(), free_port()
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        upstream = silent.getsockname()[1]
        routes = config.route_config("r", config.route("/", "up", timeout="0.5s"))
        proxy = start(config.bootstrap(admin, [config.listener("l", port, config.hcm(routes))],
                                       [config.cluster("up", upstream)]), admin,
                      "--concurrency", "1")  # fmt: skip
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(Connection(port)) for _ in range(400)]
            for client in clients:
                client.methods.append("GET")
                client.send(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
            proxy.wait_stat("cluster.up.upstream_rq_total", 400)
            proxy.process.send_signal(signal.SIGSTOP)
            try:
                # All of them are due now, and nothing could be done about the first.
                time.sleep(0.6)
            finally:
                proxy.process.send_signal(signal.SIGCONT)
            for client in clients:
                client.wait_for(1)
                assert client.exchange().last.status == 504
